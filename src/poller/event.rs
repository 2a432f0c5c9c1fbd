//! What a wait reports.

use super::Interest;
use std::fmt;

bitflags::bitflags! {
    /// What an event tells. `Interest`'s bits have the same values here.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub(crate) struct Readiness: u8 {
        const READABLE = Interest::READABLE.bits();
        const WRITABLE = Interest::WRITABLE.bits();
        const PRIORITY = Interest::PRIORITY.bits();
        const READ_CLOSED = 1 << 3;
        const WRITE_CLOSED = 1 << 4;
        const ERROR = 1 << 5;
        /// The peer has ended its direction: reading goes on to the end of the stream.
        const PEER_ENDED = Self::READABLE.bits() | Self::READ_CLOSED.bits();
        /// Both directions are over. No call would block any more, so both are ready too.
        const HANG_UP = Self::PEER_ENDED.bits() | Self::WRITABLE.bits() | Self::WRITE_CLOSED.bits();
        /// What does not pass by itself.
        const OVER = Self::WRITE_CLOSED.bits() | Self::ERROR.bits();
        /// A call in either direction returns the error.
        const FAILED = Self::ERROR.bits() | Self::READABLE.bits() | Self::WRITABLE.bits();
    }
}

/// One source that is ready, from [`Events`].
///
/// After a hang-up or an error no call blocks any more, so both directions are told as ready, whether they were asked
/// for or not: a program that looks at [`is_readable`](Event::is_readable) and [`is_writable`](Event::is_writable)
/// alone, and makes its call, misses nothing.
///
/// ```
/// # use anyport::poller::{Events, Interest, Mode, Poller};
/// # use std::net::{Shutdown, TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let peer = TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// # let (poller, mut events) = (Poller::new()?, Events::new());
/// poller.add(&stream, 7, Interest::READABLE, Mode::Oneshot)?;
/// peer.shutdown(Shutdown::Write)?;
/// poller.wait(&mut events, None)?;
/// let event = events.iter().next().unwrap();
/// assert_eq!(event.key, 7);
/// assert!(event.is_readable() && event.is_read_closed());       // what was sent can be read, then comes the end
/// assert!(!event.is_write_closed() && !event.is_error());       // the other direction goes on
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The key that the source was registered under.
    pub key: usize,
    readiness: Readiness,
}

impl Event {
    #[inline]
    pub(crate) fn new(key: usize, readiness: Readiness) -> Event {
        Event { key, readiness }
    }

    /// Adds what a second report of the same source tells.
    #[allow(dead_code)] // kqueue reports each direction by itself
    pub(crate) fn add(&mut self, readiness: Readiness) {
        self.readiness |= readiness;
    }

    /// A read, receive or accept would return at once.
    #[inline]
    pub fn is_readable(&self) -> bool {
        self.readiness.contains(Readiness::READABLE)
    }

    /// A write or send would return at once; a connect is over.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.readiness.contains(Readiness::WRITABLE)
    }

    /// Priority data is there. Told only when it was asked for.
    #[inline]
    pub fn is_priority(&self) -> bool {
        self.readiness.contains(Readiness::PRIORITY)
    }

    /// The peer has ended its direction of the stream: what was sent before can still be read, then comes the end.
    /// Told with [`READABLE`](Interest::READABLE).
    #[inline]
    pub fn is_read_closed(&self) -> bool {
        self.readiness.contains(Readiness::READ_CLOSED)
    }

    /// This direction of the stream is over: a write fails.
    #[inline]
    pub fn is_write_closed(&self) -> bool {
        self.readiness.contains(Readiness::WRITE_CLOSED)
    }

    /// Both directions are over.
    #[inline]
    pub fn is_hang_up(&self) -> bool {
        self.readiness.contains(Readiness::HANG_UP)
    }

    /// An error is pending: the next call returns it, or a socket's `take_error` (`SO_ERROR`). Of a pipe's writing
    /// end: nobody reads it any more.
    #[inline]
    pub fn is_error(&self) -> bool {
        self.readiness.contains(Readiness::ERROR)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({}: ", self.key)?;
        bitflags::parser::to_writer(&self.readiness, &mut *f)?;
        f.write_str(")")
    }
}

/// The events of one wait, and room for as many as one wait may report. Reuse it: each wait replaces its content.
///
/// ```
/// # use anyport::poller::{Events, Interest, Mode, Poller};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// # let poller = Poller::new()?;
/// let sockets = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
/// for (key, socket) in sockets.iter().enumerate() {
///     poller.add(socket, key, Interest::WRITABLE, Mode::Oneshot)?;
/// }
/// let mut events = Events::with_capacity(1);
/// let mut keys = Vec::new();
/// for _ in 0..2 {
///     assert_eq!(poller.wait(&mut events, None)?, 1);           // the one for that there is room; then the other
///     keys.extend(events.iter().map(|event| event.key));
/// }
/// keys.sort();
/// assert_eq!(keys, [0, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    pub(crate) list: Vec<Event>,
    pub(crate) room: usize,
}

impl Events {
    /// Room for 1024 events.
    pub fn new() -> Events {
        Events::with_capacity(1024)
    }

    /// Room for `capacity` events (at least 1). When more sources are ready, the next wait reports the others.
    pub fn with_capacity(capacity: usize) -> Events {
        Events { list: Vec::new(), room: capacity.max(1) }
    }

    /// The events of the last wait.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.list.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True when the last wait reported none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The most events that one wait reports.
    pub fn capacity(&self) -> usize {
        self.room
    }

    /// Forgets the events. (A wait does so itself.)
    pub fn clear(&mut self) {
        self.list.clear();
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = Event;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, Event>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter().copied()
    }
}
