//! The scripted peer: a plain blocking thread with one end of a stream, doing a list of steps. It knows nothing of the
//! port, so what it sees is what any other program would see.
//!
//! Invariant: its failures surface in [`Peer::finish`], with the step that failed; it never waits longer than 60 s.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::Socket;

/// What a peer does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send all of these bytes.
    Send(Vec<u8>),
    /// Receive exactly so many bytes.
    Receive(usize),
    /// Receive up to the end of the stream.
    ReceiveToEnd,
    /// Receive exactly so many bytes and send them back, so many times over.
    Echo { size: usize, times: usize },
    /// Do nothing for a while: to let the other side run into "would block".
    Pause(Duration),
    /// Wait until the test sends on this channel (or drops it).
    Await(mpsc::Receiver<()>),
    /// End one's own direction; the other side sees the end of the stream.
    ShutdownWrite,
    /// Break the connection: the other side sees a reset. Ends the script.
    Reset,
}

/// A running peer.
pub(crate) struct Peer {
    thread: JoinHandle<io::Result<Vec<u8>>>,
}

impl Peer {
    /// Starts a thread that does `steps` on `stream` and then closes it.
    pub(crate) fn start(stream: impl Into<Socket>, steps: Vec<Step>) -> Peer {
        let stream = stream.into();
        let thread = thread::Builder::new().name("peer".into());
        Peer { thread: thread.spawn(move || play(stream, steps)).expect("start a peer") }
    }

    /// Waits for the end of the script and returns all the bytes that the peer has received.
    #[track_caller]
    pub(crate) fn finish(self) -> Vec<u8> {
        match self.thread.join().expect("a peer does not panic") {
            Ok(received) => received,
            Err(error) => panic!("the peer failed: {error}"),
        }
    }
}

fn play(mut stream: Socket, steps: Vec<Step>) -> io::Result<Vec<u8>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let mut received = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let what = format!("step {number}, {}", describe(&step));
        perform(&mut stream, step, &mut received)
            .map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))?;
    }
    Ok(received)
}

fn perform(stream: &mut Socket, step: Step, received: &mut Vec<u8>) -> io::Result<()> {
    match step {
        Step::Send(bytes) => stream.write_all(&bytes)?,
        Step::Receive(size) => receive(stream, size, received)?,
        Step::ReceiveToEnd => drop(stream.read_to_end(received)?),
        Step::Echo { size, times } => {
            for _ in 0..times {
                let start = received.len();
                receive(stream, size, received)?;
                stream.write_all(&received[start..])?;
            }
        }
        Step::Pause(time) => thread::sleep(time),
        Step::Await(signal) => drop(signal.recv_timeout(Duration::from_secs(60))),
        Step::ShutdownWrite => stream.shutdown(Shutdown::Write)?,
        Step::Reset => {
            stream.set_linger(Some(Duration::ZERO))?;
            // Closing a socket that lingers for no time at all sends the reset; the script ends with it.
            *stream = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        }
    }
    Ok(())
}

fn receive(stream: &mut Socket, size: usize, received: &mut Vec<u8>) -> io::Result<()> {
    let start = received.len();
    received.resize(start + size, 0);
    stream.read_exact(&mut received[start..])
}

fn describe(step: &Step) -> String {
    match step {
        Step::Send(bytes) => format!("Send({} bytes)", bytes.len()),
        other => format!("{other:?}"),
    }
}
