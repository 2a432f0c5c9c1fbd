//! Wakes a sleeping port from another thread: an eventfd on Linux, the kqueue that the port sleeps on where there is
//! one, a pipe elsewhere.

#[cfg(target_os = "linux")]
mod descriptor {
    use rustix::event::{EventfdFlags, eventfd};
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    /// An eventfd; its counter only ever says "somebody called".
    pub(crate) struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(crate) fn new() -> io::Result<Descriptor> {
            Ok(Descriptor(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(crate) fn wake(&self) {
            // Fails only when the counter is full, and then a wake-up is pending anyway.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        /// Takes the calls up, for a selector that reports levels.
        pub(crate) fn drain(&self) {
            let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod descriptor {
    use crate::sys::set_nonblocking;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    /// A pipe with both ends.
    pub(crate) struct Descriptor(io::PipeReader, io::PipeWriter);

    impl Descriptor {
        pub(crate) fn new() -> io::Result<Descriptor> {
            let (reader, writer) = io::pipe()?;
            set_nonblocking(&reader, true)?;
            set_nonblocking(&writer, true)?;
            Ok(Descriptor(reader, writer))
        }

        pub(crate) fn wake(&self) {
            // Fails only when the pipe is full, and then a wake-up is pending anyway.
            let _ = rustix::io::write(&self.1, &[1]);
        }

        pub(crate) fn drain(&self) {
            while rustix::io::read(&self.0, &mut [0u8; 64]).is_ok_and(|n| n == 64) {}
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

pub(crate) use crate::sys::unix::kqueue::Waker;
pub(crate) use descriptor::Descriptor;
