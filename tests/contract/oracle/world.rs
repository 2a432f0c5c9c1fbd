//! A running script: the port, the model of what is in it, and the trace.
//!
//! A step changes the model and submits; [`World::settle`] then asks the model what must complete, drives the port until
//! it has, and writes that down. What completes unasked, differently, out of order or never is a line with `!!`.

use std::collections::{BTreeMap, VecDeque};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyport::buf::PoolBuf;
use anyport::op::{self, Operation};
use anyport::{Completion, Handle, OpId, Port, Token};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

use super::end::{End, Expected, Free};
use super::outcome::{self, Extra, What};
use super::peer;
use super::script::{Kind, Script};
use super::tape;

/// A completion that takes longer is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// Objects that may be in a port at a time.
pub(super) const ROOM: usize = 6;

/// An operation in flight.
pub(super) struct Op {
    pub id: Option<OpId>,
    pub end: Option<usize>,
    pub what: What,
    /// Where the lent buffers are.
    pub lent: Vec<*const u8>,
    /// Where the content of a send begins.
    pub at: usize,
    /// Its pool buffers are kept.
    pub hold: bool,
    /// It races with its cancel: anything may come of it.
    pub race: bool,
    pub due: Option<Instant>,
}

/// How a script went.
pub(super) struct Run {
    pub trace: Vec<String>,
    pub wrong: bool,
}

pub(super) struct World {
    pub port: Port,
    pub ends: Vec<End>,
    pub ops: BTreeMap<u64, Op>,
    expected: BTreeMap<u64, VecDeque<(String, bool)>>,
    /// Operations that are done.
    pub over: Vec<OpId>,
    pub next_token: u64,
    pub free: Free,
    /// Which of them are of the second pool is noted.
    pub held: Vec<(PoolBuf, bool)>,
    pub opened: Option<op::Opened>,
    pub folder: TempDir,
    /// Where the port's own connects arrive.
    pub host: TcpListener,
    /// Bound, but not listening: it refuses.
    pub nobody: Socket,
    /// Addresses of all clients, by number.
    pub clients: Vec<SockAddr>,
    /// Those of them that were not accepted yet.
    pub arriving: Vec<Option<TcpStream>>,
    /// Handles of objects that have left.
    pub stale: Vec<Handle>,
    /// Lines of the current step.
    lines: Vec<(u64, String)>,
    trace: Vec<String>,
    wrong: bool,
    lost: bool,
    last_post: u64,
    last_due: Option<Instant>,
}

impl World {
    pub(super) fn new(port: Port, (buffers, size): (u16, usize)) -> World {
        let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        nobody.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("bind");
        World {
            port,
            ends: Vec::new(),
            ops: BTreeMap::new(),
            expected: BTreeMap::new(),
            over: Vec::new(),
            next_token: 0,
            free: Free { buffers: buffers.into(), named: buffers.into(), size },
            held: Vec::new(),
            opened: None,
            folder: tempfile::tempdir().expect("a temporary folder"),
            host: crate::support::listener().0,
            nobody,
            clients: Vec::new(),
            arriving: Vec::new(),
            stale: Vec::new(),
            lines: Vec::new(),
            trace: Vec::new(),
            wrong: false,
            lost: false,
            last_post: 0,
            last_due: None,
        }
    }

    pub(super) fn play(&mut self, script: &Script) {
        for &kind in &script.begin {
            self.join(kind);
        }
        for (number, step) in script.steps.iter().enumerate() {
            let played = self.step(step);
            if played {
                self.write_down(format!("{number} {step:?}"));
            }
            if self.wrong {
                return;
            }
        }
        self.leave_all();
        self.write_down("end".into());
    }

    fn write_down(&mut self, title: String) {
        // One completion a line; those of different operations come in any order.
        self.lines.sort_by_key(|line| line.0);
        self.trace.push(title);
        self.trace.extend(self.lines.drain(..).map(|(_, line)| line));
    }

    /// Something that breaks the contract.
    pub(super) fn wrong(&mut self, text: impl std::fmt::Display) {
        self.wrong = true;
        self.lines.push((u64::MAX, format!("    !! {text}")));
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.wrong
    }

    /// Timers submitted from now on may be due before those that were.
    pub(super) fn forget_last_timer(&mut self) {
        self.last_due = None;
    }

    pub(super) fn end(mut self) -> Run {
        if !self.lines.is_empty() {
            self.write_down("then".into());
        }
        let run = Run { trace: std::mem::take(&mut self.trace), wrong: self.wrong };
        if self.lost {
            // Its drop would wait for what is lost.
            std::mem::forget(self);
        }
        run
    }

    pub(super) fn give_up(mut self, why: &str) -> Run {
        self.wrong(why);
        self.lost = true;
        self.end()
    }

