//! What a script is: options of the port, the objects to begin with, and steps. Numbers in steps are taken modulo what
//! is there when the step is played, and a step that does not apply is passed over; so every part of a script is a
//! script, which is what shrinking needs.

use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub entries: u16,
    /// Buffers and their size.
    pub pool: (u16, usize),
    pub threads: usize,
    pub begin: Vec<Kind>,
    pub steps: Vec<Step>,
}

/// The objects that join the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Unix,
    PipeIn,
    PipeOut,
    Udp,
    Listener,
    File,
}

/// Operations on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Recv,
    RecvVectored,
    RecvFrom,
    Pooled { hold: bool },
    PooledMulti { hold: bool },
    FromPooled { hold: bool },
    FromPooledMulti { hold: bool },
    Send,
    SendAll,
    /// More than fits into the system's buffers: blocks until the peer reads.
    SendBig,
    SendVectored,
    SendTo,
    Accept,
    AcceptMulti,
    ShutdownRead,
    ShutdownWrite,
    Readable,
    Writable,
    ReadAt { offset: u16 },
    WriteAt { offset: u16 },
    Fsync,
    Metadata,
}

impl Verb {
    /// It takes a buffer of a pool.
    pub(super) fn is_pooled(self) -> bool {
        matches!(
            self,
            Verb::Pooled { .. } | Verb::PooledMulti { .. } | Verb::FromPooled { .. } | Verb::FromPooledMulti { .. }
        )
    }
}

/// What the peer of an object does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Send(u16),
    /// Reads all that was and is being sent to it.
    Drain,
    ShutdownWrite,
    Close,
    Reset,
    /// Connects to a listener.
    Connect,
}

/// What must be refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    StaleHandle,
    NoRoom,
    NulInPath,
    MissingFile,
    NoAccess,
    HugeOffset,
    AcceptOnStream,
    RecvOnListener,
    SendOnListener,
    ReadAtOnStream(bool),
    WriteAtOnStream(bool),
    FsyncOnStream,
    ShutdownOnPipe,
    ConnectConnected,
    WrongEndOfPipe,
    AcceptOnPipe,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Join(Kind),
    Submit { end: u8, verb: Verb, size: u16, deadline: bool },
    /// Several at once, without waiting in between.
    Burst(Vec<(u8, Verb, u16)>),
    Peer { end: u8, act: Act },
    /// A connect, with operations queued behind it.
    Connect { refused: bool, send: bool, recv: bool },
    Cancel(u8),
    CancelDone(u8),
    CancelAll(u8),
    /// An operation that can complete is cancelled at once: its result, or cancelled.
    RaceRecv { end: u8, size: u16, multi: bool },
    RaceSend { end: u8, size: u16 },
    Close(u8),
    /// The object leaves and joins again.
    Detach(u8),
    Posts(u8),
    Closures { count: u8, panic: bool },
    Nops(u8),
    /// Timers due after so many milliseconds each.
    Timers(Vec<u8>),
    LateTimer,
    /// So many held pool buffers are given back.
    GiveBack(u8),
    Fault { end: u8, fault: Fault },
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Tcp),
        3 => Just(Kind::Unix),
        1 => Just(Kind::PipeIn),
        1 => Just(Kind::PipeOut),
        1 => Just(Kind::Udp),
        1 => Just(Kind::Listener),
        1 => Just(Kind::File),
    ]
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        6 => Just(Verb::Recv),
        2 => Just(Verb::RecvVectored),
        2 => Just(Verb::RecvFrom),
        3 => any::<bool>().prop_map(|hold| Verb::Pooled { hold }),
        3 => any::<bool>().prop_map(|hold| Verb::PooledMulti { hold }),
        2 => any::<bool>().prop_map(|hold| Verb::FromPooled { hold }),
        2 => any::<bool>().prop_map(|hold| Verb::FromPooledMulti { hold }),
        3 => Just(Verb::Send),
        2 => Just(Verb::SendAll),
        3 => Just(Verb::SendBig),
        2 => Just(Verb::SendVectored),
        2 => Just(Verb::SendTo),
        2 => Just(Verb::Accept),
        2 => Just(Verb::AcceptMulti),
        1 => Just(Verb::ShutdownRead),
        1 => Just(Verb::ShutdownWrite),
        2 => Just(Verb::Readable),
        2 => Just(Verb::Writable),
        1 => (0..9000u16).prop_map(|offset| Verb::ReadAt { offset }),
        1 => (0..9000u16).prop_map(|offset| Verb::WriteAt { offset }),
        1 => Just(Verb::Fsync),
        1 => Just(Verb::Metadata),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (0..3000u16).prop_map(Act::Send),
        4 => Just(Act::Drain),
        1 => Just(Act::ShutdownWrite),
        1 => Just(Act::Close),
        1 => Just(Act::Reset),
        4 => Just(Act::Connect),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::StaleHandle),
        Just(Fault::NoRoom),
        Just(Fault::NulInPath),
        Just(Fault::MissingFile),
        Just(Fault::NoAccess),
        Just(Fault::HugeOffset),
        Just(Fault::AcceptOnStream),
        Just(Fault::RecvOnListener),
        Just(Fault::SendOnListener),
        any::<bool>().prop_map(Fault::ReadAtOnStream),
        any::<bool>().prop_map(Fault::WriteAtOnStream),
        Just(Fault::FsyncOnStream),
        Just(Fault::ShutdownOnPipe),
        Just(Fault::ConnectConnected),
        Just(Fault::WrongEndOfPipe),
        Just(Fault::AcceptOnPipe),
    ]
}

