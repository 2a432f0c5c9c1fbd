//! What the servers on a readiness queue do with a connection that is ready: read and send until it is drained. Written
//! once for mio and polling, which leave it to their users.

use std::io::{self, ErrorKind, Read, Write};

/// A connection, and what its socket did not take yet. Nothing more is read until it has.
pub(super) struct Echo<S> {
    pub(super) socket: S,
    unsent: Vec<u8>,
}

impl<S: Read + Write> Echo<S> {
    pub(super) fn new(socket: S) -> Echo<S> {
        Echo { socket, unsent: Vec::new() }
    }

    /// Echoes until the socket is drained or takes no more. `false`: the peer has gone. A short read counts as drained,
    /// unless the stream is `ending`: then its end is still to be read.
    pub(super) fn ready(&mut self, buffer: &mut [u8], ending: bool) -> bool {
        self.echo(buffer, ending).unwrap_or(false)
    }

    fn echo(&mut self, buffer: &mut [u8], ending: bool) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let sent = push(&mut self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                return Ok(true);
            }
        }
        loop {
            let received = match self.socket.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let sent = push(&mut self.socket, &buffer[..received])?;
            if sent < received {
                self.unsent.extend_from_slice(&buffer[sent..received]);
                return Ok(true);
            }
            if received < buffer.len() && !ending {
                return Ok(true);
            }
        }
    }
}

/// Sends until all is sent or the socket takes no more; returns how much it took.
fn push(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
