//! Parts of the operating system that more than one backend is built on.

#[cfg(windows)]
pub(crate) mod windows;
