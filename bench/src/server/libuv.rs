//! On libuv: `native/libuv.c`.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::IntoRawFd;

use measure::work::Work;

unsafe extern "C" {
    safe fn anyport_bench_uv_version() -> *const c_char;
    safe fn anyport_bench_uv_tcp(fd: c_int, buffer: usize) -> c_int;
    safe fn anyport_bench_uv_udp(fd: c_int, replies: c_int) -> c_int;
}

pub(crate) fn here() -> Result<(), String> {
    Ok(())
}

pub(super) fn version() -> Option<String> {
    // SAFETY: the library returns a string that is never freed.
    Some(unsafe { CStr::from_ptr(anyport_bench_uv_version()) }.to_string_lossy().into_owned())
}

pub(super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
    ended(anyport_bench_uv_tcp(listener.into_raw_fd(), work.buffer()))
}

pub(super) fn udp(socket: UdpSocket, reply: bool, _: usize) -> io::Result<()> {
    ended(anyport_bench_uv_udp(socket.into_raw_fd(), reply.into()))
}

/// libuv's errors are the system's, negative.
fn ended(status: c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
}
