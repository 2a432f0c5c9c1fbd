//! What a source is watched for, and how often it is reported.

bitflags::bitflags! {
    /// What a source is watched for: a set, `Interest::READABLE | Interest::WRITABLE`.
    ///
    /// The empty set keeps a source registered without watching it. At most one event can come then: some systems
    /// tell a hang-up or an error that nobody asked for, once.
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
