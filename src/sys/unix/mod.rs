//! What the reactor's selectors and the poller's queues have in common: the calls that wait, as precisely as the
//! system can.

#[cfg(target_os = "linux")]
pub(crate) mod epoll;
pub(crate) mod poll;
