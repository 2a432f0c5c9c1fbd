//! What differs between systems below the port: objects and how they are named, error numbers, the memory
//! that calls read and write, files and paths, the waker.
//!
//! `cfg` picks a folder here, so that the port, the operations and the slots are one source. Both folders
//! offer the same names; a backend, which exists on one system only, may use the others of its folder too.

#[cfg_attr(not(target_os = "linux"), path = "instant.rs")]
mod monotonic;
#[cfg(unix)]
pub(crate) mod unix;
#[cfg(windows)]
pub(crate) mod windows;

pub(crate) use monotonic::Monotonic;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;
