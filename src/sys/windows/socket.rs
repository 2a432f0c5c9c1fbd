//! What Winsock is asked about a socket, or told, beside moving data.

use std::io;
use std::ptr;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNIX, INVALID_SOCKET, POLLERR, SIO_UDP_CONNRESET, SO_ACCEPTCONN, SO_PROTOCOL_INFOW,
    SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCK_STREAM, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6,
    SOCKADDR_STORAGE, SOCKADDR_UN, SOCKET, SOL_SOCKET, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSAEINVAL,
    WSAIoctl, WSAPOLLFD, WSAPROTOCOL_INFOW, WSAPoll, WSASocketW, bind, closesocket, getpeername, getsockopt,
    setsockopt,
};

use super::errno;

/// What the last call of Winsock in this thread failed with.
pub(crate) fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(errno::OTHER)
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(last_error())) }
}

/// A socket's family, type and protocol, and its provider.
pub(crate) fn protocol_info(socket: SOCKET) -> io::Result<WSAPROTOCOL_INFOW> {
    let mut info = WSAPROTOCOL_INFOW::default();
    let mut len = size_of::<WSAPROTOCOL_INFOW>() as i32;
    // SAFETY: the structure is of this frame and as long as is said.
    check(unsafe { getsockopt(socket, SOL_SOCKET, SO_PROTOCOL_INFOW, (&raw mut info).cast(), &mut len) })?;
    Ok(info)
}

/// Whether it has a peer.
pub(crate) fn is_connected(socket: SOCKET) -> bool {
    let mut name = SOCKADDR_STORAGE::default();
    let mut len = size_of::<SOCKADDR_STORAGE>() as i32;
    // SAFETY: the structure is of this frame and as long as is said.
    unsafe { getpeername(socket, (&raw mut name).cast(), &mut len) == 0 }
}

/// Whether it takes connections.
pub(crate) fn listens(socket: SOCKET) -> bool {
    let (mut listens, mut len) = (0i32, size_of::<i32>() as i32);
    // SAFETY: the number is of this frame and as long as is said.
    let result = unsafe { getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, (&raw mut listens).cast(), &mut len) };
    result == 0 && listens != 0
}

/// Whether the connection of a socket whose stream has ended was reset. A receive that finds a reset says so; but where
/// the reset was there before it (seen on Wine 8), it may look like an end, and only the error state tells.
pub(crate) fn was_reset(socket: SOCKET) -> bool {
    let mut poll = WSAPOLLFD { fd: socket, events: 0, revents: 0 };
    // SAFETY: the structure is of this frame; without a time-out the call does not wait.
    unsafe { WSAPoll(&mut poll, 1, 0) == 1 && poll.revents & POLLERR != 0 }
}

/// Whether a datagram socket's receives report that an earlier send was refused. As elsewhere, that is for
/// connected sockets: on others it would end a receive that waits for someone else. (Where it cannot be chosen,
/// they are reported.)
pub(crate) fn report_refusals(socket: SOCKET, on: bool) {
    let on = i32::from(on);
    let mut bytes = 0;
    // SAFETY: the number is of this frame; not overlapped, so the call is over when it returns.
    unsafe {
        let size = size_of::<i32>() as u32;
        let input = (&raw const on).cast();
        WSAIoctl(socket, SIO_UDP_CONNRESET, input, size, ptr::null_mut(), 0, &mut bytes, ptr::null_mut(), None);
    }
}

/// A stream socket for overlapped calls, which no child process inherits.
pub(crate) fn stream(family: u16, protocol: i32) -> Result<SOCKET, i32> {
    let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    // SAFETY: a call without pointers.
    let socket = unsafe { WSASocketW(i32::from(family), SOCK_STREAM, protocol, ptr::null(), 0, flags) };
    if socket == INVALID_SOCKET { Err(last_error()) } else { Ok(socket) }
}

/// Binds to any address of the family, as a connect does elsewhere by itself; `ConnectEx` insists on it. One
/// that is bound stays so.
pub(crate) fn bind_to_any(socket: SOCKET, family: u16) -> io::Result<()> {
    let name = SOCKADDR_STORAGE { ss_family: family, ..SOCKADDR_STORAGE::default() };
    let len = match family {
        AF_INET => size_of::<SOCKADDR_IN>(),
        AF_INET6 => size_of::<SOCKADDR_IN6>(),
        AF_UNIX => size_of::<SOCKADDR_UN>(),
        _ => size_of::<SOCKADDR_STORAGE>(),
    };
    // SAFETY: the name is of this frame, and `len` bytes of it are an address of the family: all zero.
    match check(unsafe { bind(socket, (&raw const name).cast::<SOCKADDR>(), len as i32) }) {
        Err(error) if error.raw_os_error() == Some(WSAEINVAL) => Ok(()),
        result => result,
    }
}

/// Makes a socket that `AcceptEx` connected a full one: names, options and shutdown work from here on.
pub(crate) fn update_accepted(socket: SOCKET, listener: SOCKET) -> io::Result<()> {
    let size = size_of::<SOCKET>() as i32;
    // SAFETY: the option's value is of this frame.
    check(unsafe { setsockopt(socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (&raw const listener).cast(), size) })
}

/// The same for `ConnectEx`.
pub(crate) fn update_connected(socket: SOCKET) -> io::Result<()> {
    // SAFETY: the option has no value.
    check(unsafe { setsockopt(socket, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, ptr::null(), 0) })
}

/// Closes a socket that nobody else has.
pub(crate) fn close(socket: SOCKET) -> io::Result<()> {
    // SAFETY: the caller gives the socket away.
    check(unsafe { closesocket(socket) })
}