/// Sizes of buffers and messages: small ones often, none never.
fn size() -> impl Strategy<Value = u16> {
    prop_oneof![1..10u16, 1..600u16, 1..3000u16]
}

fn step() -> impl Strategy<Value = Step> {
    let end = any::<u8>;
    let one = move || (end(), verb(), size());
    prop_oneof![
        2 => kind().prop_map(Step::Join),
        20 => (one(), any::<bool>(), any::<bool>()).prop_map(|((end, verb, size), a, b)| Step::Submit { end, verb, size, deadline: a && b }),
        3 => vec(one(), 2..6).prop_map(Step::Burst),
        16 => (end(), act()).prop_map(|(end, act)| Step::Peer { end, act }),
        1 => (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(refused, send, recv)| Step::Connect { refused, send, recv }),
        4 => end().prop_map(Step::Cancel),
        1 => end().prop_map(Step::CancelDone),
        1 => end().prop_map(Step::CancelAll),
        2 => (end(), size(), any::<bool>()).prop_map(|(end, size, multi)| Step::RaceRecv { end, size, multi }),
        1 => (end(), size()).prop_map(|(end, size)| Step::RaceSend { end, size }),
        2 => end().prop_map(Step::Close),
        1 => end().prop_map(Step::Detach),
        1 => (1..20u8).prop_map(Step::Posts),
        1 => (1..6u8, any::<bool>()).prop_map(|(count, panic)| Step::Closures { count, panic }),
        1 => any::<u8>().prop_map(Step::Nops),
        1 => vec(0..5u8, 1..6).prop_map(Step::Timers),
        1 => Just(Step::LateTimer),
        3 => (1..4u8).prop_map(Step::GiveBack),
        2 => (end(), fault()).prop_map(|(end, fault)| Step::Fault { end, fault }),
    ]
}

/// All scripts.
pub(super) fn scripts() -> impl Strategy<Value = Script> {
    let entries = prop::sample::select(vec![1u16, 2, 8, 256]);
    let pool = (prop::sample::select(vec![1u16, 2, 4]), prop::sample::select(vec![16usize, 256, 4096]));
    let threads = prop::sample::select(vec![1usize, 4]);
    (entries, pool, threads, vec(kind(), 1..4), vec(step(), 1..60)).prop_map(|(entries, pool, threads, begin, steps)| {
        Script { entries, pool, threads, begin, steps }
    })
}
