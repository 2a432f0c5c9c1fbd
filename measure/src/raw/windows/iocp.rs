//! Echo on a bare completion port: a receive, then a send, then a receive, each an overlapped call on the connection's own
//! buffer. A call that succeeds at once has no packet, so a connection goes on until one has to wait.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::windows::io::{AsRawSocket, FromRawSocket, OwnedSocket, RawSocket};
use std::ptr::null;

use slab::Slab;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AcceptEx, INVALID_SOCKET, IPPROTO_TCP, SO_UPDATE_ACCEPT_CONTEXT, SOCK_STREAM, SOCKADDR_STORAGE, SOCKET,
    SOL_SOCKET, TCP_NODELAY, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSABUF, WSARecv, WSASend, WSASocketW,
    setsockopt,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::completion_port::{CompletionPort, give_up, issued, result};
use crate::work::Work;

/// The key of the listener's packets; connections have their place in the slab.
const LISTENER: usize = usize::MAX;

/// Accepts that are with the system.
const ACCEPTS: usize = 8;

/// `AcceptEx` wants 16 bytes more than the largest address, twice.
const ADDRESS: usize = size_of::<SOCKADDR_STORAGE>() + 16;

/// An accept; its packet names it by its address.
#[repr(C)]
struct Accept {
    memory: OVERLAPPED,
    addresses: [u8; 2 * ADDRESS],
    socket: Option<OwnedSocket>,
}

/// A connection has one call with the system at most.
struct Connection {
    memory: OVERLAPPED,
    socket: OwnedSocket,
    buffer: Box<[u8]>,
    received: usize,
    sent: usize,
}

struct Server {
    port: CompletionPort,
    #[expect(clippy::vec_box, reason = "the system knows the address of each")]
    accepts: Vec<Box<Accept>>,
    /// Boxed, because the system knows the address of each.
    open: Slab<Box<Connection>>,
    gone: usize,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, work: &Work) -> io::Result<()> {
    let (port, open) = (CompletionPort::new()?, Slab::with_capacity(work.connections.min(1 << 16)));
    let mut server = Server { port, accepts: Vec::with_capacity(ACCEPTS), open, gone: 0 };
    let served = server.echo(&listener, work).and_then(|()| server.take_back(&listener));
    if served.is_err() || !server.open.is_empty() {
        // The system may still write to the memory of calls that are under way.
        mem::forget(server);
    }
    served
}

