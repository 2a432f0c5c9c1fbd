//! The load on Windows: overlapped calls on a completion port.

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::os::windows::io::AsRawSocket;
use std::time::Instant;

use windows_sys::Win32::Networking::WinSock::{SOCKET, WSABUF, WSARecv, WSASend};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::{LIMIT, Meter};
use crate::raw::completion_port::{CompletionPort, issued, result};

/// Connects to the server.
pub fn connect(addr: SocketAddr, _place: usize) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A connection has one send and one receive with the system at most.
#[repr(C)]
struct Exchange {
    receive: OVERLAPPED,
    send: OVERLAPPED,
    socket: SOCKET,
    began: Instant,
    sent: usize,
    received: usize,
    /// A send is with the system.
    sending: bool,
}

/// The completion port that the sockets have joined, each with its place for a key. They cannot join another.
pub(super) struct Queue(CompletionPort);

impl Queue {
    pub(super) fn of(active: &[&TcpStream]) -> io::Result<Queue> {
        let port = CompletionPort::new()?;
        for (place, socket) in active.iter().enumerate() {
            port.join(socket.as_raw_socket() as usize, place)?;
        }
        Ok(Queue(port))
    }

    /// Drives the sockets, always the same, until `meter` has had enough and nothing is under way any more.
    pub(super) fn drive<P>(&self, active: &[&TcpStream], message: &[u8], meter: &mut Meter<'_, P>) -> io::Result<()> {
        let mut load = Load { message: message.to_owned(), ignored: vec![0; message.len()], exchanges: Vec::new() };
        let driven = load.exchange(&self.0, active, meter);
        if driven.is_err() {
            // The system may still write to the memory of calls that are under way.
            mem::forget(load);
        }
        driven
    }
}

struct Load {
    message: Vec<u8>,
    /// All receive into this: nobody reads it.
    ignored: Vec<u8>,
    #[expect(clippy::vec_box, reason = "the system knows the address of each")]
    exchanges: Vec<Box<Exchange>>,
}

impl Load {
    fn exchange<P>(
        &mut self,
        port: &CompletionPort,
        active: &[&TcpStream],
        meter: &mut Meter<'_, P>,
    ) -> io::Result<()> {
        let mut replied = Vec::new();
        for (place, socket) in active.iter().enumerate() {
            let (receive, send) = (OVERLAPPED::default(), OVERLAPPED::default());
            let (socket, began) = (socket.as_raw_socket() as SOCKET, Instant::now());
            let exchange = Exchange { receive, send, socket, began, sent: 0, received: 0, sending: false };
            self.exchanges.push(Box::new(exchange));
            if self.begin(place)? {
                replied.push(place);
            }
        }
        let mut packets = Vec::with_capacity(1024);
        let (mut busy, mut go_on) = (active.len(), true);
        while busy > 0 {
            let now = Instant::now();
            let began = |&place: &usize| now - self.exchanges[place].began;
            go_on &= meter.replied(now, replied.iter().map(began))?;
            // Those that bring the next reply at once have their turn in the next batch.
            for place in mem::take(&mut replied) {
                if !go_on {
                    busy -= 1;
                } else if self.begin(place)? {
                    replied.push(place);
                }
            }
            if busy == 0 {
                break;
            }
            let millis = if replied.is_empty() { LIMIT.as_millis() as u32 } else { 0 };
            port.wait(&mut packets, Some(millis))?;
            if packets.is_empty() && replied.is_empty() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a message has not come back"));
            }
            for packet in &packets {
                let place = packet.lpCompletionKey;
                let exchange = &mut self.exchanges[place];
                if packet.lpOverlapped == &raw mut exchange.send {
                    exchange.sending = false;
                    exchange.sent += result(&exchange.send)?;
                    self.send(place)?;
                } else {
                    let moved = result(&exchange.receive)?;
                    self.receive(place, Some(moved))?;
                }
                if self.is_back(place) {
                    replied.push(place);
                }
            }
        }
        Ok(())
    }

    /// Sends the message, and receives what comes back. True: all of it has.
    fn begin(&mut self, place: usize) -> io::Result<bool> {
        let exchange = &mut self.exchanges[place];
        (exchange.began, exchange.sent, exchange.received) = (Instant::now(), 0, 0);
        self.send(place)?;
        self.receive(place, None)?;
        Ok(self.is_back(place))
    }

    /// All of the message is back, and so are the packets of its calls.
    fn is_back(&self, place: usize) -> bool {
        let exchange = &self.exchanges[place];
        exchange.received == self.message.len() && exchange.sent == self.message.len()
    }

    /// Sends what is left of the message, as far as it goes at once.
    fn send(&mut self, place: usize) -> io::Result<()> {
        let exchange = &mut self.exchanges[place];
        while exchange.sent < self.message.len() && !exchange.sending {
            let rest = &mut self.message[exchange.sent..];
            let list = WSABUF { len: rest.len() as u32, buf: rest.as_mut_ptr() };
            let mut bytes = 0;
            exchange.send = OVERLAPPED::default();
            // SAFETY: the box and the message are in place until the call is over (see `drive`).
            let result = unsafe { WSASend(exchange.socket, &list, 1, &mut bytes, 0, &mut exchange.send, None) };
            match issued(result == 0, bytes)? {
                Some(sent) => exchange.sent += sent,
                None => exchange.sending = true,
            }
        }
        Ok(())
    }

    /// Takes up what a receive has brought, and receives what is left as far as it goes at once.
    fn receive(&mut self, place: usize, mut moved: Option<usize>) -> io::Result<()> {
        let exchange = &mut self.exchanges[place];
        loop {
            match moved {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(moved) => exchange.received += moved,
                None => {}
            }
            let missing = self.message.len() - exchange.received;
            if missing == 0 {
                return Ok(());
            }
            let list = WSABUF { len: missing as u32, buf: self.ignored.as_mut_ptr() };
            let (mut bytes, mut flags) = (0, 0);
            exchange.receive = OVERLAPPED::default();
            // SAFETY: as above; what is written to `ignored` by several calls at once is read by nobody.
            let result =
                unsafe { WSARecv(exchange.socket, &list, 1, &mut bytes, &mut flags, &mut exchange.receive, None) };
            moved = issued(result == 0, bytes)?;
            if moved.is_none() {
                return Ok(());
            }
        }
    }
}
