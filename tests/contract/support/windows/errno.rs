//! The numbers of the events that tests name by their Unix name.
#![allow(dead_code)]

use windows_sys::Win32::Networking::WinSock::{WSAECONNREFUSED, WSAECONNRESET, WSAENOTCONN};

pub(crate) const EPERM: i32 = 1;
pub(crate) const EOPNOTSUPP: i32 = -1;
pub(crate) const ECONNRESET: i32 = WSAECONNRESET;
pub(crate) const ECONNREFUSED: i32 = WSAECONNREFUSED;
pub(crate) const ENOTCONN: i32 = WSAENOTCONN;
