//! The other side of each object: plain non-blocking ends, played by the script's own thread. Nothing here knows
//! of the port.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::end::End;
use super::script::{Act, Kind};
use super::{tape, world};
use crate::support::Near;

/// Limits what fits between two ends, so that [`super::end::BIG`] bytes never do and the small sends always do.
pub(super) fn shrink_buffers<'a>(near: impl Into<SockRef<'a>>, far: impl Into<SockRef<'a>>) {
    near.into().set_send_buffer_size(64 * 1024).expect("SO_SNDBUF");
    far.into().set_recv_buffer_size(64 * 1024).expect("SO_RCVBUF");
}

/// What a look for data found.
#[derive(PartialEq, Eq)]
pub(super) enum Look {
    Nothing,
    End,
    Broken,
}

/// Takes what has arrived at the peer.
pub(super) fn pump(end: &mut End) -> Look {
    let Some(far) = &mut end.far else { return Look::Broken };
    let mut buf = [0; 16 * 1024];
    loop {
        match far.read(&mut buf) {
            Ok(0) => return Look::End,
            Ok(n) => end.got.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Look::Nothing,
            Err(_) => return Look::Broken,
        }
    }
}

/// Reads to the end of the stream; an error says what came instead.
pub(super) fn read_to_end(end: &mut End) -> Result<(), String> {
    let give_up = Instant::now() + world::PATIENCE;
    loop {
        match pump(end) {
            Look::End => return Ok(()),
            Look::Broken => return Err("a broken connection".into()),
            Look::Nothing if Instant::now() > give_up => return Err("no end".into()),
            Look::Nothing => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

/// The next datagram that arrives at the peer.
pub(super) fn datagram(end: &mut End) -> Option<Vec<u8>> {
    let give_up = Instant::now() + world::PATIENCE;
    let mut buf = vec![0; 64 * 1024];
    loop {
        match end.far.as_mut()?.read(&mut buf) {
            Ok(n) => {
                buf.truncate(n);
                return Some(buf);
            }
            Err(_) if Instant::now() > give_up => return None,
            Err(_) => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

/// Sends `len` bytes to the port. Returns when they can be seen on its side, if nothing there takes them up at once: from
/// then on what a receive gets does not depend on time.
pub(super) fn send(end: &mut End, near: &Near, len: usize) {
    let bytes = tape::cut(end.seed, end.sent, len);
    let far = end.far.as_mut().expect("an open end");
    end.sent += len;
    if end.kind == Kind::Udp {
        // Through the socket call: write(2) sends no empty datagram.
        far.socket().send(&bytes).expect("the peer's datagram");
        return end.datagrams.push_back(len);
    }
    far.write_all(&bytes).expect("the peer's send");
    end.unread += len;
    if end.reads.is_empty() && end.readable.is_empty() {
        let give_up = Instant::now() + world::PATIENCE;
        while near.unread() < end.unread {
            assert!(Instant::now() < give_up, "what the peer has sent does not arrive");
            std::thread::yield_now();
        }
    }
}

/// Whether the peer can do this now such that the contract alone says what follows.
pub(super) fn can(end: &End, act: Act) -> bool {
    let open = end.open && end.far.is_some();
    match act {
        Act::Connect => end.open && end.kind == Kind::Listener && end.waiting.len() < 4,
        Act::Send(_) if end.kind == Kind::Udp => open && end.datagrams.len() < 8,
        Act::Send(len) => {
            let receives = matches!(end.kind, Kind::Tcp | Kind::Unix | Kind::PipeIn);
            open && receives && len > 0 && !end.eof && !end.shut_read && end.unread < 8_000
        }
        Act::Drain => open && end.is_stream() && end.kind != Kind::PipeIn,
        Act::ShutdownWrite => open && end.is_socket_stream() && !end.eof,
        Act::Close => open && end.is_stream() && end.peer_has_all(),
        // A reset may overtake data in either direction.
        Act::Reset => match end.kind {
            Kind::Tcp => open && end.unread == 0 && !end.eof,
            // The peer has not read all: that is what tells a reset from an end on a Unix socket.
            Kind::Unix => open && end.unread == 0 && !end.eof && end.got.len() < end.sent_out(),
            _ => false,
        },
    }
}

/// Ends the peer's side in one of three ways.
pub(super) fn leave(end: &mut End, act: Act) {
    let far = end.far.take().expect("an open end");
    match act {
        Act::ShutdownWrite => {
            far.socket().shutdown(Shutdown::Write).expect("shutdown");
            end.far = Some(far);
            end.eof = true;
        }
        Act::Reset => {
            if end.kind == Kind::Tcp {
                far.socket().set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
            }
            end.reset = true;
        }
        _ => end.eof = true,
    }
}
