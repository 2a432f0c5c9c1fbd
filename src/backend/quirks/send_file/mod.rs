//! Sending from a file, as each system does it.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_vendor = "apple", path = "apple.rs")]
#[cfg_attr(any(target_os = "freebsd", target_os = "dragonfly"), path = "freebsd.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd", target_os = "dragonfly")),
    path = "copy.rs"
)]
mod imp;
#[cfg(not(target_os = "linux"))]
mod unknown;

pub(crate) use imp::{is_at_hand, send_file};
