//! The user's own work: closures on the blocking pool, and values posted from other threads.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, unit};
use super::raw::RawOp;
use std::any::Any;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a closure on the port's blocking pool: for what the system cannot do asynchronously (name
/// resolution, a library that blocks). Its result is the completion's; a panic is an error with the
/// panic's message. A closure that has begun cannot be cancelled.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// fn resolve() -> usize { "localhost".len() }
/// port.submit(op::Blocking::new(resolve as fn() -> usize), Token(1));
/// port.wait(None)?;
/// assert_eq!(port.next().unwrap().unpack::<op::Blocking<fn() -> usize, usize>>()?, 9);
/// # Ok(())
/// # }
/// ```
pub struct Blocking<F, T> {
    closure: F,
    result: PhantomData<fn() -> T>,
}

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Blocking<F, T> {
    /// Runs `closure`.
    pub fn new(closure: F) -> Blocking<F, T> {
        Blocking { closure, result: PhantomData }
    }
}

impl<T: Send + 'static> Blocking<Box<dyn FnOnce() -> T + Send>, T> {
    /// Runs `closure`, boxed, so that its type can be named when the completion is unpacked.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # fn main() -> std::io::Result<()> {
    /// type Resolve = op::Blocking<Box<dyn FnOnce() -> usize + Send>, usize>;
    ///
    /// let mut port = Port::new()?;
    /// let name = String::from("localhost");
    /// port.submit(Resolve::boxed(move || name.len()), Token(1));
    /// port.wait(None)?;
    /// assert_eq!(port.next().unwrap().unpack::<Resolve>()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn boxed(closure: impl FnOnce() -> T + Send + 'static) -> Self {
        Blocking::new(Box::new(closure))
    }
}

impl<F, T> std::fmt::Debug for Blocking<F, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocking")
    }
}

/// A closure on its way to its result.
pub enum Work<F, T> {
    Todo(F),
    Running,
    Done(T),
    Panicked(Box<dyn Any + Send>),
}

impl<F: FnOnce() -> T, T> Work<F, T> {
    /// # Safety
    /// `payload` points to a `Work<F, T>` that nobody else uses during the call.
    unsafe fn run(payload: *mut u8) {
        // SAFETY: the caller's.
        let work = unsafe { &mut *payload.cast::<Work<F, T>>() };
        if let Work::Todo(closure) = std::mem::replace(work, Work::Running) {
            *work = match catch_unwind(AssertUnwindSafe(closure)) {
                Ok(result) => Work::Done(result),
                Err(panic) => Work::Panicked(panic),
            };
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is no message")
}

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Lends for Blocking<F, T> {
    type Payload = Work<F, T>;
    const NAME: &'static str = "blocking closure";
}

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Unpack for Blocking<F, T> {
    type Output = io::Result<T>;
    fn output(work: Work<F, T>, result: io::Result<Value>) -> io::Result<T> {
        unit(result)?;
        match work {
            Work::Done(result) => Ok(result),
            Work::Panicked(panic) => Err(io::Error::other(format!("the closure panicked: {}", message(&*panic)))),
            Work::Todo(_) | Work::Running => unreachable!("the pool reports a closure when it has run"),
        }
    }
}

impl<F: FnOnce() -> T + Send + 'static, T: Send + 'static> Operation for Blocking<F, T> {
    type Of = Self;
    fn lower(self, place: Place<'_, Work<F, T>>) -> Lowered {
        let (work, placed) = place.put(Work::Todo(self.closure));
        let raw = RawOp::Call { run: Work::<F, T>::run, payload: std::ptr::from_mut(work).cast() };
        Lowered::new(placed, None, Ok(raw))
    }
}

/// A value that came from a [`Poster`](crate::Poster): unpack a completion as `Post<T>` to have it.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let poster = port.poster();
/// std::thread::spawn(move || poster.post(Token(1), vec![1, 2, 3]));
/// port.wait(None)?;
/// let numbers = port.next().unwrap().unpack::<op::Post<Vec<i32>>>();
/// assert_eq!(numbers, [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Post<T>(PhantomData<T>);

impl<T: Send + 'static> Lends for Post<T> {
    type Payload = T;
    const NAME: &'static str = "post";
}

impl<T: Send + 'static> Unpack for Post<T> {
    type Output = T;
    fn output(value: T, _: io::Result<Value>) -> T {
        value
    }
}
