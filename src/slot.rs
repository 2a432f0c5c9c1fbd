//! Operations in flight: a slab of slots with stable addresses and generations.
//!
//! A slot is one operation from `submit` until its final completion is taken. Its payload sits in
//! the slot, where the system may be writing to it, so payloads are only ever reached through raw
//! pointers and never covered by a reference to the slot: [`Slots::head`] borrows everything else. The same
//! holds for the [`Block`] in which Windows keeps an overlapped call.
//! Slots are allocated in chunks that never move and are kept for reuse until the port is dropped.
//!
//! Who owns the payload's memory, by [`State`]: `Queued`, `Parked`, `Finished`: the port. `Started`,
//! `Cancelling`: the system; it must not be read, written, moved or freed.

use crate::Token;
use crate::handle::Kind;
use crate::op::raw::{Lane, RawOp};
use crate::payload::{Room, VTable};
use crate::sys::Block;
use bitflags::bitflags;
use std::alloc::{self, Layout};
use std::fmt;
use std::ptr::NonNull;

/// Stands for "no slot" and "no handle" in links.
pub(crate) const NONE: u32 = u32::MAX;

/// Names one submission, for [`Port::cancel`](crate::Port::cancel).
///
/// It stays harmless when the operation is done: its slot's next operation has another generation.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let id = port.submit(op::Nop::new(), Token(1));
/// port.wait(None)?;
/// assert_eq!(port.next().unwrap().id(), id);
/// assert!(!port.cancel(id)); // done: nothing to cancel, and nothing else is hit
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
// Index and, above it, generation; one word, because it is moved as one.
pub struct OpId(u64);

impl OpId {
    #[inline]
    pub(crate) fn new(index: u32, generation: u32) -> OpId {
        OpId(u64::from(generation) << 32 | u64::from(index))
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpId({}.{})", self.index(), self.generation())
    }
}

/// Where an operation is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The slot is unused.
    Free,
    /// Behind others of its lane.
    Queued,
    /// With the backend.
    Started,
    /// With the backend, which was told to give it up.
    Cancelling,
    /// With the port until something is there to go on with: a pool buffer or a time.
    Parked,
    /// Its final completion waits to be taken.
    Finished,
}

/// What a backend remembers of an operation that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    Nothing,
    /// A ring polls for it, and then performs it.
    Polled,
    /// A reactor is to try it for the first time.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
    Untried,
    /// A reactor has its last event, which the port has not taken up yet.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
    Done,
}

bitflags! {
    /// What is not true of all operations, in one word: usually nothing is.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Marks: u8 {
        /// Its key is armed in the wheel: it has a deadline, or is a timer.
        const ARMED = 1;
        /// It is being cancelled because its deadline passed.
        const TIMED_OUT = 2;
        /// An exhaustion error was already reported since its last success.
        const REPORTED = 4;
        /// It has a number among those that wait for a buffer of the pool.
        const NUMBERED = 8;
        /// It may have more than one event: [`RawOp::is_composite`].
        const COMPOSITE = 16;
        /// Its result is more than a count: [`RawOp::results_in_more`].
        const RESULTS_IN_MORE = 32;
    }
}

impl Marks {
    /// What is true of an operation as such.
    #[inline(always)]
    fn of(raw: &RawOp) -> Marks {
        let mut marks = Marks::empty();
        marks.set(Marks::COMPOSITE, raw.is_composite());
        marks.set(Marks::RESULTS_IN_MORE, raw.results_in_more());
        marks
    }
}

/// Everything about an operation but its payload.
pub(crate) struct Head {
    /// Its number among those that wait for a buffer of the pool, if it has one.
    pub(crate) number: u64,
    /// The one before it in its lane.
    pub(crate) prev: u32,
    /// What its handle is, if it has one: [`Head::kind`].
    kind: Kind,
    pub(crate) token: Token,
    pub(crate) vtable: &'static VTable,
    /// Bytes moved by earlier parts of a send-all.
    pub(crate) transferred: usize,
    pub(crate) raw: RawOp,
    pub(crate) generation: u32,
    /// The next of its lane (behind the last is the first) or of the free list.
    pub(crate) next: u32,
    /// Index of its handle, or NONE.
    pub(crate) handle: u32,
    pub(crate) state: State,
    pub(crate) lane: Lane,
    pub(crate) marks: Marks,
    /// The backend's own.
    pub(crate) note: Note,
}

