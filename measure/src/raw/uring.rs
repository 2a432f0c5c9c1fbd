//! Echo on a bare io_uring: a receive, then a send, then a receive, each a plain entry on the connection's own
//! buffer; one `io_uring_enter` for everything that one batch of completions led to.

use std::io;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::ring::{bare, enter, push, result};
use super::{CHUNK, accept};

struct Connection {
    socket: TcpStream,
    buffer: Box<[u8]>,
    received: usize,
    sent: usize,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, connections: usize) -> io::Result<()> {
    let sockets = accept(&listener, connections)?;
    let mut open: Vec<_> = sockets
        .into_iter()
        .map(|socket| Connection { socket, buffer: vec![0; CHUNK].into(), received: 0, sent: 0 })
        .collect();
    // Each connection has one entry queued at most, so the queue is never full.
    let mut ring = bare(connections.next_power_of_two() as u32)?;
    let served = echo(&mut ring, &mut open);
    if served.is_err() {
        // Closing a ring does not wait for what is in flight: the kernel may still write to the buffers.
        mem::forget(open);
    }
    served
}

fn echo(ring: &mut IoUring, open: &mut [Connection]) -> io::Result<()> {
    for (place, connection) in open.iter_mut().enumerate() {
        // SAFETY: the buffer outlives the ring (see `serve`) and is touched only after the completion.
        unsafe { push(&mut ring.submission(), &connection.receive(place))? };
    }
    let mut left = open.len();
    while left > 0 {
        enter(ring, 1)?;
        let (_, mut queue, completions) = ring.split();
        for completion in completions {
            let (place, was_send) = (completion.user_data() >> 1, completion.user_data() & 1 == 1);
            let connection = &mut open[place as usize];
            let moved = result(completion.result())?;
            if was_send {
                connection.sent += moved;
            } else if moved == 0 {
                left -= 1;
                continue;
            } else {
                (connection.received, connection.sent) = (moved, 0);
            }
            let next = if connection.sent < connection.received {
                connection.send(place as usize)
            } else {
                connection.receive(place as usize)
            };
            // SAFETY: the buffer outlives the ring (see `serve`); the operation that used it has completed.
            unsafe { push(&mut queue, &next)? };
        }
    }
    Ok(())
}

impl Connection {
    fn receive(&mut self, place: usize) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_raw_fd());
        opcode::Recv::new(socket, self.buffer.as_mut_ptr(), CHUNK as u32).build().user_data((place as u64) << 1)
    }

    fn send(&mut self, place: usize) -> squeue::Entry {
        let rest = &self.buffer[self.sent..self.received];
        let socket = types::Fd(self.socket.as_raw_fd());
        opcode::Send::new(socket, rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data((place as u64) << 1 | 1)
    }
}
