//! What only some systems have, as extension traits.

#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    anyport_libkqueue
))]
pub mod kqueue;
#[cfg(windows)]
pub mod windows;
