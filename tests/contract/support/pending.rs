//! Operations that do not end by themselves, one of every kind on every kind of object, so that what is promised of a
//! cancel, a deadline, a close or a drop can be held to all of them at once; and the buffers that they are lent.
//!
//! Invariant: whatever happens to an operation, the [`Tally`] knows where its buffer is. A [`Lent`] buffer that is
//! dropped is not freed but marked and kept, so that a system that still writes to it is caught.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyport::buf::{IoBuf, IoBufMut};
use anyport::op::{self, Operation, Unpack};
use anyport::{Completion, Handle, Object, OpId, Port, Source, Token};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    DATAGRAMS_WAIT, PIPES_TELL_ROOM, domain_of, fill, listener, one, pipe, silent_unix, tcp_pair, try_write, udp_pair,
    unix_datagram_pair, unix_listener, unix_pair,
};

/// What a lent buffer holds before the system writes to it.
pub(crate) const FRESH: u8 = 0x5a;
/// What it holds after it was dropped.
const DROPPED: u8 = 0xdd;

#[derive(Default)]
struct Ledger {
    lent: usize,
    dropped: Vec<Box<[u8]>>,
}

/// Counts the buffers that are out, and keeps those that were dropped.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Ledger>>);

impl Tally {
    /// A new buffer of `len` bytes.
    pub(crate) fn lend(&self, len: usize) -> Lent {
        self.0.lock().expect("the ledger").lent += 1;
        Lent { bytes: vec![FRESH; len].into(), tally: self.clone() }
    }

    /// How many buffers were lent and not dropped yet.
    pub(crate) fn out(&self) -> usize {
        let ledger = self.0.lock().expect("the ledger");
        ledger.lent.checked_sub(ledger.dropped.len()).expect("a buffer was dropped twice")
    }

    /// Every buffer was dropped exactly once, and nobody has written to one since.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        assert_eq!(self.out(), 0, "buffers were leaked");
        let ledger = self.0.lock().expect("the ledger");
        for buffer in &ledger.dropped {
            let untouched = buffer.chunks(4096).all(|page| page == &[DROPPED; 4096][..page.len()]);
            assert!(untouched, "the system wrote to a buffer that was freed");
        }
    }
}

/// A buffer of a [`Tally`].
pub(crate) struct Lent {
    bytes: Box<[u8]>,
    tally: Tally,
}

impl std::ops::Deref for Lent {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

// SAFETY: the bytes are on the heap and stay there until the buffer is dropped (and longer).
unsafe impl IoBuf for Lent {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.bytes.len()
    }
}

// SAFETY: as above; all of them may be written.
unsafe impl IoBufMut for Lent {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        self.bytes.len()
    }
    unsafe fn filled(&mut self, _len: usize) {}
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.fill(DROPPED);
        self.tally.0.lock().expect("the ledger").dropped.push(bytes);
    }
}

/// What a completion was unpacked to, whatever the operation.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: io::Result<()>,
    /// How many of the tally's buffers came back with it.
    pub(crate) buffers: usize,
}

/// Outputs of operations. What they hold (a descriptor, buffers) is dropped.
pub(crate) trait Output {
    fn outcome(self) -> Outcome;
}

impl<T> Output for io::Result<T> {
    fn outcome(self) -> Outcome {
        Outcome { result: self.map(drop), buffers: 0 }
    }
}

impl<T> Output for (io::Result<T>, Lent) {
    fn outcome(self) -> Outcome {
        Outcome { result: self.0.map(drop), buffers: 1 }
    }
}

impl<T> Output for (io::Result<T>, [Lent; 2]) {
    fn outcome(self) -> Outcome {
        Outcome { result: self.0.map(drop), buffers: 2 }
    }
}

impl<T> Output for (io::Result<T>, File, Lent) {
    fn outcome(self) -> Outcome {
        Outcome { result: self.0.map(drop), buffers: 1 }
    }
}

/// One operation in flight.
pub(crate) struct Pending {
    pub(crate) name: &'static str,
    pub(crate) id: OpId,
    pub(crate) handle: Option<Handle>,
    /// Buffers it was lent.
    pub(crate) buffers: usize,
    unpack: fn(Completion) -> Outcome,
}

/// Many operations in flight, each with its index as its token, and what keeps them waiting.
#[derive(Default)]
pub(crate) struct Cast {
    pub(crate) pending: Vec<Pending>,
    /// The other ends.
    pub(crate) peers: Vec<Object>,
    folders: Vec<tempfile::TempDir>,
}

