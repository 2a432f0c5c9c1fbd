//! The port: the semantics of completions, written once above all backends.
//!
//! Here are the order of operations on a handle, deadlines, cancels, retries, fairness and the queue of
//! ready completions. The life of an operation: `submit` puts it into a slot and a lane; the head of a
//! lane is *started* on the backend; its event *settles* it (it may go on: a send-all, a multishot, a
//! retry) or *concludes* it: it leaves its lane, the next one starts, and its completion waits in
//! `ready` until `next` moves the payload out and frees the slot.

use crate::Token;
use crate::backend::{Backend, Cancelled, Engine, Started};
use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::clock::{Clock, nanos};
use crate::completion::{Completion, Means, Part};
use crate::core::{Core, Event};
use crate::error::{self, Refusal};
use crate::explain::{self, Explanation};
use crate::handle::{Entry, Handle, HandleState, Handles};
use crate::op::Operation;
use crate::op::front::{Place, table};
use crate::op::raw::{Lane, RawOp};
use crate::outcome::Outcome;
use crate::payload::{Room, VTable};
use crate::poster::{Inbox, Mail, Poster, Sleep};
use crate::ready::Ready;
use crate::slot::{Head, Marks, NONE, OpId, Slots, State, Vacant};
use crate::starved::Starved;
use crate::sys::{self, ForkGuard, Object, Source};
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

/// Completions that are handed out before the system is asked again: what keeps one busy peer, whose
/// operations complete at once, from shutting out the others, the timers and the posts.
///
/// A larger one has a price on a ring with more operations in flight than entries, where it goes on with what completes at once.
/// With 4096 an echo of 1000 connections (`--only "1000 connections, 64 B" --who io_uring` in bench/, Linux 6.18) took 10 to 20 %
/// less CPU time, and 1 % of the answers came after 12 to 18 ms instead of 18 to 21; but in a run of the whole comparison they came
/// after 45 ms, when half of all were there within 1.3.
const BUDGET: u32 = 256;

/// Where taking up what is ready makes a call: how many are made before the first of their completions is handed out. The
/// kernel's code for so many receives, and then for as many sends by who got them, stays in the cache; that for a receive
/// and a send in turn does not. (`anyport bench echo`, 64 connections x 64 B on epoll: from 1.04 times the loop by hand to
/// 1.01.)
const AHEAD: u32 = 16;

/// Bytes that may be moved ahead of their completions: so much that stays in a core's first cache. (The same command, 64
/// connections x 16 KiB, with 48 KiB of that cache: 1.09 to 1.11 times the loop by hand with 64 KiB, 1.02 with this.)
const AHEAD_BYTES: usize = 16 * 1024;

