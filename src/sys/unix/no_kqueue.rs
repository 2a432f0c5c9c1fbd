//! In place of `kqueue`, on a system without: the waker that every Unix has.

pub(crate) use crate::sys::unix::waker::Descriptor as Waker;
