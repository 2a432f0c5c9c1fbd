//! What each step of a script does to the port, to the peer and to the model.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyport::buf::IoBuf;
use anyport::{Object, Token, op};
use socket2::{Domain, SockRef, Socket, Type};

use super::able::able;
use super::end::{BIG, End, Item};
use super::outcome::{self, CANCELLED, DONE, TIMED_OUT, What};
use super::script::{Act, Fault, Kind, Step, Verb};
use super::world::{Op, ROOM, World};
use super::{peer, tape};
use crate::support::{Far, is_idle, near, pipe, tcp_pair, udp_pair, unix_pair};

/// Time for an operation that must not need it.
const HOUR: Duration = Duration::from_secs(3600);
/// Time for one that cannot end otherwise.
const MOMENT: Duration = Duration::from_millis(2);
/// Small sends under way to a peer that does not read them; more might block.
const UNDER_WAY: usize = 8_000;

fn op(what: What, end: Option<usize>) -> Op {
    Op { id: None, end, what, lent: Vec::new(), at: 0, hold: false, race: false, due: None }
}

/// Room for `n` bytes, and where it is.
fn room(n: usize) -> (Vec<u8>, *const u8) {
    let buf = Vec::with_capacity(n);
    let at = buf.as_ptr();
    (buf, at)
}

impl World {
    /// Plays a step; false: it did not apply.
    pub(super) fn step(&mut self, step: &Step) -> bool {
        let applied = match step {
            Step::Join(kind) => self.may_join() && self.join(*kind),
            Step::Submit { end, verb, size, deadline } => self.one(*end, *verb, (*size).into(), *deadline),
            Step::Burst(parts) => parts.iter().fold(false, |any, &(end, verb, size)| self.start(end, verb, size.into(), None) || any),
            Step::Peer { end, act } => self.peer(*end, *act),
            Step::Connect { refused, send, recv } => self.may_join() && self.connect(*refused, *send, *recv),
            Step::Cancel(pick) => self.cancel(*pick),
            Step::CancelDone(pick) => self.cancel_done(*pick),
            Step::CancelAll(end) => self.pick(*end).is_some_and(|end| self.cancel_all(end)),
            Step::RaceRecv { end, size, multi } => self.race_recv(*end, (*size).into(), *multi),
            Step::RaceSend { end, size } => self.race_send(*end, (*size).into()),
            Step::Close(end) => self.pick(*end).is_some_and(|end| self.close(end)),
            // The port forgets with the object that its connection is broken.
            Step::Detach(_) if !able().detach => false,
            Step::Detach(end) => self.pick_where(*end, |end| !end.reset).is_some_and(|end| self.detach(end)),
            Step::Posts(count) => self.posts(*count),
            Step::Closures { count, panic } => self.closures(*count, *panic),
            Step::Nops(count) => (0..*count).fold(false, |_, _| self.sure(op(What::Nop, None), op::Nop::new(), DONE)),
            Step::Timers(after) => self.timers(after),
            Step::LateTimer => {
                let token = self.token();
                self.submit(token, op::Timer::after(HOUR), None, op(What::Timer, None));
                true
            }
            Step::GiveBack(count) => {
                let count = self.held.len().min((*count).into());
                let named = self.held.drain(..count).filter(|&(_, named)| named).count();
                self.free.named += named;
                self.free.buffers += count - named;
                count > 0
            }
            Step::Fault { end, fault } => self.fault(*end, *fault),
        };
        self.settle();
        applied
    }

    fn may_join(&self) -> bool {
        self.ends.iter().filter(|end| end.open).count() < ROOM
    }

    /// One of the objects in the port.
    fn pick(&self, number: u8) -> Option<usize> {
        let open: Vec<usize> = (0..self.ends.len()).filter(|&index| self.ends[index].open).collect();
        (!open.is_empty()).then(|| open[usize::from(number) % open.len()])
    }

    /// The same, of those of which `wanted` is true.
    fn pick_where(&self, number: u8, wanted: impl Fn(&End) -> bool) -> Option<usize> {
        let some: Vec<usize> = (0..self.ends.len()).filter(|&index| self.ends[index].open && wanted(&self.ends[index])).collect();
        (!some.is_empty()).then(|| some[usize::from(number) % some.len()])
    }

    /// Submits an operation of which the outcome is known.
    fn sure<O: op::Operation>(&mut self, note: Op, operation: O, text: impl Into<String>) -> bool {
        let token = self.token();
        self.expect(token, text, false);
        self.submit(token, operation, None, note);
        true
    }

