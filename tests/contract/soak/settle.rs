//! Taking completions up: each must be that of an operation in flight, in the only way that what was done to it allows,
//! with the buffers it was lent; and what it moved is booked.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Instant;

use anyport::buf::PoolBuf;
use anyport::{Completion, error, op};

use super::ledger::Buf;
use super::pair::Kind;
use super::world::{Op, POST, Parcel, RECORD, RECORDS, Role, What, World};
use crate::support::is_wine;

type Closure = Box<dyn FnOnce() -> u64 + Send>;

/// The ways in which a connection says that its other side is gone.
const BROKEN: [ErrorKind; 4] =
    [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::NotConnected, ErrorKind::ConnectionRefused];

impl World {
    pub(super) fn completed(&mut self, done: Completion) {
        let token = done.token().0;
        if token & POST != 0 {
            return self.posted(done);
        }
        let index = token as u32 as usize;
        let op = self.ops.get(index).copied().flatten().filter(|op| op.token == token);
        let op = op.unwrap_or_else(|| panic!("{done:?}: its final completion was taken before"));
        assert_eq!(Some(done.id()), op.id, "{op:?}");
        let more = done.more();
        assert!(!more || matches!(op.what, What::RecvMulti | What::RecvFromMulti | What::AcceptMulti), "{done:?} of {op:?}");
        self.report.note(done.name(), more);
        if !more {
            self.over(index);
        }
        let moved = done.transferred();
        match op.what {
            What::Nop => self.plain(&op, done.unpack::<op::Nop>()),
            What::Timer { due } => {
                // Dropped is as good as unpacked.
                if self.rng.u8(..) > 5 {
                    let result = done.unpack::<op::Timer>();
                    assert!(result.is_err() || Instant::now() >= due, "a timer was early");
                    self.plain(&op, result);
                }
            }
            What::Closure(number) => {
                let result = done.unpack::<op::Blocking<Closure, u64>>();
                assert!(result.as_ref().is_ok_and(|&product| product == number * 3) || result.is_err());
                self.plain(&op, result.map(drop));
            }
            What::Recv => {
                let (result, buf) = done.unpack::<op::Recv<Buf>>();
                self.received(&op, result, &[buf]);
            }
            What::RecvVectored => {
                let (result, bufs) = done.unpack::<op::RecvVectored<[Buf; 2]>>();
                self.received(&op, result, &bufs);
            }
            What::RecvFrom => {
                let (result, buf) = done.unpack::<op::RecvFrom<Buf>>();
                self.received(&op, result.map(|(n, _)| n), &[buf]);
            }
            What::RecvPooled => self.received_pooled(&op, done.unpack::<op::RecvPooled>()),
            What::RecvMulti => {
                let result = done.unpack::<op::RecvPooledMulti>();
                let last = result.as_ref().map_or(true, |buf| buf.is_empty());
                assert!(more != last || self.is_datagram(&op), "more: {more}, {result:?}");
                self.received_pooled(&op, result);
            }
            What::RecvFromPooled => {
                let result = done.unpack::<op::RecvFromPooled>();
                self.received_pooled(&op, result.map(|(buf, _)| buf));
            }
            What::RecvFromMulti => {
                let result = done.unpack::<op::RecvFromPooledMulti>();
                // A datagram may be empty, but that is no end.
                let ended = result.as_ref().is_ok_and(|(buf, _)| buf.is_empty()) && !self.is_datagram(&op);
                assert_eq!(more, result.is_ok() && !ended, "{result:?}");
                self.received_pooled(&op, result.map(|(buf, _)| buf));
            }
            What::Send => self.sent(&op, moved, done.unpack::<op::Send<Buf>>()),
            What::SendAll => self.sent(&op, moved, done.unpack::<op::SendAll<Buf>>()),
            What::SendLong => {
                let (result, _) = done.unpack::<op::SendAll<&'static [u8]>>();
                assert!(result.as_ref().map_or(true, |&n| n == op.piece.len()), "a send-all sends all");
                self.sent_bytes(&op, moved, result);
            }
            What::SendFile => {
                let (result, _, head) = done.unpack::<op::SendFile<Rc<File>, Buf>>();
                assert!(result.as_ref().map_or(true, |&n| n == op.piece.len()), "the file has all of it");
                self.sent(&op, moved, (result, head));
            }
            What::SendVectored => {
                let (result, bufs) = done.unpack::<op::SendVectored<[Buf; 2]>>();
                assert_eq!([bufs[0].number, bufs[1].number], op.bufs);
                self.sent_bytes(&op, moved, result);
            }
            What::SendPooled => {
                self.sending_pooled -= 1;
                let (result, _) = done.unpack::<op::Send<PoolBuf>>();
                self.sent_bytes(&op, moved, result);
            }
            What::SendDatagram => {
                let (result, buf) = done.unpack::<op::Send<Buf>>();
                assert_eq!(buf.number, op.bufs[0]);
                self.sent_datagram(&op, result);
            }
            What::Ready => self.plain(&op, done.unpack::<op::Ready>()),
            What::Shutdown(how) => self.shut(&op, how, done.unpack::<op::Shutdown>()),
            What::Close => {
                done.unpack::<op::Close>().expect("close");
                self.closed(op.end.expect("it was attached"));
            }
            What::Accept => self.accepted(&op, done.unpack::<op::Accept>()),
            What::AcceptMulti => self.accepted(&op, done.unpack::<op::AcceptMulti>()),
            What::Connect => self.plain(&op, done.unpack::<op::Connect>()),
            What::Open { join } => self.opened(&op, join, done.unpack::<op::Open>()),
            What::ReadAt(at) => {
                self.records.all[at].readers -= 1;
                let (result, buf) = done.unpack::<op::ReadAt<Buf>>();
                assert_eq!(buf.number, op.bufs[0]);
                let bytes = buf.received(*result.as_ref().unwrap_or(&0));
                if let (Ok(n), Some(holds)) = (&result, self.records.all[at].holds) {
                    assert_eq!(*n, RECORD);
                    assert!(bytes == holds, "record {at} is not what was written");
                }
                self.plain(&op, result.map(drop));
            }
            What::WriteAt(at) => {
                let (result, buf) = done.unpack::<op::WriteAt<Buf>>();
                assert_eq!(buf.number, op.bufs[0]);
                let record = &mut self.records.all[at];
                record.written = false;
                record.holds = result.as_ref().is_ok_and(|&n| n == RECORD).then_some(op.piece);
                self.plain(&op, result.map(drop));
            }
            What::Fsync => self.plain(&op, done.unpack::<op::Fsync>()),
            What::Metadata => {
                let result = done.unpack::<op::Metadata>();
                assert!(result.as_ref().map_or(true, |stat| stat.len() == (RECORDS * RECORD) as u64));
                self.plain(&op, result.map(drop));
            }
            What::StaleRecv => {
                let (result, buf) = done.unpack::<op::Recv<Buf>>();
                assert_eq!(buf.number, op.bufs[0]);
                assert_eq!(result.expect_err("it is stale").kind(), ErrorKind::NotFound);
            }
            What::StaleClose => {
                assert_eq!(done.unpack::<op::Close>().expect_err("it is stale").kind(), ErrorKind::NotFound);
            }
        }
    }

