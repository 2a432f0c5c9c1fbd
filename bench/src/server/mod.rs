//! The servers that are compared, each as its own documentation recommends and as well as its authors would write it: a peer
//! that is slowed down here is a defect.
//!
//! A server gets a listening socket, or a bound datagram socket, and the work that it will be given, and serves on the calling
//! thread for ever: it is killed. It sizes its queues and buffers by the rules of [`Work`], as all others do, and takes
//! Nagle's delay off its connections. An error of a connection ends that connection.

mod a10;
mod anyport;
#[cfg_attr(not(asio), path = "absent.rs")]
mod asio;
mod compio;
mod drain;
#[cfg_attr(not(libuv), path = "absent.rs")]
pub(crate) mod libuv;
mod mio;
mod monoio;
mod polling;
pub mod process;
mod smol;
mod tokio;

use std::io;
use std::net::{TcpListener, UdpSocket};

use ::anyport::Backend;
use measure::raw;
use measure::work::Work;

/// One of those that are compared.
pub struct Server {
    /// How the report calls it.
    pub name: &'static str,
    /// The backend of Anyport that it is.
    pub backend: Option<Backend>,
    /// Whether it can run here, or what is missing.
    pub here: fn() -> Result<(), String>,
    /// Echoes on the connections of a listening socket.
    pub tcp: fn(TcpListener, &Work) -> io::Result<()>,
    /// Takes datagrams of so many bytes at most, and sends them back if that is asked for.
    pub udp: fn(UdpSocket, bool, usize) -> io::Result<()>,
}

/// Everyone, in the order of their turns.
#[rustfmt::skip] // a table: a row a server
pub const ALL: &[Server] = &[
    peer("by hand, epoll", always, raw::epoll::serve, raw::udp::epoll),
    peer("by hand, io_uring", io_uring, raw::uring::serve, raw::udp::uring),
    peer("by hand, io_uring multishot", io_uring, raw::multishot::serve, raw::udp::multishot),
    peer("mio", always, mio::tcp, mio::udp),
    peer("polling", always, polling::tcp, polling::udp),
    peer("tokio", always, tokio::tcp, tokio::udp),
    peer("compio", io_uring, compio::tcp, compio::udp),
    peer("monoio", io_uring, monoio::tcp, monoio::udp),
    peer("smol", always, smol::tcp, smol::udp),
    peer("a10", io_uring, a10::tcp, a10::udp),
    peer("libuv", libuv::here, libuv::tcp, libuv::udp),
    peer("Asio", asio::here, asio::tcp, asio::udp),
    anyport("anyport, io_uring", Backend::Uring, || Backend::Uring.check(), anyport::tcp_uring, anyport::udp_uring),
    anyport("anyport, epoll", Backend::Epoll, || Backend::Epoll.check(), anyport::tcp_epoll, anyport::udp_epoll),
    anyport("anyport, poll", Backend::Poll, || Backend::Poll.check(), anyport::tcp_poll, anyport::udp_poll),
];

type Tcp = fn(TcpListener, &Work) -> io::Result<()>;
type Udp = fn(UdpSocket, bool, usize) -> io::Result<()>;
type Here = fn() -> Result<(), String>;

const fn peer(name: &'static str, here: Here, tcp: Tcp, udp: Udp) -> Server {
    Server { name, backend: None, here, tcp, udp }
}

const fn anyport(name: &'static str, backend: Backend, here: Here, tcp: Tcp, udp: Udp) -> Server {
    Server { name, backend: Some(backend), here, tcp, udp }
}

fn always() -> Result<(), String> {
    Ok(())
}

fn io_uring() -> Result<(), String> {
    Backend::Uring.check()
}

/// The versions of the C and C++ libraries that were built in.
pub fn native_versions() -> Vec<(&'static str, String)> {
    [("libuv", libuv::version()), ("Asio", asio::version())]
        .into_iter()
        .filter_map(|(name, version)| Some((name, version?)))
        .collect()
}

/// The server of that name.
pub fn named(name: &str) -> Option<&'static Server> {
    ALL.iter().find(|server| server.name == name)
}
