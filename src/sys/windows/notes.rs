//! What the backend notes about a handle.

use std::num::NonZero;
use std::os::windows::io::RawSocket;
use windows_sys::Win32::Networking::WinSock::ADDRESS_FAMILY;

/// How an object's data is moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Route {
    /// By overlapped calls. `skips`: no packet comes for a call that succeeds at once
    /// (`FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`).
    Overlapped { skips: bool },
    /// By the blocking pool: it was opened for synchronous calls, or is a console.
    #[default]
    Blocking,
}

/// Beside its number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) route: Route,
    /// A socket's family and protocol: an accept needs a second socket of these.
    pub(crate) family: ADDRESS_FAMILY,
    pub(crate) protocol: i32,
    /// Receiving was shut down: a receive that would have to wait is an end of stream.
    pub(crate) deaf: bool,
    /// Where a receive or send on a file begins: an overlapped file has no position of its own. (0 for all else.)
    pub(crate) position: u64,
    /// The socket below all layers, as AFD knows it, once it was asked for.
    pub(crate) base: Option<NonZero<RawSocket>>,
}
