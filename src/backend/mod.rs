//! Backends: one system's queue each, behind a few verbs.
//!
//! A backend *starts* and *cancels* operations, *waits* and hands out what happened (*advance*), and
//! *attaches* and *releases* descriptors. It holds no policy: order, deadlines, fairness, retries and
//! the book-keeping of cancels are the port's, written once. [`Engine`] picks the backend at run time.
//!
//! To add one: a file with these verbs, a variant here, and its rows in `explain`. (`start_on` is `start` once more, for what
//! is frequent and should cost little; a backend can do without. A nop has `start_nop` alone.)

pub(crate) mod blocking;
#[cfg(unix)]
mod destination;
#[cfg(windows)]
pub(crate) mod iocp;
#[cfg(unix)]
pub(crate) mod perform;
#[cfg(unix)]
pub(crate) mod quirks;
#[cfg(unix)]
pub(crate) mod reactor;
#[cfg(unix)]
mod send_file;
#[cfg(target_os = "linux")]
pub(crate) mod uring;

use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::explain::{Carrier, Feature};
use crate::handle::{Entry, Kind};
use crate::op::raw::RawOp;
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{At, Head};
use crate::sys::{Notes, Source};
#[cfg(unix)]
use reactor::Reactor;
#[cfg(target_os = "linux")]
use reactor::epoll::Epoll;
#[cfg(unix)]
use reactor::kqueue::Kqueue;
#[cfg(unix)]
use reactor::poll::Poll;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The system's queue that a port uses.
///
/// ```
/// use anyport::{Backend, Port};
/// # fn main() -> std::io::Result<()> {
/// for &backend in Backend::ALL {
///     match backend.check() {
///         Ok(()) => assert_eq!(Port::builder().backend(backend).build()?.backend(), backend),
///         Err(why) => println!("{backend} does not work here: {why}"),
///     }
/// }
/// # #[cfg(unix)]
/// assert_eq!("poll".parse::<Backend>()?, Backend::Poll);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Backend {
    /// Linux' completion rings, io_uring(7).
    Uring,
    /// Linux' readiness queue, epoll(7).
    Epoll,
    /// The readiness queue of macOS and the BSDs, kqueue(2).
    Kqueue,
    /// poll(2): every Unix has it. Its cost grows with the number of waiting handles.
    Poll,
    /// Windows' I/O completion ports.
    Iocp,
}

impl Backend {
    /// All backends that this system could have, the preferred one first.
    #[cfg(unix)]
    pub const ALL: &[Backend] = if cfg!(anyport_libkqueue) {
        &[Backend::Uring, Backend::Epoll, Backend::Kqueue, Backend::Poll]
    } else if cfg!(target_os = "linux") {
        &[Backend::Uring, Backend::Epoll, Backend::Poll]
    } else if reactor::kqueue::HERE {
        &[Backend::Kqueue, Backend::Poll]
    } else {
        &[Backend::Poll]
    };

    /// All backends that this system could have, the preferred one first.
    #[cfg(windows)]
    pub const ALL: &[Backend] = &[Backend::Iocp];

    /// The name that `ANYPORT_BACKEND` and the program's `--backend` take.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Uring => "io_uring",
            Backend::Epoll => "epoll",
            Backend::Kqueue => "kqueue",
            Backend::Poll => "poll",
            Backend::Iocp => "iocp",
        }
    }

    /// Tries whether the backend works here, with everything it needs.
    ///
    /// # Errors
    /// Why not, and what would have to change (a sysctl, a seccomp rule, a limit, the kernel).
    pub fn check(self) -> Result<(), String> {
        let inbox = Inbox::new().map_err(|error| error.to_string())?;
        Engine::new(self, &Builder::default(), &inbox).map(drop).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = io::Error;

    fn from_str(name: &str) -> io::Result<Backend> {
        Backend::ALL.iter().copied().find(|backend| backend.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Backend::ALL.iter().map(|backend| backend.name()).collect();
            let names = names.join(", ");
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there is no backend '{name}' here; choose one of: {names}"),
            )
        })
    }
}

/// The answer to a request for a descriptor to wait on elsewhere.
#[cfg(unix)]
pub(crate) fn not_waitable() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "poll(2) has no descriptor that could be waited for elsewhere; choose another backend",
    )
}

/// What became of starting an operation.
pub(crate) enum Started {
    /// The system has it, payload included; an event will come.
    Pending,
    /// As `Pending`, and this came of it at once: it is a multishot one.
    #[cfg_attr(not(any(target_os = "linux", windows)), expect(dead_code, reason = "a reactor tries nothing at once"))]
    More(Outcome),
    /// It is done already, and the system has let go of the payload.
    Done(Outcome),
}

/// What became of cancelling one.
pub(crate) enum Cancelled {
    /// The system has let go of it; no event will come.
    Done,
    /// Its event will come, with the result or "cancelled".
    Pending,
}

/// The chosen backend.
// With a tag of its own: to find it out of a field's spare values would take each operation some instructions more.
#[repr(u8)]
#[allow(clippy::large_enum_variant)] // there is one in a port, and it is found without a pointer
pub(crate) enum Engine {
    #[cfg(target_os = "linux")]
    Uring(uring::Uring),
    #[cfg(target_os = "linux")]
    Epoll(Reactor<Epoll>),
    #[cfg(unix)]
    Kqueue(Reactor<Kqueue>),
    #[cfg(unix)]
    Poll(Reactor<Poll>),
    #[cfg(windows)]
    Iocp(iocp::Iocp),
}