    pub(super) fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Submits an operation and notes it.
    pub(super) fn submit<O: Operation>(&mut self, token: u64, operation: O, deadline: Option<Duration>, op: Op) -> OpId {
        let id = match deadline {
            Some(time) => self.port.submit(operation.within(time), Token(token)),
            None => self.port.submit(operation, Token(token)),
        };
        self.ops.insert(token, Op { id: Some(id), ..op });
        id
    }

    /// This operation must complete like this.
    pub(super) fn expect(&mut self, token: u64, text: impl Into<String>, more: bool) {
        self.expected.entry(token).or_default().push_back((text.into(), more));
    }

    pub(super) fn is_expected(&self, token: u64) -> bool {
        self.expected.contains_key(&token)
    }

    /// Asks the model what completes now.
    pub(super) fn predict(&mut self) {
        for end in &mut self.ends {
            for Expected { token, text, more } in end.predict(&mut self.free) {
                self.expected.entry(token).or_default().push_back((text, more));
            }
        }
    }

    /// Drives the port until everything has completed that must.
    pub(super) fn settle(&mut self) {
        loop {
            self.predict();
            if !self.busy() || self.lost {
                break;
            }
            self.drive();
        }
        // A look for what should not have come.
        let _ = self.port.wait(Some(Duration::ZERO));
        while let Some(done) = self.port.next() {
            self.completed(done);
        }
        self.check_datagrams();
    }

    fn busy(&self) -> bool {
        !self.expected.is_empty() || self.ends.iter().any(|end| end.draining)
    }

    fn drive(&mut self) {
        let mut give_up = Instant::now() + PATIENCE;
        loop {
            while let Some(done) = self.port.next() {
                self.completed(done);
                give_up = Instant::now() + PATIENCE;
            }
            let draining = self.drain();
            if !self.busy() {
                return;
            }
            if Instant::now() > give_up {
                let tokens: Vec<_> = self.expected.iter().map(|(token, texts)| format!("{token}: {texts:?}")).collect();
                self.wrong(format!("lost: {} (in flight: {})", tokens.join(", "), self.port.in_flight()));
                self.lost = true;
                return;
            }
            let nap = if draining { Duration::from_micros(200) } else { give_up - Instant::now() };
            self.port.wait(Some(nap)).expect("wait");
        }
    }

    /// Lets the draining peers read; true: some are not done.
    fn drain(&mut self) -> bool {
        let mut left = false;
        for (index, end) in self.ends.iter_mut().enumerate().filter(|(_, end)| end.draining) {
            if end.drain_after.iter().any(|token| self.ops.contains_key(token)) {
                continue;
            }
            end.drain_after.clear();
            let look = peer::pump(end);
            let writing = self.ops.values().any(|op| op.end == Some(index) && op.what.sends_bytes());
            let gone = !end.open || look == peer::Look::Broken;
            end.draining = !gone && (writing || !end.peer_has_all());
            left |= end.draining;
        }
        left
    }

    fn completed(&mut self, done: Completion) {
        let (token, more, moved, name) = (done.token().0, done.more(), done.transferred(), done.name());
        let Some(op) = self.ops.get(&token) else {
            return self.wrong(format!("{token}: a second final completion ({name})"));
        };
        let (id, what, hold, race, at, end, due) = (op.id, op.what, op.hold, op.race, op.at, op.end, op.due);
        if id.is_some_and(|id| id != done.id()) {
            self.wrong(format!("{token}: another id"));
        }
        let taken = outcome::take(what, done);
        if self.ops[&token].lent != taken.back {
            self.wrong(format!("{token}: not the buffer that was lent"));
        }
        if !more {
            self.ops.remove(&token);
            self.over.extend(id);
        }
        let text = taken.text;
        if race {
            self.raced(end, &text, &taken.bytes, moved, at, what);
            return;
        }
        let verdict = match self.expected.get_mut(&token).and_then(VecDeque::pop_front) {
            None => Some("not now".into()),
            Some((wild, false)) if wild == "error *" && text.starts_with("error") && !more => None,
            Some((wanted, last)) if (&wanted, last) != (&text, more) => Some(format!("not {wanted}{}", sign(last))),
            Some(_) => None,
        };
        if self.expected.get(&token).is_some_and(VecDeque::is_empty) {
            self.expected.remove(&token);
        }
        self.lines.push((token, format!("  {token} {name}: {text}{}", sign(more))));
        if let Some(verdict) = verdict {
            self.wrong(format!("{token}: {text}{}, {verdict}", sign(more)));
        }
        self.check_order(token, what, &text, end, due);
        if what.sends_bytes() && moved > 0 {
            self.moved_out(end, at, moved);
        }
        match taken.extra {
            Extra::None => {}
            Extra::Pool(buf, named, sender) => {
                if hold {
                    self.held.push((buf, named));
                }
                if let Some(address) = sender {
                    self.check_sender(token, end, address);
                }
            }
            Extra::Accepted(accepted) => self.accepted(accepted),
            Extra::Opened(opened) => self.opened = Some(opened),
            Extra::Sender(address) => self.check_sender(token, end, address),
        }
    }

