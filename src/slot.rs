//! Operations in flight: a slab of slots with stable addresses and generations.
//!
//! A slot is one operation from `submit` until its final completion is taken. Its payload sits in
//! the slot, where the system may be writing to it, so payloads are only ever reached through raw
//! pointers and never covered by a reference to the slot: [`Slots::head`] borrows everything else. The same
//! holds for the [`Block`] in which Windows keeps an overlapped call.
//! Slots are allocated in chunks that never move and are kept for reuse until the port is dropped, so an operation is known
//! by its slot's address ([`At`]). By its index it is known where that has to be short, or may be wrong.
//!
//! Who owns the payload's memory, by [`State`]: `Queued`, `Parked`, `Finished`: the port. `Started`,
//! `Cancelling`: the system; it must not be read, written, moved or freed.

use crate::Token;
use crate::handle::Kind;
use crate::op::raw::{Lane, Needs, RawOp};
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
    pub(crate) fn new(index: u32, generation: u32) -> OpId {
        OpId(u64::from(generation) << 32 | u64::from(index))
    }

    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// That of the slot's next operation.
    #[inline]
    fn next(self) -> OpId {
        OpId(self.0.wrapping_add(1 << 32))
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
        /// It takes more than a place in its lane to be submitted: [`RawOp::is_special`].
        const SPECIAL = 64;
        /// What is always true of it, whatever happens to it.
        const NATURE = Self::COMPOSITE.bits() | Self::RESULTS_IN_MORE.bits() | Self::SPECIAL.bits();
    }
}

impl Marks {
    /// What is true of an operation as such.
    #[inline(always)]
    fn of(raw: &RawOp) -> Marks {
        let mut marks = Marks::empty();
        marks.set(Marks::COMPOSITE, raw.is_composite());
        marks.set(Marks::RESULTS_IN_MORE, raw.results_in_more());
        marks.set(Marks::SPECIAL, raw.is_special());
        marks
    }
}

/// Everything about an operation but its payload.
// In this order: what each operation is asked for is in one line of the cache, with the first word of what it is.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) id: OpId,
    links: Links,
    pub(crate) token: Token,
    pub(crate) vtable: &'static VTable,
    /// Bytes moved by earlier parts of a send-all.
    pub(crate) transferred: usize,
    /// Index of its handle, or NONE.
    pub(crate) handle: u32,
    pub(crate) state: State,
    pub(crate) lane: Lane,
    pub(crate) marks: Marks,
    /// The backend's own.
    pub(crate) note: Note,
    /// What its handle is, if it has one: [`Head::kind`].
    kind: Kind,
    /// [`RawOp::needs`].
    pub(crate) needs: Needs,
    /// Its number among those that wait for a buffer of the pool, if it has one.
    pub(crate) number: u32,
    pub(crate) raw: RawOp,
}

const _: () = assert!(std::mem::offset_of!(Head, raw) < 64, "what each operation is asked for is in one line");

/// What a slot is linked with.
union Links {
    /// The one before it in its lane and the one behind it. Before the first is the last; of those that run side by side, NONE.
    lane: [u32; 2],
    /// The next of the free ones.
    free: Option<At>,
}

impl Head {
    /// The one before it in its lane: see `Links`.
    #[inline(always)]
    pub(crate) fn prev(&self) -> u32 {
        // SAFETY: numbers, whatever they were written as; and all of them were.
        unsafe { self.links.lane[0] }
    }

    /// The one behind it in its lane: see `Links`.
    #[inline(always)]
    pub(crate) fn next(&self) -> u32 {
        // SAFETY: as for `prev`.
        unsafe { self.links.lane[1] }
    }

    /// No other is in its lane, which has an order.
    #[inline(always)]
    pub(crate) fn is_alone(&self) -> bool {
        self.next() == self.id.index()
    }

    #[inline(always)]
    pub(crate) fn link(&mut self, prev: u32, next: u32) {
        self.links.lane = [prev, next];
    }

    #[inline(always)]
    pub(crate) fn set_prev(&mut self, prev: u32) {
        self.link(prev, self.next());
    }

    #[inline(always)]
    pub(crate) fn set_next(&mut self, next: u32) {
        self.link(self.prev(), next);
    }

    /// One submission has many completions: [`RawOp::is_multi`].
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
    #[inline(always)]
    pub(crate) fn is_multi(&self) -> bool {
        // Of those that take something in, only these have more than one event.
        let is_multi = self.lane == Lane::Read && self.marks.contains(Marks::COMPOSITE);
        debug_assert_eq!(is_multi, self.raw.is_multi());
        is_multi
    }

