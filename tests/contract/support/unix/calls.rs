//! The system calls by what they are for, in whichever form a backend makes them.

pub(crate) const WAITS: &[&str] = &["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "io_uring_enter"];
pub(crate) const RECVS: &[&str] = &["recvfrom", "recvmsg", "read", "readv"];
pub(crate) const SENDS: &[&str] = &["sendto", "sendmsg", "write", "writev"];

/// Waking a thread of the blocking pool.
pub(crate) const NOTIFIES: &[&str] = &["futex"];

/// Memory for what is queued.
pub(crate) const MEMORY: &[&str] = &["brk", "mmap", "munmap", "mremap"];

/// What sets the clock that ends a wait: the wait itself does.
pub(crate) const ALARMS: &[&str] = &[];