impl Server {
    fn echo(&mut self, listener: &TcpListener, work: &Work) -> io::Result<()> {
        // Accepts that succeed at once are not many; each has a packet.
        self.port.join_with_packets(listener.as_raw_socket() as usize, LISTENER)?;
        for _ in 0..ACCEPTS {
            let (memory, addresses) = (OVERLAPPED::default(), [0; 2 * ADDRESS]);
            let mut accept = Box::new(Accept { memory, addresses, socket: None });
            accept.start(listener)?;
            self.accepts.push(accept);
        }
        let mut packets = Vec::with_capacity(256);
        while self.gone < work.total {
            self.port.wait(&mut packets, None)?;
            for packet in &packets {
                match packet.lpCompletionKey {
                    LISTENER => self.accepted(listener, packet.lpOverlapped, work)?,
                    place => {
                        let moved = result(&self.open[place].memory);
                        self.go_on(place, moved);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a connection, and the next accept up.
    fn accepted(&mut self, listener: &TcpListener, memory: *mut OVERLAPPED, work: &Work) -> io::Result<()> {
        let accept = self.accepts.iter_mut().find(|accept| std::ptr::eq(&accept.memory, memory));
        let accept = accept.expect("the listener's packets are those of its accepts");
        let socket = accept.socket.take().expect("an accept under way has a socket");
        let accepted = result(&accept.memory);
        accept.start(listener)?;
        // One that was lost before it was accepted is passed over.
        if accepted.is_err() || option(&socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, listener.as_raw_socket()).is_err()
        {
            self.gone += 1;
            return Ok(());
        }
        option(&socket, IPPROTO_TCP, TCP_NODELAY, 1_i32)?;
        let entry = self.open.vacant_entry();
        let place = entry.key();
        self.port.join(socket.as_raw_socket() as usize, place)?;
        let buffer = vec![0; work.buffer()].into();
        entry.insert(Box::new(Connection { memory: OVERLAPPED::default(), socket, buffer, received: 0, sent: 0 }));
        let received = self.open[place].receive();
        self.follow(place, received);
        Ok(())
    }

    /// Goes on with a connection whose call is over.
    fn go_on(&mut self, place: usize, moved: io::Result<usize>) {
        let next = self.open[place].next(moved);
        self.follow(place, next);
    }

    /// Makes calls as long as they are over at once; ends the connection when they say so.
    fn follow(&mut self, place: usize, mut issued: io::Result<Option<usize>>) {
        loop {
            match issued {
                Ok(None) => return,
                Ok(Some(moved)) => issued = self.open[place].next(Ok(moved)),
                Err(_) => {
                    // No call of it is with the system.
                    self.open.remove(place);
                    self.gone += 1;
                    return;
                }
            }
        }
    }

    /// Waits until the system has let go of the accepts.
    fn take_back(&mut self, listener: &TcpListener) -> io::Result<()> {
        give_up(listener.as_raw_socket() as usize);
        let mut packets = Vec::with_capacity(ACCEPTS);
        let mut back = 0;
        while back < self.accepts.len() {
            self.port.wait(&mut packets, None)?;
            back += packets.iter().filter(|packet| packet.lpCompletionKey == LISTENER).count();
        }
        Ok(())
    }
}

impl Accept {
    /// Hands the next accept to the system.
    fn start(&mut self, listener: &TcpListener) -> io::Result<()> {
        let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
        // SAFETY: a call without pointers.
        let socket = unsafe { WSASocketW(i32::from(AF_INET), SOCK_STREAM, IPPROTO_TCP, null(), 0, flags) };
        if socket == INVALID_SOCKET {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this socket, and nobody else has it.
        self.socket = Some(unsafe { OwnedSocket::from_raw_socket(socket as RawSocket) });
        self.memory = OVERLAPPED::default();
        let mut bytes = 0;
        // SAFETY: the box is in place until its packet was taken (see `serve` and `take_back`).
        let succeeded = unsafe {
            let listener = listener.as_raw_socket() as SOCKET;
            let (room, length) = (self.addresses.as_mut_ptr().cast(), ADDRESS as u32);
            AcceptEx(listener, socket, room, 0, length, length, &mut bytes, &mut self.memory)
        };
        issued(succeeded != 0, 0).map(drop)
    }
}

impl Connection {
    /// The call after one that has moved so many bytes. An error, and the end of the stream, end the connection.
    fn next(&mut self, moved: io::Result<usize>) -> io::Result<Option<usize>> {
        match moved? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            moved if self.sent < self.received => self.sent += moved,
            moved => (self.received, self.sent) = (moved, 0),
        }
        if self.sent < self.received { self.send() } else { self.receive() }
    }

    fn receive(&mut self) -> io::Result<Option<usize>> {
        let list = WSABUF { len: self.buffer.len() as u32, buf: self.buffer.as_mut_ptr() };
        let (socket, memory) = (self.socket.as_raw_socket() as SOCKET, self.fresh());
        let (mut bytes, mut flags) = (0, 0);
        // SAFETY: the box and the buffer are in place until the call is over; the system copies the list.
        let result = unsafe { WSARecv(socket, &list, 1, &mut bytes, &mut flags, memory, None) };
        issued(result == 0, bytes)
    }

    fn send(&mut self) -> io::Result<Option<usize>> {
        let rest = &mut self.buffer[self.sent..self.received];
        let list = WSABUF { len: rest.len() as u32, buf: rest.as_mut_ptr() };
        let (socket, memory) = (self.socket.as_raw_socket() as SOCKET, self.fresh());
        let mut bytes = 0;
        // SAFETY: as above.
        let result = unsafe { WSASend(socket, &list, 1, &mut bytes, 0, memory, None) };
        issued(result == 0, bytes)
    }

    /// The memory of the next call.
    fn fresh(&mut self) -> *mut OVERLAPPED {
        self.memory = OVERLAPPED::default();
        &raw mut self.memory
    }
}

fn option<T>(socket: &OwnedSocket, level: i32, name: i32, value: T) -> io::Result<()> {
    // SAFETY: the value is of this frame, and as long as is said.
    let result = unsafe {
        let value = (&raw const value).cast();
        setsockopt(socket.as_raw_socket() as SOCKET, level, name, value, size_of::<T>() as i32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