/// Calls the same verb on whichever backend it is.
macro_rules! each {
    ($engine:expr, $backend:ident => $call:expr) => {
        match $engine {
            #[cfg(target_os = "linux")]
            Engine::Uring($backend) => $call,
            #[cfg(target_os = "linux")]
            Engine::Epoll($backend) => $call,
            #[cfg(unix)]
            Engine::Kqueue($backend) => $call,
            #[cfg(unix)]
            Engine::Poll($backend) => $call,
            #[cfg(windows)]
            Engine::Iocp($backend) => $call,
        }
    };
}

impl Engine {
    pub(crate) fn new(backend: Backend, options: &Builder, inbox: &Arc<Inbox>) -> io::Result<Engine> {
        match backend {
            #[cfg(target_os = "linux")]
            Backend::Uring => Ok(Engine::Uring(uring::Uring::new(options, inbox)?)),
            #[cfg(target_os = "linux")]
            Backend::Epoll => Ok(Engine::Epoll(Reactor::new(options, inbox)?)),
            #[cfg(unix)]
            Backend::Kqueue => Ok(Engine::Kqueue(Reactor::new(options, inbox)?)),
            #[cfg(unix)]
            Backend::Poll => Ok(Engine::Poll(Reactor::new(options, inbox)?)),
            #[cfg(windows)]
            Backend::Iocp => Ok(Engine::Iocp(iocp::Iocp::new(options, inbox)?)),
            other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("this system has no {other}"))),
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            #[cfg(target_os = "linux")]
            Engine::Uring(_) => Backend::Uring,
            #[cfg(target_os = "linux")]
            Engine::Epoll(_) => Backend::Epoll,
            #[cfg(unix)]
            Engine::Kqueue(_) => Backend::Kqueue,
            #[cfg(unix)]
            Engine::Poll(_) => Backend::Poll,
            #[cfg(windows)]
            Engine::Iocp(_) => Backend::Iocp,
        }
    }

    /// Starts an operation on an attached object, if it is one of the frequent ones; else (false) it is to be started by
    /// `start`.
    #[inline(always)]
    pub(crate) fn start_on(&mut self, slot: At, head: &mut Head, entry: &mut Entry, pool: &Pool) -> bool {
        each!(self, b => b.start_on(slot, head, entry, pool))
    }

    /// Starts a nop. (Apart from `start`, and inlined into `submit`: it is measured to tell what the port itself takes.)
    #[inline(always)]
    pub(crate) fn start_nop(&mut self, slot: At) -> Started {
        each!(self, b => b.start_nop(slot))
    }

    /// Starts the operation in `slot`, whose payload is in place. It may be tried right here.
    #[inline(always)]
    pub(crate) fn start(&mut self, core: &mut Core, slot: At) -> Started {
        each!(self, b => b.start(core, slot))
    }

    /// Gives up the started operation in `slot`. Is never lost.
    pub(crate) fn cancel(&mut self, core: &mut Core, slot: At) -> Cancelled {
        each!(self, b => b.cancel(core, slot))
    }

    /// Waits until something happens, at most `timeout` (`None`: for ever). May return early.
    pub(crate) fn wait(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        each!(self, b => b.wait(core, timeout))
    }

    /// The next thing that happened, without waiting and without a call that waits.
    #[inline(always)]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        each!(self, b => b.advance(core))
    }

    /// Whether operations that were started are carried out by the next steps of `advance`, without a wait.
    #[inline]
    pub(crate) fn has_untried(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Engine::Uring(_) => false,
            #[cfg(windows)]
            Engine::Iocp(_) => false,
            #[cfg(target_os = "linux")]
            Engine::Epoll(reactor) => reactor.has_untried(),
            #[cfg(unix)]
            Engine::Kqueue(reactor) => reactor.has_untried(),
            #[cfg(unix)]
            Engine::Poll(reactor) => reactor.has_untried(),
        }
    }

    /// How many steps of `advance` take up, before the next wait, what the last one reported.
    pub(crate) fn backlog(&mut self) -> usize {
        each!(self, b => b.backlog())
    }

    /// Prepares an object that joins; what the backend notes about it.
    pub(crate) fn attach(&mut self, source: &Source, kind: Kind) -> io::Result<Notes> {
        each!(self, b => b.attach(source, kind))
    }

    /// Undoes that for the idle handle `handle`, whose object is to leave as it came.
    pub(crate) fn detach(&mut self, core: &mut Core, handle: u32) -> io::Result<()> {
        each!(self, b => b.detach(core, handle))
    }

    /// Forgets the idle handle `handle`, before its descriptor is closed or detached.
    pub(crate) fn release(&mut self, core: &mut Core, handle: u32) {
        each!(self, b => b.release(core, handle))
    }

    /// Lets go without touching the system: the process is a fork's child.
    pub(crate) fn abandon(self) {
        each!(self, b => std::mem::forget(b))
    }

    /// How an operation of this shape is carried.
    pub(crate) fn carrier(&self, raw: &RawOp) -> Carrier {
        each!(self, b => b.carrier(raw))
    }

    /// True when operations were started that the system has not taken yet; the next wait offers them again.
    pub(crate) fn has_unsubmitted(&mut self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Engine::Uring(uring) => uring.has_unsubmitted(),
            _ => false,
        }
    }

    /// The caller is about to look, and then to sleep on what `waitable` returned.
    pub(crate) fn rest_bell(&self) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Engine::Uring(uring) => uring.rest_bell(),
            _ => Ok(()),
        }
    }

    /// What becomes readable when the next wait would find something.
    #[cfg(unix)]
    pub(crate) fn waitable(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        each!(self, b => b.waitable())
    }

    /// What was probed when the backend was set up.
    pub(crate) fn features(&self) -> Vec<Feature> {
        each!(self, b => b.features())
    }
}
