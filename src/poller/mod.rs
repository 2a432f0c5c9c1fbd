//! Readiness on every system: a [`Poller`] says which sources can be read or written *now*, for programs that own
//! their descriptors and make their own calls. (A [`Port`](crate::Port) makes the calls itself, and one of its
//! operations, [`op::Ready`](crate::op::Ready), is a poller's event.)
//!
//! ```
//! use anyport::poller::{Events, Interest, Mode, Poller};
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let mut peer = TcpStream::connect(listener.local_addr()?)?;
//! # let (mut stream, _) = listener.accept()?;
//! # peer.write_all(b"hello")?;
//! stream.set_nonblocking(true)?;                                    // calls that would block are to say so
//! let poller = Poller::new()?;
//! poller.add(&stream, 7, Interest::READABLE, Mode::Level)?;         // 7: what you call it
//! let mut events = Events::new();
//! poller.wait(&mut events, None)?;                                  // sleep until something is ready
//! for event in &events {
//!     assert!(event.key == 7 && event.is_readable());
//!     let mut buf = [0; 64];
//!     assert_eq!(stream.read(&mut buf)?, 5);
//! }
//! poller.delete(&stream)?;                                          // before the stream is closed
//! # Ok(())
//! # }
//! ```
//!
//! The promises that hold on every backend are listed in the project's `docs/READINESS.md`, and `docs/POLLING-AND-MIO.md`
//! maps the APIs of the `polling` and `mio` crates onto this one.

#[cfg(windows)]
mod afd;
mod builder;
#[cfg(target_os = "linux")]
mod epoll;
mod event;
#[cfg(unix)]
mod identity;
mod interest;
#[cfg(unix)]
#[cfg_attr(
    not(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        anyport_libkqueue
    )),
    path = "no_kqueue.rs"
)]
mod kqueue;
#[cfg(unix)]
mod poll;
mod queue;
mod source;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod waitables;

pub use builder::Builder;
pub use event::{Event, Events};
pub use interest::{Interest, Mode};
pub use source::AsSource;

use crate::backend::Backend;
use queue::{Queue, Registration, Woken};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The key that no source can have: the notification's.
const NOTIFY: usize = usize::MAX;

/// A queue of ready sources. One thread waits; any thread adds, modifies, deletes and notifies meanwhile.
///
/// A poller borrows a source only for the length of a call. [Delete](Poller::delete) it before you close it. A source
/// that is closed all the same breaks nothing and is forgotten, sooner or later, but events under its key may come
/// until then; see R7 in the project's `docs/READINESS.md`.
///
/// ```
/// # use anyport::poller::{Events, Interest, Mode, Poller};
/// # use std::{io, net::UdpSocket, thread};
/// # fn main() -> io::Result<()> {
/// let (poller, mut events) = (Poller::new()?, Events::new());
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// thread::scope(|scope| {
///     scope.spawn(|| poller.add(&socket, 7, Interest::WRITABLE, Mode::Oneshot)); // while the other one waits
///     poller.wait(&mut events, None)
/// })?;
/// assert_eq!(events.iter().next().unwrap().key, 7);
/// # Ok(())
/// # }
/// ```
pub struct Poller {
    queue: Queue,
    /// A notification was sent that no wait has taken up.
    notified: AtomicBool,
}

impl Poller {
    /// The backends that a poller can run on here, the preferred one first.
    pub const BACKENDS: &[Backend] = Queue::ALL;

