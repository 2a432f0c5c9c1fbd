//! One life of the soak: a port, what is attached to it, and what is in flight. `act` does something with them, `settle`
//! takes the completions up.
//!
//! Invariant: every operation is in `ops` from its submission until its final completion was taken, and counted at the
//! end that it is on; nothing is removed otherwise.

use std::cell::RefCell;
use std::fs::File;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyport::buf::PoolBuf;
use anyport::op::Operation;
use anyport::{Backend, Handle, OpId, Port, Poster, Source, Token};
use socket2::{SockAddr, SockRef};

use super::Report;
use super::ledger::{self, Ledger};
use super::pair::{Kind, Pair};
use crate::support::*;

/// Pairs of ends that are kept up.
const PAIRS: usize = 24;
/// Operations in flight in one direction of one end.
const DEPTH: usize = 6;
/// Buffers of the port's pool, and bytes of each.
pub(super) const POOL: (u16, usize) = (16, 512);
/// Records of the file, and bytes of each.
pub(super) const RECORDS: usize = 32;
pub(super) const RECORD: usize = 1024;
/// The bit in the token of a post.
pub(super) const POST: u64 = 1 << 63;

/// What was submitted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum What {
    Nop,
    Timer { due: Instant },
    Closure(u64),
    Recv,
    RecvVectored,
    RecvFrom,
    RecvPooled,
    RecvMulti,
    RecvFromPooled,
    RecvFromMulti,
    Send,
    SendAll,
    SendLong,
    SendVectored,
    SendPooled,
    SendFile,
    SendDatagram,
    Ready,
    Shutdown(Shutdown),
    Close,
    Accept,
    AcceptMulti,
    Connect,
    Open { join: bool },
    ReadAt(usize),
    WriteAt(usize),
    Fsync,
    Metadata,
    StaleRecv,
    StaleClose,
}

/// The queue of its end that an operation is in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Lane {
    Read,
    Write,
    Other,
}

/// An operation in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) what: What,
    pub(super) token: u64,
    pub(super) id: Option<OpId>,
    pub(super) end: Option<usize>,
    pub(super) lane: Lane,
    /// The numbers of the buffers it was lent.
    pub(super) bufs: [u32; 2],
    /// Bytes of room of a receive.
    pub(super) room: usize,
    /// What it sends, without a datagram's number.
    pub(super) piece: &'static [u8],
    pub(super) datagram: u64,
    pub(super) given_up: bool,
    pub(super) deadline: bool,
}

impl Op {
    pub(super) fn new(what: What) -> Op {
        let (token, datagram, room) = (0, 0, 0);
        let (id, end, lane, bufs, piece) = (None, None, Lane::Other, [0; 2], &[][..]);
        Op { what, token, id, end, lane, bufs, room, piece, datagram, given_up: false, deadline: false }
    }

    pub(super) fn on(end: usize, lane: Lane, what: What) -> Op {
        Op { end: Some(end), lane, ..Op::new(what) }
    }

    /// The end whose close waits for it.
    pub(super) fn counts_on(&self) -> Option<usize> {
        self.end.filter(|_| self.what != What::Close)
    }
}

/// What an attached object is to the soak.
#[derive(Clone)]
pub(super) enum Role {
    /// One side of a pair whose bytes are checked.
    Side(Rc<RefCell<Pair>>, usize),
    /// A connection to nobody in particular.
    Stranger,
    Listener(SockAddr),
    File,
}

impl Role {
    pub(super) fn is_pipe(&self) -> bool {
        matches!(self, Role::Side(pair, _) if pair.borrow().kind == Kind::Pipe)
    }

    pub(super) fn sends_files(&self) -> bool {
        !self.is_pipe()
    }
}

/// An attached object.
pub(super) struct End {
    pub(super) handle: Handle,
    pub(super) role: Role,
    /// Operations in flight, by lane.
    pub(super) busy: [usize; 3],
    pub(super) closing: bool,
}

impl End {
    pub(super) fn is_idle(&self) -> bool {
        self.busy == [0; 3]
    }

    pub(super) fn has_room(&self, lane: Lane) -> bool {
        !self.closing && self.busy[lane as usize] < DEPTH
    }

    pub(super) fn reads(&self) -> bool {
        match &self.role {
            Role::Side(pair, side) => pair.borrow().kind != Kind::Pipe || *side == 1,
            Role::Stranger => true,
            Role::Listener(_) | Role::File => false,
        }
    }

