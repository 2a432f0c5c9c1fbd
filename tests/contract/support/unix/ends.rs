//! Both sides of an object for who plays them without waiting: the far end, and a second look at the near one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use anyport::{Backend, Handle, Port};
use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::SockRef;

use crate::support::drive::eventually;

/// The far end: reads and writes answer `WouldBlock`.
pub(crate) struct Far(File);

impl Far {
    pub(crate) fn new(fd: impl Into<OwnedFd>) -> Far {
        let fd = fd.into();
        super::set_blocking(&fd, false);
        Far(File::from(fd))
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }
}

impl Read for Far {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Far {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The near end, which the port has.
#[derive(Debug)]
pub(crate) struct Near(OwnedFd);

impl Near {
    /// Has its close send a reset.
    pub(crate) fn reset_on_close(&self) {
        SockRef::from(&self.0).set_linger(Some(std::time::Duration::ZERO)).expect("SO_LINGER");
    }

    /// Bytes that have arrived and were not received.
    pub(crate) fn unread(&self) -> usize {
        rustix::io::ioctl_fionread(&self.0).expect("FIONREAD") as usize
    }
}

/// What is behind a handle.
pub(crate) fn near(port: &Port, handle: Handle) -> io::Result<Near> {
    Ok(Near(port.as_fd(handle)?.try_clone_to_owned()?))
}

/// Whether nobody waits to be accepted.
pub(crate) fn is_idle(listener: &TcpListener) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())) == Ok(0)
}

/// Waits until what was sent to each of these has arrived. (Under a receive that is in flight on io_uring it may be taken
/// already.)
pub(crate) fn until_arrived(port: &Port, conns: &[Handle]) {
    for &conn in conns {
        if port.backend() != Backend::Uring {
            eventually("the data is there", || near(port, conn).expect("attached").unread() > 0);
        }
    }
}

/// Waits until the system has something to tell: data, an end, an error.
pub(crate) fn until_readable(what: &str, watched: impl AsFd) {
    eventually(what, || {
        let mut watched = [PollFd::new(&watched, PollFlags::IN)];
        rustix::event::poll(&mut watched, Some(&Timespec::default())).expect("poll") == 1
    });
}
