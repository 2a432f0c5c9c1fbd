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
    pub fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        self.queue.waitable()
    }
}