    fn posted(&mut self, done: Completion) {
        self.report.note(done.name(), false);
        let parcel = done.unpack::<op::Post<Parcel>>();
        let taken = &mut self.posts.taken[parcel.sender];
        assert_eq!(parcel.number, *taken, "a post was lost, repeated or overtaken");
        *taken += 1;
    }

    /// An error must have a reason.
    #[track_caller]
    fn plain(&mut self, op: &Op, result: io::Result<()>) {
        let Err(error) = result else {
            self.report.succeeded += 1;
            return;
        };
        if error::is_cancelled(&error) {
            assert!(op.given_up, "cancelled by nobody: {op:?}");
            self.report.cancelled += 1;
        } else if error.kind() == ErrorKind::TimedOut {
            assert!(op.deadline, "timed out without a deadline: {op:?}");
            self.report.timed_out += 1;
        } else {
            let role = op.end.map(|end| self.end(end).role.clone());
            let excused = match &role {
                Some(Role::Side(pair, _)) => pair.borrow().disturbed,
                Some(Role::Stranger) => true,
                _ => false,
            };
            assert!(excused && BROKEN.contains(&error.kind()), "{error:?} of {op:?}");
            self.report.failed += 1;
        }
    }

    fn is_datagram(&mut self, op: &Op) -> bool {
        matches!(&self.end(op.end.expect("it has one")).role, Role::Side(pair, _) if !pair.borrow().kind.is_stream())
    }

    #[track_caller]
    fn received(&mut self, op: &Op, result: io::Result<usize>, bufs: &[Buf]) {
        let numbers = bufs.iter().map(|buf| buf.number);
        assert!(numbers.eq(op.bufs[..bufs.len()].iter().copied()), "other buffers came back than were lent");
        let mut left = *result.as_ref().unwrap_or(&0);
        let mut bytes = Vec::new();
        for buf in bufs {
            let here = left.min(op.room / bufs.len());
            bytes.extend_from_slice(buf.received(here));
            left -= here;
        }
        self.arrived(op, result.map(|_| &bytes[..]));
    }