    pub(super) fn writes(&self) -> bool {
        match &self.role {
            Role::Side(pair, side) => pair.borrow().kind != Kind::Pipe || *side == 0,
            Role::Stranger => true,
            Role::Listener(_) | Role::File => false,
        }
    }

    /// The other end is gone, or may be: mostly errors come from it.
    pub(super) fn is_disturbed(&self) -> bool {
        match &self.role {
            Role::Side(pair, _) => pair.borrow().disturbed,
            Role::Stranger => true,
            Role::Listener(_) | Role::File => false,
        }
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(&self.role, Role::Side(pair, _) if !pair.borrow().kind.is_stream())
    }
}

/// A piece of the file that at most one write, or some reads, are in flight for.
#[derive(Clone, Copy, Default)]
pub(super) struct Record {
    /// What it holds, unless a write was given up half-way.
    pub(super) holds: Option<&'static [u8]>,
    pub(super) readers: usize,
    pub(super) written: bool,
}

pub(super) struct Records {
    pub(super) path: PathBuf,
    pub(super) end: Option<usize>,
    pub(super) opening: bool,
    pub(super) all: [Record; RECORDS],
}

/// A posted value; those that are alive are counted.
pub(super) struct Parcel {
    pub(super) sender: usize,
    pub(super) number: u64,
    pub(super) alive: Arc<AtomicI64>,
}

impl Parcel {
    pub(super) fn new(sender: usize, number: u64, alive: &Arc<AtomicI64>) -> Parcel {
        alive.fetch_add(1, SeqCst);
        Parcel { sender, number, alive: alive.clone() }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

/// The posts: this thread is sender 0, a thread of its own sender 1.
pub(super) struct Posts {
    pub(super) poster: Poster,
    pub(super) orders: Option<mpsc::Sender<u64>>,
    thread: Option<JoinHandle<()>>,
    pub(super) sent: [u64; 2],
    pub(super) taken: [u64; 2],
    pub(super) alive: Arc<AtomicI64>,
}

impl Posts {
    fn new(poster: Poster) -> Posts {
        let (orders, told) = mpsc::channel();
        let alive = Arc::new(AtomicI64::new(0));
        let (theirs, count) = (poster.clone(), alive.clone());
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            for times in told {
                for _ in 0..times {
                    // A port that is gone gives the value back.
                    let _ = theirs.post(Token(POST | 1), Parcel::new(1, number, &count));
                    number += 1;
                }
            }
        });
        Posts { poster, orders: Some(orders), thread: Some(thread), sent: [0; 2], taken: [0; 2], alive }
    }

    /// Ends the other thread, after all that it was to post.
    fn stop(&mut self) {
        self.orders = None;
        self.thread.take().into_iter().for_each(|thread| thread.join().expect("the posting thread"));
    }
}

/// One life.
pub(super) struct World {
    pub(super) port: Port,
    pub(super) rng: fastrand::Rng,
    pub(super) ledger: Rc<Ledger>,
    pub(super) ops: Vec<Option<Op>>,
    pub(super) vacant: Vec<usize>,
    pub(super) submitted: u32,
    pub(super) ends: Vec<Option<End>>,
    pub(super) strangers: usize,
    pub(super) records: Records,
    /// A file with all of the tape in it.
    pub(super) tape: Rc<File>,
    /// Pool buffers on loan to the user, with what they must hold.
    pub(super) held: Vec<(PoolBuf, Vec<u8>)>,
    pub(super) sending_pooled: usize,
    pub(super) stale: Handle,
    pub(super) posts: Posts,
    pub(super) report: Report,
    meeting: (TcpListener, SocketAddr),
    folder: tempfile::TempDir,
    /// Nothing that is closed is replaced.
    pub(super) ending: bool,
}