    fn add(&mut self, kind: Kind, near: impl Into<Object>, far: Option<Object>) -> usize {
        let near: Object = near.into();
        let handle = self.port.attach(near).expect("attach");
        let seed = self.ends.len() as u64 * 2;
        self.ends.push(End::new(kind, handle, far.map(Far::new), seed));
        self.ends.len() - 1
    }

    pub(super) fn join(&mut self, kind: Kind) -> bool {
        match kind {
            Kind::Tcp => {
                let (near, far) = tcp_pair();
                peer::shrink_buffers(&near, &far);
                self.add(kind, near, Some(far.into()));
            }
            Kind::Unix if !able().unix => return self.join(Kind::Tcp),
            Kind::Unix => {
                let (near, far) = unix_pair();
                peer::shrink_buffers(&near, &far);
                self.add(kind, near, Some(far.into()));
            }
            Kind::PipeIn => {
                let (near, far) = pipe();
                self.add(kind, near, Some(far.into()));
            }
            Kind::PipeOut => {
                let (far, near) = pipe();
                self.add(kind, near, Some(far.into()));
            }
            Kind::Udp => {
                let (near, far) = udp_pair();
                let address: SocketAddr = far.local_addr().expect("an address");
                let end = self.add(kind, near, Some(far.into()));
                self.ends[end].far_address = Some(address.into());
            }
            Kind::Listener => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
                let address = listener.local_addr().expect("an address");
                let end = self.add(kind, listener, None);
                self.ends[end].far_address = Some(address.into());
            }
            Kind::File => return self.join_file(),
        }
        true
    }

    fn join_file(&mut self) -> bool {
        let path = self.folder.path().join(format!("file {}", self.ends.len()));
        let open = op::Open::new(path).read(true).write(true).create(true).exclusive(true);
        self.sure(op(What::Open, None), open, DONE);
        self.settle();
        let Some(opened) = self.opened.take() else { return true };
        let file: Object = opened.into();
        self.add(Kind::File, file, None);
        true
    }

    /// Whether the contract alone says what becomes of this operation.
    fn allowed(&self, index: usize, verb: Verb) -> bool {
        let end = &self.ends[index];
        let fits = match (end.kind, verb) {
            (Kind::Listener, Verb::Accept | Verb::AcceptMulti | Verb::Readable) => true,
            (Kind::Listener, _) | (_, Verb::Accept | Verb::AcceptMulti) => false,
            (Kind::File, Verb::ReadAt { .. } | Verb::WriteAt { .. } | Verb::Fsync | Verb::Metadata) => true,
            (_, Verb::ReadAt { .. } | Verb::WriteAt { .. } | Verb::Fsync | Verb::Metadata) => false,
            (kind, Verb::RecvFrom | Verb::SendTo) => kind == Kind::Udp,
            (kind, Verb::FromPooled { .. } | Verb::FromPooledMulti { .. }) => matches!(kind, Kind::Tcp | Kind::Unix | Kind::Udp),
            (kind, Verb::ShutdownRead | Verb::ShutdownWrite) => matches!(kind, Kind::Tcp | Kind::Unix),
            (kind, Verb::SendBig) => matches!(kind, Kind::Tcp | Kind::Unix | Kind::PipeOut),
            (kind, Verb::Readable | Verb::Recv | Verb::RecvVectored | Verb::Pooled { .. } | Verb::PooledMulti { .. }) => {
                kind != Kind::PipeOut
            }
            (Kind::PipeOut, Verb::Writable) => able().room_in_pipes,
            (kind, Verb::Writable | Verb::Send | Verb::SendAll | Verb::SendVectored) => kind != Kind::PipeIn,
        };
        // The position of a file belongs to all its operations: one at a time.
        let alone = end.kind != Kind::File || !self.ops.values().any(|op| op.end == Some(index));
        fits && alone && self.lane_allows(index, verb)
    }

    fn lane_allows(&self, index: usize, verb: Verb) -> bool {
        let end = &self.ends[index];
        let under_way = end.sent_out().saturating_sub(end.got.len()) + end.writes.iter().map(|item| item.size).sum::<usize>();
        match verb {
            Verb::Readable => end.reads.is_empty(),
            Verb::Pooled { .. } | Verb::PooledMulti { .. } | Verb::FromPooled { .. } | Verb::FromPooledMulti { .. } => {
                end.readable.is_empty() && !self.pooled_elsewhere(index)
            }
            Verb::Recv | Verb::RecvVectored | Verb::RecvFrom | Verb::Accept | Verb::AcceptMulti => end.readable.is_empty(),
            Verb::Writable => match end.kind {
                Kind::Tcp => end.writes.is_empty() && end.far.is_some(),
                _ => end.writes.len() <= 1,
            },
            Verb::Send | Verb::SendAll | Verb::SendVectored | Verb::SendTo => {
                let blocked = end.writes.front().is_some_and(|item| item.verb == Verb::SendBig);
                // Behind a big one, what does not go on by itself might meet room for a part of it, or for all: both are right.
                let whole = !blocked || verb == Verb::SendAll;
                let there = end.far.is_some() || end.reset || matches!(end.kind, Kind::Unix | Kind::PipeOut | Kind::File);
                end.writable.is_empty() && there && whole && (blocked || under_way < UNDER_WAY || end.kind == Kind::Udp || end.kind == Kind::File)
            }
            Verb::SendBig => end.writable.is_empty() && end.far.is_some() && !end.shut_write && end.writes.len() < 3,
            Verb::ShutdownRead => end.far.is_some() && !end.eof && end.unread == 0 && !end.reset && end.readable.is_empty(),
            Verb::ShutdownWrite => {
                let again = end.writes.iter().any(|item| item.verb == Verb::ShutdownWrite);
                end.far.is_some() && !end.shut_write && !again && !end.reset && end.writable.is_empty()
            }
            Verb::ReadAt { .. } | Verb::WriteAt { .. } | Verb::Fsync | Verb::Metadata => true,
        }
    }

    /// Submits one operation, perhaps with a deadline: a long one where the operation can complete, a short one where it
    /// cannot.
    fn one(&mut self, end: u8, verb: Verb, size: usize, deadline: bool) -> bool {
        self.start(end, verb, size, deadline.then_some(()))
    }

    fn start(&mut self, number: u8, verb: Verb, size: usize, deadline: Option<()>) -> bool {
        let Some(index) = self.pick_where(number, |_| true) else { return false };
        // Rather another object than a step that does nothing.
        let fitting: Vec<usize> = (0..self.ends.len()).filter(|&at| self.ends[at].open && self.allowed(at, verb)).collect();
        let index = match fitting.len() {
            0 => return false,
            _ if fitting.contains(&index) => index,
            count => fitting[usize::from(number) % count],
        };
        let size = if verb == Verb::SendBig { BIG } else { size };
        let token = self.token();
        let end = &mut self.ends[index];
        match end.lane(verb) {
            Some(lane) => lane.push_back(Item { token, verb, size: if verb == Verb::ShutdownWrite { 0 } else { size } }),
            None => self.expect_free(index, token, verb, size),
        }
        let time = deadline.map(|()| {
            self.predict();
            let stands = !self.is_expected(token);
            if stands {
                self.stop(index, token, TIMED_OUT);
            }
            if stands { MOMENT } else { HOUR }
        });
        self.lower(index, token, verb, size, time);
        true
    }

    /// An operation on an object ends without its result; a big send that had begun is to be drained then.
    fn stop(&mut self, index: usize, token: u64, text: &str) {
        self.expect(token, text, false);
        let end = &mut self.ends[index];
        if end.take_out(token) {
            (end.draining, end.drain_after) = (end.far.is_some(), vec![token]);
        }
    }

    /// The operations that wait for nothing.
    fn expect_free(&mut self, index: usize, token: u64, verb: Verb, size: usize) {
        let end = &mut self.ends[index];
        let text = match verb {
            Verb::ShutdownRead => {
                (end.eof, end.shut_read) = (true, true);
                DONE.into()
            }
            Verb::ReadAt { offset } => {
                let from = end.content.len().min(offset.into());
                let to = end.content.len().min(from + size);
                outcome::bytes(&end.content[from..to])
            }
            Verb::WriteAt { offset } => {
                let content = tape::cut(end.seed + 1, end.written, size);
                overwrite(&mut end.content, offset.into(), &content);
                outcome::count(size)
            }
            Verb::Metadata => outcome::count(end.content.len()),
            _ => DONE.into(),
        };
        self.expect(token, text, false);
    }

    /// Submits the operation itself.
    fn lower(&mut self, index: usize, token: u64, verb: Verb, size: usize, time: Option<Duration>) {
        let handle = self.ends[index].handle;
        let note = |what| op(what, Some(index));
        match verb {
            Verb::Recv => {
                let (buf, at) = room(size);
                self.submit(token, op::Recv::new(handle, buf), time, Op { lent: vec![at], ..note(What::Recv) });
            }
            Verb::RecvVectored => {
                let ((a, at_a), (b, at_b)) = (room(size / 2), room(size - size / 2));
                let lent = vec![at_a, at_b];
                self.submit(token, op::RecvVectored::new(handle, [a, b]), time, Op { lent, ..note(What::RecvVectored) });
            }
            Verb::RecvFrom => {
                let (buf, at) = room(size);
                self.submit(token, op::RecvFrom::new(handle, buf), time, Op { lent: vec![at], ..note(What::RecvFrom) });
            }
            Verb::Pooled { hold } => {
                self.submit(token, op::RecvPooled::new(handle), time, Op { hold, ..note(What::Pooled) });
            }
            Verb::PooledMulti { hold } => {
                self.submit(token, op::RecvPooledMulti::new(handle), time, Op { hold, ..note(What::PooledMulti) });
            }
            Verb::FromPooled { hold } => {
                self.submit(token, op::RecvFromPooled::new(handle), time, Op { hold, ..note(What::FromPooled) });
            }
            Verb::FromPooledMulti { hold } => {
                self.submit(token, op::RecvFromPooledMulti::new(handle), time, Op { hold, ..note(What::FromPooledMulti) });
            }
            Verb::Send | Verb::SendAll | Verb::SendBig | Verb::SendVectored | Verb::SendTo | Verb::WriteAt { .. } => {
                self.lower_send(index, token, verb, size, time);
            }
            Verb::Accept => drop(self.submit(token, op::Accept::new(handle), time, note(What::Accept))),
            Verb::AcceptMulti => drop(self.submit(token, op::AcceptMulti::new(handle), time, note(What::AcceptMulti))),
            Verb::ShutdownRead | Verb::ShutdownWrite => {
                let how = if verb == Verb::ShutdownRead { Shutdown::Read } else { Shutdown::Write };
                self.submit(token, op::Shutdown::new(handle, how), time, note(What::Shutdown));
            }
            Verb::Readable => drop(self.submit(token, op::Ready::readable(handle), time, note(What::Ready))),
            Verb::Writable => drop(self.submit(token, op::Ready::writable(handle), time, note(What::Ready))),
            Verb::ReadAt { offset } => {
                let (buf, at) = room(size);
                let read = op::ReadAt::new(handle, buf, offset.into());
                self.submit(token, read, time, Op { lent: vec![at], ..note(What::ReadAt) });
            }
            Verb::Fsync => drop(self.submit(token, op::Fsync::new(handle), time, note(What::Fsync))),
            Verb::Metadata => drop(self.submit(token, op::Metadata::of(handle), time, note(What::Metadata))),
        }
    }

    fn lower_send(&mut self, index: usize, token: u64, verb: Verb, size: usize, time: Option<Duration>) {
        let end = &mut self.ends[index];
        let (handle, at) = (end.handle, end.written);
        end.written += size;
        let buf = tape::cut(end.seed + 1, at, size);
        if end.kind == Kind::File && !matches!(verb, Verb::WriteAt { .. }) {
            let position = end.position;
            overwrite(&mut end.content, position, &buf);
            end.position += size;
        }
        let note = |what, lent| Op { at, lent, ..op(what, Some(index)) };
        let lent = vec![buf.stable_ptr()];
        match verb {
            Verb::Send => self.submit(token, op::Send::new(handle, buf), time, note(What::Send, lent)),
            Verb::SendTo => {
                let to = end.far_address.clone().expect("a datagram socket's peer");
                self.submit(token, op::SendTo::new(handle, buf, to), time, note(What::SendTo, lent))
            }
            Verb::SendVectored => {
                let mut first = buf;
                let second = first.split_off(size / 2);
                let lent = vec![first.as_ptr(), second.as_ptr()];
                let send = op::SendVectored::new(handle, [first, second]);
                self.submit(token, send, time, note(What::SendVectored, lent))
            }
            Verb::WriteAt { offset } => {
                let write = op::WriteAt::new(handle, buf, offset.into());
                self.submit(token, write, time, note(What::WriteAt, lent))
            }
            // What is to be sent whole on a stream may as well be in a file, but for its beginning.
            _ if matches!(end.kind, Kind::Tcp | Kind::Unix) && size % 2 == 1 => {
                let mut head = buf;
                let rest = head.split_off(size / 2);
                let mut file = tempfile::tempfile().expect("a temporary file");
                file.write_all(&rest).expect("write");
                let send = op::SendFile::new(handle, file, 0..rest.len() as u64).head(head);
                self.submit(token, send, time, note(What::SendFile, lent))
            }
            _ => self.submit(token, op::SendAll::new(handle, buf), time, note(What::SendAll, lent)),
        };
    }

    fn peer(&mut self, number: u8, act: Act) -> bool {
        let Some(index) = self.pick_where(number, |end| peer::can(end, act)) else { return false };
        let end = &mut self.ends[index];
        match act {
            Act::Connect => {
                let address = end.far_address.as_ref().and_then(|address| address.as_socket()).expect("a listener's address");
                let client = TcpStream::connect(address).expect("connect over loopback");
                let own = client.local_addr().expect("an address");
                self.clients.push(own.into());
                self.ends[index].waiting.push_back(own.into());
                self.arriving.push(Some(client));
            }
            Act::Send(len) => {
                let near = self.near(index);
                peer::send(&mut self.ends[index], &near, len.into());
            }
            Act::Drain => end.draining = true,
            Act::ShutdownWrite | Act::Close | Act::Reset => peer::leave(end, act),
        }
        true
    }

    /// Client `number` was accepted: it joins, if there is room.
    pub(super) fn arrived(&mut self, number: usize, accepted: op::Accepted) {
        let client = self.arriving[number].take().expect("a client is accepted once");
        if self.may_join() {
            peer::shrink_buffers(&accepted, &client);
            self.add(Kind::Tcp, accepted, Some(client.into()));
        }
    }

    fn connect(&mut self, refused: bool, send: bool, recv: bool) -> bool {
        let near = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        SockRef::from(&near).set_send_buffer_size(64 * 1024).expect("SO_SNDBUF");
        let index = self.add(Kind::Tcp, near, None);
        let handle = self.ends[index].handle;
        let note = |what| op(what, Some(index));
        let (to, text) = match refused {
            true => (self.nobody.local_addr().expect("an address"), "error ConnectionRefused"),
            false => (self.host.local_addr().expect("an address").into(), DONE),
        };
        self.sure(note(What::Connect), op::Connect::new(handle, to), text);
        // Queued behind the connect.
        let parts = [(send, Verb::Send), (recv, Verb::Recv)];
        for (_, verb) in parts.into_iter().filter(|part| part.0) {
            let token = self.token();
            if refused {
                self.expect(token, "error *", false);
            } else {
                self.ends[index].lane(verb).expect("a lane").push_back(Item { token, verb, size: 100 });
            }
            self.lower(index, token, verb, 100, None);
        }
        if refused {
            self.settle();
            return self.close(index);
        }
        // Accepting waits for the connect, and the connect for the port.
        while self.port.wait(Some(Duration::ZERO)).is_ok_and(|ready| !ready) && self.host_is_idle() {}
        let (far, _) = self.host.accept().expect("accept");
        SockRef::from(&far).set_recv_buffer_size(64 * 1024).expect("SO_RCVBUF");
        self.ends[index].far = Some(Far::new(far));
        true
    }

    fn host_is_idle(&self) -> bool {
        is_idle(&self.host)
    }

    fn cancel(&mut self, pick: u8) -> bool {
        // All that can complete has, so what is in flight stands.
        let tokens: Vec<u64> = self.ops.keys().copied().collect();
        if tokens.is_empty() {
            return false;
        }
        let token = tokens[usize::from(pick) % tokens.len()];
        let (id, end) = (self.ops[&token].id.expect("it was submitted"), self.ops[&token].end);
        match end {
            Some(end) => self.stop(end, token, CANCELLED),
            None => self.expect(token, CANCELLED, false),
        }
        if !self.port.cancel(id) {
            self.wrong(format!("{token}: there was something to cancel"));
        }
        true
    }

    fn cancel_done(&mut self, pick: u8) -> bool {
        if self.over.is_empty() {
            return false;
        }
        let id = self.over[usize::from(pick) % self.over.len()];
        if self.port.cancel(id) {
            self.wrong("an operation that is done was cancelled");
        }
        true
    }

    fn cancel_all(&mut self, index: usize) -> bool {
        let tokens: Vec<u64> = self.ops.iter().filter(|(_, op)| op.end == Some(index)).map(|(&token, _)| token).collect();
        let begun = self.ends[index].writes.front().is_some_and(|item| item.verb == Verb::SendBig);
        for &token in &tokens {
            self.stop(index, token, CANCELLED);
        }
        let end = &mut self.ends[index];
        (end.draining, end.drain_after) = (begun && end.far.is_some(), tokens.clone());
        let count = self.port.cancel_all(end.handle);
        if count != tokens.len() {
            self.wrong(format!("{count} were cancelled, not {}", tokens.len()));
        }
        true
    }

    fn race_recv(&mut self, number: u8, size: usize, multi: bool) -> bool {
        let idle = |end: &End| end.reads.is_empty() && end.readable.is_empty();
        let Some(index) = self.pick_where(number, |end| end.is_stream() && end.unread > 0 && idle(end)) else { return false };
        if multi && (self.free.buffers == 0 || self.pooled_elsewhere(index)) {
            return false;
        }
        let handle = self.ends[index].handle;
        self.quietly(|world| {
            let token = world.token();
            let id = if multi {
                let note = Op { race: true, ..op(What::PooledMulti, Some(index)) };
                world.submit(token, op::RecvPooledMulti::new(handle), None, note)
            } else {
                let (buf, at) = room(size);
                let note = Op { race: true, lent: vec![at], ..op(What::Recv, Some(index)) };
                world.submit(token, op::Recv::new(handle, buf), None, note)
            };
            world.port.cancel(id);
            world.finish_race(token);
            // Whatever it got: the rest is all there, in order.
            while world.ends[index].unread > 0 && world.ops.values().all(|op| op.end != Some(index) || !op.race) {
                let token = world.token();
                world.ends[index].reads.push_back(Item { token, verb: Verb::Recv, size: 4096 });
                world.lower(index, token, Verb::Recv, 4096, None);
                world.settle();
                if world.is_wrong() {
                    return;
                }
            }
        });
        true
    }

    fn race_send(&mut self, number: u8, size: usize) -> bool {
        let fits = |end: &End| end.kind != Kind::PipeIn && end.is_stream() && end.far.is_some() && !end.shut_write && !end.reset;
        let idle = |end: &End| end.writes.is_empty() && end.writable.is_empty() && end.sent_out() - end.got.len() < UNDER_WAY;
        let Some(index) = self.pick_where(number, |end| fits(end) && idle(end)) else { return false };
        let end = &self.ends[index];
        let (handle, at, before) = (end.handle, end.written, end.segments.len());
        self.quietly(|world| {
            let token = world.token();
            let buf = tape::cut(world.ends[index].seed + 1, at, size);
            let note = Op { race: true, at, lent: vec![buf.as_ptr()], ..op(What::Send, Some(index)) };
            let id = world.submit(token, op::Send::new(handle, buf), None, note);
            world.port.cancel(id);
            world.finish_race(token);
            if world.ends[index].segments.len() == before {
                // Nothing of it was sent; now it is.
                let token = world.token();
                world.ends[index].writes.push_back(Item { token, verb: Verb::Send, size });
                world.lower(index, token, Verb::Send, size, None);
                world.settle();
            }
            world.ends[index].written = at + size;
        });
        true
    }

    pub(super) fn close(&mut self, index: usize) -> bool {
        let handle = self.ends[index].handle;
        for item in self.ends[index].take_all() {
            self.expect(item.token, CANCELLED, false);
        }
        self.sure(op(What::Close, Some(index)), op::Close::new(handle), DONE);
        self.ends[index].draining = false;
        self.ends[index].open = false;
        self.settle();
        let end = &mut self.ends[index];
        // What was not received makes a close a reset, which may overtake what was sent.
        let lossy = end.unread > 0 || end.reset || end.shut_read && end.kind == Kind::Unix;
        if !lossy && end.is_stream() && end.kind != Kind::PipeIn && end.far.is_some() {
            if let Err(what) = peer::read_to_end(end) {
                self.wrong(format!("the peer's stream ends with {what}"));
            }
            let end = &self.ends[index];
            if end.got != end.content_out() {
                let (got, sent) = (end.got.len(), end.sent_out());
                self.wrong(format!("the peer has received {got} bytes, not the {sent} that were sent"));
            }
        }
        let end = &mut self.ends[index];
        end.far = None;
        for address in std::mem::take(&mut end.waiting) {
            let number = self.clients.iter().position(|client| client.as_socket() == address.as_socket());
            self.arriving[number.expect("a client has a number")] = None;
        }
        true
    }

    fn detach(&mut self, index: usize) -> bool {
        let handle = self.ends[index].handle;
        let busy = self.ops.values().any(|op| op.end == Some(index));
        match self.port.detach(handle) {
            Err(error) if busy && error.kind() == std::io::ErrorKind::ResourceBusy => {}
            Ok(fd) if !busy => {
                self.ends[index].handle = self.port.attach(fd).expect("attach again");
                self.stale.push(handle);
            }
            result => self.wrong(format!("detach, {}: {result:?}", if busy { "busy" } else { "idle" })),
        }
        true
    }

    fn posts(&mut self, count: u8) -> bool {
        let tokens: Vec<u64> = (0..count).map(|_| self.token()).collect();
        for &token in &tokens {
            self.expect(token, outcome::count(token as usize), false);
            self.ops.insert(token, op(What::Post, None));
        }
        let poster = self.port.poster();
        let sender = std::thread::spawn(move || tokens.into_iter().all(|token| poster.post(Token(token), token).is_ok()));
        self.settle();
        if !sender.join().expect("a poster does not panic") {
            self.wrong("a post was refused");
        }
        true
    }

    fn closures(&mut self, count: u8, panic: bool) -> bool {
        for number in 0..count {
            let broken = panic && number == 0;
            let work = move || if broken { std::panic::resume_unwind(Box::new("on purpose")) } else { u64::from(number) };
            let text = if broken { "error Other".into() } else { outcome::count(number.into()) };
            self.sure(op(What::Closure, None), op::Blocking::boxed(work), text);
        }
        true
    }

    fn timers(&mut self, after: &[u8]) -> bool {
        let base = self.port.now() + Duration::from_millis(1);
        self.forget_last_timer();
        for &after in after {
            let due = base + Duration::from_millis(after.into());
            let note = Op { due: Some(due), ..op(What::Timer, None) };
            self.sure(note, op::Timer::at(due), DONE);
        }
        true
    }

    fn fault(&mut self, number: u8, fault: Fault) -> bool {
        let refused = "error *";
        let idle = |end: &End| end.reads.is_empty() && end.writes.is_empty() && end.readable.is_empty() && end.writable.is_empty();
        let of = |world: &World, kind: Kind| world.pick_where(number, |end| end.kind == kind && idle(end));
        let stream = |world: &World| world.pick_where(number, |end| end.is_stream() && idle(end) && end.far.is_some());
        let index = match fault {
            Fault::AcceptOnStream | Fault::RecvOnListener | Fault::SendOnListener if !able().refusals => None,
            Fault::StaleHandle => return self.stale_handle(number),
            Fault::NulInPath => {
                let text = "error InvalidInput";
                self.sure(op(What::Open, None), op::Open::new("a\0b").read(true), text);
                return self.sure(op(What::Metadata, None), op::Metadata::at("a\0b"), text);
            }
            Fault::MissingFile => {
                let path = self.folder.path().join("none");
                self.sure(op(What::Open, None), op::Open::new(&path).read(true), "error NotFound");
                return self.sure(op(What::Metadata, None), op::Metadata::at(&path), "error NotFound");
            }
            Fault::NoAccess => return self.sure(op(What::Open, None), op::Open::new("/"), "error InvalidInput"),
            Fault::NoRoom | Fault::HugeOffset => self.pick(number),
            Fault::AcceptOnStream => self.pick_where(number, |end| matches!(end.kind, Kind::Tcp | Kind::Unix) && idle(end)),
            Fault::RecvOnListener | Fault::SendOnListener => of(self, Kind::Listener),
            Fault::ReadAtOnStream(_) | Fault::WriteAtOnStream(_) | Fault::FsyncOnStream => stream(self),
            Fault::ShutdownOnPipe | Fault::AcceptOnPipe => of(self, Kind::PipeIn),
            Fault::ConnectConnected => self.pick_where(number, |end| end.kind == Kind::Tcp && idle(end) && end.far.is_some() && !end.eof && !end.shut_write),
            Fault::WrongEndOfPipe => of(self, if number.is_multiple_of(2) { Kind::PipeIn } else { Kind::PipeOut }),
        };
        let Some(index) = index else { return false };
        let (handle, kind) = (self.ends[index].handle, self.ends[index].kind);
        let note = |what| op(what, Some(index));
        let (small, at) = room(10);
        let lent = vec![at];
        match fault {
            Fault::NoRoom => {
                let (none, at) = room(0);
                let text = "error InvalidInput";
                self.sure(Op { lent: vec![at], ..note(What::Recv) }, op::Recv::new(handle, none), text);
                let (none, at) = room(0);
                self.sure(Op { lent: vec![at], ..note(What::ReadAt) }, op::ReadAt::new(handle, none, 0), text);
                let none = [room(0), room(0)];
                let lent = none.iter().map(|none| none.1).collect();
                let recv = op::RecvVectored::new(handle, none.map(|none| none.0));
                self.sure(Op { lent, ..note(What::RecvVectored) }, recv, text)
            }
            Fault::HugeOffset => {
                let read = op::ReadAt::new(handle, small, u64::MAX);
                self.sure(Op { lent, ..note(What::ReadAt) }, read, "error InvalidInput")
            }
            Fault::ReadAtOnStream(zero) => {
                let read = op::ReadAt::new(handle, small, u64::from(!zero));
                self.sure(Op { lent, ..note(What::ReadAt) }, read, refused)
            }
            Fault::WriteAtOnStream(zero) => {
                let buf = vec![7; 10];
                let lent = vec![buf.as_ptr()];
                let write = op::WriteAt::new(handle, buf, u64::from(!zero));
                self.sure(Op { lent, ..note(What::WriteAt) }, write, refused)
            }
            Fault::RecvOnListener => self.sure(Op { lent, ..note(What::Recv) }, op::Recv::new(handle, small), refused),
            Fault::WrongEndOfPipe if kind == Kind::PipeOut => {
                self.sure(Op { lent, ..note(What::Recv) }, op::Recv::new(handle, small), refused)
            }
            Fault::SendOnListener | Fault::WrongEndOfPipe => {
                let buf = vec![7; 10];
                let lent = vec![buf.as_ptr()];
                self.sure(Op { lent, ..note(What::Send) }, op::Send::new(handle, buf), refused)
            }
            Fault::AcceptOnStream | Fault::AcceptOnPipe => self.sure(note(What::Accept), op::Accept::new(handle), refused),
            Fault::FsyncOnStream => self.sure(note(What::Fsync), op::Fsync::new(handle), refused),
            Fault::ShutdownOnPipe => self.sure(note(What::Shutdown), op::Shutdown::new(handle, Shutdown::Write), refused),
            Fault::ConnectConnected => {
                let address = self.host.local_addr().expect("an address");
                self.sure(note(What::Connect), op::Connect::new(handle, address), refused)
            }
            Fault::StaleHandle | Fault::NulInPath | Fault::MissingFile | Fault::NoAccess => unreachable!("done above"),
        }
    }

    fn stale_handle(&mut self, number: u8) -> bool {
        let closed = self.ends.iter().filter(|end| !end.open).map(|end| end.handle);
        let stale: Vec<_> = closed.chain(self.stale.iter().copied()).collect();
        if stale.is_empty() {
            return false;
        }
        let handle = stale[usize::from(number) % stale.len()];
        let text = "error NotFound";
        let (buf, at) = room(10);
        self.sure(Op { lent: vec![at], ..op(What::Recv, None) }, op::Recv::new(handle, buf), text);
        self.sure(op(What::AcceptMulti, None), op::AcceptMulti::new(handle), text);
        self.sure(op(What::Ready, None), op::Ready::readable(handle), text);
        if self.port.cancel_all(handle) != 0 || self.port.detach(handle).is_ok() || near(&self.port, handle).is_ok() {
            self.wrong("a stale handle reached an object");
        }
        self.sure(op(What::Close, None), op::Close::new(handle), text)
    }

    /// Everything leaves; nothing may be in flight any more.
    pub(super) fn leave_all(&mut self) {
        for index in 0..self.ends.len() {
            if self.ends[index].open {
                self.close(index);
            }
        }
        while !self.ops.is_empty() && !self.is_wrong() {
            self.cancel(0);
            self.settle();
        }
        if self.port.in_flight() != 0 && !self.is_wrong() {
            self.wrong(format!("{} are in flight at the end", self.port.in_flight()));
        }
        self.held.clear();
    }
}

/// Writes `bytes` into a file's content.
fn overwrite(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

