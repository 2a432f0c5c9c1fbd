//! What an operation lends, with its type erased.
//!
//! A payload (the buffer and whatever else the operation owns) is stored in the operation's slot,
//! inline if it fits [`INLINE`] bytes, else boxed, and moves to the [`Completion`](crate::Completion)
//! when the operation is over. [`VTable`] remembers which operation it belongs to and how to drop it.
//! Life: `put` at a stable address -> the system uses it -> exactly one of `take` or `drop`.

use std::any::TypeId;
use std::mem::MaybeUninit;

/// Bytes of a payload that are stored without a box.
pub(crate) const INLINE: usize = 48;

/// Room for one payload.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Room([MaybeUninit<u8>; INLINE]);

impl Room {
    pub(crate) const fn new() -> Room {
        Room([MaybeUninit::uninit(); INLINE])
    }
}

/// The operation behind an erased payload.
pub(crate) struct VTable {
    pub(crate) type_id: TypeId,
    pub(crate) name: &'static str,
    drop: unsafe fn(*mut Room),
}

const fn fits<P>() -> bool {
    size_of::<P>() <= INLINE && align_of::<P>() <= align_of::<Room>()
}

impl VTable {
    /// The table of the operation `O`, whose payload is a `P`.
    pub(crate) const fn of<O: 'static, P: 'static>(name: &'static str) -> VTable {
        VTable { type_id: TypeId::of::<O>(), name, drop: drop_in_room::<P> }
    }

    /// Drops the payload in `room`.
    ///
    /// # Safety
    /// `room` holds a payload put there with this table's `P`, which is not used again.
    pub(crate) unsafe fn drop(&self, room: *mut Room) {
        // SAFETY: the caller's.
        unsafe { (self.drop)(room) }
    }
}

/// Stores a payload and says where it is for good (the room must not move before it is taken).
///
/// # Safety
/// `room` is valid for writes and holds no payload.
pub(crate) unsafe fn put<P>(room: *mut Room, payload: P) -> *mut P {
    if fits::<P>() {
        let place = room.cast::<P>();
        // SAFETY: it fits in size and alignment; the caller's: valid for writes.
        unsafe { place.write(payload) };
        place
    } else {
        let place = Box::into_raw(Box::new(payload));
        // SAFETY: a pointer fits; the caller's: valid for writes.
        unsafe { room.cast::<*mut P>().write(place) };
        place
    }
}

/// Moves a payload out.
///
/// # Safety
/// `room` holds a payload of type `P` that `put` stored, and it is not used again.
pub(crate) unsafe fn take<P>(room: *const Room) -> P {
    if fits::<P>() {
        // SAFETY: the caller's: a P was written here.
        unsafe { room.cast::<P>().read() }
    } else {
        // SAFETY: the caller's: `put` stored a pointer from Box::into_raw here.
        unsafe { *Box::from_raw(room.cast::<*mut P>().read()) }
    }
}

unsafe fn drop_in_room<P>(room: *mut Room) {
    // SAFETY: the caller's, as for `take`.
    drop(unsafe { take::<P>(room) });
}
