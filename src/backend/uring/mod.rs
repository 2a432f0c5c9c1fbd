//! Linux' completion rings, io_uring(7): the fast path.
//!
//! An operation becomes one submission entry (`entry.rs` is the table) whose user data is its slot.
//! Entries are handed over by the next wait, all with one `io_uring_enter` (`submit.rs`); completions are read from
//! the shared ring one by one by [`Uring::advance`]. What this kernel's ring cannot do is carried
//! otherwise, per operation ([`Plan`]): polled by the ring and then performed, called directly, or
//! given to the blocking pool.
//!
//! Nothing is lost when rings are full: entries that do not fit wait in `backlog`, in order, so a cancel
//! stays behind the operation that it names; and the kernel keeps completions that do not fit
//! (`IORING_FEAT_NODROP`, required).
//!
//! Invariants: a started operation has exactly one entry with the kernel, in `receives` or in `backlog`, or is with
//! the blocking pool. While something is in `backlog`, the submission queue is full.

mod entry;
mod pool_ring;
mod probe;
mod registered;
mod submit;

use super::blocking::Blocking;
use super::perform::{close, is_datagram, perform};
use super::{Cancelled, Started};
use crate::buf::pool::Pool;
use crate::buf::sender::{NAME, Sender};
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::error;
use crate::explain::{Carrier, Feature};
use crate::handle::{self, Kind};
use crate::op::raw::{Direction, Lane, RawOp};
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{At, Head, NONE, Note, State, TAGS};
use crate::sys::{Notes, Source, Waker, set_nonblocking, without_blocking};
use io_uring::squeue::Entry;
use io_uring::{IoUring, cqueue, opcode, types};
use pool_ring::{NAMED, PoolRing};
use probe::Probe;
use registered::Target;
use std::collections::VecDeque;
use std::hint::cold_path;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// User data that is not just a slot's address: the waker's; that of an entry that empties a place among the registered files; with these
/// tags that of a cancel, or of a poll for what is then performed.
const WAKER: u64 = u64::MAX;
const FORGETS: u64 = 4;
const CANCEL: u64 = 1;
const POLL: u64 = 2;
const _: () = assert!(TAGS & CANCEL != 0 && TAGS & POLL != 0 && TAGS & FORGETS == FORGETS);

/// "Interrupted", as the kernel calls it inside; io_uring lets it out of an open.
const ERESTARTSYS: i32 = 512;

/// A poll for writing that found no room: a ring reports the peer's half-close, whether or not that was asked for, and
/// does so again at once.
const HALF_CLOSED: i32 = libc::POLLRDHUP as i32;

/// A completion of the ring's: user data, result and flags.
type Answer = (u64, i32, u32);

/// How an operation is carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// By an entry of its own.
    Native,
    /// The ring polls for readiness, then it is performed.
    Poll(Direction),
    Pool,
    Direct,
}

/// The backend.
pub(crate) struct Uring {
    ring: IoUring,
    probe: Probe,
    /// Entries that take something in, in order, until the next wait.
    receives: Vec<Entry>,
    /// Entries that did not fit, in order.
    backlog: VecDeque<Entry>,
    /// Slots whose cancel found nothing; it is repeated by the next wait.
    unfound: Vec<At>,
    blocking: Blocking,
    inbox: Arc<Inbox>,
    /// Places of the table of registered files; 0: there is no such table (yet).
    places: u32,
    /// Something other than sockets and files was attached: it may be an eventfd, or have one in it.
    has_eventfds: bool,
    /// The pool's ring was set up, or that was tried in vain; and that of buffers with names.
    pool_ready: bool,
    named_ready: bool,
    /// Tells the kernel how much room there is for a name.
    named: Box<libc::msghdr>,
}

