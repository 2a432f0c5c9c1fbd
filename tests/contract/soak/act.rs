//! What can be done in a life, one of them chosen at random: every operation there is, and what interferes with it.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use anyport::{Handle, Token, op};
use socket2::{Domain, Socket, Type};

use super::ledger::{self, LONGEST, SIZE};
use super::pair::{Kind, Pair};
use super::world::{End, Lane, Op, POOL, POST, Parcel, RECORD, RECORDS, Role, What, World};
use crate::support::{PIPES_TELL_ROOM, can_detach, domain_of, forget_pages, near};

/// Connections by accept and connect, of which only the port's own behaviour is checked.
const STRANGERS: usize = 16;
/// Operations in flight at all, beyond which only cancels follow.
const MOST: usize = 1500;
/// Pool buffers that the user holds or sends from, at most, so that some are left.
const HELD: usize = 12;

impl World {
    /// One thing, of all.
    pub(super) fn act(&mut self) {
        if self.in_flight() > MOST {
            return self.cancel();
        }
        match self.rng.u32(..1000) {
            0..330 => self.receive(),
            330..660 => self.send(),
            660..700 => drop(self.submit(op::Nop::new(), Op::new(What::Nop))),
            700..740 => self.timer(),
            740..750 => self.closure(),
            750..780 => self.post(),
            780..810 => self.ready(),
            810..840 => self.file(),
            840..846 => self.connect(),
            846..856 => self.accept(),
            856..930 => self.cancel(),
            930..934 => self.cancel_all(),
            934..950 => self.close(),
            950..953 => self.shut_down(),
            953..957 => self.detach(),
            957..962 => self.use_stale(),
            _ => self.release(),
        }
    }

    fn receive(&mut self) {
        let errors = self.rng.u8(..4) == 0;
        let fits = |end: &End| end.reads() && end.has_room(Lane::Read) && (errors || !end.is_disturbed());
        let Some(index) = self.pick(fits) else { return };
        let end = self.ends[index].as_ref().expect("picked");
        let (handle, datagram, socket) = (end.handle, end.is_datagram(), !end.role.is_pipe());
        let least = if datagram { 8 } else { 1 };
        let room = self.rng.usize(least..SIZE);
        let op = |what| Op { room, ..Op::on(index, Lane::Read, what) };
        match self.rng.u8(..10) {
            0 | 1 => drop(self.submit(op::RecvPooled::new(handle), Op { room: POOL.1, ..op(What::RecvPooled) })),
            2 => drop(self.submit(op::RecvPooledMulti::new(handle), Op { room: POOL.1, ..op(What::RecvMulti) })),
            3 => {
                let bufs = [self.ledger.lend(room.div_ceil(2)), self.ledger.lend(room.div_ceil(2))];
                let (bufs, numbers) = ([bufs[0].number, bufs[1].number], bufs);
                let op = Op { bufs, room: 2 * room.div_ceil(2), ..op(What::RecvVectored) };
                self.submit(op::RecvVectored::new(handle, numbers), op);
            }
            4 if datagram => {
                let buf = self.ledger.lend(room);
                let op = Op { bufs: [buf.number, 0], ..op(What::RecvFrom) };
                self.submit(op::RecvFrom::new(handle, buf), op);
            }
            5 if socket => {
                self.submit(op::RecvFromPooled::new(handle), Op { room: POOL.1, ..op(What::RecvFromPooled) });
            }
            6 if socket => {
                self.submit(op::RecvFromPooledMulti::new(handle), Op { room: POOL.1, ..op(What::RecvFromMulti) });
            }
            _ => {
                let buf = self.ledger.lend(room);
                let op = Op { bufs: [buf.number, 0], ..op(What::Recv) };
                self.submit(op::Recv::new(handle, buf), op);
            }
        }
    }

