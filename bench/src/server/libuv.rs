//! On libuv: `native/libuv.c`.

use std::io;
use std::net::{TcpListener, UdpSocket};

use measure::work::Work;

pub(super) use built::{here, tcp, udp, version};

#[cfg(not(libuv))]
use absent as built;

#[cfg(libuv)]
mod built {
    use super::*;
    use std::ffi::{CStr, c_char, c_int};
    use std::os::fd::IntoRawFd;

    unsafe extern "C" {
        safe fn anyport_bench_uv_version() -> *const c_char;
        safe fn anyport_bench_uv_tcp(fd: c_int, buffer: usize) -> c_int;
        safe fn anyport_bench_uv_udp(fd: c_int, replies: c_int) -> c_int;
    }

    pub(in super::super) fn here() -> Result<(), String> {
        Ok(())
    }

    pub(in super::super) fn version() -> Option<String> {
        // SAFETY: the library returns a string that is never freed.
        Some(unsafe { CStr::from_ptr(anyport_bench_uv_version()) }.to_string_lossy().into_owned())
    }

    pub(in super::super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
        ended(anyport_bench_uv_tcp(listener.into_raw_fd(), work.buffer()))
    }

    pub(in super::super) fn udp(socket: UdpSocket, reply: bool, _: usize) -> io::Result<()> {
        ended(anyport_bench_uv_udp(socket.into_raw_fd(), reply.into()))
    }

    /// libuv's errors are the system's, negative.
    fn ended(status: c_int) -> io::Result<()> {
        if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
    }
}

#[cfg(not(libuv))]
mod absent {
    use super::*;

    const WHY: &str = "libuv was not there when this was built; install libuv1-dev and build again";

    pub(in super::super) fn here() -> Result<(), String> {
        Err(WHY.to_owned())
    }

    pub(in super::super) fn version() -> Option<String> {
        None
    }

    pub(in super::super) fn tcp(_: TcpListener, _: &Work) -> io::Result<()> {
        Err(io::Error::other(WHY))
    }

    pub(in super::super) fn udp(_: UdpSocket, _: bool, _: usize) -> io::Result<()> {
        Err(io::Error::other(WHY))
    }
}
