//! Echo on a bare io_uring with what newer kernels add: one multishot accept into registered files, one multishot receive per
//! connection that stays armed, and the data in provided buffers that are sent from where they are.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::buf_ring::BufRing;
use super::ring::{bare, enter, push_all, result};
use crate::work::Work;

const GROUP: u16 = 0;
/// What an entry is for: the lowest two bits of its number; the others are the connection's place among the registered files.
const RECEIVE: u64 = 0;
const SEND: u64 = 1;
const CLOSE: u64 = 2;
const ACCEPT: u64 = 3;

/// A buffer of the ring on its way back to the peer.
struct Message {
    buffer: u16,
    length: usize,
    sent: usize,
}

#[derive(Default)]
struct Connection {
    /// In the order of arrival. Only the first is being sent: two sends in flight on one socket could overtake each other.
    messages: VecDeque<Message>,
    /// The receive has ended for good.
    ended: bool,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, work: &Work) -> io::Result<()> {
    // What is accepted inherits this: a registered file has no descriptor to set it by.
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    // A connection has a receive and a send queued at most.
    let ring = bare(work.entries(2))?;
    ring.submitter().register_files_sparse((work.connections + 64).min(1 << 16) as u32)?;
    // Twice as many as can be on their way back: a receive that finds none ends, although there is nothing to receive yet.
    let count = work.buffers().max(4).saturating_mul(2).min(1 << 15);
    // SAFETY: dropped after the ring when all went well, and not at all otherwise.
    let buffers = unsafe { BufRing::register(&ring, GROUP, count, work.buffer())? };
    let mut server = Server { open: Vec::new(), starved: VecDeque::new(), next: Vec::new(), gone: 0, out: 0, buffers };
    let served = server.echo(ring, &listener, work.total);
    if served.is_err() {
        // Closing a ring does not wait for what is in flight: the kernel may still write to the buffers.
        mem::forget(server);
    }
    served
}

struct Server {
    /// By the places of their files.
    open: Vec<Connection>,
    /// Receives that found no buffer.
    starved: VecDeque<usize>,
    /// Entries to be queued.
    next: Vec<squeue::Entry>,
    gone: usize,
    /// Buffers on their way back to a peer.
    out: usize,
    buffers: BufRing,
}

impl Server {
    fn echo(&mut self, mut ring: IoUring, listener: &TcpListener, total: usize) -> io::Result<()> {
        let accept = || {
            let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()));
            accept.allocate_file_index(true).build().user_data(ACCEPT)
        };
        self.next.push(accept());
        while self.gone < total {
            // SAFETY: the buffers outlive the ring (see `serve`); one that is sent is its connection's until it is.
            unsafe { push_all(&mut ring, &self.next)? };
            self.next.clear();
            enter(&ring, 1)?;
            for completion in ring.completion() {
                let (place, kind) = ((completion.user_data() >> 2) as usize, completion.user_data() & 3);
                let more = cqueue::more(completion.flags());
                match kind {
                    ACCEPT => {
                        self.begin(result(completion.result())?);
                        if !more {
                            self.next.push(accept());
                        }
                    }
                    RECEIVE => self.received(place, &completion, more)?,
                    SEND => self.sent(place, result(completion.result())),
                    _ => self.gone += 1,
                }
            }
        }
        Ok(())
    }

    /// Begins with the connection at the place that the kernel has chosen.
    fn begin(&mut self, place: usize) {
        if place >= self.open.len() {
            self.open.resize_with(place + 1, Connection::default);
        }
        self.open[place] = Connection::default();
        self.receive(place);
    }

    fn received(&mut self, place: usize, completion: &cqueue::Entry, more: bool) -> io::Result<()> {
        let received = match result(completion.result()) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                // With none on its way, there is one again by now.
                match self.out {
                    0 => self.receive(place),
                    _ => self.starved.push_back(place),
                }
                return Ok(());
            }
            Err(_) | Ok(0) => {
                self.open[place].ended = true;
                if self.open[place].messages.is_empty() {
                    self.close(place);
                }
                return Ok(());
            }
            Ok(received) => received,
        };
        let buffer =
            cqueue::buffer_select(completion.flags()).ok_or_else(|| io::Error::other("a receive without a buffer"))?;
        self.out += 1;
        let messages = &mut self.open[place].messages;
        messages.push_back(Message { buffer, length: received, sent: 0 });
        if messages.len() == 1 {
            self.send(place);
        }
        if !more {
            self.receive(place);
        }
        Ok(())
    }

    fn sent(&mut self, place: usize, sent: io::Result<usize>) {
        let connection = &mut self.open[place];
        let message = connection.messages.front_mut().expect("a send is of the first message");
        match sent {
            Ok(moved) => message.sent += moved,
            // The receive will tell.
            Err(_) => message.sent = message.length,
        }
        if message.sent == message.length {
            self.buffers.give_back(message.buffer);
            self.out -= 1;
            connection.messages.pop_front();
            if let Some(starved) = self.starved.pop_front() {
                self.receive(starved);
            }
        }
        let connection = &self.open[place];
        if !connection.messages.is_empty() {
            self.send(place);
        } else if connection.ended {
            self.close(place);
        }
    }

    fn receive(&mut self, place: usize) {
        let receive = opcode::RecvMulti::new(types::Fixed(place as u32), GROUP).build();
        self.next.push(receive.user_data((place as u64) << 2 | RECEIVE));
    }

    fn send(&mut self, place: usize) {
        let message = &self.open[place].messages[0];
        let rest = &self.buffers.filled(message.buffer, message.length)[message.sent..];
        let send = opcode::Send::new(types::Fixed(place as u32), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data((place as u64) << 2 | SEND);
        self.next.push(send);
    }

    fn close(&mut self, place: usize) {
        let close = opcode::Close::new(types::Fixed(place as u32)).build();
        self.next.push(close.user_data((place as u64) << 2 | CLOSE));
    }
}
