//! Receive and send with one buffer.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, count, plain_operation};
use super::raw::RawOp;
use crate::Handle;
use crate::buf::{IoBuf, IoBufMut, PoolBuf};
use std::io;

/// Receives into a buffer what is there, at least a byte (recv(2) on sockets, read(2) on others;
/// `IORING_OP_RECV`, `IORING_OP_READ`). The result is the number of bytes, and `Ok(0)` the end of the
/// stream (or an empty datagram).
///
/// # Errors
/// `InvalidInput` for a buffer without room, `ConnectionReset` after a reset, for each receive that meets it.
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
/// port.submit(op::Recv::new(conn, Vec::with_capacity(4096)), Token(1));
/// peer.write_all(b"hello")?;
/// port.wait(None)?;
/// let (result, buf) = port.next().unwrap().unpack::<op::Recv<Vec<u8>>>();
/// assert_eq!((result?, &buf[..]), (5, &b"hello"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Recv<B> {
    handle: Handle,
    buf: B,
}

impl<B: IoBufMut> Recv<B> {
    /// Receives on `handle` into `buf`, from its first byte up to its capacity.
    pub fn new(handle: Handle, buf: B) -> Recv<B> {
        Recv { handle, buf }
    }
}

impl<B: IoBufMut> Lends for Recv<B> {
    type Payload = B;
    const NAME: &'static str = "recv";
}

/// Tells a buffer how much of it was filled.
pub(super) fn filled<B: IoBufMut>(mut buf: B, result: io::Result<Value>) -> (io::Result<usize>, B) {
    let result = count(result);
    if let Ok(n) = result {
        // SAFETY: the system wrote `n` bytes from the buffer's first on, at most its capacity.
        unsafe { buf.filled(n) };
    }
    (result, buf)
}

impl<B: IoBufMut> Unpack for Recv<B> {
    type Output = (io::Result<usize>, B);
    fn output(buf: B, result: io::Result<Value>) -> Self::Output {
        filled(buf, result)
    }
}

impl<B: IoBufMut> Operation for Recv<B> {
    type Of = Self;
    fn lower(self, place: Place<'_, B>) -> Lowered {
        let (buf, placed) = place.put(self.buf);
        Lowered::new(placed, self.handle, RawOp::recv(buf.stable_mut_ptr(), buf.capacity()))
    }
}

/// Sends from a buffer as much as fits now, at least a byte (send(2) with `MSG_NOSIGNAL` on sockets,
/// write(2) on others; `IORING_OP_SEND`, `IORING_OP_WRITE`). The result is the number of bytes that were
/// taken.
///
/// # Errors
/// `BrokenPipe` or `ConnectionReset` when nobody will receive; never a `SIGPIPE`.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::Send::new(conn, vec![7; 1 << 20]), Token(1));
/// port.wait(None)?;
/// let (result, buf) = port.next().unwrap().unpack::<op::Send<Vec<u8>>>();
/// assert!((1..=buf.len()).contains(&result?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Send<B> {
    handle: Handle,
    buf: B,
}

impl<B: IoBuf> Send<B> {
    /// Sends the initialized bytes of `buf` on `handle`.
    pub fn new(handle: Handle, buf: B) -> Send<B> {
        Send { handle, buf }
    }
}

/// Sends a whole buffer, in as many calls as it takes (each as [`Send`]'s). The result is the buffer's
/// length; if an error (or cancel, or deadline) ends it, [`transferred`](crate::Completion::transferred)
/// says how many bytes had been sent.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::io::Read;
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::SendAll::new(conn, b"hello"), Token(1));
/// port.wait(None)?;
/// let (result, _) = port.next().unwrap().unpack::<op::SendAll<&[u8; 5]>>();
/// assert_eq!(result?, 5);
/// let mut received = [0; 5];
/// peer.read_exact(&mut received)?;
/// assert_eq!(&received, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SendAll<B> {
    handle: Handle,
    buf: B,
}

impl<B: IoBuf> SendAll<B> {
    /// Sends all initialized bytes of `buf` on `handle`.
    pub fn new(handle: Handle, buf: B) -> SendAll<B> {
        SendAll { handle, buf }
    }
}

macro_rules! send_operation {
    ($op:ident, $name:literal, $all:literal) => {
        impl<B: IoBuf> Lends for $op<B> {
            type Payload = B;
            const NAME: &'static str = $name;
        }
        impl<B: IoBuf> Unpack for $op<B> {
            type Output = (io::Result<usize>, B);
            fn output(buf: B, result: io::Result<Value>) -> Self::Output {
                (count(result), buf)
            }
        }
        impl<B: IoBuf> Operation for $op<B> {
            type Of = Self;
            fn lower(self, place: Place<'_, B>) -> Lowered {
                let (buf, placed) = place.put(self.buf);
                let raw = RawOp::Send { buf: buf.stable_ptr(), len: buf.initialized(), all: $all };
                Lowered::new(placed, self.handle, Ok(raw))
            }
        }
    };
}

send_operation!(Send, "send", false);
send_operation!(SendAll, "send-all", true);

pub(super) fn pooled(result: io::Result<Value>) -> io::Result<PoolBuf> {
    match result? {
        Value::Buf(buf) => Ok(buf),
        Value::Done(_) => Ok(PoolBuf::empty()),
        Value::Source(source) => unreachable!("a receive results in bytes, not {source:?}"),
    }
}

/// Receives into a buffer of the port's pool, taken when data is there: an idle connection pins none
/// (buffer ring and `IOSQE_BUFFER_SELECT` on io_uring, else at readiness). An empty buffer is the end
/// of the stream. While the pool is empty the receive waits.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::io::Write;
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::builder().pool(64, 4096).build()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::RecvPooled::new(conn), Token(1));
/// peer.write_all(b"hello")?;
/// port.wait(None)?;
/// let buf = port.next().unwrap().unpack::<op::RecvPooled>()?;
/// assert_eq!(&buf[..], b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RecvPooled(Handle);

impl RecvPooled {
    /// Receives on `handle`.
    pub fn new(handle: Handle) -> RecvPooled {
        RecvPooled(handle)
    }
}

plain_operation!(RecvPooled, "recv, pooled", PoolBuf, pooled, |self| self.0, RawOp::RecvPooled { multi: false });

/// Receives into buffers of the port's pool until the stream ends, fails or is cancelled: one
/// submission, a completion for each piece, with [`more`](crate::Completion::more). The final one is
/// an empty buffer (end of stream) or the error.
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
/// port.submit(op::RecvPooledMulti::new(conn), Token(1));
/// peer.write_all(b"hello")?;
/// drop(peer);
/// let mut received = Vec::new();
/// loop {
///     port.wait(None)?;
///     let done = port.next().unwrap();
///     let more = done.more();
///     received.extend_from_slice(&done.unpack::<op::RecvPooledMulti>()?);
///     if !more {
///         break; // the end of the stream
///     }
/// }
/// assert_eq!(received, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RecvPooledMulti(Handle);

impl RecvPooledMulti {
    /// Receives on `handle`.
    pub fn new(handle: Handle) -> RecvPooledMulti {
        RecvPooledMulti(handle)
    }
}

plain_operation!(
    RecvPooledMulti,
    "recv, pooled multishot",
    PoolBuf,
    pooled,
    |self| self.0,
    RawOp::RecvPooled { multi: true }
);
