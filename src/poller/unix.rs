//! The poller as a source itself.

use super::Poller;
use std::io;
use std::os::fd::BorrowedFd;

impl Poller {
    /// A descriptor that is readable for as long as the next wait would report something: to watch this poller by
    /// another loop, a [`Port`](crate::Port) (attach a duplicate, submit [`op::Ready`](crate::op::Ready)) or another
    /// poller, which then calls [`wait`](Poller::wait) with a time-out of 0. Use it for nothing else.
    ///
    /// The epoll instance or the kqueue.
    ///
    /// # Errors
    /// `Unsupported` on poll(2), which has none.
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use anyport::{Port, Token, op};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let (poller, mut events) = (Poller::new()?, Events::new());
    /// # let Ok(_) = poller.waitable() else { return Ok(()) };
    /// let mut port = Port::new()?;
    /// let queue = port.attach(poller.waitable()?.try_clone_to_owned()?)?;
    /// port.submit(op::Ready::readable(queue), Token(1));
    /// poller.add(&socket, 7, Interest::WRITABLE, Mode::Level)?;
    /// port.wait(None)?;                                             // the port sleeps for both
    /// assert_eq!(port.next().unwrap().token(), Token(1));
    /// assert_eq!(poller.wait(&mut events, Some(Duration::ZERO))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        self.queue.waitable()
    }
}