impl Head {
    /// It has one event, which is its end, and nothing is to be seen to then.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        (self.marks - Marks::RESULTS_IN_MORE).is_empty()
    }

    /// What its handle is, if it has one.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Option<Kind> {
        (self.handle != NONE).then_some(self.kind)
    }

    /// Makes it one on this handle, which is of that kind.
    #[inline(always)]
    pub(crate) fn join(&mut self, handle: u32, kind: Kind) {
        (self.handle, self.kind) = (handle, kind);
    }

    /// What is to be seen to when it is over.
    #[inline(always)]
    pub(crate) fn has_loose_ends(&self) -> bool {
        !(self.marks - Marks::COMPOSITE - Marks::RESULTS_IN_MORE).is_empty()
    }

    /// A new operation begins, which is to be started at once: most are.
    #[inline(always)]
    pub(crate) fn begin(&mut self, token: Token, vtable: &'static VTable, raw: RawOp) {
        (self.token, self.vtable) = (token, vtable);
        self.transferred = 0;
        (self.raw, self.lane) = (raw, raw.lane());
        self.handle = NONE;
        self.state = State::Started;
        self.marks = Marks::of(&raw);
        self.note = Note::Nothing;
    }
}

// In two lines of the cache, not three.
#[repr(align(64))]
struct Slot {
    head: Head,
    payload: Room,
    block: Block,
}

/// Where a slot is, until the slab is dropped.
#[derive(Clone, Copy)]
pub(crate) struct At(*mut Slot);

/// Slots in a chunk.
const CHUNK: usize = 64;

/// The slab.
pub(crate) struct Slots {
    chunks: Vec<NonNull<Slot>>,
    vacant: Vacant,
    /// The generation of a slot's first operation.
    first_generation: u32,
}

/// Which slots are free, the one that was used last first.
pub(crate) struct Vacant {
    first: u32,
    /// Those that are not.
    used: usize,
}

impl Vacant {
    /// Adds slot `index`. Its payload must have been taken or dropped, or is taken before the slot is allocated again.
    #[inline]
    pub(crate) fn add(&mut self, head: &mut Head, index: u32) {
        head.generation = head.generation.wrapping_add(1);
        head.state = State::Free;
        head.next = self.first;
        self.first = index;
        self.used -= 1;
    }
}

static UNUSED: VTable = VTable::of::<(), ()>("unused");

impl Slots {
    pub(crate) fn new(first_generation: u32) -> Slots {
        Slots { chunks: Vec::new(), vacant: Vacant { first: NONE, used: 0 }, first_generation }
    }

    /// Slots that are not free.
    pub(crate) fn used(&self) -> usize {
        self.vacant.used
    }

    /// One past the highest index that was ever used.
    pub(crate) fn bound(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    #[inline]
    fn slot(&self, index: u32) -> *mut Slot {
        debug_assert!(index < self.bound());
        let index = index as usize;
        // SAFETY: a chunk has CHUNK slots, and there is such a chunk: an index is one that `allocate` gave out, and
        // `find` checks the one index that comes from outside. Chunks are never taken away.
        unsafe { self.chunks.get_unchecked(index / CHUNK).as_ptr().add(index % CHUNK) }
    }

    #[inline]
    pub(crate) fn head(&self, index: u32) -> &Head {
        // SAFETY: the slot's head was initialized with its chunk; the returned reference covers the
        // head only, and `&self` keeps others from having it mutably.
        unsafe { &(*self.slot(index)).head }
    }

    #[inline]
    pub(crate) fn head_mut(&mut self, index: u32) -> &mut Head {
        // SAFETY: as for `head`; `&mut self` makes it exclusive.
        unsafe { &mut (*self.slot(index)).head }
    }

    /// Where slot `index` is, for what is to find it once and use it more than once.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> At {
        At(self.slot(index))
    }

    /// As `head_mut`, of a slot of this slab.
    #[inline]
    pub(crate) fn head_at(&mut self, at: At) -> &mut Head {
        // SAFETY: as for `head_mut`; only `at` makes an `At`, and chunks stay where they are.
        unsafe { &mut (*at.0).head }
    }

    /// Both parts of such a slot, and where it goes when it is no longer used.
    #[inline]
    pub(crate) fn parts(&mut self, at: At) -> (&mut Head, *mut Room, &mut Vacant) {
        // SAFETY: as for `head_at` and `payload`.
        unsafe { (&mut (*at.0).head, &raw mut (*at.0).payload, &mut self.vacant) }
    }

    /// Where the payload of slot `index` is. Who may use it: see the module's list of states.
    #[inline]
    pub(crate) fn payload(&self, index: u32) -> *mut Room {
        // SAFETY: within the chunk, as for `slot`; no reference is made.
        unsafe { &raw mut (*self.slot(index)).payload }
    }

