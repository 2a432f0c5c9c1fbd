//! The port: the semantics of completions, written once above all backends.
//!
//! Here are the order of operations on a handle, deadlines, cancels, retries, fairness and the queue of
//! ready completions. The life of an operation: `submit` puts it into a slot and a lane; the head of a
//! lane is *started* on the backend; its event *settles* it (it may go on: a send-all, a multishot, a
//! retry) or *concludes* it: it leaves its lane, the next one starts, and its completion waits in
//! `ready` until `next` moves the payload out and frees the slot.
//!
//! This file is what the caller sees. The rest is by the stages of that life: `launch` starts operations, `settle` takes
//! events up, `complete` hands completions out; `rest` keeps what waits for a buffer, a time or its turn, and `give_up`
//! ends what is not to go on.

mod complete;
mod give_up;
mod launch;
mod rest;
mod settle;

use crate::Token;
use crate::backend::{Backend, Engine};
use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::clock::{Clock, nanos};
use crate::completion::Completion;
use crate::core::{Core, Event};
use crate::error::Refusal;
use crate::explain::{self, Explanation};
use crate::fifo::Fifo;
use crate::handle::{Entry, Handle, Handles};
use crate::op::Operation;
use crate::op::front::{Place, table};
use crate::payload::VTable;
use crate::poster::{Inbox, Mail, Poster, Sleep};
use crate::slot::{At, OpId, Slots};
use crate::starved::Starved;
use crate::sys::{ForkGuard, Object, Source};
use crate::timer::Wheel;
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::cold_path;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A port's batch, at least; it is as large as its [entries](Builder::entries) are many, if they are more. A smaller one has a price:
/// `anyport bench echo --backend io_uring`, 1000 connections x 64 B on a Xeon, took 1.09 and 1.10 of the loop by hand with 64, 1.02 to
/// 1.06 with 256.
const BATCH: u32 = 256;

/// A completion port. See the [crate's page](crate) for the five steps of using one.
///
/// It belongs to the thread that made it; [`Port::poster`] reaches it from others. Use one per core to
/// scale. Dropping it cancels what is in flight and waits until the system has let go of every buffer
/// (and until closures that have begun on the blocking pool have ended).
///
/// ```
/// use anyport::{Port, Token, op};
/// # use std::time::Duration;
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// port.submit(op::Nop::new(), Token(1));
/// port.submit(op::Timer::after(Duration::from_millis(1)), Token(2));
/// while port.in_flight() > 0 {
///     port.wait(None)?;
///     while let Some(done) = port.next() {
///         println!("{:?}", done.token());
///     }
/// }
/// # Ok(())
/// # }
/// ```
// In this order: what every operation touches is together, in few lines of the cache.
#[repr(C)]
pub struct Port {
    core: Core,
    /// Events that were settled, in their order.
    ready: Fifo<Event>,
    /// Completions handed out since the system was last asked.
    handed_out: u32,
    /// So many are handed out before the system is asked again: what keeps one busy peer, whose operations complete at once, from
    /// shutting out the others, the timers and the posts.
    batch: u32,
    /// Whose turn it is when both posts and completions are there.
    posts_next: bool,
    /// Posts wake the port because the caller sleeps, not because it does.
    caller_sleeps: bool,
    fork: ForkGuard,
    /// Left empty only by `drop` in a forked child.
    engine: ManuallyDrop<Engine>,
    starved: Starved,
    /// Operations to be started: heads of their lanes, and those that go on.
    starts: VecDeque<At>,
    /// What was collected from the inbox.
    mail: VecDeque<Mail>,
    inbox: Arc<Inbox>,
    clock: Clock,
    wheel: Wheel,
    /// Operations that rest, with the times when they go on; in order, since all rest equally long.
    parked: VecDeque<(u64, OpId)>,
    /// Operations that have had their share of the port's time, and go on with the next wait.
    yielding: VecDeque<OpId>,
    /// Neither Send nor Sync: a ring with a single issuer is bound to its thread.
    _thread: PhantomData<*mut ()>,
}