impl Uring {
    pub(crate) fn new(options: &Builder, inbox: &Arc<Inbox>) -> io::Result<Uring> {
        let (ring, probe) = probe::open(options.entries, &options.without)?;
        let mut uring = Uring {
            ring,
            probe,
            receives: Vec::new(),
            backlog: VecDeque::new(),
            unfound: Vec::new(),
            blocking: Blocking::new(options.threads, inbox),
            inbox: inbox.clone(),
            places: 0,
            has_eventfds: false,
            pool_ready: false,
            named_ready: false,
            named: Box::new(room_for_name()),
        };
        uring.listen_to_waker();
        // The first enter: a seccomp rule may forbid it even where the set-up was allowed.
        uring.enter(Some(Duration::ZERO), true).map_err(|error| probe::refusal(error, "io_uring_enter"))?;
        Ok(uring)
    }

    /// Polls the waker. Multishot, it stays armed; each call of the waker is a completion.
    fn listen_to_waker(&mut self) {
        let fd = types::Fd(self.inbox.waker().fd().as_raw_fd());
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(self.probe.multishot_poll);
        self.push(poll.build().user_data(WAKER));
    }

    /// How an operation on an object of this kind is carried.
    #[inline(always)]
    fn plan(&self, raw: &RawOp, kind: Option<Kind>) -> Plan {
        let probe = &self.probe;
        let native_or = |supported: bool, other: Plan| if supported { Plan::Native } else { other };
        match raw {
            RawOp::Nop | RawOp::Timer { .. } | RawOp::Ready { .. } => Plan::Native,
            RawOp::Call { .. } | RawOp::Bring { .. } => Plan::Pool,
            // The ring has a worker of the kernel's splice, and knows no sendfile(2).
            RawOp::SendFile { .. } => Plan::Poll(Direction::Write),
            RawOp::Shutdown { .. } => native_or(probe.shutdown, Plan::Direct),
            RawOp::Close { .. } => native_or(probe.close, Plan::Direct),
            RawOp::Open { .. } => native_or(probe.open, Plan::Pool),
            RawOp::Stat { .. } => native_or(probe.statx, Plan::Pool),
            RawOp::Sync { .. } => native_or(probe.fsync, Plan::Pool),
            // A ring ignores the offset on what has none, where pread(2) says so.
            RawOp::ReadAt { .. } | RawOp::WriteAt { .. } if kind.is_some_and(|kind| kind != Kind::File) => Plan::Pool,
            RawOp::ReadAt { .. } => native_or(probe.read, Plan::Pool),
            RawOp::WriteAt { .. } => native_or(probe.write && !probe.file_size_limited, Plan::Pool),
            RawOp::Accept { .. } => native_or(probe.accept, Plan::Poll(Direction::Read)),
            // The ring would have a worker wait for a full listener, where a cancel can miss it.
            RawOp::Connect { scratch, .. } if is_local(*scratch) => Plan::Direct,
            RawOp::Connect { begun: true, .. } => Plan::Poll(Direction::Write),
            RawOp::Connect { .. } => native_or(probe.connect, Plan::Poll(Direction::Write)),
            RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } => {
                native_or(probe.buffer_ring, Plan::Poll(Direction::Read))
            }
            RawOp::RecvFromPooledMulti => native_or(probe.multishot_recvmsg, Plan::Poll(Direction::Read)),
            RawOp::Recv { .. } | RawOp::RecvMsg { .. } | RawOp::Send { .. } | RawOp::SendMsg { .. } => {
                let supported = match (raw, kind) {
                    (RawOp::Recv { .. }, Some(Kind::Pipe | Kind::File)) => probe.read,
                    (RawOp::RecvMsg { .. }, Some(Kind::Pipe | Kind::File)) => probe.readv,
                    // A write to a pipe may raise SIGPIPE unless the kernel knows the flag against it.
                    (RawOp::Send { .. }, Some(Kind::Pipe)) => probe.write && probe.write_without_signal,
                    (RawOp::SendMsg { .. }, Some(Kind::Pipe)) => probe.writev && probe.write_without_signal,
                    (RawOp::Send { .. }, Some(Kind::File)) => probe.write && !probe.file_size_limited,
                    (RawOp::SendMsg { .. }, Some(Kind::File)) => probe.writev && !probe.file_size_limited,
                    (RawOp::Recv { .. }, _) => probe.recv,
                    (RawOp::RecvMsg { .. }, _) => probe.recvmsg,
                    (RawOp::Send { .. }, _) => probe.send,
                    (_, _) => probe.sendmsg,
                };
                match raw {
                    _ if supported => Plan::Native,
                    _ if kind == Some(Kind::File) => Plan::Pool,
                    RawOp::Recv { .. } | RawOp::RecvMsg { .. } => Plan::Poll(Direction::Read),
                    _ => Plan::Poll(Direction::Write),
                }
            }
        }
    }

    #[inline(always)]
    pub(crate) fn start(&mut self, core: &mut Core, slot: At) -> Started {
        let Core { slots, handles, pool, .. } = core;
        let head = slots.head_mut(slot);
        let object = (head.handle != NONE).then(|| handles.entry_mut(head.handle));
        if self.start_by_entry(slot, head, object, pool) {
            return Started::Pending;
        }
        self.start_otherwise(core, slot)
    }

    /// Starts what the ring can do by an entry; false for all else.
    // Not inlined: the reactors' calls, which are, would have to leave room for it.
    #[inline(never)]
    pub(crate) fn start_on(&mut self, slot: At, head: &mut Head, object: &mut handle::Entry, pool: &Pool) -> bool {
        self.start_by_entry(slot, head, Some(object), pool)
    }

    // As `push`, with an entry that is built where it is to be.
    #[inline(always)]
    pub(crate) fn start_nop(&mut self, slot: At) -> Started {
        let entry = || entry::nop().user_data(slot.to_data());
        if !self.try_push(entry) {
            self.push_slowly(entry());
        }
        Started::Pending
    }

    #[inline(always)]
    fn start_by_entry(&mut self, slot: At, head: &mut Head, object: Option<&mut handle::Entry>, pool: &Pool) -> bool {
        // Not a copy: it was written in parts a moment ago, and reading it as a whole would wait for that.
        let raw = &head.raw;
        match raw {
            RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } if !self.pool_ready => self.set_up_pool(pool),
            RawOp::RecvFromPooledMulti if !self.named_ready => self.set_up_named(pool.named()),
            _ => {}
        }
        let kind = object.as_ref().map(|object| object.kind);
        if self.plan(raw, kind) != Plan::Native {
            return false;
        }
        let target = match (object, raw) {
            (None, _) => Target::NONE,
            // It names an object as the folder where a path begins, and an empty path; a folder has no place.
            (Some(object), RawOp::Stat { .. }) => Target::descriptor(object.raw()),
            (Some(object), _) => self.target(head.handle, object),
        };
        let mut entry = entry::build(raw, target, kind, &self.probe, pool, &raw const *self.named);
        entry.set_user_data(slot.to_data());
        match head.lane {
            Lane::Read => self.push_receive(entry),
            _ => self.push(entry),
        }
        true
    }

    /// Starts what the ring cannot do by an entry.
    #[cold]
    fn start_otherwise(&mut self, core: &mut Core, slot: At) -> Started {
        let head = core.slots.head_mut(slot);
        let plan = self.plan(&head.raw, head.kind());
        head.note = if matches!(plan, Plan::Poll(_)) { Note::Polled } else { Note::Nothing };
        let (raw, handle) = (head.raw, head.handle);
        let fd = if handle == NONE { -1 } else { core.handles.entry(handle).raw() };
        match plan {
            Plan::Native => unreachable!("it has an entry"),
            Plan::Poll(direction) => {
                // Tried first: what is refused at once (a receive on a listener) may never become ready.
                let outcome = self.try_now(core, slot);
                if !outcome.errno().is_some_and(error::would_block) {
                    if !raw.is_multi() || !raw.goes_on_after(outcome) {
                        return Started::Done(outcome);
                    }
                    self.push_poll(slot, fd, direction);
                    return Started::More(outcome);
                } else if let RawOp::Connect { .. } = raw
                    && !matches!(core.slots.head(slot).raw, RawOp::Connect { begun: true, .. })
                {
                    // The listener of a Unix socket is full: no readiness will tell when it no longer is.
                    return Started::Done(outcome);
                }
                self.push_poll(slot, fd, direction);
            }
            Plan::Pool => {
                if let Err(error) = self.blocking.submit(core.slots.index(slot), raw, fd) {
                    return Started::Done(error.into());
                }
            }
            Plan::Direct => {
                return Started::Done(match raw {
                    RawOp::Close { object } => close(object),
                    _ => self.try_now(core, slot),
                });
            }
        }
        Started::Pending
    }

    /// Gives the kernel a ring of the pool's buffers, or finds that this cannot be.
    #[cold]
    fn set_up_pool(&mut self, pool: &Pool) {
        self.pool_ready = true;
        self.probe.buffer_ring = self.probe.buffer_ring && self.hand_over::<false>(pool);
    }

    /// The same of the buffers with names.
    #[cold]
    fn set_up_named(&mut self, pool: &Pool) {
        self.named_ready = true;
        self.probe.multishot_recvmsg = self.probe.multishot_recvmsg && self.hand_over::<true>(pool);
    }

    /// Makes a ring of a pool's buffers, and says whether the kernel has taken it.
    fn hand_over<const WITH_NAMES: bool>(&self, pool: &Pool) -> bool {
        let ring = PoolRing::<WITH_NAMES>::register(&self.ring, pool.buffers());
        ring.and_then(|ring| pool.publish_to(Box::new(ring))).is_ok()
    }

    /// Performs a non-blocking call.
    fn try_now(&mut self, core: &mut Core, slot: At) -> Outcome {
        let head = core.slots.head_mut(slot);
        let (entry, pool) = (core.handles.entry(head.handle), &core.pool);
        // The object is a blocking one (see `prepare`), and not each of its calls has MSG_DONTWAIT: a pipe's have not, nor
        // has sendfile(2), nor connect(2) (of a Unix socket, for which it never takes time: `EAGAIN` when its listener is
        // full).
        let would_block =
            matches!(head.raw, RawOp::SendFile { .. } | RawOp::Connect { .. }) || entry.kind == Kind::Pipe;
        let mut call = || perform(&mut head.raw, entry.fd(), entry.kind, pool).outcome;
        if would_block { without_blocking(entry.fd(), call).unwrap_or_else(Outcome::from) } else { call() }
    }

    pub(crate) fn cancel(&mut self, core: &mut Core, slot: At) -> Cancelled {
        let head = core.slots.head(slot);
        let kind = (head.handle != NONE).then(|| core.handles.entry(head.handle).kind);
        if self.plan(&head.raw, kind) == Plan::Pool {
            return if self.blocking.cancel(core.slots.index(slot)) { Cancelled::Done } else { Cancelled::Pending };
        }
        self.push_cancel(slot, head.note == Note::Polled);
        Cancelled::Pending
    }

    fn push_cancel(&mut self, slot: At, polled: bool) {
        // The one that it names may be among these.
        self.push_receives();
        let slot = slot.to_data();
        let named = if polled { POLL | slot } else { slot };
        self.push(opcode::AsyncCancel::new(named).build().user_data(CANCEL | slot));
    }

    fn push_poll(&mut self, slot: At, fd: RawFd, direction: Direction) {
        self.push(entry::poll(fd, direction).user_data(POLL | slot.to_data()));
    }

    pub(crate) fn wait(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        while let Some(slot) = self.unfound.pop() {
            let head = core.slots.head(slot);
            if head.state == State::Cancelling {
                self.push_cancel(slot, head.note == Note::Polled);
            }
        }
        self.push_receives();
        let timeout = if self.backlog.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.enter(timeout, true)
    }

    // The usual case keeps nothing across a call, so that it is a few instructions in a row.
    #[inline(always)]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        let answer = self.next_answer()?;
        // Not as one option: that would be kept in memory, because the slow way returns it there.
        Some(match usual(&core.pool, answer) {
            Some(event) => event,
            None => {
                let (data, result, flags) = answer;
                self.advance_slowly(core, data, result, flags)?
            }
        })
    }

    #[inline(always)]
    fn next_answer(&mut self) -> Option<Answer> {
        self.ring.completion().next().map(|entry| (entry.user_data(), entry.result(), entry.flags()))
    }

    /// The rest of that, from an answer that is not a usual one.
    #[inline(never)]
    // The answer in parts, so that it stays in registers.
    fn advance_slowly(&mut self, core: &mut Core, data: u64, result: i32, flags: u32) -> Option<Event> {
        let mut event = self.completed(core, (data, result, flags));
        while event.is_none() {
            let answer = self.next_answer()?;
            event = usual(&core.pool, answer).or_else(|| self.completed(core, answer));
        }
        event
    }

    /// The kernel does not find an operation that it is about to start over (its object became ready
    /// while the kernel began to wait for that). It may wait again after that, so the cancel is repeated
    /// until the operation has ended. By the next wait, which has the kernel start it over: repeated here,
    /// the cancel would be answered before that, for ever. It cannot reach the slot's next operation, whose
    /// entry comes after it.
    fn cancel_answered(&mut self, core: &Core, slot: At, result: i32) {
        if result == -libc::ENOENT && core.slots.head(slot).state == State::Cancelling {
            self.unfound.push(slot);
        }
    }

    /// An answer that is not a usual one; `None`: that of no operation, or of one that goes on unseen.
    fn completed(&mut self, core: &mut Core, (data, result, flags): Answer) -> Option<Event> {
        if data == WAKER {
            if !cqueue::more(flags) {
                self.inbox.waker().drain();
                self.listen_to_waker();
            }
            return None;
        }
        if data == FORGETS {
            return None;
        }
        // SAFETY: all other entries have that of a slot, and the slab outlives the ring's answers.
        let slot = unsafe { At::of_data(data) };
        if data & CANCEL != 0 {
            self.cancel_answered(core, slot, result);
            return None;
        }
        if data & POLL != 0 {
            return self.polled(core, slot, result);
        }
        let is_poll = matches!(core.slots.head(slot).raw, RawOp::Ready { .. });
        let outcome = match cqueue::buffer_select(flags) {
            Some(index) => picked(core, slot, index, result),
            None if result == HALF_CLOSED && is_poll => Outcome::error(libc::EAGAIN),
            None if result >= 0 => Outcome::done(result as usize),
            None => match self.again_after(core, slot, -result) {
                Started::Done(outcome) => outcome,
                Started::More(outcome) => return Some(Event::more(slot, outcome)),
                Started::Pending => return None,
            },
        };
        Some(Event::new(slot, cqueue::more(flags), outcome))
    }

    /// An error of the ring: `Done` when it is the operation's, `Pending` when it was submitted again.
    #[cold]
    fn again_after(&mut self, core: &mut Core, slot: At, errno: i32) -> Started {
        let head = core.slots.head(slot);
        if head.state != State::Started {
            // Given up: a kernel's worker was interrupted for that, or it was just not possible yet.
            let given_up = matches!(errno, libc::EINTR | ERESTARTSYS | libc::EAGAIN);
            return Started::Done(Outcome::error(if given_up { error::CANCELLED } else { errno }));
        }
        let sends_to = head.kind().filter(|_| head.raw.sends());
        match errno {
            libc::EINTR | ERESTARTSYS => {}
            // Not yet (entry.rs says why the kernel is not to wait).
            libc::EAGAIN if sends_to == Some(Kind::Datagram) => {
                self.poll_for(core, slot);
                return Started::Pending;
            }
            // This kernel does not know RWF_NOSIGNAL.
            libc::EOPNOTSUPP | libc::EINVAL if sends_to == Some(Kind::Pipe) => self.probe.write_without_signal = false,
            _ => return Started::Done(Outcome::error(errno)),
        }
        self.start(core, slot)
    }

    /// Polls for the operation in `slot`, which is then performed.
    fn poll_for(&mut self, core: &mut Core, slot: At) {
        let head = core.slots.head_mut(slot);
        head.note = Note::Polled;
        let direction = if head.raw.lane().is_write() { Direction::Write } else { Direction::Read };
        let fd = core.handles.entry(head.handle).raw();
        self.push_poll(slot, fd, direction);
    }

    /// The poll of an operation that the ring cannot do itself has ended.
    fn polled(&mut self, core: &mut Core, slot: At, result: i32) -> Option<Event> {
        if result < 0 {
            return Some(Event::last(slot, Outcome::error(-result)));
        }
        let outcome = self.try_now(core, slot);
        if !outcome.errno().is_some_and(error::would_block) {
            return Some(Event::last(slot, outcome));
        }
        let head = core.slots.head(slot);
        if head.state != State::Started {
            return Some(Event::last(slot, Outcome::error(error::CANCELLED)));
        }
        // It is the receiver of a datagram that is full, and no poll tells when it no longer is.
        let receiver_is_full = head.kind() == Some(Kind::Datagram) && head.raw.sends();
        if receiver_is_full || result == HALF_CLOSED {
            // A poll would not wait: the port retries.
            return Some(Event::last(slot, outcome));
        }
        self.poll_for(core, slot);
        None
    }

    pub(crate) fn backlog(&mut self) -> usize {
        self.ring.completion().len()
    }

    pub(crate) fn attach(&mut self, source: &Source, kind: Kind) -> io::Result<Notes> {
        let flag_changed = self.prepare(source, kind)?;
        self.has_eventfds |= kind == Kind::Pipe;
        Ok(Notes { flag_changed, ..Notes::default() })
    }

    /// Sets `O_NONBLOCK` as this backend needs it; says whether that was a change.
    fn prepare(&self, source: &Source, kind: Kind) -> io::Result<bool> {
        // The kernel waits for a blocking descriptor; with O_NONBLOCK reads and writes answer EAGAIN. Accepts
        // and connects that are polled and then performed need the flag, and sockets are received from and
        // sent to alike with it.
        let polls = match kind {
            Kind::Tcp | Kind::Stream | Kind::Datagram => !(self.probe.accept && self.probe.connect),
            Kind::Pipe => false,
            Kind::File => return Ok(false),
        };
        if source.nonblocking == Some(polls) {
            return Ok(false);
        }
        set_nonblocking(&source.fd, polls)
    }

    /// Undoes what attaching did to the object.
    pub(crate) fn detach(&mut self, core: &mut Core, handle: u32) -> io::Result<()> {
        let entry = core.handles.entry(handle);
        if entry.notes.flag_changed {
            set_nonblocking(entry.fd(), true)?;
        }
        Ok(())
    }

    /// Nothing is in flight on the handle any more, and its object is about to go.
    pub(crate) fn release(&mut self, core: &mut Core, handle: u32) {
        self.forget(handle, core.handles.entry_mut(handle));
    }

    pub(crate) fn carrier(&self, raw: &RawOp) -> Carrier {
        match (raw, self.plan(raw, None)) {
            (RawOp::Timer { .. }, _) => Carrier::Port,
            (_, Plan::Native) => Carrier::Native,
            (_, Plan::Poll(_)) => Carrier::Reactor,
            (_, Plan::Pool) => Carrier::Pool,
            (_, Plan::Direct) => Carrier::Direct,
        }
    }

    pub(crate) fn has_unsubmitted(&mut self) -> bool {
        !self.receives.is_empty()
            || !self.backlog.is_empty()
            || !self.unfound.is_empty()
            || !self.ring.submission().is_empty()
    }

    /// The ring; or, where its work waits for the next enter (of which nobody hears who polls the ring), an eventfd that
    /// the kernel writes for each completion and each piece of such work, made when it is first asked for. (Kernels
    /// before 5.18, which defer nothing, would have the registration wait for all that is in flight.)
    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        if !self.probe.defers_work {
            // SAFETY: the ring's descriptor, which is open as long as `self` is borrowed.
            return Ok(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) });
        }
        let bell = self.inbox.bell();
        if bell.get().is_none() {
            let made = Waker::new()?;
            self.ring.submitter().register_eventfd(made.fd().as_raw_fd())?;
            let _ = bell.set(made);
        }
        Ok(bell.get().expect("it was just made").fd())
    }

    /// Completions from here on make the eventfd readable.
    pub(crate) fn rest_bell(&self) -> io::Result<()> {
        let Some(bell) = self.inbox.bell().get() else { return Ok(()) };
        bell.drain();
        if self.has_eventfds {
            // Where the work comes from a write to an eventfd, the kernel may not write another from within, and does it
            // later; of a registration once only (its io_uring/eventfd.c sets `IO_EVENTFD_OP_SIGNAL_BIT`, and nothing
            // clears it; seen on 6.18). A new registration begins anew. There may be none, when the last one failed.
            let _ = self.ring.submitter().unregister_eventfd();
            self.ring.submitter().register_eventfd(bell.fd().as_raw_fd())?;
        }
        Ok(())
    }

    pub(crate) fn features(&self) -> Vec<Feature> {
        self.probe.features()
    }
}

