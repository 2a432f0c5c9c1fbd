//! An object is a descriptor: owned, or the number alone.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// What can be lent as a file.
pub(crate) use std::os::fd::AsFd as AsFile;

/// What [`Port::detach`](crate::Port::detach) gives back.
pub type Object = OwnedFd;

/// Names an object that somebody else owns.
pub(crate) type Raw = RawFd;

/// Names none.
pub(crate) const NO_OBJECT: Raw = -1;

/// Names a file that is lent.
pub(crate) fn raw_file(file: &impl AsFile) -> Raw {
    file.as_fd().as_raw_fd()
}

/// Gives the ownership away.
pub(crate) fn into_raw(object: Object) -> Raw {
    object.into_raw_fd()
}

/// Takes the ownership.
///
/// # Safety
/// `raw` came from [`into_raw`], or from a call that made it, and nobody else owns it.
pub(crate) unsafe fn from_raw(raw: Raw) -> Object {
    // SAFETY: the caller's.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