    fn send(&mut self) {
        let errors = self.rng.u8(..4) == 0;
        let fits = |end: &End| end.writes() && end.has_room(Lane::Write) && (errors || !end.is_disturbed());
        let Some(index) = self.pick(fits) else { return };
        let end = self.ends[index].as_ref().expect("picked");
        let (handle, role) = (end.handle, end.role.clone());
        if end.is_datagram() {
            return self.send_datagram(index, handle, &role);
        }
        let len = self.rng.usize(1..SIZE);
        let piece = ledger::piece(&mut self.rng, len);
        let op = |what| Op { piece, ..Op::on(index, Lane::Write, what) };
        if let Role::Side(pair, side) = &role {
            pair.borrow_mut().flows[*side].sending += 1;
        }
        match self.rng.u16(..400) {
            0 => {
                let len = self.rng.usize(1..LONGEST);
                let piece = ledger::piece(&mut self.rng, len);
                self.submit(op::SendAll::new(handle, piece), Op { piece, ..op(What::SendLong) });
            }
            1 if role.sends_files() => {
                let len = self.rng.usize(1..LONGEST);
                let piece = ledger::piece(&mut self.rng, len);
                self.send_file(handle, op(What::SendFile), piece);
            }
            2..40 if let Some((mut buf, copy)) = self.held.pop() => {
                assert!(*buf == copy[..], "a pool buffer has changed while the user held it");
                let piece = ledger::piece(&mut self.rng, buf.len());
                buf.copy_from_slice(piece);
                self.sending_pooled += 1;
                self.submit(op::Send::new(handle, buf), Op { piece, ..op(What::SendPooled) });
            }
            40..120 => {
                let buf = self.ledger.lend_filled(piece);
                let op = Op { bufs: [buf.number, 0], ..op(What::SendAll) };
                self.submit(op::SendAll::new(handle, buf), op);
            }
            120..160 => {
                let (head, tail) = piece.split_at(len / 3);
                let bufs = [self.ledger.lend_filled(head), self.ledger.lend_filled(tail)];
                let op = Op { bufs: [bufs[0].number, bufs[1].number], ..op(What::SendVectored) };
                self.submit(op::SendVectored::new(handle, bufs), op);
            }
            160..200 if role.sends_files() => self.send_file(handle, op(What::SendFile), piece),
            _ => {
                let buf = self.ledger.lend_filled(piece);
                let op = Op { bufs: [buf.number, 0], ..op(What::Send) };
                self.submit(op::Send::new(handle, buf), op);
            }
        }
    }

    /// Sends the piece from the tape's file, at most a third of it as a head.
    fn send_file(&mut self, handle: Handle, op: Op, piece: &'static [u8]) {
        let (head, part) = piece.split_at((piece.len() / 3).min(SIZE));
        let start = ledger::place_of(part);
        let head = self.ledger.lend_filled(head);
        let op = Op { piece, bufs: [head.number, 0], ..op };
        if self.rng.u8(..) < 10 {
            forget_pages(&self.tape);
        }
        let send = op::SendFile::new(handle, self.tape.clone(), start..start + part.len() as u64);
        self.submit(send.head(head), op);
    }

    fn send_datagram(&mut self, index: usize, handle: Handle, role: &Role) {
        let Role::Side(pair, side) = role else { unreachable!("datagrams go between the ends of a pair") };
        // Some are longer than a buffer of the pool.
        let len = self.rng.usize(0..700);
        let piece = ledger::piece(&mut self.rng, len);
        let flow = &mut pair.borrow_mut().flows[*side];
        let (datagram, message) = flow.datagram(piece);
        flow.sending += 1;
        let buf = self.ledger.lend_filled(&message);
        let op = Op { piece, datagram, bufs: [buf.number, 0], ..Op::on(index, Lane::Write, What::SendDatagram) };
        self.submit(op::Send::new(handle, buf), op);
    }

    fn timer(&mut self) {
        let hour = Duration::from_secs(3600);
        let time = if self.rng.u8(..10) == 0 { hour } else { Duration::from_micros(self.rng.u64(0..3000)) };
        let due = Instant::now() + time;
        if self.rng.bool() {
            self.submit(op::Timer::at(due), Op::new(What::Timer { due }));
        } else {
            self.submit(op::Timer::after(time), Op::new(What::Timer { due }));
        }
    }

    fn closure(&mut self) {
        let number = self.rng.u64(..1 << 40);
        self.submit(op::Blocking::boxed(move || number * 3), Op::new(What::Closure(number)));
    }

    fn post(&mut self) {
        if self.rng.u8(..8) == 0 {
            let times = self.rng.u64(1..16);
            self.posts.orders.as_ref().expect("it has not ended").send(times).expect("the posting thread");
            self.posts.sent[1] += times;
            self.report.submitted += times;
            return;
        }
        let parcel = Parcel::new(0, self.posts.sent[0], &self.posts.alive);
        assert!(self.posts.poster.post(Token(POST), parcel).is_ok());
        self.posts.sent[0] += 1;
        self.report.submitted += 1;
    }

