//! How a completion is written down in a trace: what happened, how much, and a hash of the content. What may differ
//! from backend to backend without breaking the contract is levelled here: which of "reset" and "broken pipe" a send
//! into a broken connection gets.

use std::hash::{DefaultHasher, Hasher};
use std::fs::File;
use std::io;

use anyport::buf::PoolBuf;
use anyport::{Completion, error, op};
use socket2::SockAddr;

/// What an operation is unpacked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Nop,
    Timer,
    Post,
    Closure,
    Recv,
    RecvVectored,
    RecvFrom,
    Pooled,
    PooledMulti,
    FromPooled,
    FromPooledMulti,
    Send,
    SendAll,
    SendFile,
    SendVectored,
    SendTo,
    Accept,
    AcceptMulti,
    Connect,
    Shutdown,
    Close,
    Ready,
    Open,
    ReadAt,
    WriteAt,
    Fsync,
    Metadata,
}

impl What {
    fn sends(self) -> bool {
        matches!(self, What::Send | What::SendAll | What::SendFile | What::SendVectored | What::SendTo)
    }
}

/// A completion taken apart.
pub(super) struct Taken {
    pub text: String,
    pub extra: Extra,
    /// Where the buffers that came back are.
    pub back: Vec<*const u8>,
    /// What was received.
    pub bytes: Vec<u8>,
}

pub(super) enum Extra {
    None,
    /// A buffer, whether it is of the second pool, and its sender where that is told.
    Pool(PoolBuf, bool, Option<SockAddr>),
    Accepted(op::Accepted),
    Opened(op::Opened),
    Sender(SockAddr),
}

pub(super) fn count(n: usize) -> String {
    format!("ok {n}")
}

pub(super) fn bytes(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("ok {} #{:08x}", bytes.len(), hasher.finish() as u32)
}

pub(super) const DONE: &str = "ok";
pub(super) const CANCELLED: &str = "cancelled";
pub(super) const TIMED_OUT: &str = "timed out";
pub(super) const BROKEN: &str = "error broken";
pub(super) const RESET: &str = "error ConnectionReset";

