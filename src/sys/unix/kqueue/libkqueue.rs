//! libkqueue, a kqueue(2) of C code over epoll: it lets the kqueue backend's tests run on Linux. Only in builds with
//! `--cfg anyport_libkqueue`, as `cargo xtask kqueue` makes them; `docs/BACKENDS.md` tells how and what differs.
//!
//! The names that the `libc` crate has on the systems with a kqueue of their own (libkqueue's `sys/event.h`).

use std::ffi::{c_int, c_short, c_uint, c_ushort, c_void};

#[derive(Clone, Copy)]
#[repr(C)]
#[allow(non_camel_case_types)] // its name in C
pub(crate) struct kevent {
    pub(crate) ident: usize,
    pub(crate) filter: c_short,
    pub(crate) flags: c_ushort,
    pub(crate) fflags: c_uint,
    pub(crate) data: isize,
    pub(crate) udata: *mut c_void,
}

pub(crate) const EVFILT_READ: c_short = -1;
pub(crate) const EVFILT_WRITE: c_short = -2;
pub(crate) const EVFILT_PROC: c_short = -5;
pub(crate) const EVFILT_SIGNAL: c_short = -6;
pub(crate) const EVFILT_USER: c_short = -11;

pub(crate) const EV_ADD: c_ushort = 0x1;
pub(crate) const EV_DELETE: c_ushort = 0x2;
pub(crate) const EV_ONESHOT: c_ushort = 0x10;
pub(crate) const EV_CLEAR: c_ushort = 0x20;
pub(crate) const EV_RECEIPT: c_ushort = 0x40;
pub(crate) const EV_ERROR: c_ushort = 0x4000;
pub(crate) const EV_EOF: c_ushort = 0x8000;

pub(crate) const NOTE_TRIGGER: c_uint = 0x0100_0000;
pub(crate) const NOTE_EXIT: c_uint = 0x8000_0000;

#[link(name = "kqueue")]
unsafe extern "C" {
    pub(crate) fn kqueue() -> c_int;
    pub(crate) fn kevent(
        kq: c_int,
        changes: *const kevent,
        change_count: c_int,
        events: *mut kevent,
        event_room: c_int,
        timeout: *const libc::timespec,
    ) -> c_int;
}