    fn ready(&mut self) {
        let Some(index) = self.pick(|end| !matches!(end.role, Role::File) && end.has_room(Lane::Other)) else { return };
        let handle = self.end(index).handle;
        let op = Op::on(index, Lane::Other, What::Ready);
        // Where a pipe does not tell, all that can be asked is whether its reading end is readable.
        let told = PIPES_TELL_ROOM || !self.end(index).role.is_pipe();
        if self.rng.bool() {
            if told || self.end(index).reads() {
                self.submit(op::Ready::readable(handle), op);
            }
        } else if told {
            self.submit(op::Ready::writable(handle), op);
        }
    }

    fn file(&mut self) {
        let Some(index) = self.records.end else {
            if !self.records.opening {
                self.records.opening = true;
                let open = op::Open::new(&self.records.path).read(true).write(true);
                self.submit(open, Op::new(What::Open { join: true }));
            }
            return;
        };
        let handle = self.end(index).handle;
        let at = self.rng.usize(..RECORDS);
        let offset = (at * RECORD) as u64;
        let record = &mut self.records.all[at];
        match self.rng.u16(..400) {
            0 => drop(self.submit(op::Fsync::data(handle), Op::on(index, Lane::Other, What::Fsync))),
            1..10 => drop(self.submit(op::Metadata::of(handle), Op::on(index, Lane::Other, What::Metadata))),
            10..20 => {
                let open = op::Open::new(&self.records.path).read(true);
                self.submit(open, Op::new(What::Open { join: false }));
            }
            20..200 if record.readers == 0 && !record.written => {
                record.written = true;
                let piece = ledger::piece(&mut self.rng, RECORD);
                let buf = self.ledger.lend_filled(piece);
                let op = Op::on(index, Lane::Other, What::WriteAt(at));
                let op = Op { piece, bufs: [buf.number, 0], ..op };
                self.submit(op::WriteAt::new(handle, buf, offset), op);
            }
            _ if !record.written => {
                record.readers += 1;
                let buf = self.ledger.lend(RECORD);
                let op = Op { bufs: [buf.number, 0], ..Op::on(index, Lane::Other, What::ReadAt(at)) };
                self.submit(op::ReadAt::new(handle, buf, offset), op);
            }
            _ => {}
        }
    }

    fn connect(&mut self) {
        if self.strangers >= STRANGERS {
            let Some(index) = self.pick(|end| matches!(end.role, Role::Stranger) && !end.closing) else { return };
            return self.close_end(index);
        }
        let Some(index) = self.pick(|end| matches!(end.role, Role::Listener(_))) else { return };
        let Role::Listener(address) = self.end(index).role.clone() else { unreachable!("picked") };
        let domain = domain_of(&address);
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        if domain == Domain::IPV4 {
            // It leaves no address in use behind.
            socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
        self.strangers += 1;
        let index = self.join(socket, Role::Stranger);
        let handle = self.end(index).handle;
        self.submit(op::Connect::new(handle, address), Op::on(index, Lane::Write, What::Connect));
    }

    fn accept(&mut self) {
        let Some(index) = self.pick(|end| matches!(end.role, Role::Listener(_)) && end.busy[0] < 2) else { return };
        let handle = self.end(index).handle;
        if self.rng.bool() {
            self.submit(op::Accept::new(handle), Op::on(index, Lane::Read, What::Accept));
        } else {
            self.submit(op::AcceptMulti::new(handle), Op::on(index, Lane::Read, What::AcceptMulti));
        }
    }

    fn cancel(&mut self) {
        if self.ops.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.ops.len());
        self.give_up(index);
    }

    pub(super) fn give_up(&mut self, index: usize) {
        if let Some(op) = &mut self.ops[index] {
            let given_up = self.port.cancel(op.id.expect("it was submitted"));
            assert!(!given_up || op.what != What::Close, "a close cannot be given up");
            op.given_up |= given_up;
        }
    }

    fn cancel_all(&mut self) {
        let Some(index) = self.pick(|end| !end.closing) else { return };
        let (handle, busy) = (self.end(index).handle, self.end(index).busy.iter().sum());
        let given_up = self.port.cancel_all(handle);
        assert!(given_up <= busy, "{given_up} of {busy} operations were given up");
        self.all_given_up(index);
    }

