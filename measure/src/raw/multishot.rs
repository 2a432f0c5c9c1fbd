//! Echo on a bare io_uring with what newer kernels add: one multishot receive per connection that stays armed, the data
//! in provided buffers that are sent from where they are, and registered files.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::SubmissionQueue;
use io_uring::{IoUring, cqueue, opcode, types};

use super::buf_ring::BufRing;
use super::ring::{bare, enter, push, result};
use super::{CHUNK, accept};

const GROUP: u16 = 0;

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
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, connections: usize) -> io::Result<()> {
    let sockets = accept(&listener, connections)?;
    // A connection has a receive and a send queued at most.
    let ring = bare((2 * connections).next_power_of_two() as u32)?;
    let files: Vec<RawFd> = sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    ring.submitter().register_files(&files)?;
    // SAFETY: dropped after the ring when all went well, and not at all otherwise.
    let buffers = unsafe { BufRing::register(&ring, GROUP, connections.next_power_of_two() as u16, CHUNK)? };
    let mut server =
        Server { open: (0..connections).map(|_| Connection::default()).collect(), starved: Vec::new(), buffers };
    let served = server.echo(ring);
    if served.is_err() {
        // Closing a ring does not wait for what is in flight: the kernel may still write to the buffers.
        mem::forget(server);
    }
    served
}

struct Server {
    open: Vec<Connection>,
    /// Receives that found no buffer.
    starved: Vec<usize>,
    buffers: BufRing,
}

impl Server {
    fn echo(&mut self, mut ring: IoUring) -> io::Result<()> {
        for place in 0..self.open.len() {
            self.receive(&mut ring.submission(), place)?;
        }
        let mut left = self.open.len();
        while left > 0 {
            enter(&ring, 1)?;
            let (_, mut queue, completions) = ring.split();
            for completion in completions {
                let (place, was_send) = (completion.user_data() >> 1, completion.user_data() & 1 == 1);
                let place = place as usize;
                if was_send {
                    self.sent(&mut queue, place, result(completion.result())?)?;
                    continue;
                }
                let rearm = !cqueue::more(completion.flags());
                let received = match result(completion.result()) {
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        self.starved.push(place);
                        continue;
                    }
                    other => other?,
                };
                if received == 0 {
                    left -= 1;
                    continue;
                }
                let buffer = cqueue::buffer_select(completion.flags())
                    .ok_or_else(|| io::Error::other("a receive without a buffer"))?;
                let messages = &mut self.open[place].messages;
                messages.push_back(Message { buffer, length: received, sent: 0 });
                if messages.len() == 1 {
                    self.send(&mut queue, place)?;
                }
                if rearm {
                    self.receive(&mut queue, place)?;
                }
            }
        }
        Ok(())
    }

    fn sent(&mut self, queue: &mut SubmissionQueue<'_>, place: usize, moved: usize) -> io::Result<()> {
        let messages = &mut self.open[place].messages;
        let Some(message) = messages.front_mut() else {
            return Err(io::Error::other("a send that nobody asked for"));
        };
        message.sent += moved;
        if message.sent == message.length {
            self.buffers.give_back(message.buffer);
            messages.pop_front();
            if let Some(starved) = self.starved.pop() {
                self.receive(queue, starved)?;
            }
        }
        if self.open[place].messages.is_empty() {
            return Ok(());
        }
        self.send(queue, place)
    }

    fn receive(&mut self, queue: &mut SubmissionQueue<'_>, place: usize) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(types::Fixed(place as u32), GROUP).build().user_data((place as u64) << 1);
        // SAFETY: the entry points to nothing; the buffers it picks from outlive the ring (see `serve`).
        unsafe { push(queue, &receive) }
    }

    fn send(&mut self, queue: &mut SubmissionQueue<'_>, place: usize) -> io::Result<()> {
        let message = &self.open[place].messages[0];
        let rest = &self.buffers.filled(message.buffer, message.length)[message.sent..];
        let send = opcode::Send::new(types::Fixed(place as u32), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data((place as u64) << 1 | 1);
        // SAFETY: the buffer is this connection's until `sent` gives it back, and outlives the ring (see `serve`).
        unsafe { push(queue, &send) }
    }
}
