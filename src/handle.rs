//! Handles: the OS objects that have joined a port.
//!
//! A [`Handle`] is a `Copy` index with a generation; the port owns the descriptor behind it. Each has
//! a FIFO per direction ([`Lane`]), a ring linked through the slots, so that operations of one direction take
//! effect in order, whatever the backend. Those that run side by side are in a list, to which they are added where the last
//! one is: each touches no more than that and, when it leaves, its neighbours.
//!
//! Invariant: an operation on a handle is in exactly one of its lanes from `submit` until it is
//! finished; in an ordered lane only the head may be with the backend.

use crate::error;
use crate::op::raw::{LANES, Lane, RawOp};
use crate::outcome::Outcome;
use crate::slot::{At, Head, NONE, Slots};
use crate::sys::{self, NO_OBJECT, Notes, Object, Raw};
use std::fmt;

/// Names an OS object that has joined a port, from [`Port::attach`](crate::Port::attach).
///
/// A handle that was closed or detached is never confused with a later one, even when the system
/// reuses the descriptor's number.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::{io, net::UdpSocket};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let old = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
/// port.submit(op::Close::new(old), Token(0));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Close>()?;
/// let new = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
/// assert_ne!(old, new);
/// port.submit(op::RecvPooled::new(old), Token(1)); // cannot reach the new socket
/// port.wait(None)?;
/// let result = port.next().unwrap().unpack::<op::RecvPooled>();
/// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({}.{})", self.index, self.generation)
    }
}

/// What sort of object a descriptor is: decides which calls move its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A TCP socket, connected or listening: a short read has drained it.
    Tcp,
    /// Another stream socket. A short read tells nothing: on a Unix socket it stops where a descriptor was
    /// sent along, or where the sender's credentials change.
    Stream,
    /// Any other socket.
    Datagram,
    /// A pipe, terminal, eventfd: readiness works, `read` and `write` move the data.
    Pipe,
    /// A regular file, block device or directory: always "ready", and may block all the same.
    File,
}

impl Kind {
    pub(crate) fn is_socket(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Stream | Kind::Datagram)
    }

    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Stream)
    }
}

/// An attached object.
// In one line of the cache, where it is no larger than that.
#[cfg_attr(unix, repr(align(64)))]
pub(crate) struct Entry {
    object: Raw,
    pub(crate) generation: u32,
    /// The first operation of each lane, or NONE; of [`Lane::Free`] the last.
    lanes: [u32; LANES],
    /// One bit for each lane that has operations.
    occupied: u8,
    pub(crate) state: HandleState,
    pub(crate) kind: Kind,
    /// What the backend knows about it.
    pub(crate) notes: Notes,
    /// The error number that receives report instead of an end of the stream, or 0: [`Entry::truth`].
    failure: i32,
}

/// Where a handle is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandleState {
    /// Unused; the next free entry.
    Free {
        next: u32,
    },
    Open,
    /// As `Open`, with a connect in flight: receives wait for it.
    Connecting,
    /// Its close was submitted as this slot; it starts when the other operations have ended.
    Closing {
        slot: u32,
    },
}

impl Entry {
    /// An unused entry.
    fn free(generation: u32, next: u32) -> Entry {
        Entry {
            object: NO_OBJECT,
            generation,
            lanes: [NONE; LANES],
            occupied: 0,
            state: HandleState::Free { next },
            kind: Kind::File,
            notes: Notes::default(),
            failure: 0,
        }
    }

    #[inline(always)]
    fn is(&self, handle: Handle) -> bool {
        self.generation == handle.generation && matches!(self.state, HandleState::Open | HandleState::Connecting)
    }

    /// True when an operation of this lane need not wait for another one.
    #[inline(always)]
    pub(crate) fn has_turn(&self, lane: Lane) -> bool {
        lane == Lane::Free || self.first(lane) == NONE && !self.has_to_connect_before(lane)
    }

    /// A receive waits for the connect before it.
    #[inline(always)]
    pub(crate) fn has_to_connect_before(&self, lane: Lane) -> bool {
        lane == Lane::Read && self.state == HandleState::Connecting
    }

    /// Names the object, which an entry that is not free owns until `Handles::remove`.
    pub(crate) fn raw(&self) -> Raw {
        self.object
    }

    /// The first operation of a lane that has an order, or NONE.
    #[inline]
    pub(crate) fn first(&self, lane: Lane) -> u32 {
        debug_assert!(lane != Lane::Free);
        self.lanes[lane as usize]
    }

    /// The last operation of a lane, or NONE.
    pub(crate) fn last(&self, slots: &Slots, lane: Lane) -> u32 {
        match self.lanes[lane as usize] {
            first if first != NONE && lane != Lane::Free => slots.head(slots.at(first)).prev(),
            last => last,
        }
    }

    /// The operation before this one in its lane, or NONE.
    pub(crate) fn before(&self, head: &Head) -> u32 {
        let is_first = head.lane != Lane::Free && self.first(head.lane) == head.id.index();
        if is_first { NONE } else { head.prev() }
    }