impl World {
    pub(super) fn new(backend: Backend, seed: u64, ledger: &Rc<Ledger>) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let builder = Port::builder().backend(backend).entries(1 << rng.u32(0..9)).pool(POOL.0, POOL.1).threads(2);
        let mut port = builder.clone().build().expect("a port");
        if backend == Backend::Uring && rng.bool() {
            // As an older kernel would have it.
            let features: Vec<_> = port.explain().features.iter().map(|feature| feature.name).collect();
            let lacking = rng.choice(features).expect("there are some");
            port = builder.without(lacking).build().expect("a port without something");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (near, _far) = unix_pair();
        let stale = port.attach(near).expect("attach");
        port.submit(anyport::op::Close::new(stale), Token(0));
        one(&mut port).unpack::<anyport::op::Close>().expect("close");
        let path = folder.path().join("records");
        std::fs::write(&path, [0; RECORDS * RECORD]).expect("a file");
        let records = Records { path, end: None, opening: false, all: Default::default() };
        let tape = folder.path().join("tape");
        std::fs::write(&tape, ledger::tape()).expect("a file");
        let tape = Rc::new(File::open(tape).expect("open"));
        let posts = Posts::new(port.poster());
        let mut world = World {
            port,
            rng,
            ledger: ledger.clone(),
            ops: Vec::new(),
            vacant: Vec::new(),
            submitted: 0,
            ends: Vec::new(),
            strangers: 0,
            records,
            tape,
            held: Vec::new(),
            sending_pooled: 0,
            stale,
            posts,
            report: Report::default(),
            meeting: listener(),
            folder,
            ending: false,
        };
        world.listen();
        for _ in 0..PAIRS {
            world.new_pair();
        }
        world
    }

    /// Submits so many operations, and lets them race.
    pub(super) fn run(&mut self, operations: u64) {
        while self.report.submitted < operations {
            for _ in 0..self.rng.usize(1..64) {
                self.act();
            }
            let nap = if self.rng.u8(..) < 4 { self.rng.u64(0..300) } else { 0 };
            self.port.wait(Some(Duration::from_micros(nap))).expect("wait");
            while let Some(done) = self.port.next() {
                self.completed(done);
                // Some are left for later.
                if self.rng.u8(..) == 0 {
                    break;
                }
            }
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.ops.len() - self.vacant.len()
    }

    /// Submits an operation, now and then with a deadline, and notes it.
    pub(super) fn submit<O: Operation>(&mut self, operation: O, op: Op) -> usize {
        let deadline = op.what != What::Close && self.rng.u8(..) < 10;
        let index = self.vacant.pop().unwrap_or(self.ops.len());
        if index == self.ops.len() {
            self.ops.push(None);
        }
        self.submitted = self.submitted.wrapping_add(1) & !(1 << 31);
        let token = u64::from(self.submitted) << 32 | index as u64;
        let id = if deadline {
            let time = Duration::from_micros(self.rng.u64(0..500));
            self.port.submit(operation.within(time), Token(token))
        } else {
            self.port.submit(operation, Token(token))
        };
        if let Some(end) = op.counts_on() {
            self.end(end).busy[op.lane as usize] += 1;
        }
        self.ops[index] = Some(Op { token, id: Some(id), deadline, ..op });
        self.report.submitted += 1;
        index
    }

    /// Takes a note back: its final completion was taken.
    pub(super) fn over(&mut self, index: usize) {
        let op = self.ops[index].take().expect("it was in flight");
        self.vacant.push(index);
        if let Some(end) = op.counts_on() {
            self.end(end).busy[op.lane as usize] -= 1;
        }
    }

    pub(super) fn end(&mut self, index: usize) -> &mut End {
        self.ends[index].as_mut().expect("an end is there until its close has completed")
    }

    pub(super) fn join(&mut self, source: impl Into<Source>, role: Role) -> usize {
        let handle = self.port.attach(source).expect("attach");
        let end = End { handle, role, busy: [0; 3], closing: false };
        match self.ends.iter().position(Option::is_none) {
            Some(index) => {
                self.ends[index] = Some(end);
                index
            }
            None => {
                self.ends.push(Some(end));
                self.ends.len() - 1
            }
        }
    }

    /// An end that fits, if chance finds one.
    pub(super) fn pick(&mut self, fits: impl Fn(&End) -> bool) -> Option<usize> {
        let all = self.ends.len();
        let tries = [(); 6].map(|()| self.rng.usize(..all));
        tries.into_iter().find(|&index| self.ends[index].as_ref().is_some_and(&fits))
    }

    pub(super) fn new_pair(&mut self) {
        let kinds = [Kind::Tcp, Kind::Unix, Kind::Pipe, Kind::Udp, Kind::UnixDatagram, Kind::Tcp, Kind::Unix];
        let kind = kinds[self.rng.usize(..kinds.len())];
        let pair = Rc::new(RefCell::new(Pair::new(kind)));
        let [near, far] = [0, 1].map(|side| Role::Side(pair.clone(), side));
        // Small, so that sends have to wait. (A small buffer to receive into would have TCP wait for its timers.)
        let small = |socket: SockRef| socket.set_send_buffer_size(4096).expect("SO_SNDBUF");
        match kind {
            Kind::Tcp => {
                let one = TcpStream::connect(self.meeting.1).expect("connect over loopback");
                let (two, _) = self.meeting.0.accept().expect("accept over loopback");
                for socket in [&one, &two] {
                    small(SockRef::from(socket));
                    socket.set_nodelay(true).expect("TCP_NODELAY");
                }
                self.join(one, near);
                self.join(two, far);
            }
            Kind::Unix => {
                let (one, two) = unix_pair();
                [&one, &two].into_iter().for_each(|socket| small(SockRef::from(socket)));
                self.join(one, near);
                self.join(two, far);
            }
            Kind::Pipe => {
                let (read_end, write_end) = small_pipe();
                self.join(write_end, near);
                self.join(read_end, far);
            }
            Kind::Udp => {
                let (one, two) = udp_pair();
                self.join(one, near);
                self.join(two, far);
            }
            Kind::UnixDatagram => {
                let (one, two) = unix_datagram_pair();
                self.join(one, near);
                self.join(two, far);
            }
        }
    }

    pub(super) fn listen(&mut self) {
        let (tcp, address) = listener();
        self.join(tcp, Role::Listener(address.into()));
        let (unix, address) = unix_target(self.folder.path());
        self.join(unix, Role::Listener(address));
    }

    /// Nothing new is submitted: all that can complete must do so.
    pub(super) fn settle(&mut self) {
        while !self.held.is_empty() {
            self.release();
        }
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            while self.port.wait(Some(Duration::from_millis(10))).expect("wait") {
                while let Some(done) = self.port.next() {
                    self.completed(done);
                    self.held.clear();
                }
            }
            let Some(owed) = self.owed() else { return };
            assert!(Instant::now() < give_up, "{owed} is owed and does not complete");
        }
    }

