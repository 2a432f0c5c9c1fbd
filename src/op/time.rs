//! Timers, and the operation that does nothing.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, When, plain_operation, unit};
use super::raw::RawOp;
use std::io;
use std::time::{Duration, Instant};

/// Completes at once: a round trip through the queue (`IORING_OP_NOP`; without io_uring, no system
/// call at all).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// port.submit(op::Nop::new(), Token(1));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Nop>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Nop(());

impl Nop {
    /// A no-op.
    pub fn new() -> Nop {
        Nop(())
    }
}

plain_operation!(Nop, "nop", (), unit, |self| None, RawOp::Nop);

/// Completes when its time has come: never earlier, and on an idle port within a millisecond.
///
/// It costs no system call of its own: the port sleeps no longer than its next timer. The clock is
/// [`Instant`]'s, monotonic.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::time::{Duration, Instant};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let start = Instant::now();
/// port.submit(op::Timer::after(Duration::from_millis(2)), Token(1));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Timer>()?;
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Timer(When);

impl Timer {
    /// Fires `time` after it was submitted.
    pub fn after(time: Duration) -> Timer {
        Timer(When::After(time))
    }

    /// Fires at `instant`; at once if that is past.
    pub fn at(instant: Instant) -> Timer {
        Timer(When::At(instant))
    }
}

impl Lends for Timer {
    type Payload = ();
    const NAME: &'static str = "timer";
}

impl Unpack for Timer {
    type Output = io::Result<()>;
    fn output((): (), result: io::Result<Value>) -> io::Result<()> {
        unit(result)
    }
}

impl Operation for Timer {
    type Of = Timer;
    fn lower(self, place: Place<'_, ()>) -> Lowered {
        let due = self.0.resolve(place.clock);
        let (_, placed) = place.put(());
        let mut lowered = Lowered::new(placed, None, Ok(RawOp::Timer { overruled: false }));
        lowered.due = Some(due);
        lowered
    }
}