impl Cast {
    /// Takes all completions: one for each operation, its last, under its token and id, with what it was lent.
    #[track_caller]
    pub(crate) fn each_once(&self, port: &mut Port, mut check: impl FnMut(&Pending, io::Result<()>)) {
        let mut seen = vec![false; self.pending.len()];
        for _ in &self.pending {
            let done = one(port);
            let pending = &self.pending[done.token().0 as usize];
            let seen = &mut seen[done.token().0 as usize];
            assert!(!std::mem::replace(seen, true), "{} completed twice", pending.name);
            assert_eq!((done.id(), done.more()), (pending.id, false), "{}", pending.name);
            let outcome = (pending.unpack)(done);
            assert_eq!(outcome.buffers, pending.buffers, "{}", pending.name);
            check(pending, outcome.result);
        }
        assert_eq!(port.in_flight(), 0);
        assert!(!port.wait(Some(Duration::from_millis(5))).expect("wait"), "more completed than was submitted");
    }

    /// Writes to everything that can be written to, so that a receive that still stood would get something.
    pub(crate) fn send_to_all(&self) {
        for peer in &self.peers {
            try_write(peer, &[0xee; 64]);
        }
    }
}

/// Submits all of them to `port`, each with the same `deadline`.
pub(crate) fn submit_every_kind(port: &mut Port, tally: &Tally, deadline: Option<Duration>) -> Cast {
    let mut stage = Stage { port, tally, deadline, cast: Cast::default() };
    stage.receives();
    stage.pooled_receives();
    stage.accepts();
    stage.connects();
    stage.sends();
    stage.readiness();
    stage.submit("timer", None, 0, op::Timer::after(Duration::from_secs(3600)));
    stage.cast
}

struct Stage<'a> {
    port: &'a mut Port,
    tally: &'a Tally,
    deadline: Option<Duration>,
    cast: Cast,
}

