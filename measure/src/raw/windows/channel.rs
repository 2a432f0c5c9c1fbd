//! Posts as one would write them by hand: a channel, and a completion port to sleep in. A packet is posted only when
//! the receiver has not been told already.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::completion_port::CompletionPort;

/// The contestant.
pub const NAME: &str = "by hand, mpsc + completion port";

/// The receiving end, which sleeps in the completion port.
pub struct Inbox {
    values: mpsc::Receiver<u64>,
    bell: Arc<Bell>,
}

/// The sending end.
#[derive(Clone)]
pub struct Outbox {
    values: mpsc::Sender<u64>,
    bell: Arc<Bell>,
}

struct Bell {
    port: CompletionPort,
    rung: AtomicBool,
}

/// A new pair.
pub fn inbox() -> io::Result<(Outbox, Inbox)> {
    let bell = Arc::new(Bell { port: CompletionPort::new()?, rung: AtomicBool::new(false) });
    let (send, receive) = mpsc::channel();
    Ok((Outbox { values: send, bell: bell.clone() }, Inbox { values: receive, bell }))
}

impl Outbox {
    /// Sends a value and wakes the receiver if it might sleep.
    pub fn post(&self, value: u64) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.values.send(value).map_err(gone)?;
        if !self.bell.rung.swap(true, Ordering::SeqCst) {
            self.bell.port.post(0)?;
        }
        Ok(())
    }
}

impl Inbox {
    /// Takes what comes, sleeping when there is nothing, until `take` says that it was the last.
    pub fn receive(&self, mut take: impl FnMut(u64) -> bool) -> io::Result<()> {
        let mut packets = Vec::with_capacity(1);
        loop {
            while let Ok(value) = self.values.try_recv() {
                if take(value) {
                    return Ok(());
                }
            }
            // What is sent after this rings the bell; what was sent before is found by the look that follows.
            self.bell.rung.store(false, Ordering::SeqCst);
            match self.values.try_recv() {
                Err(_) => self.bell.port.wait(&mut packets, None)?,
                Ok(value) => {
                    self.bell.rung.store(true, Ordering::SeqCst);
                    if take(value) {
                        return Ok(());
                    }
                }
            }
        }
    }
}