impl Port {
    /// Opens a port on the best backend that works here (or the one that `ANYPORT_BACKEND` names).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Port> {
        Port::builder().build()
    }

    /// Options for a port.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn assemble(options: Builder, engine: Engine, inbox: Arc<Inbox>) -> io::Result<Port> {
        let buffers = if engine.backend() == Backend::Uring {
            options.pool_buffers.next_power_of_two()
        } else {
            options.pool_buffers
        };
        let base = first_generation();
        Ok(Port {
            core: Core {
                slots: Slots::new(base),
                handles: Handles::new(base),
                pool: Pool::new(buffers, options.pool_size),
                scratch: Rc::default(),
            },
            engine: ManuallyDrop::new(engine),
            wheel: Wheel::new(),
            clock: Clock::new(),
            inbox,
            mail: VecDeque::new(),
            ready: Fifo::new(),
            starts: VecDeque::new(),
            starved: Starved::default(),
            parked: VecDeque::new(),
            yielding: VecDeque::new(),
            handed_out: 0,
            batch: options.entries.max(BATCH),
            posts_next: false,
            caller_sleeps: false,
            fork: ForkGuard::new()?,
            _thread: PhantomData,
        })
    }

    /// The backend that this port runs on.
    pub fn backend(&self) -> Backend {
        self.engine.backend()
    }

    /// In plain words: which backend runs, why each other one was refused, and how each operation is
    /// carried. It tries the other backends now, which takes some system calls.
    pub fn explain(&self) -> Explanation {
        explain::explain(&self.engine)
    }

    /// Lets an OS object join: a socket, pipe, terminal, file, any `OwnedFd` (on Windows any
    /// `OwnedSocket` or `OwnedHandle`). The port owns it until it is [closed](crate::op::Close),
    /// [detached](Port::detach) or the port is dropped.
    ///
    /// On a Unix the descriptor is made non-blocking (or blocking, on io_uring), which others that share
    /// the open file see, too; `detach` undoes it. On Windows the object joins the port's I/O completion
    /// port; one that is not open for overlapped calls is served by the blocking pool.
    ///
    /// # Errors
    /// The system's, from fstat(2), getsockopt(2) or fcntl(2), or from `CreateIoCompletionPort`;
    /// `Unsupported` in a forked child.
    ///
    /// ```
    /// # use anyport::Port;
    /// # use std::net::{TcpListener, UdpSocket};
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let listener = port.attach(TcpListener::bind("127.0.0.1:0")?)?;
    /// let socket = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
    /// assert_ne!(listener, socket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach(&mut self, source: impl Into<Source>) -> io::Result<Handle> {
        self.refuse_child()?;
        let source = source.into();
        let kind = source.kind()?;
        let notes = self.engine.attach(&source, kind)?;
        Ok(self.core.handles.insert(source.into_object(), kind, notes))
    }

    /// Lets an OS object leave; the handle is stale from now on. (An `OwnedFd` on a Unix.)
    ///
    /// # Errors
    /// `NotFound` for a stale handle, `ResourceBusy` while operations are in flight on it; on a Windows
    /// before 8.1, where nothing leaves a completion port, `Unsupported`. The object stays with the port
    /// then.
    ///
    /// ```
    /// # use anyport::Port;
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let handle = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
    /// let socket = port.detach(handle)?; // the caller's again, as it was
    /// assert!(port.detach(handle).is_err());
    /// # #[cfg(unix)]
    /// # UdpSocket::from(socket).local_addr()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach(&mut self, handle: Handle) -> io::Result<Object> {
        self.refuse_child()?;
        let index = self.core.handles.find(handle).ok_or(Refusal::StaleHandle)?;
        if !self.core.handles.entry(index).is_idle() {
            return Err(Refusal::BusyHandle.into());
        }
        self.engine.detach(&mut self.core, index)?;
        self.engine.release(&mut self.core, index);
        Ok(self.core.handles.remove(index))
    }

    /// What is behind a handle, for the accessors of each system (`sys/`).
    pub(crate) fn entry(&self, handle: Handle) -> Option<&Entry> {
        self.core.handles.find(handle).map(|index| self.core.handles.entry(index))
    }

    /// Submits an operation, lending what it owns to the system. Cannot fail: whatever is wrong
    /// becomes the operation's completion.
    ///
    /// The system call is made later, together with others: on a readiness queue when [`next`](Port::next) has nothing else to
    /// hand out, on io_uring by the next [`wait`](Port::wait); on Windows at once. Long work between two calls of `next` delays it.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # use std::{io, net::UdpSocket};
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let socket = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
    /// port.submit(op::Recv::new(socket, Vec::new()), Token(1)); // no room: a mistake
    /// port.wait(None)?;
    /// let (result, _) = port.next().unwrap().unpack::<op::Recv<Vec<u8>>>();
    /// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn submit<O: Operation>(&mut self, operation: O, token: Token) -> OpId {
        let slot = self.core.slots.allocate();
        let vtable = table::<O::Of>();
        let room = self.core.slots.payload(slot);
        let placed = Cell::new(false);
        // SAFETY: the slot was just allocated, so its room is empty; it stays in place until the slot
        // is released.
        let place = unsafe { Place::new(room, &placed, &self.core.scratch, &self.clock) };
        let unsubmitted = Unsubmitted { slots: &mut self.core.slots, slot, vtable, placed: &placed };
        let lowered = operation.lower(place);
        std::mem::forget(unsubmitted);
        self.launch(slot, token, vtable, lowered)
    }

    /// Gives an operation up. True: it was in flight, and completes with its result if that came
    /// first, else [cancelled](crate::error::is_cancelled). False: it is done already (or is a close,
    /// which cannot be given up; or the parent's, in a forked child). Never lost, however much is in flight.
    ///
    /// ```
    /// # use anyport::{Port, Token, error::is_cancelled, op};
    /// # use std::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let socket = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
    /// let id = port.submit(op::Recv::new(socket, vec![0; 1500]), Token(1));
    /// assert!(port.cancel(id));
    /// port.wait(None)?;
    /// let (result, buf) = port.next().unwrap().unpack::<op::Recv<Vec<u8>>>();
    /// assert!(is_cancelled(&result.unwrap_err()));
    /// assert_eq!(buf.len(), 1500); // back all the same
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&mut self, id: OpId) -> bool {
        if self.fork.is_child() {
            return false;
        }
        let Some(slot) = self.core.slots.find(id) else { return false };
        let cancelled = self.give_up(slot);
        self.run_starts();
        cancelled
    }

    /// Gives up every operation on a handle; says how many there were. 0 for a stale handle.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (stream, _) = listener.accept()?;
    /// let mut port = Port::new()?;
    /// let conn = port.attach(stream)?;
    /// port.submit(op::RecvPooled::new(conn), Token(1));
    /// port.submit(op::RecvPooled::new(conn), Token(2));
    /// assert_eq!(port.cancel_all(conn), 2);
    /// # drop(peer.set_nodelay(true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_all(&mut self, handle: Handle) -> usize {
        if self.fork.is_child() {
            return 0;
        }
        let Some(index) = self.core.handles.find(handle) else { return 0 };
        let count = self.give_up_all(index);
        self.run_starts();
        count
    }

    /// Blocks until something has completed, at most `timeout` (`None`: as long as it takes, and
    /// 0 only looks). True: [`next`](Port::next) has something. False: the time is up.
    ///
    /// It is one call of the system's: io_uring_enter(2), epoll_pwait(2) (epoll_pwait2(2) with a time-out
    /// that is not whole milliseconds), kevent(2), poll(2) - and on a readiness queue the calls that
    /// readiness makes possible. A signal does not end it; post from the handler's thread.
    ///
    /// # Errors
    /// The system's, if waiting itself is impossible; `Unsupported` in a forked child.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// assert!(!port.wait(Some(Duration::from_millis(1)))?); // nothing to come
    /// port.submit(op::Nop::new(), Token(1));
    /// assert!(port.wait(None)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        // What is ready is handed out first; within the batch there is no need to ask the system.
        if self.has_ready() && self.handed_out < self.batch {
            return Ok(true);
        }
        self.refuse_child()?;
        // What was submitted may be done already, and then no wait is needed either.
        if self.handed_out < self.batch && self.engine.has_untried() && self.take_up() {
            return Ok(true);
        }
        if std::mem::take(&mut self.caller_sleeps) {
            self.inbox.wake_up();
        }
        self.handed_out = 0;
        // What the last wait reported and nobody took up has its turn before what this one will report.
        for _ in 0..self.engine.backlog() {
            let Some(event) = self.engine.advance(&mut self.core) else { break };
            self.settle_late(event);
        }
        let end = timeout.filter(|time| !time.is_zero()).map(|time| self.clock.now().saturating_add(nanos(time)));
        loop {
            self.inbox.collect_if_empty(&mut self.mail);
            let now = self.serve_time_and_buffers();
            let nap = match timeout {
                _ if self.has_ready() || self.may_feed() => Some(Duration::ZERO),
                Some(Duration::ZERO) => Some(Duration::ZERO),
                _ => self.until(now, end),
            };
            let asleep = nap != Some(Duration::ZERO);
            let nap = if asleep && !self.inbox.fall_asleep(Sleep::Here) { Some(Duration::ZERO) } else { nap };
            let waited = self.engine.wait(&mut self.core, nap);
            if asleep {
                self.inbox.wake_up();
            }
            waited?;
            self.inbox.collect_if_empty(&mut self.mail);
            self.serve_time_and_buffers();
            if self.has_ready() || self.take_up() {
                return Ok(true);
            }
            if timeout.is_some() && end.is_none_or(|end| self.clock.now() >= end) {
                return Ok(false);
            }
        }
    }

    /// For a caller that sleeps on the port's descriptor (`Port::waitable`) itself, as part of a loop of its own:
    /// how long it may (`None`: as long as it likes; 0: there is something already). From here until the next
    /// [`wait`](Port::wait) a post makes the descriptor readable; what was submitted is with the system.
    ///
    /// Call it last before sleeping, with nothing submitted afterwards, and `wait` with a time-out of 0 when the sleep
    /// is over, whatever ended it. It makes the system call of such a wait, on io_uring one more (three, when something other
    /// than sockets and files is attached).
    ///
    /// # Errors
    /// As [`wait`](Port::wait).
    pub fn prepare_wait(&mut self) -> io::Result<Option<Duration>> {
        // Before the look: what comes after it is to ring.
        self.engine.rest_bell()?;
        if self.wait(Some(Duration::ZERO))? || !self.inbox.fall_asleep(Sleep::Elsewhere) {
            return Ok(Some(Duration::ZERO));
        }
        self.caller_sleeps = true;
        let rest = self.until(None, None);
        // What the system would not take yet is offered again, soon.
        if self.engine.has_unsubmitted() {
            let soon = Duration::from_nanos(rest::RETRY);
            return Ok(Some(rest.map_or(soon, |rest| rest.min(soon))));
        }
        Ok(rest)
    }

    /// The next completion. `None`: nothing more is ready, or others must have their turn; wait again.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # fn main() -> std::io::Result<()> {
    /// # let mut port = Port::new()?;
    /// port.submit(op::Nop::new(), Token(1));
    /// port.wait(None)?;
    /// while let Some(done) = port.next() {
    ///     assert_eq!(done.token(), Token(1)); // the port is free here: submit what comes after it
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::should_implement_trait)]
    // an iterator would borrow the port that its user submits to
    // Inlined, so that a completion stays in registers: returned in memory it would be read back in other pieces than it was
    // written in, and wait for that.
    #[inline(always)]
    pub fn next(&mut self) -> Option<Completion> {
        if self.handed_out >= self.batch {
            cold_path();
            return None;
        }
        loop {
            if !self.mail.is_empty() {
                cold_path();
                if self.posts_next || self.ready.is_empty() {
                    match self.take_mail() {
                        None => continue,
                        post => return post,
                    }
                }
            }
            let event = if let Some(event) = self.ready.take() {
                cold_path();
                self.posts_next = true;
                event
            } else if self.fork.is_child() {
                cold_path();
                return None;
            } else {
                let event = self.engine.advance(&mut self.core)?;
                if self.settles_simply(event) {
                    event
                } else {
                    cold_path();
                    // In parts, so that it stays in registers till here.
                    let Event { slot, part, outcome } = event;
                    match self.settle_now(slot, part, outcome) {
                        None => continue,
                        Some(event) => event,
                    }
                }
            };
            return Some(self.complete(event));
        }
    }

    /// Sends values to this port from any thread.
    pub fn poster(&self) -> Poster {
        Poster { inbox: self.inbox.clone() }
    }

    /// The port's time: now.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// let start = port.now();
    /// port.submit(op::Timer::at(start + Duration::from_millis(2)), Token(1));
    /// port.wait(None)?;
    /// assert!(port.now() - start >= Duration::from_millis(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn now(&self) -> Instant {
        self.clock.instant(self.clock.now())
    }

    /// Operations whose final completion was not yet taken.
    ///
    /// ```
    /// # use anyport::{Port, Token, op};
    /// # fn main() -> std::io::Result<()> {
    /// let mut port = Port::new()?;
    /// port.submit(op::Nop::new(), Token(1));
    /// assert_eq!(port.in_flight(), 1);
    /// port.wait(None)?;
    /// drop(port.next());
    /// assert_eq!(port.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(&self) -> usize {
        self.core.slots.used()
    }

    #[cfg(unix)]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn refuse_child(&self) -> io::Result<()> {
        if self.fork.is_child() { Err(Refusal::Forked.into()) } else { Ok(()) }
    }
}

/// Where the generations of a port's handles and operations begin: far from those of other ports, so that
/// a handle given to the wrong port is stale there.
fn first_generation() -> u32 {
    static PORTS: AtomicU32 = AtomicU32::new(0);
    // Multiples of 2^32 divided by the golden ratio spread evenly.
    PORTS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B1)
}

/// Undoes a submission whose buffer panicked when it was asked for its address.
struct Unsubmitted<'a> {
    slots: &'a mut Slots,
    slot: At,
    vtable: &'static VTable,
    placed: &'a Cell<bool>,
}

impl Drop for Unsubmitted<'_> {
    fn drop(&mut self) {
        if self.placed.get() {
            // SAFETY: the payload was put there by this submission, and the system never heard of it.
            unsafe { self.vtable.drop(self.slots.payload(self.slot)) };
        }
        self.slots.release(self.slot);
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("backend", &self.backend()).field("in_flight", &self.in_flight()).finish()
    }
}
