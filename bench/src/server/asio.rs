//! On Asio: `native/asio.cpp`.

use std::io;
use std::net::{TcpListener, UdpSocket};

use measure::work::Work;

pub(super) use built::{here, tcp, udp, version};

#[cfg(not(asio))]
use absent as built;

#[cfg(asio)]
mod built {
    use super::*;
    use std::ffi::c_int;
    use std::os::fd::IntoRawFd;

    unsafe extern "C" {
        safe fn anyport_bench_asio_version() -> c_int;
        safe fn anyport_bench_asio_tcp(fd: c_int, buffer: usize) -> c_int;
        safe fn anyport_bench_asio_udp(fd: c_int, reply: c_int, buffer: usize) -> c_int;
    }

    pub(in super::super) fn here() -> Result<(), String> {
        Ok(())
    }

    pub(in super::super) fn version() -> Option<String> {
        let version = anyport_bench_asio_version();
        Some(format!("{}.{}.{}", version / 100_000, version / 100 % 1000, version % 100))
    }

    pub(in super::super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
        ended(anyport_bench_asio_tcp(listener.into_raw_fd(), work.buffer()))
    }

    pub(in super::super) fn udp(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
        ended(anyport_bench_asio_udp(socket.into_raw_fd(), reply.into(), length))
    }

    /// The system's error, or 0.
    fn ended(status: c_int) -> io::Result<()> {
        if status != 0 { Err(io::Error::from_raw_os_error(status)) } else { Ok(()) }
    }
}

#[cfg(not(asio))]
mod absent {
    use super::*;

    const WHY: &str = "Asio was not there when this was built; install libasio-dev and build again";

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
