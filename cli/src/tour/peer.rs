//! The other end of the tour's connection: a thread that says something when it is asked to, after a pause in which the
//! port falls asleep.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What it says each time.
pub(super) const MESSAGE: &[u8] = b"hello from the other end";
/// How long after it was asked.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// The thread; it ends when this is dropped.
pub(super) struct Peer {
    asked: Sender<()>,
    spoken: Receiver<io::Result<Instant>>,
}

impl Peer {
    /// Connects a new peer; the stream is this end.
    pub(super) fn meet() -> io::Result<(TcpStream, Peer)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        far.set_nodelay(true)?;
        let (asked, asks) = channel();
        let (speaks, spoken) = channel();
        thread::Builder::new().name("peer".into()).spawn(move || {
            while asks.recv().is_ok() {
                thread::sleep(PAUSE);
                let now = Instant::now();
                // Whoever asked may have given up; nobody is told then.
                let _ = speaks.send(far.write_all(MESSAGE).map(|()| now));
            }
        })?;
        Ok((near, Peer { asked, spoken }))
    }

    /// Asks it to speak; does not wait for that.
    pub(super) fn ask(&self) {
        // A thread that is gone is found out by `spoke`.
        let _ = self.asked.send(());
    }

    /// When it began to speak, the last time.
    pub(super) fn spoke(&self) -> io::Result<Instant> {
        self.spoken.recv().map_err(|_| io::Error::other("the other end of the connection is gone"))?
    }
}