    /// Something that must complete by itself, now or soon.
    fn owed(&self) -> Option<String> {
        if self.posts.sent != self.posts.taken {
            return Some(format!("posts: {:?} of {:?}", self.posts.taken, self.posts.sent));
        }
        let op = self.ops.iter().flatten().find(|op| {
            let prompt = match op.what {
                What::Nop | What::Closure(_) | What::Open { .. } | What::ReadAt(_) | What::WriteAt(_) => true,
                What::Fsync | What::Metadata | What::StaleRecv | What::StaleClose | What::Close => true,
                What::Timer { due } => Instant::now() >= due,
                _ => false,
            };
            prompt || op.deadline || op.given_up
        });
        if let Some(op) = op {
            return Some(format!("{op:?}"));
        }
        self.ends.iter().flatten().find_map(|end| {
            let Role::Side(pair, side) = &end.role else { return None };
            let pair = pair.borrow();
            let flow = &pair.flows[1 - side];
            let comes = match pair.kind {
                // The system may lose them; on a Unix socket only once a send has found that its peer is gone.
                Kind::Udp => false,
                Kind::UnixDatagram if pair.disturbed => false,
                Kind::UnixDatagram => flow.sending > 0 || flow.has_datagram(),
                _ => flow.sending > 0 || flow.sent > flow.received || flow.is_over,
            };
            (end.busy[Lane::Read as usize] > 0 && comes)
                .then(|| format!("a receive of {:?} ({} in flight on the other end)", pair.kind, flow.sending))
        })
    }

    /// Ends everything in the ways there are, and sees it end.
    pub(super) fn end_all(mut self) -> Report {
        self.posts.stop();
        self.ending = true;
        for index in 0..self.ends.len() {
            if self.ends[index].as_ref().is_some_and(|end| !end.closing) {
                self.close_end(index);
            }
        }
        (0..self.ops.len()).for_each(|index| self.give_up(index));
        while self.in_flight() > 0 || self.posts.taken != self.posts.sent {
            let done = one(&mut self.port);
            self.completed(done);
        }
        // What was opened or accepted meanwhile is attached by now.
        if self.ends.iter().flatten().next().is_some() {
            return self.end_all();
        }
        assert_eq!(self.port.in_flight(), 0);
        self.leave()
    }

    /// Drops the port with everything in flight.
    pub(super) fn abandon(mut self) -> Report {
        self.report.abandoned = self.in_flight() as u64;
        self.posts.stop();
        let posts: u64 = self.posts.sent.iter().sum::<u64>() - self.posts.taken.iter().sum::<u64>();
        self.report.abandoned += posts;
        self.leave()
    }

    fn leave(self) -> Report {
        let World { port, posts, report, held, ends, .. } = self;
        drop((port, held, ends));
        assert_eq!(posts.alive.load(SeqCst), 0, "posted values are missing");
        report
    }}