    /// Those on this end may be given up from now on.
    fn all_given_up(&mut self, index: usize) {
        let on = |op: &&mut Op| op.end == Some(index) && op.what != What::Close;
        self.ops.iter_mut().flatten().filter(on).for_each(|op| op.given_up = true);
    }

    fn close(&mut self) {
        // Where the other end is gone, first: there only errors can be had.
        let disturbed = |end: &End| !end.closing && end.is_disturbed();
        let any = |end: &End| !end.closing && !matches!(end.role, Role::Listener(_));
        let index = self.pick(disturbed).or_else(|| self.pick(any).filter(|_| self.rng.u8(..6) == 0));
        index.into_iter().for_each(|index| self.close_end(index));
    }

    /// Closes an end, one of a TCP connection mostly with a reset.
    pub(super) fn close_end(&mut self, index: usize) {
        self.all_given_up(index);
        let end = self.end(index);
        end.closing = true;
        let (handle, role) = (end.handle, end.role.clone());
        if let Role::Side(pair, side) = &role {
            let pair = &mut *pair.borrow_mut();
            pair.disturbed = true;
            pair.flows[*side].ended = true;
            if pair.kind == Kind::Tcp && self.rng.u8(..4) > 0 {
                near(&self.port, handle).expect("it is open").reset_on_close();
                self.report.resets += 1;
            }
        }
        if let Role::File = role {
            self.records.end = None;
        }
        self.report.closes += 1;
        self.submit(op::Close::new(handle), Op::on(index, Lane::Other, What::Close));
        self.stale = handle;
    }

    fn shut_down(&mut self) {
        let is_stream = |pair: &Pair| pair.kind.is_stream() && pair.kind.is_socket();
        let fits = |end: &End| !end.closing && matches!(&end.role, Role::Side(pair, _) if is_stream(&pair.borrow()));
        let Some(index) = self.pick(fits) else { return };
        let end = self.end(index);
        let handle = end.handle;
        let Role::Side(pair, side) = end.role.clone() else { unreachable!("picked") };
        let how = self.rng.choice([Shutdown::Read, Shutdown::Write, Shutdown::Both]).expect("three");
        let pair = &mut *pair.borrow_mut();
        pair.disturbed = true;
        let lane = if how == Shutdown::Read { Lane::Other } else { Lane::Write };
        if how != Shutdown::Read {
            pair.flows[side].ended = true;
            pair.flows[side].sending += 1;
        }
        if how != Shutdown::Write {
            pair.flows[1 - side].refused = true;
        }
        self.submit(op::Shutdown::new(handle, how), Op::on(index, lane, What::Shutdown(how)));
    }

    /// An end leaves, if it can, and comes back under another handle.
    fn detach(&mut self) {
        if !can_detach() {
            return;
        }
        // One that has met an error would meet an end after that.
        let fits = |end: &End| !end.closing && matches!(end.role, Role::Side(..)) && !end.is_disturbed();
        let Some(index) = self.pick(fits) else { return };
        let (handle, idle) = (self.end(index).handle, self.end(index).is_idle());
        match self.port.detach(handle) {
            Ok(fd) => {
                self.end(index).handle = self.port.attach(fd).expect("attach");
                self.stale = handle;
                self.report.detached += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
                assert!(!idle, "an idle handle was not detached");
            }
        }
    }

    fn use_stale(&mut self) {
        let handle = self.stale;
        if self.rng.bool() {
            let buf = self.ledger.lend(8);
            let op = Op { bufs: [buf.number, 0], ..Op::new(What::StaleRecv) };
            self.submit(op::Recv::new(handle, buf), op);
        } else {
            self.submit(op::Close::new(handle), Op::new(What::StaleClose));
        }
    }

    /// Gives a pool buffer back, which must be as it was.
    pub(super) fn release(&mut self) {
        if !self.held.is_empty() {
            let (buf, copy) = self.held.swap_remove(self.rng.usize(..self.held.len()));
            assert!(*buf == copy[..], "a pool buffer has changed while the user held it");
        }
    }

    pub(super) fn may_hold(&mut self) -> bool {
        self.held.len() + self.sending_pooled < HELD && self.rng.u8(..3) == 0
    }
}
