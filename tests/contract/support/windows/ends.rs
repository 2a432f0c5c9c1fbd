//! Both sides of an object for who plays them without waiting: the far end, and a second look at the near one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::windows::io::{AsRawHandle, AsRawSocket, AsSocket, BorrowedSocket, OwnedHandle, RawSocket};
use std::ptr::null_mut;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use anyport::{Handle, Object, Port};
use socket2::{SockRef, Socket};
use windows_sys::Win32::Foundation::{ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED, HANDLE};
use windows_sys::Win32::Networking::WinSock::{FIONREAD, POLLRDNORM, SOCKET, WSAPOLLFD, WSAPoll, ioctlsocket};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;

use super::pipe;
use crate::support::drive::eventually;

/// The far end: reads and writes answer `WouldBlock`.
pub(crate) enum Far {
    Socket(Socket),
    Pipe(OwnedHandle),
}

impl Far {
    pub(crate) fn new(object: impl Into<Object>) -> Far {
        match object.into() {
            Object::Socket(socket) => {
                let socket = Socket::from(socket);
                socket.set_nonblocking(true).expect("FIONBIO");
                Far::Socket(socket)
            }
            Object::Handle(handle) => Far::Pipe(handle),
        }
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        match self {
            Far::Socket(socket) => SockRef::from(socket),
            Far::Pipe(_) => unreachable!("asked of sockets"),
        }
    }
}

impl Read for Far {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Far::Socket(socket) => socket.read(buf),
            Far::Pipe(handle) => match in_pipe(handle.as_raw_handle()) {
                Ok(0) => Err(ErrorKind::WouldBlock.into()),
                Ok(_) => pipe::read(handle, buf),
                Err(error) if is_end(&error) => Ok(0),
                Err(error) => Err(error),
            },
        }
    }
}

impl Write for Far {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Far::Socket(socket) => socket.write(buf),
            Far::Pipe(handle) => pipe::write_now(handle, buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_end(error: &io::Error) -> bool {
    [ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED].map(|code| Some(code as i32)).contains(&error.raw_os_error())
}

/// Bytes that wait in a pipe.
fn in_pipe(handle: HANDLE) -> io::Result<usize> {
    let mut bytes = 0;
    // SAFETY: the number is of this frame.
    match unsafe { PeekNamedPipe(handle, null_mut(), 0, null_mut(), &mut bytes, null_mut()) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(bytes as usize),
    }
}

/// The near end, which the port has.
#[derive(Debug)]
pub(crate) enum Near {
    Socket(SOCKET),
    Handle(HANDLE),
}

impl Near {
    /// Has its close send a reset.
    pub(crate) fn reset_on_close(&self) {
        let Near::Socket(socket) = *self else { unreachable!("asked of sockets") };
        // SAFETY: the handle is attached, and stays so during the call.
        let socket = unsafe { BorrowedSocket::borrow_raw(socket as RawSocket) };
        SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).expect("SO_LINGER");
    }

    /// Bytes that have arrived and were not received.
    pub(crate) fn unread(&self) -> usize {
        match *self {
            Near::Socket(socket) => {
                let mut bytes = 0;
                // SAFETY: the number is of this frame.
                assert_eq!(unsafe { ioctlsocket(socket, FIONREAD, &mut bytes) }, 0, "FIONREAD");
                bytes as usize
            }
            Near::Handle(handle) => in_pipe(handle).expect("PeekNamedPipe"),
        }
    }
}

/// What is behind a handle, as long as it is attached.
pub(crate) fn near(port: &Port, handle: Handle) -> io::Result<Near> {
    match port.as_socket(handle) {
        Ok(socket) => Ok(Near::Socket(socket.as_raw_socket() as SOCKET)),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Ok(Near::Handle(port.as_handle(handle)?.as_raw_handle()))
        }
        Err(error) => Err(error),
    }
}

/// Whether nobody waits to be accepted.
pub(crate) fn is_idle(listener: &TcpListener) -> bool {
    !is_readable(listener)
}

/// Waits until the system has something to tell: data, an end, an error.
pub(crate) fn until_readable(what: &str, watched: impl AsSocket) {
    eventually(what, || is_readable(&watched));
}

fn is_readable(socket: impl AsSocket) -> bool {
    let mut poll = WSAPOLLFD { fd: socket.as_socket().as_raw_socket() as SOCKET, events: POLLRDNORM, revents: 0 };
    // SAFETY: the structure is of this frame.
    unsafe { WSAPoll(&mut poll, 1, 0) == 1 }
}

/// Does something while another thread asks all the time whether there is something to tell.
pub(crate) fn while_asked<T>(watched: impl AsSocket + Send, act: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (_acting, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                is_readable(&watched);
            }
        });
        act()
    })
}