    #[track_caller]
    fn received_pooled(&mut self, op: &Op, result: io::Result<PoolBuf>) {
        self.arrived(op, result.as_deref().map_err(copy));
        if let Ok(buf) = result
            && !buf.is_empty()
            && self.may_hold()
        {
            let copy = buf.to_vec();
            self.held.push((buf, copy));
        }
    }

    #[track_caller]
    fn arrived(&mut self, op: &Op, result: io::Result<&[u8]>) {
        if let Ok(bytes) = &result {
            self.report.received += bytes.len() as u64;
            if let Role::Side(pair, side) = self.end(op.end.expect("it has one")).role.clone() {
                let pair = &mut *pair.borrow_mut();
                let flow = &mut pair.flows[1 - side];
                match bytes {
                    _ if !pair.kind.is_stream() => flow.datagram_arrived(bytes, op.room),
                    [] => flow.arrived_end(),
                    _ => flow.arrived(bytes),
                }
            }
        }
        self.plain(op, result.map(drop));
    }

    #[track_caller]
    fn sent(&mut self, op: &Op, moved: usize, (result, buf): (io::Result<usize>, Buf)) {
        assert_eq!(buf.number, op.bufs[0], "another buffer came back than was lent");
        self.sent_bytes(op, moved, result);
    }

    #[track_caller]
    fn sent_bytes(&mut self, op: &Op, moved: usize, result: io::Result<usize>) {
        assert!(result.as_ref().map_or(true, |&n| n == moved && n > 0), "{result:?}, and {moved} moved");
        if let Role::Side(pair, side) = self.end(op.end.expect("it has one")).role.clone() {
            let pair = &mut *pair.borrow_mut();
            let flow = &mut pair.flows[side];
            flow.sending -= 1;
            // Wine 8 says of a write to a pipe that was given up that nothing was written, when a part was read.
            if is_wine() && pair.kind == Kind::Pipe && (op.given_up || op.deadline) && moved < op.piece.len() {
                flow.lose_count();
            }
            flow.moved(&op.piece[..moved]);
        }
        self.plain(op, result.map(drop));
    }

    #[track_caller]
    fn sent_datagram(&mut self, op: &Op, result: io::Result<usize>) {
        assert!(result.as_ref().map_or(true, |&n| n == op.piece.len() + 8), "a part of a datagram");
        if let Role::Side(pair, side) = self.end(op.end.expect("it has one")).role.clone() {
            let flow = &mut pair.borrow_mut().flows[side];
            flow.sending -= 1;
            flow.datagram_sent(op.datagram, result.is_ok());
        }
        self.plain(op, result.map(drop));
    }

    fn shut(&mut self, op: &Op, how: Shutdown, result: io::Result<()>) {
        if let Role::Side(pair, side) = self.end(op.end.expect("it has one")).role.clone() {
            let pair = &mut *pair.borrow_mut();
            if how != Shutdown::Read {
                pair.flows[side].sending -= 1;
                pair.flows[side].is_over |= result.is_ok();
                pair.flows[side].assert_whole();
            }
            if how != Shutdown::Write {
                pair.flows[1 - side].is_over |= result.is_ok();
            }
        }
        self.plain(op, result);
    }

    fn closed(&mut self, index: usize) {
        let end = self.ends[index].take().expect("it was attached");
        assert_eq!(end.busy, [0; 3], "the close did not complete last");
        match end.role {
            Role::Side(pair, side) => {
                let mut pair = pair.borrow_mut();
                pair.flows[side].is_over = true;
                pair.ends -= 1;
                if pair.ends == 0 {
                    pair.assert_sound();
                    if !self.ending {
                        self.new_pair();
                    }
                }
            }
            Role::Stranger => self.strangers -= 1,
            Role::Listener(_) | Role::File => {}
        }
    }

    fn accepted(&mut self, op: &Op, result: io::Result<op::Accepted>) {
        match result {
            Ok(accepted) if self.strangers < 24 && !self.ending => {
                self.strangers += 1;
                self.join(accepted, Role::Stranger);
                self.report.succeeded += 1;
            }
            Ok(accepted) => {
                drop(accepted);
                self.report.succeeded += 1;
            }
            Err(error) => self.plain(op, Err(error)),
        }
    }

    fn opened(&mut self, op: &Op, join: bool, result: io::Result<op::Opened>) {
        if join {
            self.records.opening = false;
        }
        match result {
            Ok(opened) if join && !self.ending => {
                let index = self.join(opened, Role::File);
                self.records.end = Some(index);
                self.report.succeeded += 1;
            }
            other => self.plain(op, other.map(drop)),
        }
    }
}

/// An error's copy, as far as it is looked at.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}