    /// The memory of the slot's overlapped call. Who may use it: see the module's list of states.
    #[cfg_attr(unix, expect(dead_code, reason = "no backend of a Unix keeps anything there"))]
    #[inline]
    pub(crate) fn block(&self, index: u32) -> *mut Block {
        // SAFETY: within the chunk, as for `slot`; no reference is made.
        unsafe { &raw mut (*self.slot(index)).block }
    }

    /// Takes a free slot; its generation is already that of its new operation.
    #[inline]
    pub(crate) fn allocate(&mut self) -> u32 {
        if self.vacant.first == NONE {
            self.grow();
        }
        let index = self.vacant.first;
        self.vacant.first = self.head(index).next;
        self.vacant.used += 1;
        index
    }

    /// Gives a slot back, as [`Vacant::add`] does.
    pub(crate) fn release(&mut self, index: u32) {
        let (head, _, vacant) = self.parts(self.at(index));
        vacant.add(head, index);
    }

    /// The index behind `id` if that operation is not over.
    #[inline]
    pub(crate) fn find(&self, id: OpId) -> Option<u32> {
        if id.index() >= self.bound() {
            return None;
        }
        let head = self.head(id.index());
        (head.generation == id.generation() && head.state != State::Free).then_some(id.index())
    }

    #[inline]
    pub(crate) fn id(&self, index: u32) -> OpId {
        OpId::new(index, self.head(index).generation)
    }

    #[cold]
    fn grow(&mut self) {
        let layout = Self::layout();
        let first = self.bound();
        assert!(first < NONE - CHUNK as u32, "2^32 operations are in flight");
        // SAFETY: the layout is not empty.
        let chunk = NonNull::new(unsafe { alloc::alloc(layout) }.cast::<Slot>());
        let chunk = chunk.unwrap_or_else(|| alloc::handle_alloc_error(layout));
        for i in (0..CHUNK).rev() {
            let head = Head {
                token: Token(0),
                vtable: &UNUSED,
                transferred: 0,
                number: 0,
                raw: RawOp::Nop,
                generation: self.first_generation,
                next: self.vacant.first,
                prev: NONE,
                handle: NONE,
                state: State::Free,
                lane: Lane::Free,
                marks: Marks::empty(),
                note: Note::Nothing,
                kind: Kind::File,
            };
            let block = Block::of_slot(first + i as u32);
            // SAFETY: slot `i` lies within the allocation just made; nothing is dropped by writing.
            unsafe { chunk.as_ptr().add(i).write(Slot { head, payload: Room::new(), block }) };
            self.vacant.first = first + i as u32;
        }
        self.chunks.push(chunk);
    }

    fn layout() -> Layout {
        Layout::array::<Slot>(CHUNK).expect("a chunk is small")
    }
}

impl Drop for Slots {
    /// Frees the chunks. The port has made sure that no operation is with the system; payloads that
    /// are still here are dropped.
    fn drop(&mut self) {
        for index in 0..self.bound() {
            let head = self.head(index);
            if head.state != State::Free {
                // SAFETY: the slot is not free, so its payload was put and not taken; the system
                // has let go of it (Port::drop).
                unsafe { head.vtable.drop(self.payload(index)) };
            }
        }
        for chunk in &self.chunks {
            // SAFETY: allocated in `grow` with this layout; heads need no drop.
            unsafe { alloc::dealloc(chunk.as_ptr().cast(), Self::layout()) };
        }
    }
}

const _: () = assert!(size_of::<Slot>() <= 160 + size_of::<Block>(), "a slot is what an idle connection costs");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_slot_is_reused_under_another_generation() {
        let mut slots = Slots::new(7);
        let index = slots.allocate();
        slots.head_mut(index).state = State::Queued;
        let id = slots.id(index);
        assert_eq!(slots.find(id), Some(index));
        slots.release(index);
        assert_eq!(slots.find(id), None);
        assert_eq!(slots.allocate(), index);
        slots.head_mut(index).state = State::Queued;
        assert_eq!(slots.find(id), None);
        slots.release(index);
    }

    #[test]
    fn slots_do_not_move_when_the_slab_grows() {
        let mut slots = Slots::new(7);
        let first = slots.allocate();
        let place = slots.payload(first);
        let more: Vec<u32> = (0..1000).map(|_| slots.allocate()).collect();
        assert_eq!(slots.payload(first), place);
        more.into_iter().for_each(|index| slots.release(index));
        slots.release(first);
    }
}
