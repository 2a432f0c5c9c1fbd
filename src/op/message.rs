//! Receive and send with several buffers, or with an address: the operations over a `msghdr`.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, count, plain_operation};
use super::raw::RawOp;
use super::stream::{filled, pooled};
use crate::Handle;
use crate::buf::{IoBuf, IoBufMut, IoVec, IoVecMut, PoolBuf};
use crate::error::Refusal;
use crate::scratch::ScratchRef;
use socket2::SockAddr;
use std::io;

/// Buffers together with the message header that points to them.
pub struct Message<B> {
    buf: B,
    scratch: ScratchRef,
}

fn receive_call(scratch: &ScratchRef) -> Result<RawOp, Refusal> {
    match scratch.get().total() {
        0 => Err(Refusal::NoRoom),
        _ => Ok(RawOp::RecvMsg { scratch: scratch.as_ptr() }),
    }
}

/// Receives into several buffers, the first one first (recvmsg(2), `IORING_OP_RECVMSG`; readv(2) on
/// what is no socket).
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
/// peer.write_all(b"head body")?;
/// port.submit(op::RecvVectored::new(conn, [Vec::with_capacity(4), Vec::with_capacity(100)]), Token(1));
/// port.wait(None)?;
/// let (result, [head, rest]) = port.next().unwrap().unpack::<op::RecvVectored<[Vec<u8>; 2]>>();
/// assert_eq!(result?, head.len() + rest.len());
/// assert_eq!(head, b"head");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RecvVectored<V> {
    handle: Handle,
    bufs: V,
}

impl<V: IoVecMut> RecvVectored<V> {
    /// Receives on `handle` into `bufs`: a `Vec<B>` or an array of buffers.
    pub fn new(handle: Handle, bufs: V) -> RecvVectored<V> {
        RecvVectored { handle, bufs }
    }
}

impl<V: IoVecMut> Lends for RecvVectored<V> {
    type Payload = Message<V>;
    const NAME: &'static str = "recv, vectored";
}

impl<V: IoVecMut> Unpack for RecvVectored<V> {
    type Output = (io::Result<usize>, V);
    fn output(mut message: Message<V>, result: io::Result<Value>) -> Self::Output {
        let result = count(result);
        if let Ok(n) = result {
            // SAFETY: the system filled the buffers in the header's order, `n` bytes in all.
            unsafe { message.buf.filled(n) };
        }
        (result, message.buf)
    }
}

impl<V: IoVecMut> Operation for RecvVectored<V> {
    type Of = Self;
    fn lower(self, place: Place<'_, Message<V>>) -> Lowered {
        let scratch = place.scratch();
        let (message, placed) = place.put(Message { buf: self.bufs, scratch });
        message.scratch.get_mut().buffers_of_mut(&mut message.buf);
        Lowered::new(placed, self.handle, receive_call(&message.scratch))
    }
}

/// Sends from several buffers, the first one first, as much as fits now (sendmsg(2),
/// `IORING_OP_SENDMSG`; writev(2) on what is no socket).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::SendVectored::new(conn, [b"head ".to_vec(), b"body".to_vec()]), Token(1));
/// port.wait(None)?;
/// let (result, _buffers) = port.next().unwrap().unpack::<op::SendVectored<[Vec<u8>; 2]>>();
/// assert_eq!(result?, 9);
/// # drop(peer.set_nodelay(true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SendVectored<V> {
    handle: Handle,
    bufs: V,
}

impl<V: IoVec> SendVectored<V> {
    /// Sends `bufs` on `handle`: a `Vec<B>` or an array of buffers.
    pub fn new(handle: Handle, bufs: V) -> SendVectored<V> {
        SendVectored { handle, bufs }
    }
}

impl<V: IoVec> Lends for SendVectored<V> {
    type Payload = Message<V>;
    const NAME: &'static str = "send, vectored";
}

impl<V: IoVec> Unpack for SendVectored<V> {
    type Output = (io::Result<usize>, V);
    fn output(message: Message<V>, result: io::Result<Value>) -> Self::Output {
        (count(result), message.buf)
    }
}

impl<V: IoVec> Operation for SendVectored<V> {
    type Of = Self;
    fn lower(self, place: Place<'_, Message<V>>) -> Lowered {
        let scratch = place.scratch();
        let (message, placed) = place.put(Message { buf: self.bufs, scratch });
        message.scratch.get_mut().buffers_of(&message.buf);
        Lowered::new(placed, self.handle, Ok(RawOp::SendMsg { scratch: message.scratch.as_ptr() }))
    }
}

