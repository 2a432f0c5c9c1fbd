//! How a port's objects meet the standard library's.

use crate::error::Refusal;
use crate::handle::{Entry, Handle};
use crate::op::{Accepted, Opened};
use crate::port::Port;
use socket2::SockRef;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Entry {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: an entry that is not free owns an open descriptor, until `Handles::remove`.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }
}

impl Port {
    /// The descriptor behind a handle, for socket options and addresses.
    ///
    /// # Errors
    /// `NotFound` for a stale handle.
    ///
    /// ```
    /// # use anyport::Port;
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// # let (stream, _) = listener.accept()?;
    /// let mut port = Port::new()?;
    /// let conn = port.attach(stream)?;
    /// socket2::SockRef::from(&port.as_fd(conn)?).set_tcp_nodelay(true)?;
    /// # drop(peer.set_nodelay(true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_fd(&self, handle: Handle) -> io::Result<BorrowedFd<'_>> {
        Ok(self.entry(handle).ok_or(Refusal::StaleHandle)?.fd())
    }

    /// A descriptor that becomes readable when the next [`wait`](Port::wait) would find something: to drive this port
    /// from another loop, a [`Poller`](crate::Poller)'s or one's own. Before it sleeps the loop calls
    /// [`prepare_wait`](Port::prepare_wait), which also says how long it may. Use the descriptor for nothing else.
    ///
    /// The epoll instance, the kqueue, or on io_uring an eventfd of the ring (before Linux 5.19 the ring).
    ///
    /// # Errors
    /// `Unsupported` on poll(2), which has none; the system's, from eventfd(2).
    ///
    /// ```
    /// use anyport::poller::{Events, Interest, Mode, Poller};
    /// use anyport::{Port, Token, op};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (poller, mut port) = (Poller::new()?, Port::new()?);
    /// # if port.waitable().is_err() { return Ok(()) }
    /// let fd = port.waitable()?;
    /// poller.add(fd, 1, Interest::READABLE, Mode::Level)?;
    /// port.submit(op::Timer::after(Duration::from_millis(1)), Token(7));
    /// let mut events = Events::new();
    /// loop {
    ///     let nap = port.prepare_wait()?;
    ///     poller.wait(&mut events, nap)?; // the poller's own sources are served here
    ///     port.wait(Some(Duration::ZERO))?;
    ///     if let Some(done) = port.next() {
    ///         assert_eq!(done.token(), Token(7));
    ///         return Ok(());
    ///     }
    /// }
    /// # }
    /// ```
    pub fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        self.engine().waitable()
    }

    /// Calls `f` with the socket behind a handle, for its options and addresses: the same on every system.
    ///
    /// ```
    /// # use anyport::Port;
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let mut port = Port::new()?;
    /// let conn = port.attach(stream)?;
    /// port.with_socket(conn, |socket| socket.set_tcp_nodelay(true))??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a stale handle. (What is no socket refuses each option.)
    pub fn with_socket<T>(&self, handle: Handle, f: impl FnOnce(SockRef<'_>) -> T) -> io::Result<T> {
        Ok(f(SockRef::from(&self.as_fd(handle)?)))
    }
}

impl AsFd for Accepted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// Blocking or not is as the backend needed it: set it where it matters.
impl From<Accepted> for OwnedFd {
    fn from(accepted: Accepted) -> OwnedFd {
        accepted.0.fd
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl From<Opened> for OwnedFd {
    fn from(opened: Opened) -> OwnedFd {
        opened.0.fd
    }
}

impl From<Opened> for File {
    fn from(opened: Opened) -> File {
        opened.0.fd.into()
    }
}
