//! What a poller can watch: whatever lends its descriptor (Unix) or its socket (Windows).

#[cfg(unix)]
mod imp {
    use std::os::fd::{AsFd, BorrowedFd};

    /// The system's name of a source.
    pub(crate) type Raw<'a> = BorrowedFd<'a>;

    /// Anything with a descriptor: sockets, pipes, terminals, a child's pidfd, another poller. Regular files are
    /// always ready; epoll refuses them.
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

    /// Any socket.
    pub trait AsSource: AsSocket {}

    impl<T: AsSocket> AsSource for T {}

    pub(crate) fn raw(source: &impl AsSource) -> Raw<'_> {
        source.as_socket()
    }
}

pub use imp::AsSource;
pub(crate) use imp::{Raw, raw};
