//! Posts as one would write them by hand: a channel, and a bell to sleep by (`bell.rs`: an eventfd, a completion
//! port). It is rung only when the receiver has not been told already.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::bell::Bell;
pub use super::bell::CHANNEL as NAME;

/// The receiving end.
pub struct Inbox {
    values: mpsc::Receiver<u64>,
    door: Arc<Door>,
}

/// The sending end.
#[derive(Clone)]
pub struct Outbox {
    values: mpsc::Sender<u64>,
    door: Arc<Door>,
}

struct Door {
    bell: Bell,
    rung: AtomicBool,
}

/// A new pair.
pub fn inbox() -> io::Result<(Outbox, Inbox)> {
    let door = Arc::new(Door { bell: Bell::new()?, rung: AtomicBool::new(false) });
    let (send, receive) = mpsc::channel();
    Ok((Outbox { values: send, door: door.clone() }, Inbox { values: receive, door }))
}

impl Outbox {
    /// Sends a value and wakes the receiver if it might sleep.
    pub fn post(&self, value: u64) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.values.send(value).map_err(gone)?;
        if !self.door.rung.swap(true, Ordering::SeqCst) {
            self.door.bell.ring()?;
        }
        Ok(())
    }
}

impl Inbox {
    /// Takes what comes, sleeping when there is nothing, until `take` says that it was the last.
    pub fn receive(&self, mut take: impl FnMut(u64) -> bool) -> io::Result<()> {
        let mut room = Vec::with_capacity(1);
        loop {
            while let Ok(value) = self.values.try_recv() {
                if take(value) {
                    return Ok(());
                }
            }
            // What is sent after this rings the bell; what was sent before is found by the look that follows.
            self.door.rung.store(false, Ordering::SeqCst);
            match self.values.try_recv() {
                Err(_) => self.door.bell.sleep(&mut room)?,
                Ok(value) => {
                    self.door.rung.store(true, Ordering::SeqCst);
                    if take(value) {
                        return Ok(());
                    }
                }
            }
        }
    }
}