/// True for a Unix socket's address. (Null stands for any in `explain`.)
fn is_local(scratch: *const crate::scratch::Scratch) -> bool {
    // SAFETY: not null, it is the scratch in the operation's payload, which is in place.
    unsafe { scratch.as_ref() }.is_some_and(|scratch| scratch.family() == libc::AF_UNIX)
}

/// What most answers are: that of a slot's operation with a count, perhaps of bytes in a buffer of a pool.
#[inline(always)]
fn usual(pool: &Rc<Pool>, (data, result, flags): Answer) -> Option<Event> {
    if data & TAGS != 0 {
        cold_path();
        return None;
    }
    let Ok(count) = usize::try_from(result) else {
        cold_path();
        return None;
    };
    // SAFETY: it is a slot's, as it was; the slab outlives the ring's answers.
    let slot = unsafe { At::of_data(data) };
    let outcome = match cqueue::buffer_select(flags) {
        None if result == HALF_CLOSED => {
            cold_path();
            return None;
        }
        None => Outcome::done(count),
        Some(place) => {
            let (pool, front, index) = match place & NAMED {
                0 => (pool, 0, place),
                _ => (pool.named_if_made()?, size_of::<Sender>(), place & !NAMED),
            };
            if count <= front {
                return None;
            }
            pool.was_taken(index);
            Outcome::in_buffer(count - front, index)
        }
    };
    Some(Event::new(slot, cqueue::more(flags), outcome))
}

