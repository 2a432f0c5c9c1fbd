//! On Asio: `native/asio.cpp`.

use std::ffi::c_int;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::IntoRawFd;

use measure::work::Work;

unsafe extern "C" {
    safe fn anyport_bench_asio_version() -> c_int;
    safe fn anyport_bench_asio_tcp(fd: c_int, buffer: usize) -> c_int;
    safe fn anyport_bench_asio_udp(fd: c_int, reply: c_int, buffer: usize) -> c_int;
}

pub(crate) fn here() -> Result<(), String> {
    Ok(())
}

pub(super) fn version() -> Option<String> {
    let version = anyport_bench_asio_version();
    Some(format!("{}.{}.{}", version / 100_000, version / 100 % 1000, version % 100))
}

pub(super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
    ended(anyport_bench_asio_tcp(listener.into_raw_fd(), work.buffer()))
}

pub(super) fn udp(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    ended(anyport_bench_asio_udp(socket.into_raw_fd(), reply.into(), length))
}

/// The system's error, or 0.
fn ended(status: c_int) -> io::Result<()> {
    if status != 0 { Err(io::Error::from_raw_os_error(status)) } else { Ok(()) }
}
