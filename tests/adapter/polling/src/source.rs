//! Sources, by number and by loan.

#[cfg(unix)]
mod imp {
    use crate::Poller;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    pub trait AsRawSource {
        fn raw(&self) -> RawFd;
    }

    impl<T: AsRawFd> AsRawSource for &T {
        fn raw(&self) -> RawFd {
            self.as_raw_fd()
        }
    }

    impl AsRawSource for RawFd {
        fn raw(&self) -> RawFd {
            *self
        }
    }

    pub trait AsSource: AsFd {
        fn source(&self) -> BorrowedFd<'_> {
            self.as_fd()
        }
    }

    impl<T: AsFd> AsSource for T {}

    /// # Safety
    /// The descriptor is open for as long as the loan is used.
    pub(crate) unsafe fn borrow<'a>(raw: RawFd) -> BorrowedFd<'a> {
        // SAFETY: the caller's.
        unsafe { BorrowedFd::borrow_raw(raw) }
    }

    impl AsFd for Poller {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.anyport().waitable().expect("a poller on poll(2) has no descriptor")
        }
    }

    impl AsRawFd for Poller {
        fn as_raw_fd(&self) -> RawFd {
            self.as_fd().as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    pub trait AsRawSource {
        fn raw(&self) -> RawSocket;
    }

    impl<T: AsRawSocket> AsRawSource for &T {
        fn raw(&self) -> RawSocket {
            self.as_raw_socket()
        }
    }

    impl AsRawSource for RawSocket {
        fn raw(&self) -> RawSocket {
            *self
        }
    }

    pub trait AsSource: AsSocket {
        fn source(&self) -> BorrowedSocket<'_> {
            self.as_socket()
        }
    }

    impl<T: AsSocket> AsSource for T {}

    /// # Safety
    /// The socket is open for as long as the loan is used.
    pub(crate) unsafe fn borrow<'a>(raw: RawSocket) -> BorrowedSocket<'a> {
        // SAFETY: the caller's.
        unsafe { BorrowedSocket::borrow_raw(raw) }
    }
}

pub(crate) use imp::borrow;
pub use imp::{AsRawSource, AsSource};
