//! The load on epoll, for where io_uring is refused.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::Meter;

#[derive(Clone, Copy)]
struct Exchange {
    began: Instant,
    sent: usize,
    received: usize,
}

impl Exchange {
    fn begin(now: Instant) -> Exchange {
        Exchange { began: now, sent: 0, received: 0 }
    }
}

/// Makes the sockets non-blocking and drives them until `meter` has had enough and nothing is under way any more.
pub(super) fn drive<P>(connections: &[&TcpStream], message: &[u8], meter: &mut Meter<'_, P>) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut exchanges = vec![Exchange::begin(Instant::now()); connections.len()];
    for (place, socket) in connections.iter().enumerate() {
        socket.set_nonblocking(true)?;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&epoll, *socket, EventData::new_u64(place as u64), interest)?;
    }
    // The first events say that all are writable: that starts the first exchanges.
    let mut ignored = vec![0; message.len()];
    let mut events = Vec::with_capacity(1024);
    let mut busy = connections.len();
    let mut replies = Vec::new();
    let mut go_on = true;
    while busy > 0 {
        let limit = Timespec::try_from(super::LIMIT).ok();
        match epoll::wait(&epoll, spare_capacity(&mut events), limit.as_ref()) {
            Err(Errno::INTR) => continue,
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no message has come back")),
            other => other?,
        };
        let now = Instant::now();
        replies.clear();
        for event in events.drain(..) {
            let place = event.data.u64() as usize;
            let (socket, exchange) = (connections[place], &mut exchanges[place]);
            while exchange.received < message.len() {
                if exchange.sent < message.len() {
                    match send(socket, &message[exchange.sent..], SendFlags::NOSIGNAL) {
                        Ok(more) => exchange.sent += more,
                        Err(Errno::AGAIN) => {}
                        Err(error) => return Err(error.into()),
                    }
                    if exchange.sent == message.len() {
                        break; // The end of the echo is still to come, and an edge with it.
                    }
                }
                let wanted = message.len() - exchange.received;
                // TCP discards with `MSG_TRUNC` instead of copying.
                match recv(socket, &mut ignored[..wanted], RecvFlags::TRUNC) {
                    Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok((_, more)) => exchange.received += more,
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
                if exchange.received == message.len() {
                    replies.push(now - exchange.began);
                    if go_on {
                        *exchange = Exchange::begin(now);
                    } else {
                        busy -= 1;
                    }
                }
            }
        }
        go_on = meter.replied(now, replies.iter().copied())?;
    }
    Ok(())
}
