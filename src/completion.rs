//! A completion: a value that owns what was lent.

use crate::buf::pool::Pool;
use crate::handle::Kind;
use crate::op::Unpack;
use crate::op::front::{Value, table};
use crate::outcome::Outcome;
use crate::payload::{Room, VTable, take};
use crate::sys::Source;
use crate::{OpId, Token};
use std::any::TypeId;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::rc::Rc;

/// An operation that is done (or, of a multishot one, a part of it), from [`Port::next`](crate::Port::next).
///
/// It owns the buffer that was lent, and what the operation resulted in: an accepted connection, a
/// pool buffer. [`unpack`](Completion::unpack) takes them out; dropping it drops them, so nothing can
/// leak.
///
/// ```
/// use anyport::{Completion, Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// port.submit(op::Nop::new(), Token(1));
/// port.wait(None)?;
/// let done: Completion = port.next().unwrap();
/// assert_eq!((done.token(), done.more()), (Token(1), false));
/// done.unpack::<op::Nop>()?;
/// # Ok(())
/// # }
/// ```
pub struct Completion {
    pub(crate) token: Token,
    pub(crate) id: OpId,
    pub(crate) part: Part,
    /// Bytes that parts of the operation have moved, in case it ends with an error.
    pub(crate) before: usize,
    pub(crate) vtable: &'static VTable,
    /// Holds the payload of `vtable`'s operation, from the slot.
    pub(crate) room: Room,
    pub(crate) outcome: Outcome,
    /// What the outcome's value is.
    pub(crate) means: Means,
}

// A completion is moved right after it was made. It is made of whole words, tags too, because a word that was written
// in parts is slow to read back as one: it would cost a third of what the port does for a nop.

/// Which of its operation's completions it is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Part {
    Last,
    NotLast,
}

/// What a non-negative outcome stands for. The completion owns it.
#[repr(u64)]
pub(crate) enum Means {
    Count,
    /// An accepted socket: of which kind, where that is known, and whether non-blocking.
    Accepted {
        kind: Option<Kind>,
        nonblocking: bool,
    },
    /// An opened file.
    Opened,
    /// Bytes in a buffer of this pool.
    Buffer(Rc<Pool>),
}

impl Completion {
    /// The token that the operation was submitted with.
    pub fn token(&self) -> Token {
        self.token
    }

    /// What `submit` returned for the operation. Of no use for a post.
    pub fn id(&self) -> OpId {
        self.id
    }

    /// True when others of the same (multishot) operation follow; false: this is its final one.
    pub fn more(&self) -> bool {
        self.part == Part::NotLast
    }

    /// Bytes that were moved, also when an error ended the operation after a part.
    ///
    /// ```
    /// # use anyport::{Port, Token, op::{self, Operation}};
    /// # use std::{io::Read, time::Duration};
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (stream, _) = listener.accept()?;
    /// let mut port = Port::new()?;
    /// let conn = port.attach(stream)?;
    /// // More than the system holds for a peer that does not read.
    /// let send = op::SendAll::new(conn, vec![0; 64 << 20]).within(Duration::from_millis(50));
    /// port.submit(send, Token(1));
    /// port.wait(None)?;
    /// let done = port.next().unwrap();
    /// assert!((1..64 << 20).contains(&done.transferred()));
    /// assert!(done.unpack::<op::SendAll<Vec<u8>>>().0.is_err());
    /// # drop(peer.read(&mut [0]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn transferred(&self) -> usize {
        match (&self.means, self.outcome.value()) {
            (Means::Count | Means::Buffer(_), Some(n)) => n,
            _ => self.before,
        }
    }

    /// The operation's name.
    pub fn name(&self) -> &'static str {
        self.vtable.name
    }

    /// True when this unpacks as `O`.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let mut port = Port::new()?;
    /// port.submit(op::Nop::new(), Token(1));
    /// port.submit(op::Timer::after(Duration::ZERO), Token(2));
    /// port.wait(None)?;
    /// while let Some(done) = port.next() {
    ///     if done.is::<op::Nop>() {
    ///         done.unpack::<op::Nop>()?;
    ///     } else {
    ///         done.unpack::<op::Timer>()?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn is<O: Unpack>(&self) -> bool {
        // The same table tells without a look into it; there may be more than one of a type.
        std::ptr::eq(self.vtable, table::<O>()) || self.vtable.type_id == TypeId::of::<O>()
    }

    /// The result and what was lent.
    ///
    /// # Panics
    /// When the operation was not an `O` (with the same buffer type).
    #[track_caller]
    #[inline]
    pub fn unpack<O: Unpack>(self) -> O::Output {
        if !self.is::<O>() {
            self.refuse(std::any::type_name::<O>());
        }
        // SAFETY: it is an O.
        unsafe { self.open::<O>() }
    }

    #[cold]
    #[track_caller]
    fn refuse(self, wanted: &str) -> ! {
        panic!("{:?} completed '{}' and was unpacked as {wanted}", self.token, self.name())
    }

    /// The result and what was lent; or the completion itself when the operation was not an `O`.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # fn main() -> std::io::Result<()> {
    /// # let mut port = Port::new()?;
    /// port.submit(op::Nop::new(), Token(1));
    /// port.wait(None)?;
    /// match port.next().unwrap().try_unpack::<op::Timer>() {
    ///     Ok(result) => result?,
    ///     Err(done) => assert_eq!(done.name(), "nop"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::result_large_err)] // the error is the completion, and boxing it would allocate
    #[inline]
    pub fn try_unpack<O: Unpack>(self) -> Result<O::Output, Completion> {
        if !self.is::<O>() {
            return Err(self);
        }
        // SAFETY: it is an O.
        Ok(unsafe { self.open::<O>() })
    }

    /// # Safety
    /// The completion is one of an `O`.
    #[inline]
    unsafe fn open<O: Unpack>(self) -> O::Output {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so the payload and the result are each
        // taken once; the payload is O's, because the table that came with it is.
        unsafe {
            let result = match &this.means {
                Means::Count => this.outcome.result().map(Value::Done),
                means => value(this.outcome, std::ptr::read(means)),
            };
            O::output(take::<O::Payload>(&this.room), result)
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        // SAFETY: `unpack` forgets the completion, so the payload is still here.
        unsafe { self.vtable.drop(&mut self.room) };
        let means = std::mem::replace(&mut self.means, Means::Count);
        drop(value(self.outcome, means));
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("operation", &self.name())
            .field("token", &self.token)
            .field("id", &self.id)
            .field("more", &self.more())
            .field("transferred", &self.transferred())
            .field("result", &self.outcome.result())
            .finish()
    }
}

/// Makes the outcome's descriptor or buffer a value that owns it. Called once per completion.
#[inline(always)]
fn value(outcome: Outcome, means: Means) -> io::Result<Value> {
    let n = outcome.result()?;
    Ok(match means {
        Means::Count => Value::Done(n),
        Means::Accepted { kind, nonblocking } => {
            // SAFETY: the call made this socket for this operation, and the outcome is its only owner.
            Value::Source(unsafe { Source::accepted(n, kind, nonblocking) })
        }
        // SAFETY: as above, this file.
        Means::Opened => Value::Source(unsafe { Source::opened(n) }),
        Means::Buffer(pool) => match outcome.buffer() {
            Some(index) => Value::Buf(pool.lend(index, n)),
            None => Value::Done(n),
        },
    })
}
