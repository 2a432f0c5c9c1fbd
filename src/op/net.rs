//! Connections: accept, connect, shutdown, close.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, plain_operation, source, unit};
use super::raw::RawOp;
use crate::Handle;
use crate::scratch::ScratchRef;
use crate::sys::{NO_OBJECT, Source};
use socket2::SockAddr;
use std::io;

/// A connection that was accepted. [Attach](crate::Port::attach) it, or take its descriptor;
/// dropping it closes the connection. The descriptor is close-on-exec.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::{TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let client = TcpStream::connect(listener.local_addr()?)?;
/// # let mut port = Port::new()?;
/// # let listener = port.attach(listener)?;
/// port.submit(op::Accept::new(listener), Token(1));
/// port.wait(None)?;
/// let accepted: op::Accepted = port.next().unwrap().unpack::<op::Accept>()?;
/// assert_eq!(accepted.peer_addr()?.as_socket(), Some(client.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Accepted(pub(crate) Source);

impl Accepted {
    /// The peer's address (getpeername(2), called here: most programs never ask).
    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        self.0.socket().peer_addr()
    }
}

impl From<Accepted> for Source {
    fn from(accepted: Accepted) -> Source {
        accepted.0
    }
}

fn accepted(result: io::Result<Value>) -> io::Result<Accepted> {
    source(result).map(Accepted)
}

/// Accepts one connection (accept4(2), `IORING_OP_ACCEPT`).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::{TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let _client = TcpStream::connect(listener.local_addr()?)?;
/// let mut port = Port::new()?;
/// let listener = port.attach(listener)?;
/// port.submit(op::Accept::new(listener), Token(1));
/// port.wait(None)?;
/// let accepted = port.next().unwrap().unpack::<op::Accept>()?;
/// let connection = port.attach(accepted)?;
/// # let _ = connection;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Accept(Handle);

impl Accept {
    /// Accepts on the listening socket `handle`.
    pub fn new(handle: Handle) -> Accept {
        Accept(handle)
    }
}

plain_operation!(Accept, "accept", Accepted, accepted, |self| self.0, RawOp::Accept { multi: false });

/// Accepts connections until it is cancelled or fails: one submission, a completion each, with
/// [`more`](crate::Completion::more).
///
/// Connections lost before they were accepted are passed over. When the process is out of
/// descriptors (`EMFILE` and the like), that is reported once, with `more`, and accepting goes on
/// as soon as it works again.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::{TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let mut port = Port::new()?;
/// let listener = port.attach(listener)?;
/// port.submit(op::AcceptMulti::new(listener), Token(1));
/// let _clients = [TcpStream::connect(address)?, TcpStream::connect(address)?];
/// let mut connections = Vec::new();
/// while connections.len() < 2 {
///     port.wait(None)?;
///     while let Some(done) = port.next() {
///         assert!(done.more());
///         let accepted = done.unpack::<op::AcceptMulti>()?;
///         connections.push(port.attach(accepted)?);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AcceptMulti(Handle);

impl AcceptMulti {
    /// Accepts on the listening socket `handle`.
    pub fn new(handle: Handle) -> AcceptMulti {
        AcceptMulti(handle)
    }
}

plain_operation!(AcceptMulti, "accept, multishot", Accepted, accepted, |self| self.0, RawOp::Accept { multi: true });

/// Connects a socket (connect(2), `IORING_OP_CONNECT`). Receives and sends submitted behind it wait
/// for it.
///
/// # Errors
/// `ConnectionRefused`, `HostUnreachable`, `TimedOut` and the like, as the system says.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::net::{SocketAddr, TcpListener};
/// use socket2::{Domain, Socket, Type};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address: SocketAddr = listener.local_addr()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None)?)?;
/// port.submit(op::Connect::new(conn, address), Token(1));
/// port.submit(op::SendAll::new(conn, b"hello"), Token(2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connect {
    handle: Handle,
    address: SockAddr,
}

impl Connect {
    /// Connects `handle` to `address`: a `SocketAddr`, or a `SockAddr` of any family.
    pub fn new(handle: Handle, address: impl Into<SockAddr>) -> Connect {
        Connect { handle, address: address.into() }
    }
}

impl Lends for Connect {
    type Payload = ScratchRef;
    const NAME: &'static str = "connect";
}

impl Unpack for Connect {
    type Output = io::Result<()>;
    fn output(_: ScratchRef, result: io::Result<Value>) -> io::Result<()> {
        unit(result)
    }
}

impl Operation for Connect {
    type Of = Connect;
    fn lower(self, place: Place<'_, ScratchRef>) -> Lowered {
        let mut scratch = place.scratch();
        scratch.get_mut().set_address(&self.address);
        let raw = RawOp::Connect { scratch: scratch.as_ptr(), begun: false };
        let (_, placed) = place.put(scratch);
        Lowered::new(placed, self.handle, Ok(raw))
    }
}

/// Shuts one or both directions down (shutdown(2), `IORING_OP_SHUTDOWN`). Shutting down sending waits for the sends
/// submitted before it; shutting down receiving ends the receive in flight.
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
/// port.submit(op::SendAll::new(conn, b"bye"), Token(1));
/// port.submit(op::Shutdown::new(conn, std::net::Shutdown::Write), Token(2));
/// while port.in_flight() > 0 {
///     port.wait(None)?;
///     drop(port.next());
/// }
/// let mut received = String::new();
/// peer.read_to_string(&mut received)?; // up to the end that the shutdown made
/// assert_eq!(received, "bye");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Shutdown {
    handle: Handle,
    how: std::net::Shutdown,
}

impl Shutdown {
    /// Shuts `how` down on the connected socket `handle`.
    pub fn new(handle: Handle, how: std::net::Shutdown) -> Shutdown {
        Shutdown { handle, how }
    }
}

plain_operation!(Shutdown, "shutdown", (), unit, |self| self.handle, RawOp::Shutdown { how: self.how });

/// Closes a handle (close(2), `IORING_OP_CLOSE`). The handle is stale at once; every operation in
/// flight on it ends (those that did not get their result: [cancelled](crate::error::is_cancelled)),
/// and this one completes last.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use anyport::error::is_cancelled;
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// port.submit(op::RecvPooled::new(conn), Token(1));
/// port.submit(op::Close::new(conn), Token(2));
/// let mut done = Vec::new();
/// while done.len() < 2 {
///     port.wait(None)?;
///     done.extend(port.next());
/// }
/// done.pop().unwrap().unpack::<op::Close>()?; // the last of all
/// assert!(is_cancelled(&done.pop().unwrap().unpack::<op::RecvPooled>().unwrap_err()));
/// # drop(peer.set_nodelay(true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Close(Handle);

impl Close {
    /// Closes `handle`.
    pub fn new(handle: Handle) -> Close {
        Close(handle)
    }
}

plain_operation!(Close, "close", (), unit, |self| self.0, RawOp::Close { object: NO_OBJECT });
