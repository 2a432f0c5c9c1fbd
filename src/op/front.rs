//! The typed front: how an operation becomes a [`RawOp`] and a completion becomes its output.
//!
//! Everything generic (buffer types, outputs) is here and in the operations' own files; what is below
//! is not generic. `Port::submit` calls [`Operation::lower`], `Completion::unpack` calls
//! [`Unpack::output`].

use super::raw::RawOp;
use crate::buf::PoolBuf;
use crate::clock::{Clock, nanos};
use crate::error::Refusal;
use crate::handle::Handle;
use crate::payload::{Room, VTable, put};
use crate::scratch::{ScratchPool, ScratchRef};
use crate::sys::Source;
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a finished system call resulted in.
#[derive(Debug)]
pub enum Value {
    /// A number of bytes, or 0.
    Done(usize),
    /// An accepted socket or an opened file.
    Source(Source),
    /// A buffer of the pool with what was received.
    Buf(PoolBuf),
}

#[inline]
pub(crate) fn count(result: io::Result<Value>) -> io::Result<usize> {
    match result {
        Ok(Value::Done(n)) => Ok(n),
        Err(error) => Err(error),
        Ok(other) => no_count(other),
    }
}

#[cold]
fn no_count(other: Value) -> ! {
    unreachable!("a transfer results in a count, not {other:?}")
}

#[inline]
pub(crate) fn unit(result: io::Result<Value>) -> io::Result<()> {
    count(result).map(drop)
}

pub(crate) fn source(result: io::Result<Value>) -> io::Result<Source> {
    match result? {
        Value::Source(source) => Ok(source),
        other => unreachable!("an accept or open results in a descriptor, not {other:?}"),
    }
}

/// What an operation owns while it is in flight.
pub trait Lends: Sized + 'static {
    /// The buffer, and whatever else must live as long.
    type Payload: 'static;
    /// The operation's name, for messages.
    const NAME: &'static str;
}

pub(crate) const fn table<O: Lends>() -> &'static VTable {
    const { &VTable::of::<O, O::Payload>(O::NAME) }
}

/// What a [`Completion`](crate::Completion) can be unpacked as: every operation, and [`Post`](super::Post).
///
/// ```
/// # use anyport::{Completion, op::{self, Unpack}};
/// # fn main() -> std::io::Result<()> {
/// /// The output of an operation, if this is its completion.
/// fn output<O: Unpack>(done: Completion) -> Option<O::Output> {
///     done.try_unpack::<O>().ok()
/// }
/// # let mut port = anyport::Port::new().unwrap();
/// # port.submit(op::Nop::new(), anyport::Token(1));
/// # port.wait(None).unwrap();
/// # assert!(output::<op::Nop>(port.next().unwrap()).is_some());
/// # Ok(())
/// # }
/// ```
pub trait Unpack: Lends {
    /// The result, together with what was lent.
    type Output;

    #[doc(hidden)]
    fn output(payload: Self::Payload, result: io::Result<Value>) -> Self::Output;
}

/// An operation, to be [submitted](crate::Port::submit).
///
/// The types of this module implement it; it cannot be implemented elsewhere.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use anyport::op::Operation;
/// # use std::time::Duration;
/// # fn main() -> std::io::Result<()> {
/// /// Submits anything, with a second to get done.
/// fn submit_soon(port: &mut Port, operation: impl Operation, token: Token) {
///     port.submit(operation.within(Duration::from_secs(1)), token);
/// }
/// # let mut port = Port::new()?;
/// submit_soon(&mut port, op::Nop::new(), Token(1));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Nop>()?;
/// # Ok(())
/// # }
/// ```
pub trait Operation: Sized {
    /// The operation that its completion unpacks as: itself, without a deadline.
    type Of: Unpack;

    #[doc(hidden)]
    fn lower(self, place: Place<'_, <Self::Of as Lends>::Payload>) -> Lowered;

    /// Gives the operation until `deadline`. Then it is cancelled, and completes with
    /// [`TimedOut`](io::ErrorKind::TimedOut) and its buffer, unless its result came first.
    ///
    /// ```
    /// # use anyport::{Port, Token, op::{self, Operation}};
    /// # use std::{io, time::{Duration, Instant}};
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let deadline = Instant::now() + Duration::from_millis(5);
    /// port.submit(op::Timer::after(Duration::from_secs(3600)).by(deadline), Token(1));
    /// port.wait(None)?;
    /// let result = port.next().unwrap().unpack::<op::Timer>();
    /// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    fn by(self, deadline: Instant) -> Deadline<Self> {
        Deadline { inner: self, when: When::At(deadline) }
    }

