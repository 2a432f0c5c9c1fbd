//! Echo on a bare io_uring: a receive, then a send, then a receive, each a plain entry on the connection's own
//! buffer; one `io_uring_enter` for everything that one batch of completions led to.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustix::net::sockopt;
use slab::Slab;

use super::ring::{bare, enter, push_all, result};
use crate::work::Work;

const LISTENER: u64 = u64::MAX;

struct Connection {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    received: usize,
    sent: usize,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, work: &Work) -> io::Result<()> {
    // What is accepted inherits this.
    sockopt::set_tcp_nodelay(&listener, true)?;
    let mut open = Slab::with_capacity(work.connections.min(1 << 16));
    let mut ring = bare(work.entries(1))?;
    let served = echo(&mut ring, &listener, work, &mut open);
    if served.is_err() {
        // Closing a ring does not wait for what is in flight: the kernel may still write to the buffers.
        mem::forget(open);
    }
    served
}

fn echo(ring: &mut IoUring, listener: &TcpListener, work: &Work, open: &mut Slab<Connection>) -> io::Result<()> {
    let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
    let accept = accept.user_data(LISTENER);
    let mut gone = 0;
    let mut next = vec![accept.clone()];
    while gone < work.total {
        // SAFETY: the buffers outlive the ring (see `serve`), and the operations that used them have completed.
        unsafe { push_all(ring, &next)? };
        next.clear();
        enter(ring, 1)?;
        for completion in ring.completion() {
            if completion.user_data() == LISTENER {
                // SAFETY: the kernel has just made this descriptor for us.
                let socket = unsafe { OwnedFd::from_raw_fd(result(completion.result())? as i32) };
                if !cqueue::more(completion.flags()) {
                    next.push(accept.clone());
                }
                let entry = open.vacant_entry();
                let place = entry.key();
                let buffer = vec![0; work.buffer()].into();
                next.push(entry.insert(Connection { socket, buffer, received: 0, sent: 0 }).receive(place));
                continue;
            }
            let (place, was_send) = ((completion.user_data() >> 1) as usize, completion.user_data() & 1 == 1);
            let connection = &mut open[place];
            match result(completion.result()) {
                Ok(moved) if was_send => connection.sent += moved,
                Ok(moved) if moved > 0 => (connection.received, connection.sent) = (moved, 0),
                Ok(_) | Err(_) => {
                    open.remove(place);
                    gone += 1;
                    continue;
                }
            }
            next.push(if connection.sent < connection.received {
                connection.send(place)
            } else {
                connection.receive(place)
            });
        }
    }
    Ok(())
}

impl Connection {
    fn receive(&mut self, place: usize) -> squeue::Entry {
        let (socket, length) = (types::Fd(self.socket.as_raw_fd()), self.buffer.len() as u32);
        opcode::Recv::new(socket, self.buffer.as_mut_ptr(), length).build().user_data((place as u64) << 1)
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