impl Stage<'_> {
    fn submit<O: Operation>(&mut self, name: &'static str, handle: Option<Handle>, buffers: usize, operation: O)
    where
        <O::Of as Unpack>::Output: Output,
    {
        let token = Token(self.cast.pending.len() as u64);
        let id = match self.deadline {
            Some(time) => self.port.submit(operation.within(time), token),
            None => self.port.submit(operation, token),
        };
        let unpack = |done: Completion| done.unpack::<O::Of>().outcome();
        self.cast.pending.push(Pending { name, id, handle, buffers, unpack });
    }

    fn attach(&mut self, near: impl Into<Source>, far: impl Into<Object>) -> Handle {
        self.cast.peers.push(far.into());
        self.port.attach(near).expect("attach")
    }

    fn tcp(&mut self) -> Handle {
        let (near, far) = tcp_pair();
        self.attach(near, far)
    }

    fn unix(&mut self) -> Handle {
        let (near, far) = unix_pair();
        self.attach(near, far)
    }

    fn datagram(&mut self) -> Handle {
        let (near, far) = udp_pair();
        self.attach(near, far)
    }

    fn read_pipe(&mut self) -> Handle {
        let (near, far) = pipe();
        self.attach(near, far)
    }

    fn receives(&mut self) {
        for (name, on) in [("recv, tcp", self.tcp()), ("recv, unix", self.unix()), ("recv, datagram", self.datagram())]
        {
            let buf = self.tally.lend(64);
            self.submit(name, Some(on), 1, op::Recv::new(on, buf));
        }
        let on = self.read_pipe();
        for name in ["recv, pipe", "recv, queued", "recv, queued further"] {
            let buf = self.tally.lend(64);
            self.submit(name, Some(on), 1, op::Recv::new(on, buf));
        }
        for (name, on) in [("recv vectored, tcp", self.tcp()), ("recv vectored, pipe", self.read_pipe())] {
            let bufs = [self.tally.lend(16), self.tally.lend(16)];
            self.submit(name, Some(on), 2, op::RecvVectored::new(on, bufs));
        }
        let (on, buf) = (self.datagram(), self.tally.lend(64));
        self.submit("recv-from", Some(on), 1, op::RecvFrom::new(on, buf));
    }

    fn pooled_receives(&mut self) {
        for (name, on) in [
            ("recv pooled, tcp", self.tcp()),
            ("recv pooled, datagram", self.datagram()),
            ("recv pooled, pipe", self.read_pipe()),
        ] {
            self.submit(name, Some(on), 0, op::RecvPooled::new(on));
        }
        for (name, on) in [
            ("recv pooled multishot, unix", self.unix()),
            ("recv pooled multishot, datagram", self.datagram()),
            ("recv pooled multishot, pipe", self.read_pipe()),
        ] {
            self.submit(name, Some(on), 0, op::RecvPooledMulti::new(on));
        }
        for (name, on) in [("recv-from pooled, datagram", self.datagram()), ("recv-from pooled, tcp", self.tcp())] {
            self.submit(name, Some(on), 0, op::RecvFromPooled::new(on));
        }
        for (name, on) in [
            ("recv-from pooled multishot, datagram", self.datagram()),
            ("recv-from pooled multishot, unix", self.unix()),
        ] {
            self.submit(name, Some(on), 0, op::RecvFromPooledMulti::new(on));
        }
    }

    fn accepts(&mut self) {
        let on = self.port.attach(listener().0).expect("attach");
        self.submit("accept, tcp", Some(on), 0, op::Accept::new(on));
        self.submit("accept, queued", Some(on), 0, op::Accept::new(on));
        let (unix, folder) = unix_listener();
        self.cast.folders.push(folder);
        let on = self.port.attach(unix).expect("attach");
        self.submit("accept, unix", Some(on), 0, op::Accept::new(on));
        let on = self.port.attach(listener().0).expect("attach");
        self.submit("accept multishot", Some(on), 0, op::AcceptMulti::new(on));
    }

    fn connects(&mut self) {
        let (silent, address) = silent_tcp();
        self.cast.peers.extend(silent);
        let on = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let on = self.port.attach(on).expect("attach");
        self.submit("connect, tcp", Some(on), 0, op::Connect::new(on, address));
        let (first, second) = (self.tally.lend(64), self.tally.lend(64));
        self.submit("recv behind a connect", Some(on), 1, op::Recv::new(on, first));
        self.submit("send behind a connect", Some(on), 1, op::SendAll::new(on, second));
        let (silent, address, folder) = silent_unix();
        self.cast.peers.extend(silent);
        self.cast.folders.push(folder);
        let on = Socket::new(domain_of(&address), Type::STREAM, None).expect("a socket");
        let on = self.port.attach(on).expect("attach");
        self.submit("connect, unix", Some(on), 0, op::Connect::new(on, address));
    }

    fn sends(&mut self) {
        let (near, far) = unix_pair();
        fill(&near);
        let on = self.attach(near, far);
        let (first, second) = (self.tally.lend(64), self.tally.lend(64));
        self.submit("send, unix", Some(on), 1, op::Send::new(on, first));
        self.submit("send-all, queued", Some(on), 1, op::SendAll::new(on, second));
        self.submit("shutdown, queued", Some(on), 0, op::Shutdown::new(on, std::net::Shutdown::Write));
        let (near, far) = tcp_pair();
        let (on, buf) = (self.attach(near, far), self.tally.lend(32 << 20));
        self.submit("send-all, partly sent", Some(on), 1, op::SendAll::new(on, buf));
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(64).expect("a file of zeros");
        let (near, far) = unix_pair();
        fill(&near);
        let (on, head) = (self.attach(near, far), self.tally.lend(64));
        let again = file.try_clone().expect("a duplicate");
        self.submit("send-file, unix", Some(on), 1, op::SendFile::new(on, again, 0..64).head(head));
        let (near, far) = tcp_pair();
        let (on, head) = (self.attach(near, far), self.tally.lend(32 << 20));
        self.submit("send-file, partly sent", Some(on), 1, op::SendFile::new(on, file, 0..64).head(head));
        let (far, near) = pipe();
        fill(&near);
        let (on, buf) = (self.attach(near, far), self.tally.lend(64));
        self.submit("send, pipe", Some(on), 1, op::Send::new(on, buf));
        let (far, near) = pipe();
        fill(&near);
        let (on, bufs) = (self.attach(near, far), [self.tally.lend(16), self.tally.lend(16)]);
        self.submit("send vectored, pipe", Some(on), 2, op::SendVectored::new(on, bufs));
        let (near, far) = unix_pair();
        fill(&near);
        let (on, bufs) = (self.attach(near, far), [self.tally.lend(16), self.tally.lend(16)]);
        self.submit("send vectored, unix", Some(on), 2, op::SendVectored::new(on, bufs));
        if DATAGRAMS_WAIT {
            let (near, far) = unix_datagram_pair();
            fill(&near);
            let (on, buf) = (self.attach(near, far), self.tally.lend(64));
            self.submit("send, datagram", Some(on), 1, op::Send::new(on, buf));
        }
    }

    fn readiness(&mut self) {
        let on = self.tcp();
        self.submit("ready, tcp", Some(on), 0, op::Ready::readable(on));
        self.submit("ready, queued", Some(on), 0, op::Ready::readable(on));
        let on = self.read_pipe();
        self.submit("ready, pipe", Some(on), 0, op::Ready::readable(on));
        let on = self.port.attach(listener().0).expect("attach");
        self.submit("ready, listener", Some(on), 0, op::Ready::readable(on));
        let (near, far) = unix_pair();
        fill(&near);
        let on = self.attach(near, far);
        self.submit("ready, unix, to write", Some(on), 0, op::Ready::writable(on));
        if PIPES_TELL_ROOM {
            let (far, near) = pipe();
            fill(&near);
            let on = self.attach(near, far);
            self.submit("ready, pipe, to write", Some(on), 0, op::Ready::writable(on));
        }
    }
}

/// A TCP listener that answers nobody, because its queue is full; with what makes it so.
pub(crate) fn silent_tcp() -> (Vec<Object>, SockAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("bind");
    listener.listen(0).expect("listen");
    let address = listener.local_addr().expect("an address");
    // A queue of 0 takes one connection.
    let first = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    first.connect(&address).expect("connect");
    (vec![listener.into(), first.into()], address)
}