    /// Gives the operation `time` from now on; else as [`by`](Operation::by).
    ///
    /// ```
    /// # use anyport::{Port, Token, op::{self, Operation}};
    /// # use std::{io, net::UdpSocket, time::Duration};
    /// # fn main() -> io::Result<()> {
    /// let mut port = Port::new()?;
    /// let silent = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
    /// port.submit(op::Recv::new(silent, [0; 64]).within(Duration::from_millis(5)), Token(1));
    /// port.wait(None)?;
    /// let (result, _buffer) = port.next().unwrap().unpack::<op::Recv<[u8; 64]>>();
    /// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    fn within(self, time: Duration) -> Deadline<Self> {
        Deadline { inner: self, when: When::After(time) }
    }
}

/// An operation with a deadline, from [`Operation::by`] and [`Operation::within`]. Its completion
/// unpacks as the operation itself.
///
/// ```
/// # use anyport::{Port, Token, op::{self, Deadline, Operation}};
/// # use std::time::Duration;
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let in_time: Deadline<op::Nop> = op::Nop::new().within(Duration::from_secs(1));
/// port.submit(in_time, Token(1));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Nop>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Deadline<O> {
    inner: O,
    when: When,
}

/// A time as the user gave it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    At(Instant),
    After(Duration),
}

impl When {
    pub(crate) fn resolve(self, clock: &Clock) -> u64 {
        match self {
            When::At(instant) => clock.at(instant),
            When::After(duration) => clock.now().saturating_add(nanos(duration)),
        }
    }
}

impl<O: Operation> Operation for Deadline<O> {
    type Of = O::Of;

    fn lower(self, place: Place<'_, <O::Of as Lends>::Payload>) -> Lowered {
        let when = self.when.resolve(place.clock);
        let mut lowered = self.inner.lower(place);
        if lowered.due.is_none_or(|due| when < due) {
            lowered.due = Some(when);
            if let Ok(RawOp::Timer { overruled }) = &mut lowered.raw {
                *overruled = true;
            }
        }
        lowered
    }
}

/// Where an operation's payload goes: its slot.
pub struct Place<'a, P> {
    room: *mut Room,
    placed: &'a Cell<bool>,
    scratch: &'a Rc<ScratchPool>,
    pub(crate) clock: &'a Clock,
    payload: PhantomData<P>,
}

/// Proof that the payload is in its place.
pub(crate) struct Placed(());

impl<'a, P: 'static> Place<'a, P> {
    /// # Safety
    /// `room` is a slot's, empty, and stays in place until the operation is over.
    pub(crate) unsafe fn new(
        room: *mut Room,
        placed: &'a Cell<bool>,
        scratch: &'a Rc<ScratchPool>,
        clock: &'a Clock,
    ) -> Place<'a, P> {
        Place { room, placed, scratch, clock, payload: PhantomData }
    }

    /// Scratch memory for the payload to own.
    pub(crate) fn scratch(&self) -> ScratchRef {
        self.scratch.take()
    }

    /// Stores the payload for good; pointers into it are taken from what this returns.
    pub(crate) fn put(self, payload: P) -> (&'a mut P, Placed) {
        // SAFETY: `new`'s caller gave an empty room; nobody else knows the payload before `lower`
        // has returned.
        let payload = unsafe { &mut *put(self.room, payload) };
        self.placed.set(true);
        (payload, Placed(()))
    }
}

/// A lowered operation.
pub struct Lowered {
    pub(crate) target: Option<Handle>,
    /// An error is a bad argument: it becomes the completion.
    pub(crate) raw: Result<RawOp, Refusal>,
    /// When it is over at the latest (or, for a timer, when it is its turn).
    pub(crate) due: Option<u64>,
    _placed: Placed,
}

impl Lowered {
    #[inline]
    pub(crate) fn new(placed: Placed, target: impl Into<Option<Handle>>, raw: Result<RawOp, Refusal>) -> Lowered {
        Lowered { target: target.into(), raw, due: None, _placed: placed }
    }
}

/// Implements the traits of an operation that owns no buffer.
macro_rules! plain_operation {
    ($op:ty, $name:literal, $output:ty, $map:expr, |$self:ident| $handle:expr, $raw:expr) => {
        impl crate::op::front::Lends for $op {
            type Payload = ();
            const NAME: &'static str = $name;
        }
        impl crate::op::Unpack for $op {
            type Output = io::Result<$output>;
            #[inline]
            fn output((): (), result: io::Result<crate::op::front::Value>) -> Self::Output {
                ($map)(result)
            }
        }
        impl crate::op::Operation for $op {
            type Of = Self;
            #[inline]
            fn lower($self, place: crate::op::front::Place<'_, ()>) -> crate::op::front::Lowered {
                let (_, placed) = place.put(());
                crate::op::front::Lowered::new(placed, $handle, Ok($raw))
            }
        }
    };
}
pub(crate) use plain_operation;