/// Receives a datagram and its sender (recvfrom(2), `IORING_OP_RECVMSG`). A datagram longer than the
/// buffer is cut, as the system does it.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// sender.send_to(b"ping", socket.local_addr()?)?;
/// let mut port = Port::new()?;
/// let socket = port.attach(socket)?;
/// port.submit(op::RecvFrom::new(socket, vec![0; 1500]), Token(1));
/// port.wait(None)?;
/// let (result, buf) = port.next().unwrap().unpack::<op::RecvFrom<Vec<u8>>>();
/// let (len, from) = result?;
/// assert_eq!((len, &buf[..]), (4, &b"ping"[..]));
/// assert_eq!(from.as_socket(), Some(sender.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RecvFrom<B> {
    handle: Handle,
    buf: B,
}

impl<B: IoBufMut> RecvFrom<B> {
    /// Receives on `handle` into `buf`.
    pub fn new(handle: Handle, buf: B) -> RecvFrom<B> {
        RecvFrom { handle, buf }
    }
}

impl<B: IoBufMut> Lends for RecvFrom<B> {
    type Payload = Message<B>;
    const NAME: &'static str = "recv-from";
}

impl<B: IoBufMut> Unpack for RecvFrom<B> {
    type Output = (io::Result<(usize, SockAddr)>, B);
    fn output(message: Message<B>, result: io::Result<Value>) -> Self::Output {
        let (result, buf) = filled(message.buf, result);
        (result.map(|n| (n, message.scratch.get().received_address())), buf)
    }
}

impl<B: IoBufMut> Operation for RecvFrom<B> {
    type Of = Self;
    fn lower(self, place: Place<'_, Message<B>>) -> Lowered {
        let scratch = place.scratch();
        let (message, placed) = place.put(Message { buf: self.buf, scratch });
        let (address, room) = (message.buf.stable_mut_ptr(), message.buf.capacity());
        let scratch = message.scratch.get_mut();
        scratch.one_buffer(address, room);
        scratch.expect_address();
        Lowered::new(placed, self.handle, receive_call(&message.scratch))
    }
}

/// Receives a datagram and its sender into a buffer of the port's pool, taken when a datagram is there: an idle socket
/// pins none (`IORING_OP_RECVMSG` with `IOSQE_BUFFER_SELECT` on io_uring, else recvfrom(2) at readiness). While the pool is
/// empty the receive waits. A datagram longer than a buffer of the pool is cut, as the system does it. An empty one is an
/// empty buffer, with its sender; on a stream that is its end, and it depends on the system whether the address is the
/// peer's or that of nobody.
///
/// # Errors
/// Only a socket has senders: on all else the system's refusal (`ENOTSOCK`).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// sender.send_to(b"ping", socket.local_addr()?)?;
/// let mut port = Port::builder().pool(64, 1500).build()?;
/// let socket = port.attach(socket)?;
/// port.submit(op::RecvFromPooled::new(socket), Token(1));
/// port.wait(None)?;
/// let (buf, from) = port.next().unwrap().unpack::<op::RecvFromPooled>()?;
/// assert_eq!(&buf[..], b"ping");
/// assert_eq!(from.as_socket(), Some(sender.local_addr()?));
/// port.submit(op::SendTo::new(socket, buf, from), Token(2)); // the buffer goes back to the pool after that
/// # port.wait(None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RecvFromPooled(Handle);

impl RecvFromPooled {
    /// Receives on `handle`.
    pub fn new(handle: Handle) -> RecvFromPooled {
        RecvFromPooled(handle)
    }
}

impl Lends for RecvFromPooled {
    type Payload = ScratchRef;
    const NAME: &'static str = "recv-from, pooled";
}

impl Unpack for RecvFromPooled {
    type Output = io::Result<(PoolBuf, SockAddr)>;
    fn output(scratch: ScratchRef, result: io::Result<Value>) -> Self::Output {
        pooled(result).map(|buf| (buf, scratch.get().received_address()))
    }
}

