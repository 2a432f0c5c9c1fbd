//! What a source is watched for, and how often it is reported.

bitflags::bitflags! {
    /// What a source is watched for: a set, `Interest::READABLE | Interest::WRITABLE`.
    ///
    /// The empty set keeps a source registered without watching it. At most one event can come then: some systems
    /// tell a hang-up or an error that nobody asked for, once.
    ///
    /// ```
    /// # use anyport::poller::{Interest, Mode, Poller};
    /// # fn main() -> std::io::Result<()> {
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// # let (poller, unsent) = (Poller::new()?, Vec::<u8>::new());
    /// let mut interest = Interest::READABLE;
    /// if !unsent.is_empty() {
    ///     interest |= Interest::WRITABLE; // only while there is something to write: else it is ready all the time
    /// }
    /// poller.add(&socket, 7, interest, Mode::Level)?;
    /// poller.modify(&socket, 7, Interest::empty(), Mode::Level)?; // no more for now
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
    pub struct Interest: u8 {
        /// A read, receive or accept would return at once: with data, a connection, the end of the stream, an error.
        const READABLE = 1 << 0;
        /// A write or send would return at once; a connect is over, one way or the other.
        const WRITABLE = 1 << 1;
        /// Priority data is there: TCP's urgent (out-of-band) byte, an event of a pseudo-terminal or of a file in
        /// `/proc` and `/sys`.
        const PRIORITY = 1 << 2;
    }
}

/// How often a source is reported.
///
/// ```
/// # use anyport::poller::{Events, Interest, Mode, Poller};
/// # use std::{net::UdpSocket, time::Duration};
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let (poller, mut events) = (Poller::new()?, Events::new());
/// poller.add(&socket, 7, Interest::WRITABLE, Mode::Level)?;
/// assert_eq!(poller.wait(&mut events, None)?, 1);
/// assert_eq!(poller.wait(&mut events, None)?, 1);                       // it still holds
/// poller.modify(&socket, 7, Interest::WRITABLE, Mode::Oneshot)?;
/// assert_eq!(poller.wait(&mut events, None)?, 1);
/// assert_eq!(poller.wait(&mut events, Some(Duration::ZERO))?, 0);       // until the next `modify`
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Once. Then the source stays registered and says nothing, not even a hang-up, until
    /// [`modify`](super::Poller::modify) asks again.
    Oneshot,
    /// By each wait for as long as the condition holds.
    Level,
    /// When the condition begins to hold. Once a direction was reported it is reported again only after a call in
    /// that direction would have blocked *and the poller was told so*: make the calls through
    /// [`try_io`](super::Poller::try_io), or call [`rearm`](super::Poller::rearm). On epoll and kqueue the system
    /// sees to that itself and telling costs nothing; on poll(2) and Windows a source that nobody rearms stays silent.
    /// An edge can also come without need.
    Edge,
}
