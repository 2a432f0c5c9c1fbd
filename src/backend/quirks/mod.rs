//! Calls that differ from Unix to Unix, under one name each.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod imp;
mod signal;

pub(crate) use imp::*;