    /// It has one event, which is its end, and nothing is to be seen to then.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        (self.marks - Marks::RESULTS_IN_MORE - Marks::SPECIAL).is_empty()
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
        !(self.marks - Marks::NATURE).is_empty()
    }

    /// A new operation begins, which is to be started at once: most are.
    #[inline(always)]
    pub(crate) fn begin(&mut self, token: Token, vtable: &'static VTable, raw: RawOp) {
        (self.token, self.vtable) = (token, vtable);
        self.transferred = 0;
        (self.raw, self.lane, self.needs) = (raw, raw.lane(), raw.needs());
        self.handle = NONE;
        self.state = State::Started;
        self.marks = Marks::of(&raw);
        self.note = Note::Nothing;
    }
}

// In two lines of the cache, not three.
#[repr(C, align(64))]
struct Slot {
    head: Head,
    payload: Room,
    block: Block,
}

/// Where a slot is, until its slab is dropped; it is not asked about after that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct At(NonNull<Slot>);

/// Bits of an address that are always 0.
pub(crate) const TAGS: u64 = align_of::<Slot>() as u64 - 1;

impl At {
    /// As a number, in which the [`TAGS`] are free for the use of who gets it.
    #[cfg_attr(not(any(target_os = "linux", test)), expect(dead_code, reason = "a ring's"))]
    #[inline(always)]
    pub(crate) fn to_data(self) -> u64 {
        self.0.expose_provenance().get() as u64
    }

    /// From that number, whatever its tags are.
    ///
    /// # Safety
    /// It is one that [`At::to_data`] made, of a slab that is still there.
    #[cfg_attr(not(any(target_os = "linux", test)), expect(dead_code, reason = "a ring's"))]
    #[inline(always)]
    pub(crate) unsafe fn of_data(data: u64) -> At {
        let slot = std::ptr::with_exposed_provenance_mut((data & !TAGS) as usize);
        // SAFETY: the caller's: it was the address of a slot.
        At(unsafe { NonNull::new_unchecked(slot) })
    }
}

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
    first: Option<At>,
    /// Those that are not.
    used: usize,
}

impl Vacant {
    /// Adds a slot. Its payload must have been taken or dropped, or is taken before the slot is allocated again.
    #[inline]
    pub(crate) fn add(&mut self, head: &mut Head, at: At) {
        head.id = head.id.next();
        head.state = State::Free;
        head.links.free = self.first;
        self.first = Some(at);
        self.used -= 1;
    }

    /// Takes the first one out.
    #[inline]
    fn take(&mut self) -> Option<At> {
        let at = self.first?;
        // SAFETY: there is such a slot, and nobody has a reference to it; it is free, so `add` has written this.
        self.first = unsafe { (*at.0.as_ptr()).head.links.free };
        self.used += 1;
        Some(at)
    }
}

static UNUSED: VTable = VTable::of::<(), ()>("unused");

impl Slots {
    pub(crate) fn new(first_generation: u32) -> Slots {
        Slots { chunks: Vec::new(), vacant: Vacant { first: None, used: 0 }, first_generation }
    }

    /// Slots that are not free.
    pub(crate) fn used(&self) -> usize {
        self.vacant.used
    }

    /// One past the highest index that was ever used.
    pub(crate) fn bound(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// Where the slot of an index below the bound is.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> At {
        self.get(index).expect("an index below the bound")
    }

    /// The same for any index.
    #[inline]
    fn get(&self, index: u32) -> Option<At> {
        let index = index as usize;
        let chunk = self.chunks.get(index / CHUNK)?;
        // SAFETY: the chunk has that many slots, and is never taken away.
        Some(At(unsafe { chunk.add(index % CHUNK) }))
    }

    // Below: only `get` and `allocate` make an `At` (and `At::of_data`, whose caller vouches for it), and chunks stay
    // where they are, so there is such a slot. One of another port's slab does not come here: what a caller names an
    // operation by is an `OpId`.

    #[inline]
    pub(crate) fn head(&self, at: At) -> &Head {
        // SAFETY: the slot's head was initialized with its chunk; the returned reference covers the
        // head only, and `&self` keeps others from having it mutably.
        unsafe { &(*at.0.as_ptr()).head }
    }

    #[inline]
    pub(crate) fn head_mut(&mut self, at: At) -> &mut Head {
        // SAFETY: as for `head`; `&mut self` makes it exclusive.
        unsafe { &mut (*at.0.as_ptr()).head }
    }

    /// Both parts of a slot, and where it goes when it is no longer used.
    #[inline]
    pub(crate) fn parts(&mut self, at: At) -> (&mut Head, *mut Room, &mut Vacant) {
        // SAFETY: as for `head_mut` and `payload`.
        unsafe { (&mut (*at.0.as_ptr()).head, &raw mut (*at.0.as_ptr()).payload, &mut self.vacant) }
    }

    /// Where the payload of a slot is. Who may use it: see the module's list of states.
    #[inline]
    pub(crate) fn payload(&self, at: At) -> *mut Room {
        // SAFETY: within the chunk; no reference is made.
        unsafe { &raw mut (*at.0.as_ptr()).payload }
    }