    /// What an operation's outcome means on this object. The system reports the failure of a connection
    /// once, to whichever operation asks first (a send, perhaps), and from then on pretends that the stream
    /// has ended; here it stays a failure.
    #[cold]
    pub(crate) fn truth(&mut self, raw: &RawOp, outcome: Outcome) -> Outcome {
        if !self.kind.is_stream() {
            return outcome;
        }
        match (raw, outcome.errno()) {
            (RawOp::Connect { .. }, None) => self.failure = 0,
            (RawOp::Connect { .. }, Some(errno)) if error::is_unreached(errno) => self.failure = error::NOT_CONNECTED,
            (_, Some(errno)) if error::is_broken(errno) => self.failure = errno,
            (raw, Some(errno)) if raw.receives() && error::is_unconnected(errno) => {
                return Outcome::error(error::NOT_CONNECTED);
            }
            (raw, None) if raw.receives() && self.failure != 0 => return Outcome::error(self.failure),
            _ => {}
        }
        outcome
    }

    /// True when the connection is known to have failed.
    #[cfg_attr(unix, expect(dead_code, reason = "the system tells there"))]
    pub(crate) fn has_failed(&self) -> bool {
        self.failure != 0
    }

    /// Puts an operation, whose lane is set, at the end of it.
    pub(crate) fn link(&mut self, slots: &mut Slots, slot: At) {
        let head = slots.head_mut(slot);
        let (lane, index) = (head.lane, head.id.index());
        if lane == Lane::Free {
            return self.link_free(slots, slot);
        }
        let first = self.first(lane);
        if first == NONE {
            return self.link_first(head);
        }
        let last = slots.head(slots.at(first)).prev();
        slots.head_mut(slot).link(last, first);
        slots.head_mut(slots.at(first)).set_prev(index);
        slots.head_mut(slots.at(last)).set_next(index);
    }

    /// As `link`, beside others. (`anyport bench file --backend io_uring` on a Zen 4, times the loop by hand, two programs in
    /// turns, whose layout may have a part in it: 0.974, 0.977, 0.975, 0.982, 0.978 with a ring like the others', 0.987, 0.982,
    /// 0.981, 0.980, 0.983 this way. A later program of this way: 0.989, 0.983, 0.969, 0.978, 0.984.)
    #[inline(always)]
    pub(crate) fn link_free(&mut self, slots: &mut Slots, slot: At) {
        let last = self.lanes[Lane::Free as usize];
        let head = slots.head_mut(slot);
        let index = head.id.index();
        head.link(last, NONE);
        self.lanes[Lane::Free as usize] = index;
        self.occupied |= Lane::Free.bit();
        if last != NONE {
            slots.head_mut(slots.at(last)).set_next(index);
        }
    }

    /// As `link`, into an empty lane that has an order.
    #[inline(always)]
    pub(crate) fn link_first(&mut self, head: &mut Head) {
        let index = head.id.index();
        head.link(index, index);
        self.lanes[head.lane as usize] = index;
        self.occupied |= head.lane.bit();
    }

    /// True when something may wait for an operation to leave its lane: the next one there, what waits for a connect, a
    /// close.
    #[inline(always)]
    pub(crate) fn is_waited_for(&self, head: &Head) -> bool {
        // Nobody waits behind what has no order.
        head.lane != Lane::Free && !head.is_alone() || self.state != HandleState::Open
    }

    /// Takes an operation out of its lane.
    #[inline(always)]
    pub(crate) fn unlink(&mut self, slots: &mut Slots, slot: At) {
        let head = slots.head(slot);
        let (lane, prev, next, index) = (head.lane, head.prev(), head.next(), head.id.index());
        if lane == Lane::Free {
            return self.unlink_free(slots, prev, next);
        }
        if head.is_alone() {
            return self.empty(lane);
        }
        if self.lanes[lane as usize] == index {
            self.lanes[lane as usize] = next;
        }
        slots.head_mut(slots.at(prev)).set_next(next);
        slots.head_mut(slots.at(next)).set_prev(prev);
    }

    /// Takes the operation between these two out of those that run side by side.
    #[inline(always)]
    fn unlink_free(&mut self, slots: &mut Slots, prev: u32, next: u32) {
        if prev != NONE {
            slots.head_mut(slots.at(prev)).set_next(next);
        }
        match next {
            NONE if prev == NONE => self.empty(Lane::Free),
            NONE => self.lanes[Lane::Free as usize] = prev,
            _ => slots.head_mut(slots.at(next)).set_prev(prev),
        }
    }

    /// Takes the only operation of a lane out.
    #[inline(always)]
    pub(crate) fn empty(&mut self, lane: Lane) {
        self.lanes[lane as usize] = NONE;
        self.occupied &= !lane.bit();
    }