/// The kernel has picked a buffer of a pool for a result without any bytes.
fn picked(core: &Core, slot: At, place: u16, result: i32) -> Outcome {
    if place & NAMED != 0 {
        return picked_named(core, slot, place & !NAMED, result);
    }
    core.pool.was_taken(place);
    core.pool.give_back(place);
    if result == 0 { Outcome::done(0) } else { Outcome::error(-result) }
}

/// The same of a buffer with a name, which the result covers, too: it may be that of an empty datagram.
fn picked_named(core: &Core, slot: At, index: u16, result: i32) -> Outcome {
    let (pool, head) = (core.pool.named(), core.slots.head(slot));
    pool.was_taken(index);
    let entry = core.handles.entry(head.handle);
    // SAFETY: the kernel has written the name, and let go of the buffer.
    let sender = unsafe { &*pool.sender(index) };
    if result >= 0 && is_datagram(entry.fd(), entry.kind, sender) {
        return Outcome::in_buffer(0, index);
    }
    pool.give_back(index);
    if result >= 0 { Outcome::done(0) } else { Outcome::error(-result) }
}

/// What a multishot receive reads of a header.
fn room_for_name() -> libc::msghdr {
    // SAFETY: all-zero is a value of this plain C structure.
    libc::msghdr { msg_namelen: NAME as u32, ..unsafe { std::mem::zeroed() } }
}
