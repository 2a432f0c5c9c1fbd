//! Calls that differ from Unix to Unix, under one name each.

#[cfg_attr(not(target_vendor = "apple"), path = "accept4.rs")]
mod accept;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod imp;
pub(crate) mod send_file;
#[cfg_attr(any(target_vendor = "apple", target_os = "netbsd"), path = "nosigpipe.rs")]
mod signal;

pub(crate) use accept::accept;
pub(crate) use imp::*;
pub(crate) use signal::{silence, without_signal};