    /// Opens a poller on the best backend that works here (or the one that `ANYPORT_BACKEND` names, where it names one
    /// of [`Poller::BACKENDS`]).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Poller> {
        Poller::builder().build()
    }

    /// Options for a poller.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn over(queue: Queue) -> Poller {
        Poller { queue, notified: AtomicBool::new(false) }
    }

    /// The backend that this poller runs on.
    pub fn backend(&self) -> Backend {
        self.queue.backend()
    }

    /// Begins to watch a source. If it is ready already, the next wait says so. `key` comes back with each event; two
    /// sources may share one. Becomes epoll_ctl(2), kevent(2), or a poll of the AFD driver.
    ///
    /// The source should be non-blocking: an event may come without need, and a call that then blocks stops the loop.
    ///
    /// # Errors
    /// `AlreadyExists` for a source that is watched; `InvalidInput` for the key `usize::MAX`, which is the poller's
    /// own; `Unsupported` for what the system cannot watch (a regular file on epoll; [priority](Interest::PRIORITY)
    /// on some kqueues).
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use std::{io, net::{TcpListener, TcpStream}};
    /// # fn main() -> io::Result<()> {
    /// # let (poller, mut events) = (Poller::new()?, Events::new());
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// poller.add(&listener, 1, Interest::READABLE, Mode::Level)?;
    /// let again = poller.add(&listener, 2, Interest::READABLE, Mode::Level);
    /// assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    /// # let peer = TcpStream::connect(listener.local_addr()?)?;
    /// poller.wait(&mut events, None)?;
    /// let (stream, _) = listener.accept()?;
    /// # drop((stream, peer));
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(&self, source: impl AsSource, key: usize, interest: Interest, mode: Mode) -> io::Result<()> {
        self.queue.add(source::raw(&source), Poller::registration(key, interest, mode)?)
    }

    /// Replaces key, interest and mode of a watched source, and arms it anew: if it is ready, the next wait says so, in
    /// every mode. A wait in progress on another thread takes the change up at once.
    ///
    /// # Errors
    /// `NotFound` for a source that is not watched; `InvalidInput` and `Unsupported` as [`Poller::add`].
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # fn main() -> std::io::Result<()> {
    /// # let (poller, mut events) = (Poller::new()?, Events::new());
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// poller.add(&socket, 7, Interest::WRITABLE, Mode::Oneshot)?;
    /// poller.wait(&mut events, None)?;                                      // it says nothing more ...
    /// poller.modify(&socket, 8, Interest::WRITABLE, Mode::Oneshot)?;        // ... until it is asked again
    /// poller.wait(&mut events, None)?;
    /// assert_eq!(events.iter().next().unwrap().key, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn modify(&self, source: impl AsSource, key: usize, interest: Interest, mode: Mode) -> io::Result<()> {
        self.queue.modify(source::raw(&source), Poller::registration(key, interest, mode)?)
    }

    /// Ends watching a source. No wait that begins afterwards reports it.
    ///
    /// # Errors
    /// `NotFound` for a source that is not watched.
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let (poller, mut events) = (Poller::new()?, Events::new());
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// poller.add(&socket, 7, Interest::WRITABLE, Mode::Level)?;
    /// poller.delete(&socket)?;
    /// assert_eq!(poller.wait(&mut events, Some(Duration::ZERO))?, 0);       // though it can be written to
    /// drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete(&self, source: impl AsSource) -> io::Result<()> {
        self.queue.delete(source::raw(&source))
    }

    /// Tells that a call in these directions would have blocked, so that [edges](Mode::Edge) of theirs are reported
    /// again. [`Poller::try_io`] does it for you. Nothing happens to a source that is watched in another mode.
    ///
    /// Free on epoll and kqueue, whose kernels know.
    ///
    /// # Errors
    /// `NotFound` for a source that is not watched (not told by every backend).
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use std::{io, net::UdpSocket};
    /// # fn main() -> io::Result<()> {
    /// # let (poller, mut events) = (Poller::new()?, Events::new());
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// poller.add(&socket, 7, Interest::READABLE, Mode::Edge)?;
    /// // Whoever reads cannot be given a closure: a TLS library, say.
    /// let mut buf = [0; 1500];
    /// if socket.recv(&mut buf).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
    ///     poller.rearm(&socket, Interest::READABLE)?;
    /// }
    /// socket.send_to(b"hello", socket.local_addr()?)?;
    /// assert_eq!(poller.wait(&mut events, None)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rearm(&self, source: impl AsSource, directions: Interest) -> io::Result<()> {
        self.queue.rearm(source::raw(&source), directions)
    }

    /// Makes `call`, which reads (`Interest::READABLE`) or writes, and [rearms](Poller::rearm) the source if it would
    /// block. The way to use [edges](Mode::Edge) on every system.
    ///
    /// # Errors
    /// The call's; those of [`Poller::rearm`].
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use std::io::{self, Read, Write};
    /// # use std::net::{TcpListener, TcpStream};
    /// # fn main() -> io::Result<()> {
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut stream, _) = listener.accept()?;
    /// # stream.set_nonblocking(true)?;
    /// # let (poller, mut events, mut buf) = (Poller::new()?, Events::new(), [0; 64]);
    /// poller.add(&stream, 7, Interest::READABLE, Mode::Edge)?;
    /// # peer.write_all(b"hello")?;
    /// poller.wait(&mut events, None)?;
    /// loop {
    ///     match poller.try_io(&stream, Interest::READABLE, || (&stream).read(&mut buf)) {
    ///         Ok(0) => break,                                                       // the end of the stream
    ///         Ok(n) => assert_eq!(&buf[..n], b"hello"),
    ///         Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,     // an edge will come
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_io<T>(
        &self,
        source: impl AsSource,
        direction: Interest,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let result = call();
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.rearm(source, direction)?;
        }
        result
    }

    /// Blocks until a source is ready, at most `timeout` (`None`: as long as it takes, and 0 only looks), and puts the
    /// events into `events` in place of what it held. Says how many there are: 0 when the time is up or the poller was
    /// [notified](Poller::notify).
    ///
    /// One system call: epoll_pwait(2) or epoll_pwait2(2), ppoll(2), kevent(2), `GetQueuedCompletionStatusEx`. A signal
    /// does not end it.
    ///
    /// # Errors
    /// `ResourceBusy` while another thread waits on this poller; the system's, if waiting itself is impossible.
    ///
    /// ```
    /// # use anyport::poller::{Events, Interest, Mode, Poller};
    /// # use std::time::{Duration, Instant};
    /// # fn main() -> std::io::Result<()> {
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let (poller, mut events) = (Poller::new()?, Events::new());
    /// poller.add(&socket, 7, Interest::READABLE, Mode::Level)?;
    /// let start = Instant::now();
    /// assert_eq!(poller.wait(&mut events, Some(Duration::from_millis(5)))?, 0); // nobody sends
    /// assert!(start.elapsed() >= Duration::from_millis(5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        events.clear();
        let limited = timeout.filter(|timeout| !timeout.is_zero());
        let start = limited.map(|_| Instant::now());
        let mut left = timeout;
        loop {
            match self.queue.wait(&mut events.list, events.room, left) {
                Ok(Woken::Called) => {
                    // Exchanged, not stored: what the notifier did before is visible to whoever is woken by it.
                    if self.notified.swap(false, SeqCst) || !events.is_empty() {
                        break;
                    }
                }
                Ok(Woken::Done) => break,
                Ok(Woken::Again) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if let (Some(limit), Some(start)) = (limited, start) {
                let rest = limit.saturating_sub(start.elapsed());
                if rest.is_zero() {
                    break;
                }
                left = Some(rest);
            }
        }
        Ok(events.len())
    }

    /// Makes the wait in progress, or else the next one, return at once. From any thread; several notifications
    /// before that wait returns make one. Costs a system call (a write to an eventfd or pipe) only when none is
    /// pending.
    ///
    /// ```
    /// # use anyport::poller::{Events, Poller};
    /// # use std::{sync::mpsc, thread};
    /// # fn main() -> std::io::Result<()> {
    /// let (poller, mut events) = (Poller::new()?, Events::new());
    /// let (sender, receiver) = mpsc::channel();
    /// thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         sender.send("work").unwrap();
    ///         poller.notify();                                      // after what it is about
    ///     });
    ///     poller.wait(&mut events, None)
    /// })?;
    /// assert_eq!(receiver.try_recv(), Ok("work"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify(&self) {
        if !self.notified.swap(true, SeqCst) {
            self.queue.call();
        }
    }

    #[inline]
    pub(crate) fn registration(key: usize, interest: Interest, mode: Mode) -> io::Result<Registration> {
        if key == NOTIFY {
            return Err(reserved_key());
        }
        Ok(Registration { key, interest, mode })
    }
}

#[cold]
fn reserved_key() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the key usize::MAX is the poller's own; choose another for the source")
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("backend", &self.backend()).finish()
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Poller>();
    shared::<Events>();
};