fn failure(what: What, error: &io::Error) -> String {
    match error.kind() {
        _ if error::is_cancelled(error) => CANCELLED.into(),
        io::ErrorKind::TimedOut => TIMED_OUT.into(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset if what.sends() => BROKEN.into(),
        kind => format!("error {kind:?}"),
    }
}

type Bufs = [Vec<u8>; 2];
type Work = Box<dyn FnOnce() -> u64 + Send>;

/// Takes a completion apart.
pub(super) fn take(what: What, done: Completion) -> Taken {
    let mut taken = Taken { text: String::new(), extra: Extra::None, back: Vec::new(), bytes: Vec::new() };
    let result: io::Result<String> = match what {
        What::Nop => done.unpack::<op::Nop>().map(|()| DONE.into()),
        What::Timer => done.unpack::<op::Timer>().map(|()| DONE.into()),
        What::Connect => done.unpack::<op::Connect>().map(|()| DONE.into()),
        What::Shutdown => done.unpack::<op::Shutdown>().map(|()| DONE.into()),
        What::Close => done.unpack::<op::Close>().map(|()| DONE.into()),
        What::Ready => done.unpack::<op::Ready>().map(|()| DONE.into()),
        What::Fsync => done.unpack::<op::Fsync>().map(|()| DONE.into()),
        What::Metadata => done.unpack::<op::Metadata>().map(|stat| count(stat.len() as usize)),
        What::Post => Ok(count(done.unpack::<op::Post<u64>>() as usize)),
        What::Closure => done.unpack::<op::Blocking<Work, u64>>().map(|value| count(value as usize)),
        What::Recv => received(done.unpack::<op::Recv<Vec<u8>>>(), &mut taken),
        What::ReadAt => received(done.unpack::<op::ReadAt<Vec<u8>>>(), &mut taken),
        What::RecvVectored => {
            let (result, bufs) = done.unpack::<op::RecvVectored<Bufs>>();
            taken.back = bufs.iter().map(|buf| buf.as_ptr()).collect();
            result.map(|n| {
                taken.bytes = bufs.concat();
                assert_eq!(n, taken.bytes.len(), "the buffers are not filled with what was received");
                assert!(bufs[1].is_empty() || bufs[0].len() == bufs[0].capacity(), "the first is filled first");
                bytes(&taken.bytes)
            })
        }
        What::RecvFrom => {
            let (result, buf) = done.unpack::<op::RecvFrom<Vec<u8>>>();
            let (result, sender) = match result {
                Ok((n, sender)) => (Ok(n), Some(sender)),
                Err(error) => (Err(error), None),
            };
            taken.extra = sender.map_or(Extra::None, Extra::Sender);
            received((result, buf), &mut taken)
        }
        What::Pooled => pooled(done.unpack::<op::RecvPooled>().map(nameless), false, &mut taken),
        What::PooledMulti => pooled(done.unpack::<op::RecvPooledMulti>().map(nameless), false, &mut taken),
        What::FromPooled => pooled(done.unpack::<op::RecvFromPooled>().map(named), false, &mut taken),
        What::FromPooledMulti => pooled(done.unpack::<op::RecvFromPooledMulti>().map(named), true, &mut taken),
        What::Send => sent(done.unpack::<op::Send<Vec<u8>>>(), &mut taken),
        What::SendAll => sent(done.unpack::<op::SendAll<Vec<u8>>>(), &mut taken),
        What::SendFile => {
            let (result, _, head) = done.unpack::<op::SendFile<File, Vec<u8>>>();
            sent((result, head), &mut taken)
        }
        What::SendTo => sent(done.unpack::<op::SendTo<Vec<u8>>>(), &mut taken),
        What::WriteAt => sent(done.unpack::<op::WriteAt<Vec<u8>>>(), &mut taken),
        What::SendVectored => {
            let (result, bufs) = done.unpack::<op::SendVectored<Bufs>>();
            taken.back = bufs.iter().map(|buf| buf.as_ptr()).collect();
            result.map(count)
        }
        What::Accept => accepted(done.unpack::<op::Accept>(), &mut taken),
        What::AcceptMulti => accepted(done.unpack::<op::AcceptMulti>(), &mut taken),
        What::Open => done.unpack::<op::Open>().map(|opened| {
            taken.extra = Extra::Opened(opened);
            DONE.into()
        }),
    };
    taken.text = result.unwrap_or_else(|error| failure(what, &error));
    taken
}

fn received((result, buf): (io::Result<usize>, Vec<u8>), taken: &mut Taken) -> io::Result<String> {
    taken.back.push(buf.as_ptr());
    let n = result?;
    assert_eq!(n, buf.len(), "the buffer is not as long as what was received");
    taken.bytes = buf;
    Ok(bytes(&taken.bytes))
}

fn sent((result, buf): (io::Result<usize>, Vec<u8>), taken: &mut Taken) -> io::Result<String> {
    taken.back.push(buf.as_ptr());
    result.map(count)
}

fn nameless(buf: PoolBuf) -> (PoolBuf, Option<SockAddr>) {
    (buf, None)
}

fn named((buf, sender): (PoolBuf, SockAddr)) -> (PoolBuf, Option<SockAddr>) {
    (buf, Some(sender))
}

fn pooled(result: io::Result<(PoolBuf, Option<SockAddr>)>, named: bool, taken: &mut Taken) -> io::Result<String> {
    let (buf, sender) = result?;
    taken.bytes = buf.to_vec();
    if !buf.is_empty() {
        taken.extra = Extra::Pool(buf, named, sender);
    }
    Ok(bytes(&taken.bytes))
}

fn accepted(result: io::Result<op::Accepted>, taken: &mut Taken) -> io::Result<String> {
    taken.extra = Extra::Accepted(result?);
    Ok(DONE.into())
}