/// How long an operation rests that the system could not carry out for want of something.
const RETRY: u64 = 10_000_000;

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
    ready: Ready,
    /// Completions handed out since the system was last asked.
    handed_out: u32,
    /// Whose turn it is when both posts and completions are there.
    posts_next: bool,
    /// Posts wake the port because the caller sleeps, not because it does.
    caller_sleeps: bool,
    fork: ForkGuard,
    /// Operations that the backend has.
    with_system: usize,
    /// Left empty only by `drop` in a forked child.
    engine: ManuallyDrop<Engine>,
    starved: Starved,
    /// Operations to be started: heads of their lanes, and those that go on.
    starts: VecDeque<u32>,
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
            ready: Ready::default(),
            starts: VecDeque::new(),
            starved: Starved::default(),
            parked: VecDeque::new(),
            yielding: VecDeque::new(),
            with_system: 0,
            handed_out: 0,
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
        let (head, room, _) = self.core.slots.parts(slot);
        head.begin(token, vtable);
        let id = OpId::new(slot, head.generation);
        let placed = Cell::new(false);
        // SAFETY: the slot was just allocated, so its room is empty; it stays in place until the slot
        // is released.
        let place = unsafe { Place::new(room, &placed, &self.core.scratch, &self.clock) };
        let unsubmitted = Unsubmitted { slots: &mut self.core.slots, slot, vtable, placed: &placed };
        let lowered = operation.lower(place);
        std::mem::forget(unsubmitted);
        // Stored here, where its parts are known: handed on as a whole it would be copied twice.
        let head = self.core.slots.head_mut(slot);
        let raw = match lowered.raw {
            Ok(raw) => raw,
            Err(refusal) => {
                self.refuse(slot, refusal);
                return id;
            }
        };
        (head.raw, head.lane) = (raw, raw.lane());
        head.marks = if raw.is_composite() { Marks::COMPOSITE } else { Marks::empty() };
        if let Some(due) = lowered.due {
            head.marks |= Marks::ARMED;
            self.wheel.arm(slot, due);
        }
        match lowered.target {
            None => self.launch(slot, &raw),
            Some(handle) => self.launch_on(slot, handle),
        }
        id
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
    /// It is one call of the system's: io_uring_enter(2), epoll_wait(2) (epoll_pwait2(2) with a time-out
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
        // What is ready is handed out first; within the budget there is no need to ask the system.
        if self.has_ready() && self.handed_out < BUDGET {
            return Ok(true);
        }
        self.refuse_child()?;
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
            let soon = Duration::from_nanos(RETRY);
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
        if self.handed_out >= BUDGET {
            cold_path();
            return None;
        }
        loop {
            if !self.mail.is_empty() && (self.posts_next || self.ready.is_empty()) {
                cold_path();
                match self.take_mail() {
                    None => continue,
                    post => return post,
                }
            }
            let event = if let Some(event) = self.ready.pop() {
                self.posts_next = true;
                event
            } else if self.fork.is_child() {
                cold_path();
                return None;
            } else if self.engine.makes_calls() {
                if !self.take_up() {
                    return None;
                }
                continue;
            } else {
                let event = self.engine.advance(&mut self.core)?;
                if self.settles_simply(event) {
                    event
                } else {
                    cold_path();
                    match self.settle_now(event) {
                        None => continue,
                        Some(event) => event,
                    }
                }
            };
            return Some(self.complete(event));
        }
    }

    /// Takes up what the last wait reported: one completion or, where the backend makes the calls, some. False: there is
    /// nothing more to complete.
    #[inline(never)]
    fn take_up(&mut self) -> bool {
        let (mut left, mut room) = (if self.engine.makes_calls() { AHEAD } else { 1 }, AHEAD_BYTES);
        while let Some(event) = self.engine.advance(&mut self.core) {
            let raw = &self.core.slots.head(event.slot()).raw;
            let pool_is_empty = raw.is_pooled() && self.core.pool.of(raw).available() == 0;
            room = room.saturating_sub(event.outcome.value().unwrap_or(0));
            self.settle_late(event);
            left = left.saturating_sub(1);
            if self.has_ready() && (left == 0 || room == 0 || pool_is_empty) {
                return true;
            }
        }
        self.has_ready()
    }

    /// Takes up what came by the inbox; `None`: that was no post.
    #[inline(never)]
    fn take_mail(&mut self) -> Option<Completion> {
        self.posts_next = false;
        match self.mail.pop_front()? {
            Mail::Post(parcel) => {
                self.handed_out += 1;
                Some(parcel.into_completion())
            }
            Mail::Finished { slot, outcome } => {
                self.settle_late(Event::last(slot, outcome));
                None
            }
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

    /// True when there are buffers for operations that wait for one.
    fn may_feed(&self) -> bool {
        !self.starved.plain.is_empty() && self.core.pool.available() > 0
            || !self.starved.named.is_empty() && self.core.pool.named().available() > 0
    }

    #[inline]
    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.mail.is_empty()
    }

    /// The rest of `submit`, for an operation on no handle: inlined, because which one it is is known there.
    #[inline(always)]
    fn launch(&mut self, slot: u32, raw: &RawOp) {
        if self.fork.is_child() {
            return self.refuse(slot, Refusal::Forked);
        }
        let head = self.core.slots.head_mut(slot);
        match raw {
            // The wheel is all that it needs.
            RawOp::Timer { .. } => head.state = State::Started,
            RawOp::Nop => {
                head.state = State::Started;
                match self.engine.start_nop(slot, head) {
                    Started::Pending => self.with_system += 1,
                    Started::Done(outcome) => self.conclude_free(slot, outcome),
                }
            }
            _ => self.launch_free(slot),
        }
    }

    #[inline(never)]
    fn launch_free(&mut self, slot: u32) {
        self.hand_over(slot);
        self.run_starts();
    }

    /// The same for an operation on a handle: not generic. The usual case is here, where little code is touched (after each
    /// call into the kernel it has to be fetched anew); all others are in `launch_slowly`.
    fn launch_on(&mut self, slot: u32, handle: Handle) {
        let Core { slots, handles, pool, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        let Some(entry) = handles.find_mut(handle) else {
            cold_path();
            return self.launch_slowly(slot, handle);
        };
        let usual = entry.has_turn(head.lane) && !head.raw.is_special() && self.starved.is_idle();
        if !usual || self.fork.is_child() {
            cold_path();
            return self.launch_slowly(slot, handle);
        }
        (head.handle, head.kind, head.state) = (handle.index, Some(entry.kind), State::Started);
        match self.engine.start_on(slot, head, entry, pool) {
            Some(Started::Pending) => {
                match head.lane {
                    Lane::Free => entry.link(slots, slot),
                    _ => entry.link_first(head, slot),
                }
                self.with_system += 1;
            }
            // Over at once, it need not join its lane.
            Some(Started::Done(outcome)) if !outcome.is_empty() && !may_go_on(head, outcome) => {
                let outcome = conclude(head, &mut self.wheel, &mut self.starved, slot, outcome);
                self.ready.push(Event::last(slot, outcome));
            }
            other => {
                cold_path();
                entry.link(slots, slot);
                self.launch_started(slot, other);
            }
        }
    }

    /// The rest of that for what goes on, or is still to be started.
    #[inline(never)]
    fn launch_started(&mut self, slot: u32, started: Option<Started>) {
        match started {
            Some(started) => self.follow(slot, started),
            None => self.hand_over(slot),
        }
        self.run_starts();
    }

    #[inline(never)]
    fn launch_slowly(&mut self, slot: u32, handle: Handle) {
        if self.fork.is_child() {
            return self.refuse(slot, Refusal::Forked);
        }
        let Core { slots, handles, .. } = &mut self.core;
        let Some(entry) = handles.find_mut(handle) else {
            return self.refuse(slot, Refusal::StaleHandle);
        };
        let head = slots.head_mut(slot);
        let has_turn = entry.has_turn(head.lane);
        match head.raw {
            RawOp::Close { .. } => return self.begin_close(slot, handle.index),
            RawOp::SendFile { .. } if !entry.kind.is_stream() => return self.refuse(slot, Refusal::NoStream),
            RawOp::Connect { .. } => entry.connecting = true,
            _ => {}
        }
        (head.handle, head.kind) = (handle.index, Some(entry.kind));
        entry.link(slots, slot);
        if has_turn {
            self.start_in_turn(slot);
            self.run_starts();
        }
    }

    /// The answer to what cannot even be tried.
    #[cold]
    fn refuse(&mut self, slot: u32, refusal: Refusal) {
        self.core.slots.head_mut(slot).raw = RawOp::Nop;
        self.conclude_late(slot, Outcome::refused(refusal));
    }

    /// Starts an operation whose turn it is in its lane: that may have been given up already, and others may have a claim
    /// before it.
    #[inline(never)]
    fn start_in_turn(&mut self, slot: u32) {
        let head = self.core.slots.head(slot);
        if head.state == State::Cancelling {
            self.conclude_late(slot, Outcome::error(error::CANCELLED));
        } else if head.raw.is_pooled()
            && self.starved.of(&head.raw).has_claims_on(self.core.pool.of(&head.raw).available())
        {
            self.starve(slot);
        } else {
            self.hand_over(slot);
        }
    }

    /// Hands an operation to the backend.
    #[inline(always)]
    fn hand_over(&mut self, slot: u32) {
        self.core.slots.head_mut(slot).state = State::Started;
        let started = self.engine.start(&mut self.core, slot);
        self.follow(slot, started);
    }

    /// Goes on with an operation that was started.
    #[inline(always)]
    fn follow(&mut self, slot: u32, started: Started) {
        match started {
            Started::Pending => self.with_system += 1,
            Started::Done(outcome) => {
                if let Some(event) = self.settle_one(Event::last(slot, outcome)) {
                    self.ready.push(event);
                }
            }
        }
    }

    /// Starts what settling has made startable, until nothing is left to start.
    #[inline]
    fn run_starts(&mut self) {
        if !self.starts.is_empty() {
            cold_path();
            self.run_all_starts();
        }
    }

    #[inline(never)]
    fn run_all_starts(&mut self) {
        while let Some(slot) = self.starts.pop_front() {
            self.start_in_turn(slot);
        }
    }

    /// Takes an event of the backend up, whatever it is; what comes back is a completion's. The caller runs the starts afterwards, so
    /// that what completes at once does not overtake it.
    // Inlined, with what it calls in the usual case: then an event stays in registers. Written to memory in parts and
    // read back as a whole it would cost as much as all the rest.
    #[inline(always)]
    fn settle(&mut self, event: Event) -> Option<Event> {
        if !event.goes_on() {
            self.with_system -= 1;
        }
        self.settle_one(event)
    }

    /// As `settle`, for later.
    #[inline(always)]
    fn settle_late(&mut self, event: Event) {
        if self.settles_simply(event) {
            self.ready.push(event);
        } else {
            cold_path();
            self.settle_late_slowly(event);
        }
    }

    /// The rest of that, in the cases that are not usual.
    #[inline(never)]
    fn settle_late_slowly(&mut self, event: Event) {
        if let Some(event) = self.settle(event) {
            self.ready.push(event);
        }
        self.run_starts();
    }

    /// As `settle`, with the starts.
    #[inline(never)]
    fn settle_now(&mut self, event: Event) -> Option<Event> {
        let event = self.settle(event);
        self.run_starts();
        event
    }

    /// Goes on with an operation, or concludes it.
    #[inline(always)]
    fn settle_one(&mut self, event: Event) -> Option<Event> {
        let (slot, more, outcome) = event.parts();
        let head = self.core.slots.head_mut(slot);
        if more {
            has_got_on(head, &mut self.starved);
            return Some(event);
        }
        if may_go_on(head, outcome) {
            return self.settle_composite(slot, outcome);
        }
        let outcome = self.conclude(slot, outcome);
        Some(Event::new(slot, more, outcome))
    }

    /// The same for those that may go on after an event of the backend.
    #[inline(never)]
    fn settle_composite(&mut self, slot: u32, outcome: Outcome) -> Option<Event> {
        let head = self.core.slots.head_mut(slot);
        let going_on = head.state == State::Started;
        if head.raw.goes_on_after(outcome) {
            // One shot of a multishot operation, where the backend has no more. It starts again when this one has
            // been reported (or ends, if it was given up), in turn with those that wait for a buffer.
            has_got_on(head, &mut self.starved);
            self.starts.push_back(slot);
            return Some(Event::more(slot, outcome));
        }
        let outcome = match (&mut head.raw, outcome.value(), outcome.errno()) {
            (RawOp::Send { buf, len, all: true }, Some(n), _) => {
                head.transferred += n;
                if n < *len && n > 0 {
                    // SAFETY: `n` bytes of the lent buffer were sent, so this stays within it.
                    *buf = unsafe { buf.add(n) };
                    *len -= n;
                    if going_on {
                        self.starts.push_back(slot);
                        return None;
                    }
                    Outcome::error(error::CANCELLED)
                } else {
                    Outcome::done(head.transferred)
                }
            }
            (&mut RawOp::SendFile { scratch }, Some(n), _) => {
                head.transferred += n;
                // SAFETY: the scratch is in the payload, which the system has let go of.
                let goes_on = unsafe { (*scratch).part.goes_on_after(n) };
                match goes_on && n > 0 {
                    true if going_on => {
                        self.let_others(slot);
                        return None;
                    }
                    true => Outcome::error(error::CANCELLED),
                    false => Outcome::done(head.transferred),
                }
            }
            (&mut RawOp::SendFile { scratch }, _, Some(error::NOT_AT_HAND)) if going_on => {
                head.raw = RawOp::Bring { scratch };
                self.starts.push_back(slot);
                return None;
            }
            (&mut RawOp::Bring { scratch }, Some(_), _) if going_on => {
                head.raw = RawOp::SendFile { scratch };
                self.starts.push_back(slot);
                return None;
            }
            (RawOp::Bring { .. }, Some(_), _) => Outcome::error(error::CANCELLED),
            (raw, _, Some(error::NO_BUFFER)) if going_on && raw.is_pooled() => {
                self.starve(slot);
                return None;
            }
            (RawOp::Accept { multi: true }, _, Some(errno)) if going_on && error::is_lost_connection(errno) => {
                self.starts.push_back(slot);
                return None;
            }
            (RawOp::Accept { multi: true }, _, Some(errno)) if going_on && error::is_exhaustion(errno) => {
                let first = !head.marks.contains(Marks::REPORTED);
                head.marks |= Marks::REPORTED;
                self.park(slot);
                return first.then_some(Event::more(slot, outcome));
            }
            // The listener of a Unix socket, or the receiver of a datagram, is full, say; nothing will tell when it
            // no longer is.
            (raw, _, Some(errno)) if going_on && error::would_block(errno) && raw.is_retried_after(errno) => {
                self.park(slot);
                return None;
            }
            (raw, _, Some(errno)) if !going_on && raw.is_retried_after(errno) => Outcome::error(error::CANCELLED),
            _ => outcome,
        };
        Some(Event::last(slot, self.conclude(slot, outcome)))
    }

    /// Lets a receive wait for a buffer of the pool.
    fn starve(&mut self, slot: u32) {
        let id = self.core.slots.id(slot);
        let head = self.core.slots.head_mut(slot);
        let line = self.starved.of(&head.raw);
        let number = head.marks.contains(Marks::NUMBERED).then_some(head.number);
        if number.is_some() {
            line.has_tried();
        }
        head.state = State::Parked;
        head.marks |= Marks::NUMBERED;
        head.number = line.wait(number, id);
    }

    /// Lets others have their turn before an operation goes on.
    fn let_others(&mut self, slot: u32) {
        self.core.slots.head_mut(slot).state = State::Parked;
        self.yielding.push_back(self.core.slots.id(slot));
    }

    /// Lets an operation rest before it is tried again.
    fn park(&mut self, slot: u32) {
        self.core.slots.head_mut(slot).state = State::Parked;
        self.parked.push_back((self.clock.now() + RETRY, self.core.slots.id(slot)));
    }

    /// An operation is over: the system has let go of it.
    #[inline(always)]
    fn conclude(&mut self, slot: u32, mut outcome: Outcome) -> Outcome {
        let Core { slots, handles, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        let handle = head.handle;
        if handle == NONE {
            return conclude(head, &mut self.wheel, &mut self.starved, slot, outcome);
        }
        let entry = handles.entry_mut(handle);
        if outcome.is_empty() {
            cold_path();
            outcome = entry.truth(&head.raw, outcome);
        }
        outcome = conclude(head, &mut self.wheel, &mut self.starved, slot, outcome);
        let waited_for = entry.is_waited_for(slots.head(slot), slot);
        entry.unlink(slots, slot);
        if waited_for {
            cold_path();
            self.start_next(slot);
        }
        outcome
    }

    /// As `conclude`, for later.
    fn conclude_late(&mut self, slot: u32, outcome: Outcome) {
        let outcome = self.conclude(slot, outcome);
        self.ready.push(Event::last(slot, outcome));
    }

    /// The same for what is in no lane, so that nobody waits for it: it has no handle, or has not joined yet.
    #[inline(always)]
    fn conclude_free(&mut self, slot: u32, outcome: Outcome) {
        let head = self.core.slots.head_mut(slot);
        let outcome = conclude(head, &mut self.wheel, &mut self.starved, slot, outcome);
        self.ready.push(Event::last(slot, outcome));
    }

    /// Starts what waited for an operation that has left its lane.
    #[inline(never)]
    fn start_next(&mut self, slot: u32) {
        let head = self.core.slots.head(slot);
        let (handle, lane, connects) = (head.handle, head.lane, matches!(head.raw, RawOp::Connect { .. }));
        let entry = self.core.handles.entry_mut(handle);
        match entry.state {
            HandleState::Closing { slot: close } => {
                if entry.is_idle() {
                    self.start_close(close, handle);
                }
            }
            _ => {
                if connects {
                    entry.connecting = false;
                    self.start_queued(handle, Lane::Read);
                }
                self.start_queued(handle, lane);
            }
        }
    }

    /// Starts the head of a lane, if it is waiting for that.
    fn start_queued(&mut self, handle: u32, lane: Lane) {
        let entry = self.core.handles.entry(handle);
        // A receive waits for the connect before it.
        if lane == Lane::Free || entry.connecting && lane == Lane::Read {
            return;
        }
        let next = entry.first(lane);
        if next != NONE && self.core.slots.head(next).state == State::Queued {
            // Started once: it is no longer queued when the next look is taken.
            self.core.slots.head_mut(next).state = State::Started;
            self.starts.push_back(next);
        }
    }

    fn begin_close(&mut self, slot: u32, handle: u32) {
        self.core.handles.entry_mut(handle).state = HandleState::Closing { slot };
        self.core.slots.head_mut(slot).state = State::Started;
        if self.core.handles.entry(handle).is_idle() {
            self.start_close(slot, handle);
        } else {
            self.give_up_all(handle);
        }
        self.run_starts();
    }

    /// Nothing is in flight on the handle any more: its descriptor can go.
    fn start_close(&mut self, slot: u32, handle: u32) {
        self.engine.release(&mut self.core, handle);
        let object = sys::into_raw(self.core.handles.remove(handle));
        self.core.slots.head_mut(slot).raw = RawOp::Close { object };
        self.starts.push_back(slot);
    }

    /// Gives up one operation; false if there is nothing to give up.
    fn give_up(&mut self, slot: u32) -> bool {
        let head = self.core.slots.head_mut(slot);
        match (head.state, &head.raw) {
            (State::Free | State::Finished, _) | (_, RawOp::Close { .. }) => false,
            (State::Cancelling, _) => true,
            (State::Started, RawOp::Timer { .. }) => {
                self.conclude_free(slot, Outcome::error(error::CANCELLED));
                true
            }
            (State::Queued | State::Parked, _) => {
                self.conclude_late(slot, Outcome::error(error::CANCELLED));
                true
            }
            // It is to be started, but the backend does not have it yet.
            (State::Started, _) if self.starts.contains(&slot) => {
                self.starts.retain(|&other| other != slot);
                self.conclude_late(slot, Outcome::error(error::CANCELLED));
                true
            }
            (State::Started, _) => {
                head.state = State::Cancelling;
                if let Cancelled::Done = self.engine.cancel(&mut self.core, slot) {
                    self.with_system -= 1;
                    self.conclude_late(slot, Outcome::error(error::CANCELLED));
                }
                true
            }
        }
    }

    /// Gives up all operations on a handle, the last of each lane first, so that none is started.
    fn give_up_all(&mut self, handle: u32) -> usize {
        let mut count = 0;
        for lane in Lane::ALL {
            let Core { slots, handles, .. } = &self.core;
            let entry = handles.entry(handle);
            let (first, mut slot) = (entry.first(lane), entry.last(slots, lane));
            while slot != NONE {
                let before = if slot == first { NONE } else { self.core.slots.head(slot).prev };
                count += usize::from(self.give_up(slot));
                slot = before;
            }
        }
        count
    }

    /// Serves timers, deadlines, resting operations, those that wait for a buffer or their turn. Returns the
    /// time, where it was asked for.
    fn serve_time_and_buffers(&mut self) -> Option<u64> {
        // As many as there are buffers; who then finds nothing to receive leaves his to the next.
        for _ in 0..self.core.pool.available() {
            let Some(id) = self.starved.plain.next() else { break };
            self.resume(id);
        }
        if !self.starved.named.is_empty() {
            for _ in 0..self.core.pool.named().available() {
                let Some(id) = self.starved.named.next() else { break };
                self.resume(id);
            }
        }
        for _ in 0..self.yielding.len() {
            let Some(id) = self.yielding.pop_front() else { break };
            self.resume(id);
        }
        if self.wheel.is_empty() && self.parked.is_empty() {
            return None;
        }
        let now = self.clock.now();
        while let Some(&(time, id)) = self.parked.front()
            && time <= now
        {
            self.parked.pop_front();
            self.resume(id);
        }
        while let Some(slot) = self.wheel.pop_due(now) {
            self.expire(slot);
        }
        self.run_starts();
        Some(now)
    }

    /// Starts a parked operation again, unless it was given up meanwhile.
    fn resume(&mut self, id: OpId) {
        if let Some(slot) = self.core.slots.find(id)
            && self.core.slots.head(slot).state == State::Parked
        {
            let head = self.core.slots.head(slot);
            if head.marks.contains(Marks::NUMBERED) {
                self.starved.of(&head.raw).tries();
            }
            self.hand_over(slot);
        }
        self.run_starts();
    }

    /// The time of an operation has come.
    fn expire(&mut self, slot: u32) {
        let head = self.core.slots.head_mut(slot);
        head.marks -= Marks::ARMED;
        if let RawOp::Timer { overruled: false } = head.raw {
            return self.conclude_free(slot, Outcome::done(0));
        }
        head.marks |= Marks::TIMED_OUT;
        self.give_up(slot);
    }

    /// How long the port may sleep: until `end`, the next deadline or the next retry.
    fn until(&self, now: Option<u64>, end: Option<u64>) -> Option<Duration> {
        if !self.yielding.is_empty() {
            return Some(Duration::ZERO);
        }
        let retry = self.parked.front().map(|&(time, _)| time);
        let wake = [end, self.wheel.next_wake(), retry].into_iter().flatten().min()?;
        let now = now.unwrap_or_else(|| self.clock.now());
        Some(Duration::from_nanos(wake.saturating_sub(now)))
    }

    /// Settles an event in the usual case: its operation goes on by itself, or has got all that it was to, and nothing is to
    /// be seen to after it. False: it is another case, and nothing was done.
    #[inline(always)]
    fn settles_simply(&mut self, event: Event) -> bool {
        let (slot, more, outcome) = event.parts();
        let Core { slots, handles, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        if outcome.is_error() || head.has_loose_ends() {
            return false;
        }
        if more {
            return true;
        }
        if may_go_on(head, outcome) {
            return false;
        }
        let entry = (head.handle != NONE).then(|| handles.entry_mut(head.handle));
        if entry.as_ref().is_some_and(|entry| outcome.is_empty() || entry.is_waited_for(head, slot)) {
            return false;
        }
        head.state = State::Finished;
        if let Some(entry) = entry {
            entry.unlink(slots, slot);
        }
        self.with_system -= 1;
        true
    }

    /// Makes the completion of an event that was settled.
    #[inline(always)]
    fn complete(&mut self, event: Event) -> Completion {
        let Core { slots, pool, .. } = &mut self.core;
        self.handed_out += 1;
        completion(event, slots.parts(event.slot()), pool, &self.engine)
    }

    /// Takes every buffer back from the system, and puts the posts that come meanwhile aside: their values are
    /// the user's, and may panic when they are dropped. False: that was impossible.
    fn take_everything_back(&mut self, posts: &mut VecDeque<Mail>) -> bool {
        // First what the system does not have, so that giving up the rest starts nothing.
        for started in [false, true] {
            for slot in 0..self.core.slots.bound() {
                let state = self.core.slots.head(slot).state;
                if started || matches!(state, State::Queued | State::Parked) {
                    self.give_up(slot);
                }
            }
        }
        self.run_starts();
        let mut failures = 0;
        while self.with_system > 0 {
            self.inbox.collect_if_empty(&mut self.mail);
            while let Some(mail) = self.mail.pop_front() {
                match mail {
                    Mail::Finished { slot, outcome } => self.settle_late(Event::last(slot, outcome)),
                    post => posts.push_back(post),
                }
            }
            while let Some(event) = self.engine.advance(&mut self.core) {
                self.settle_late(event);
            }
            if self.with_system == 0 {
                break;
            }
            let nap = if self.inbox.fall_asleep(Sleep::Here) { None } else { Some(Duration::ZERO) };
            failures += u32::from(self.engine.wait(&mut self.core, nap).is_err());
            self.inbox.wake_up();
            if failures > 100 {
                return false;
            }
        }
        true
    }
}

/// Makes the completion of an event, and frees the slot if that was its last.
#[inline(always)]
fn completion(
    event: Event,
    (head, room, vacant): (&mut Head, *mut Room, &mut Vacant),
    pool: &Rc<Pool>,
    engine: &Engine,
) -> Completion {
    let (slot, more, outcome) = event.parts();
    let means = match head.raw {
        RawOp::Accept { .. } => {
            cold_path();
            Means::Accepted {
                kind: head.kind.filter(|kind| kind.is_stream()),
                // Accepted by the ring, or by a call that asked for what the reactor needs.
                nonblocking: head.polled || engine.backend() != Backend::Uring,
            }
        }
        RawOp::Open { .. } => {
            cold_path();
            Means::Opened
        }
        RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } => Means::Buffer(pool.clone()),
        RawOp::RecvFromPooledMulti => Means::Buffer(pool.named().clone()),
        _ => Means::Count,
    };
    let (token, before, vtable) = (head.token, head.transferred, head.vtable);
    let id = OpId::new(slot, head.generation);
    if !more {
        vacant.add(head, slot);
    }
    let part = if more { Part::NotLast } else { Part::Last };
    // SAFETY: for the final completion the system has let go of the payload, and the slot was given back with it,
    // which makes this the only copy; the payload of a multishot operation is (). Nobody has had the slot since.
    let room = unsafe { *room };
    Completion { token, id, part, before, vtable, room, outcome, means }
}

/// True when this need not be the end of the operation: a send-all that moved a part, now or before, a receive that found
/// the pool empty, a multishot that has more to come, a connect to a full listener, a send-file.
#[inline(always)]
fn may_go_on(head: &Head, outcome: Outcome) -> bool {
    if outcome.is_error() {
        cold_path();
        return may_go_on_after_error(head, outcome);
    }
    head.marks.contains(Marks::COMPOSITE)
        && match head.raw {
            RawOp::Send { len, .. } => head.transferred != 0 || outcome != Outcome::done(len),
            _ => true,
        }
}

#[inline(never)]
fn may_go_on_after_error(head: &Head, outcome: Outcome) -> bool {
    head.raw.is_pooled() || head.marks.contains(Marks::COMPOSITE) || outcome.errno().is_some_and(error::would_block)
}

/// A multishot operation has got a connection or bytes.
#[inline(always)]
fn has_got_on(head: &mut Head, starved: &mut Starved) {
    if head.has_loose_ends() {
        head.marks -= Marks::REPORTED;
        has_tried(head, starved);
    }
}

/// An operation that may have waited for a buffer has had one, or ends.
#[inline(always)]
fn has_tried(head: &mut Head, starved: &mut Starved) {
    if head.marks.contains(Marks::NUMBERED) {
        leave_line(head, starved);
    }
}

/// It no longer waits for a buffer.
#[inline(never)]
fn leave_line(head: &mut Head, starved: &mut Starved) {
    head.marks -= Marks::NUMBERED;
    if head.state != State::Parked {
        starved.of(&head.raw).has_tried();
    }
}

/// What an operation that is over really resulted in.
#[inline(always)]
fn conclude(head: &mut Head, wheel: &mut Wheel, starved: &mut Starved, slot: u32, mut outcome: Outcome) -> Outcome {
    if head.has_loose_ends() {
        cold_path();
        if head.marks.contains(Marks::ARMED) {
            wheel.disarm(slot);
        }
        if head.marks.contains(Marks::TIMED_OUT) && outcome.errno() == Some(error::CANCELLED) {
            outcome = Outcome::error(error::TIMED_OUT);
        }
        has_tried(head, starved);
    }
    head.state = State::Finished;
    outcome
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
    slot: u32,
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

impl Drop for Port {
    fn drop(&mut self) {
        if self.fork.is_child() {
            // The parent's queue and the operations in it are the parent's; the memory here is a copy
            // that no system call writes to.
            // SAFETY: taken here only; nothing below this branch uses the engine.
            unsafe { ManuallyDrop::take(&mut self.engine) }.abandon();
            return;
        }
        // What nobody took is dropped last, with nothing in flight any more: that is the user's code.
        let mut posts = self.inbox.close();
        let all_back = self.take_everything_back(&mut posts);
        let ready = std::iter::from_fn(|| self.ready.pop().map(|event| self.complete(event)));
        let completions: Vec<Completion> = ready.collect();
        if all_back {
            // SAFETY: as above; all operations have come back.
            unsafe { ManuallyDrop::drop(&mut self.engine) };
        } else {
            // The system may still write to what was lent, so none of it is ever freed.
            std::mem::forget(std::mem::replace(&mut self.core.slots, Slots::new(0)));
            std::mem::forget(std::mem::replace(&mut self.core.handles, Handles::new(0)));
            std::mem::forget(self.core.pool.clone());
        }
        drop((completions, posts));
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("backend", &self.backend()).field("in_flight", &self.in_flight()).finish()
    }
}