    fn check_sender(&mut self, token: u64, end: Option<usize>, address: SockAddr) {
        let far = end.and_then(|end| self.ends[end].far_address.clone());
        if far.is_some_and(|far| far != address) {
            self.wrong(format!("{token}: from {:?}", address.as_socket()));
        }
    }

    fn check_order(&mut self, token: u64, what: What, text: &str, end: Option<usize>, due: Option<Instant>) {
        if what == What::Timer && text == outcome::DONE {
            let due = due.expect("a timer has a time");
            if Instant::now() < due {
                self.wrong(format!("{token}: early"));
            }
            if self.last_due.replace(due).is_some_and(|last| due < last) {
                self.wrong(format!("{token}: after a later timer"));
            }
        }
        if what == What::Post {
            if self.last_post > token {
                self.wrong(format!("{token}: after a later post"));
            }
            self.last_post = token;
        }
        let Some(end) = end else { return };
        if what == What::Close && self.ops.values().any(|op| op.end == Some(end)) {
            self.wrong(format!("{token}: the close did not complete last"));
        }
        let end = &mut self.ends[end];
        let late = [&mut end.read_order, &mut end.write_order].into_iter().any(|order| {
            let place = order.iter().position(|&other| other == token);
            place.is_some_and(|place| order.remove(place).is_some() && place > 0)
        });
        if late {
            self.wrong(format!("{token}: overtook another of its direction"));
        }
    }

    fn moved_out(&mut self, end: Option<usize>, at: usize, moved: usize) {
        let Some(end) = end else { return };
        self.ends[end].segments.push((at, moved));
    }

    /// A racing operation: whatever it moved must be accounted for.
    fn raced(&mut self, end: Option<usize>, text: &str, bytes: &[u8], moved: usize, at: usize, what: What) {
        let end = end.expect("it races on an object");
        if text != outcome::CANCELLED && !text.starts_with("ok") {
            return self.wrong(format!("a race ended with {text}"));
        }
        if what.sends_bytes() {
            if moved > 0 {
                self.moved_out(Some(end), at, moved);
            }
            return;
        }
        let model = &mut self.ends[end];
        let from = model.sent - model.unread;
        if bytes.len() > model.unread || !tape::matches(bytes, model.seed, from) {
            return self.wrong(format!("a race received {} wrong bytes", bytes.len()));
        }
        model.unread -= bytes.len();
    }

    /// Which client it is decides what the model says of it from now on.
    fn accepted(&mut self, accepted: op::Accepted) {
        let address = accepted.peer_addr().expect("getpeername");
        let number = self.clients.iter().position(|client| client.as_socket() == address.as_socket());
        let Some(number) = number else { return self.wrong("a connection of nobody") };
        self.lines.push((u64::MAX - 1, format!("    connection {number}")));
        self.arrived(number, accepted);
    }

    /// Datagrams arrive at the peer at once and whole.
    fn check_datagrams(&mut self) {
        for index in 0..self.ends.len() {
            if self.ends[index].kind != Kind::Udp || self.lost {
                continue;
            }
            for (at, len) in std::mem::take(&mut self.ends[index].segments) {
                let datagram = peer::datagram(&mut self.ends[index]);
                if !datagram.is_some_and(|bytes| bytes.len() == len && tape::matches(&bytes, self.ends[index].seed + 1, at)) {
                    self.wrong("a datagram did not arrive as it was sent");
                }
            }
        }
    }

    /// Runs something whose lines differ without a difference in meaning.
    pub(super) fn quietly(&mut self, body: impl FnOnce(&mut World)) {
        let (lines, token, wrong) = (self.lines.len(), self.next_token, self.wrong);
        body(self);
        if self.wrong == wrong {
            self.lines.truncate(lines);
        }
        self.next_token = token;
    }

    /// Drives the port until this (racing) operation is over.
    pub(super) fn finish_race(&mut self, token: u64) {
        let give_up = Instant::now() + PATIENCE;
        while self.ops.contains_key(&token) {
            if let Some(done) = self.port.next() {
                self.completed(done);
            } else if Instant::now() > give_up {
                self.lost = true;
                return self.wrong(format!("{token}: lost in a race with its cancel"));
            } else {
                self.port.wait(Some(PATIENCE)).expect("wait");
            }
        }
    }

    pub(super) fn near(&self, end: usize) -> crate::support::Near {
        crate::support::near(&self.port, self.ends[end].handle).expect("an open handle")
    }

    pub(super) fn pooled_elsewhere(&self, end: usize) -> bool {
        let pooled = |end: &End| end.reads.iter().any(|item| item.verb.is_pooled());
        self.ends.iter().enumerate().any(|(index, other)| index != end && pooled(other))
    }
}

fn sign(more: bool) -> &'static str {
    if more { " ..." } else { "" }
}

impl What {
    pub(super) fn sends_bytes(self) -> bool {
        matches!(self, What::Send | What::SendAll | What::SendFile | What::SendVectored | What::SendTo)
    }
}
