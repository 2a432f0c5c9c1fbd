//! The five steps themselves, as any program would write them. They know nothing of who watches: that is a [`Stage`].

use std::io;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::peer::{MESSAGE, Peer};

/// How much room the lent buffer has.
pub(super) const ROOM: usize = 4096;

/// A step of an event queue, and what comes after the five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create the queue.
    Create,
    /// An OS object joins, and a buffer.
    Join,
    /// Register interest, lending the buffer.
    Lend,
    /// Block until something has completed.
    Wait,
    /// The buffer is back, filled.
    Return,
    /// Steps 3 to 5 once more: what each further message costs.
    Again,
}

impl Step {
    /// All of them, in the order in which [`play`] comes to them.
    pub(super) const ALL: [Step; 6] = [Step::Create, Step::Join, Step::Lend, Step::Wait, Step::Return, Step::Again];
}

/// Something for each step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PerStep<T>([T; Step::ALL.len()]);

impl<T> PerStep<T> {
    pub(super) fn of(&self, step: Step) -> &T {
        &self.0[step as usize]
    }

    pub(super) fn of_mut(&mut self, step: Step) -> &mut T {
        &mut self.0[step as usize]
    }
}

/// Where the steps are played: it runs each, and notes what it wants to know about it.
pub(super) trait Stage {
    fn step<T>(&mut self, step: Step, body: impl FnOnce() -> T) -> T;
}

/// Plays the steps once on `backend`. Returns how long after the peer began to speak the wait of step 4 returned.
pub(super) fn play(backend: Backend, stage: &mut impl Stage) -> io::Result<Duration> {
    let (stream, peer) = Peer::meet()?;
    let mut port = stage.step(Step::Create, || Port::builder().backend(backend).build())?;
    let joined = stage.step(Step::Join, || Ok::<_, io::Error>((port.attach(stream)?, Vec::with_capacity(ROOM))));
    let (conn, buf) = joined?;
    stage.step(Step::Lend, || port.submit(op::Recv::new(conn, buf), Token(7)));
    peer.ask();
    stage.step(Step::Wait, || port.wait(None))?;
    let woken = Instant::now();
    let spoke = peer.spoke()?;
    let buf = checked(stage.step(Step::Return, || take_back(&mut port)))?;

    peer.ask();
    let received = stage.step(Step::Again, || {
        port.submit(op::Recv::new(conn, buf), Token(7));
        port.wait(None)?;
        Ok::<_, io::Error>(take_back(&mut port))
    });
    checked(received?)?;
    peer.spoke()?;
    Ok(woken.duration_since(spoke))
}

/// A completion of the receive, unpacked.
type Received = (Token, io::Result<usize>, Vec<u8>);

fn take_back(port: &mut Port) -> Option<Received> {
    let done = port.next()?;
    let token = done.token();
    let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
    Some((token, result, buf))
}

/// The buffer, if it holds what the peer said. Emptied, to be lent again.
fn checked(received: Option<Received>) -> io::Result<Vec<u8>> {
    let Some((token, result, mut buf)) = received else {
        return Err(io::Error::other("the port has nothing although its wait has ended"));
    };
    result?;
    if token != Token(7) || buf != MESSAGE {
        return Err(io::Error::other(format!("received {:?} for {token:?}", String::from_utf8_lossy(&buf))));
    }
    buf.clear();
    Ok(buf)
}