    /// The memory of the slot's overlapped call. Who may use it: see the module's list of states.
    #[cfg_attr(unix, expect(dead_code, reason = "no backend of a Unix keeps anything there"))]
    #[inline]
    pub(crate) fn block(&self, at: At) -> *mut Block {
        // SAFETY: within the chunk; no reference is made.
        unsafe { &raw mut (*at.0.as_ptr()).block }
    }

    /// Takes a free slot; its id is already that of its new operation.
    #[inline]
    pub(crate) fn allocate(&mut self) -> At {
        match self.vacant.take() {
            Some(at) => at,
            None => self.allocate_slowly(),
        }
    }

    #[cold]
    fn allocate_slowly(&mut self) -> At {
        self.grow();
        self.vacant.take().expect("there are new ones")
    }

    /// Gives a slot back, as [`Vacant::add`] does.
    pub(crate) fn release(&mut self, at: At) {
        let (head, _, vacant) = self.parts(at);
        vacant.add(head, at);
    }

    /// The slot of `id` if that operation is not over.
    #[inline]
    pub(crate) fn find(&self, id: OpId) -> Option<At> {
        let at = self.get(id.index())?;
        let head = self.head(at);
        (head.id == id && head.state != State::Free).then_some(at)
    }

    #[inline]
    pub(crate) fn id(&self, at: At) -> OpId {
        self.head(at).id
    }

    #[inline]
    pub(crate) fn index(&self, at: At) -> u32 {
        self.id(at).index()
    }

    #[cold]
    fn grow(&mut self) {
        let layout = Self::layout();
        let first = self.bound();
        assert!(first < NONE - CHUNK as u32, "2^32 operations are in flight");
        // SAFETY: the layout is not empty.
        let chunk = NonNull::new(unsafe { alloc::alloc(layout) }.cast::<Slot>());
        let chunk = chunk.unwrap_or_else(|| alloc::handle_alloc_error(layout));
        self.chunks.push(chunk);
        self.vacant.used += CHUNK;
        for index in (first..self.bound()).rev() {
            let at = self.at(index);
            let head = Head {
                // Added to the vacant ones, it has the next.
                id: OpId::new(index, self.first_generation.wrapping_sub(1)),
                token: Token(0),
                vtable: &UNUSED,
                transferred: 0,
                number: 0,
                raw: RawOp::Nop,
                links: Links { free: None },
                handle: NONE,
                state: State::Free,
                lane: Lane::Free,
                marks: Marks::empty(),
                note: Note::Nothing,
                kind: Kind::File,
                needs: Needs::empty(),
            };
            // SAFETY: the slot lies within the allocation just made; nothing is dropped by writing.
            unsafe { at.0.write(Slot { head, payload: Room::new(), block: Block::of_slot(index) }) };
            self.release(at);
        }
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
            let at = self.at(index);
            let head = self.head(at);
            if head.state != State::Free {
                // SAFETY: the slot is not free, so its payload was put and not taken; the system
                // has let go of it (Port::drop).
                unsafe { head.vtable.drop(self.payload(at)) };
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
        let slot = slots.allocate();
        slots.head_mut(slot).state = State::Queued;
        let id = slots.id(slot);
        assert_eq!(slots.find(id), Some(slot));
        slots.release(slot);
        assert_eq!(slots.find(id), None);
        assert_eq!(slots.allocate(), slot);
        slots.head_mut(slot).state = State::Queued;
        assert_eq!(slots.find(id), None);
        slots.release(slot);
    }

    #[test]
    fn a_slot_is_found_by_its_id_index_and_address() {
        let mut slots = Slots::new(u32::MAX);
        let all: Vec<At> = (0..200).map(|_| slots.allocate()).collect();
        assert_eq!(slots.used(), 200);
        for (index, &slot) in all.iter().enumerate() {
            assert_eq!((slots.index(slot), slots.at(index as u32)), (index as u32, slot));
            slots.head_mut(slot).state = State::Queued;
            assert_eq!(slots.find(slots.id(slot)), Some(slot));
            assert_eq!(slot.to_data() & TAGS, 0);
            // SAFETY: its slab is there.
            assert_eq!(unsafe { At::of_data(slot.to_data() | 5) }, slot);
        }
        // The generation has no carry into what is not there.
        slots.release(all[7]);
        assert_eq!((slots.allocate(), slots.id(all[7])), (all[7], OpId::new(7, 0)));
        all.into_iter().for_each(|slot| slots.release(slot));
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn slots_do_not_move_when_the_slab_grows() {
        let mut slots = Slots::new(7);
        let first = slots.allocate();
        let place = slots.payload(first);
        let more: Vec<At> = (0..1000).map(|_| slots.allocate()).collect();
        assert_eq!(slots.payload(first), place);
        more.into_iter().for_each(|slot| slots.release(slot));
        slots.release(first);
    }
}