    /// The lanes that have operations, one [`bit`](Lane::bit) each.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
    #[inline]
    pub(crate) fn occupied(&self) -> u8 {
        self.occupied
    }

    /// True when no operation is in any lane.
    pub(crate) fn is_idle(&self) -> bool {
        self.occupied == 0
    }
}

/// Entries in a chunk: small, so that a few handles cost little, and no copy when there are many.
const CHUNK: usize = 64;

/// All handles of a port.
pub(crate) struct Handles {
    chunks: Vec<Box<[Entry; CHUNK]>>,
    free: u32,
    /// The generation of an entry's first handle.
    first_generation: u32,
}

impl Handles {
    pub(crate) fn new(first_generation: u32) -> Handles {
        Handles { chunks: Vec::new(), free: NONE, first_generation }
    }

    #[inline]
    pub(crate) fn entry(&self, index: u32) -> &Entry {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, index: u32) -> &mut Entry {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// The index behind `handle` if it has joined this port and was not closed.
    #[inline]
    pub(crate) fn find(&self, handle: Handle) -> Option<u32> {
        let entry = &self.chunks.get(handle.index as usize / CHUNK)?[handle.index as usize % CHUNK];
        entry.is(handle).then_some(handle.index)
    }

    /// The entry behind `handle`, as `find` finds it.
    #[inline]
    pub(crate) fn find_mut(&mut self, handle: Handle) -> Option<&mut Entry> {
        self.find(handle).map(|index| self.entry_mut(index))
    }

    /// The same, if nothing is special about its state.
    #[inline(always)]
    pub(crate) fn find_open(&mut self, handle: Handle) -> Option<&mut Entry> {
        let entry = &mut self.chunks.get_mut(handle.index as usize / CHUNK)?[handle.index as usize % CHUNK];
        (entry.generation == handle.generation && entry.state == HandleState::Open).then_some(entry)
    }

    pub(crate) fn insert(&mut self, object: Object, kind: Kind, notes: Notes) -> Handle {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let entry = self.entry_mut(index);
        let HandleState::Free { next } = entry.state else { unreachable!("the free list holds free entries") };
        let generation = entry.generation;
        *entry = Entry {
            object: sys::into_raw(object),
            state: HandleState::Open,
            kind,
            notes,
            ..Entry::free(generation, NONE)
        };
        self.free = next;
        Handle { index, generation }
    }

    #[cold]
    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let entry = |i| {
            // The last one is followed by none, which is what is free now.
            let next = if i + 1 < CHUNK { first + i as u32 + 1 } else { NONE };
            Entry::free(self.first_generation, next)
        };
        self.chunks.push(Box::new(std::array::from_fn(entry)));
        self.free = first;
    }

    /// Takes the object out; the handle is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) -> Object {
        let free = self.free;
        let entry = self.entry_mut(index);
        debug_assert!(entry.is_idle());
        entry.generation = entry.generation.wrapping_add(1);
        entry.state = HandleState::Free { next: free };
        self.free = index;
        // SAFETY: the entry owned the object and is free now, so nobody else will close it.
        unsafe { sys::from_raw(std::mem::replace(&mut self.entry_mut(index).object, NO_OBJECT)) }
    }

    /// Closes the objects that are still attached, for when the port is dropped.
    pub(crate) fn drain(&mut self) {
        for entry in self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut()) {
            if !matches!(entry.state, HandleState::Free { .. }) {
                // SAFETY: an entry that is not free owns its object; it is marked free here.
                drop(unsafe { sys::from_raw(entry.object) });
                entry.state = HandleState::Free { next: NONE };
            }
        }
        self.chunks.clear();
        self.free = NONE;
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.drain();
    }
}

#[cfg(all(test, unix))]
const _: () = assert!(size_of::<Entry>() == 64, "an entry is part of what an idle connection costs");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_what_was_linked_and_has_not_left_in_its_order() {
        let mut random = fastrand::Rng::with_seed(7);
        for lane in Lane::ALL {
            let (mut slots, mut entry, mut expected) = (Slots::new(7), Entry::free(7, NONE), Vec::new());
            for _ in 0..2000 {
                if random.bool() && expected.len() < 8 {
                    let slot = slots.allocate();
                    slots.head_mut(slot).lane = lane;
                    entry.link(&mut slots, slot);
                    expected.push(slot);
                } else if !expected.is_empty() {
                    let slot = expected.remove(random.usize(..expected.len()));
                    entry.unlink(&mut slots, slot);
                    slots.release(slot);
                }
                let (mut found, mut index) = (Vec::new(), entry.last(&slots, lane));
                while index != NONE {
                    let slot = slots.at(index);
                    found.push(slot);
                    index = entry.before(slots.head(slot));
                }
                assert!(found.iter().eq(expected.iter().rev()), "{lane:?}");
                assert_eq!(entry.is_idle(), expected.is_empty());
            }
            expected.into_iter().for_each(|slot| slots.release(slot));
        }
    }
}