impl Operation for RecvFromPooled {
    type Of = Self;
    fn lower(self, place: Place<'_, ScratchRef>) -> Lowered {
        let scratch = place.scratch();
        let (scratch, placed) = place.put(scratch);
        Lowered::new(placed, self.0, Ok(RawOp::RecvFromPooled { scratch: scratch.as_ptr() }))
    }
}

/// Receives datagrams and their senders into buffers of the port's pool until one fails or it is cancelled: one
/// submission (a multishot `IORING_OP_RECVMSG` on io_uring), a completion for each datagram, with
/// [`more`](crate::Completion::more). An empty datagram is one like others: it holds a buffer, and it goes on. On a stream
/// (or a connection of packets) an empty buffer is the end, and final. Else it is as [`RecvFromPooled`].
///
/// Its buffers are of a second pool, as large as the first ([`pool`](crate::Builder::pool)), which is mapped when the first
/// of these is submitted: they have room for the sender beside them.
///
/// # Errors
/// As [`RecvFromPooled`]. Any error is final, also one that an earlier datagram brought on (`ConnectionRefused` on a
/// connected socket).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// let mut port = Port::builder().pool(64, 1500).build()?;
/// for question in ["one", "", "three"] {
///     sender.send_to(question.as_bytes(), socket.local_addr()?)?;
/// }
/// let socket = port.attach(socket)?;
/// let receiving = port.submit(op::RecvFromPooledMulti::new(socket), Token(1));
/// for question in ["one", "", "three"] {
///     port.wait(None)?;
///     let done = port.next().unwrap();
///     assert!(done.more());
///     let (buf, from) = done.unpack::<op::RecvFromPooledMulti>()?;
///     assert_eq!(&buf[..], question.as_bytes());
///     assert_eq!(from.as_socket(), Some(sender.local_addr()?));
/// }
/// port.cancel(receiving);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RecvFromPooledMulti(Handle);

impl RecvFromPooledMulti {
    /// Receives on `handle`.
    pub fn new(handle: Handle) -> RecvFromPooledMulti {
        RecvFromPooledMulti(handle)
    }
}

fn named(result: io::Result<Value>) -> io::Result<(PoolBuf, SockAddr)> {
    pooled(result).map(|buf| {
        let sender = buf.sender();
        (buf, sender)
    })
}

plain_operation!(
    RecvFromPooledMulti,
    "recv-from, pooled multishot",
    (PoolBuf, SockAddr),
    named,
    |self| self.0,
    RawOp::RecvFromPooledMulti
);

/// Sends a datagram to an address (sendto(2), `IORING_OP_SENDMSG`).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let mut port = Port::new()?;
/// let socket = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
/// port.submit(op::SendTo::new(socket, b"ping", receiver.local_addr()?), Token(1));
/// port.wait(None)?;
/// let (result, _) = port.next().unwrap().unpack::<op::SendTo<&[u8; 4]>>();
/// assert_eq!(result?, 4);
/// assert_eq!(receiver.recv(&mut [0; 16])?, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SendTo<B> {
    handle: Handle,
    buf: B,
    address: SockAddr,
}

impl<B: IoBuf> SendTo<B> {
    /// Sends the initialized bytes of `buf` on `handle` to `address`: a `SocketAddr`, or a
    /// `SockAddr` of any family.
    pub fn new(handle: Handle, buf: B, address: impl Into<SockAddr>) -> SendTo<B> {
        SendTo { handle, buf, address: address.into() }
    }
}

impl<B: IoBuf> Lends for SendTo<B> {
    type Payload = Message<B>;
    const NAME: &'static str = "send-to";
}

impl<B: IoBuf> Unpack for SendTo<B> {
    type Output = (io::Result<usize>, B);
    fn output(message: Message<B>, result: io::Result<Value>) -> Self::Output {
        (count(result), message.buf)
    }
}

impl<B: IoBuf> Operation for SendTo<B> {
    type Of = Self;
    fn lower(self, place: Place<'_, Message<B>>) -> Lowered {
        let scratch = place.scratch();
        let (message, placed) = place.put(Message { buf: self.buf, scratch });
        let (address, len) = (message.buf.stable_ptr(), message.buf.initialized());
        let scratch = message.scratch.get_mut();
        scratch.one_buffer(address.cast_mut(), len);
        scratch.set_address(&self.address);
        Lowered::new(placed, self.handle, Ok(RawOp::SendMsg { scratch: message.scratch.as_ptr() }))
    }
}
