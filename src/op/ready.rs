//! Readiness of a handle, as an operation.

use super::front::{plain_operation, unit};
use super::raw::{Direction, RawOp};
use crate::Handle;
use std::io;

/// Completes when the handle is ready for a direction, without moving data: for code that makes its
/// own calls (a TLS stack, a C library).
///
/// Readable is data, a connection to accept, an end of stream or an error, whatever lets a read
/// return at once; writable likewise. It becomes `IORING_OP_POLL_ADD`, or poll(2) and then an edge of
/// the selector. Regular files are always ready.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::io::Write;
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::Ready::readable(conn), Token(1));
/// peer.write_all(b"!")?;
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Ready>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    handle: Handle,
    direction: Direction,
}

impl Ready {
    /// Completes when a read would return at once.
    pub fn readable(handle: Handle) -> Ready {
        Ready { handle, direction: Direction::Read }
    }

    /// Completes when a write would return at once.
    pub fn writable(handle: Handle) -> Ready {
        Ready { handle, direction: Direction::Write }
    }
}

plain_operation!(Ready, "ready", (), unit, |self| self.handle, RawOp::Ready { direction: self.direction });
