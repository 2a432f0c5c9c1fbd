//! What a poller can watch: whatever lends its descriptor (Unix) or its socket (Windows).

#[cfg(unix)]
mod imp {
    use std::os::fd::{AsFd, BorrowedFd};

    /// The system's name of a source.
    pub(crate) type Raw<'a> = BorrowedFd<'a>;

    /// Anything with a descriptor: sockets, pipes, terminals, a child's pidfd, another poller. Regular files are
    /// always ready; epoll refuses them.
    ///
    /// A number that another API hands out is borrowed for the call:
    ///
    /// ```
    /// # use anyport::poller::{Interest, Mode, Poller};
    /// # use std::os::fd::{AsRawFd, BorrowedFd};
    /// # fn main() -> std::io::Result<()> {
    /// # let (poller, socket) = (Poller::new()?, std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let number = socket.as_raw_fd();                              // `PQsocket(connection)`, say
    /// // SAFETY: it stays open for as long as the call takes.
    /// poller.add(unsafe { BorrowedFd::borrow_raw(number) }, 7, Interest::READABLE, Mode::Level)?;
    /// # Ok(())
    /// # }
    /// ```
    pub trait AsSource: AsFd {}

    impl<T: AsFd> AsSource for T {}

    pub(crate) fn raw(source: &impl AsSource) -> Raw<'_> {
        source.as_fd()
    }
}

#[cfg(windows)]
mod imp {
    use std::os::windows::io::{AsSocket, BorrowedSocket};

    /// The system's name of a source.
    pub(crate) type Raw<'a> = BorrowedSocket<'a>;

    /// Any socket. (Processes, events and other handles: [`os::windows`](crate::os::windows).)
    ///
    /// A number that another API hands out is borrowed for the call:
    ///
    /// ```
    /// # use anyport::poller::{Interest, Mode, Poller};
    /// # use std::os::windows::io::{AsRawSocket, BorrowedSocket};
    /// # fn main() -> std::io::Result<()> {
    /// # let (poller, socket) = (Poller::new()?, std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let number = socket.as_raw_socket();                          // `PQsocket(connection)`, say
    /// // SAFETY: it stays open for as long as the call takes.
    /// poller.add(unsafe { BorrowedSocket::borrow_raw(number) }, 7, Interest::READABLE, Mode::Level)?;
    /// # Ok(())
    /// # }
    /// ```
    pub trait AsSource: AsSocket {}

    impl<T: AsSocket> AsSource for T {}

    pub(crate) fn raw(source: &impl AsSource) -> Raw<'_> {
        source.as_socket()
    }
}

pub use imp::AsSource;
pub(crate) use imp::{Raw, raw};
