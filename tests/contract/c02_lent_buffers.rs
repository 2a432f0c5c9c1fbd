//! C2: from `submit` to the final completion nobody but the system touches a lent buffer; then it comes back, on success,
//! error and cancel alike. Dropping a port waits for what is in flight, and memory that the system may still write to is
//! never freed: not when something is leaked, when a panic unwinds, nor in a forked child.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use anyport::buf::{IoBuf, IoBufMut, PoolBuf};
use anyport::op::{self, Operation};
use anyport::{Backend, Completion, Handle, Port, Token, error};
use socket2::SockRef;

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    #[allow(unused_mut)]
    let mut cases = cases! {
        each_backend: [
            receives_give_every_kind_of_buffer_back,
            sends_give_every_kind_of_buffer_back,
            several_buffers_come_back_in_their_order,
            a_buffer_of_the_pool_can_be_lent_again,
            file_operations_give_their_buffers_back,
            a_part_is_lent_and_no_more,
            nobody_touches_what_is_lent,
            nobody_touches_what_has_come_back,
            a_buffer_in_its_slot_does_not_move_while_others_come,
            a_port_dropped_with_everything_in_flight_takes_it_back,
            a_port_dropped_while_the_peers_send_takes_it_back,
            a_port_dropped_with_completions_untaken_drops_each_once,
            a_dropped_port_waits_for_closures_that_run,
            a_dropped_port_runs_no_closure_that_has_not_begun,
            a_dropped_port_waits_for_the_pools_file_operations,
            a_panic_gives_everything_back,
            a_value_that_panics_does_not_free_what_is_lent,
            completions_outlive_their_port,
            pool_buffers_outlive_their_port,
        ],
        each_backend_isolated: [
            a_forgotten_completion_costs_its_buffer_only,
            a_forgotten_pool_buffer_costs_itself_only,
            a_forgotten_port_frees_nothing,
            a_port_in_a_forked_child_refuses,
            a_port_dropped_in_a_forked_child_leaves_the_parents_operations_alone,
            a_port_dropped_in_a_forked_child_closes_nothing_else,
            what_the_system_does_not_give_back_is_never_freed,
        ],
    };
    #[cfg(feature = "bytes")]
    cases.extend(cases![buffers_of_the_bytes_crate_come_back]);
    cases
}

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);
const NOW: Option<Duration> = Some(Duration::ZERO);

/// How an operation ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Success,
    /// The peer is gone.
    Error,
    Cancel,
    Deadline,
    Close,
    /// The handle was closed before.
    Stale,
}

const ENDS: [End; 6] = [End::Success, End::Error, End::Cancel, End::Deadline, End::Close, End::Stale];

impl End {
    fn submit<O: Operation>(self, port: &mut Port, handle: Handle, operation: O) {
        if self == End::Stale {
            port.submit(op::Close::new(handle), Token(2));
            one(port).unpack::<op::Close>().expect("close");
        }
        let id = match self {
            End::Deadline => port.submit(operation.within(2 * MS), Token(1)),
            _ => port.submit(operation, Token(1)),
        };
        if self != End::Deadline && self != End::Stale {
            let done = port.wait(NOW).expect("wait");
            assert!(!done, "{:?}", port.next());
        }
        match self {
            End::Cancel => assert!(port.cancel(id)),
            End::Close => drop(port.submit(op::Close::new(handle), Token(2))),
            _ => {}
        }
    }

    #[track_caller]
    fn check(self, what: &str, result: &std::io::Result<usize>) {
        let as_expected = match self {
            End::Success => result.is_ok(),
            End::Error => result
                .as_ref()
                .is_err_and(|error| [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind())),
            End::Cancel | End::Close => result.as_ref().is_err_and(error::is_cancelled),
            End::Deadline => result.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut),
            End::Stale => result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound),
        };
        assert!(as_expected, "{what}, {self:?}: {result:?}");
    }
}

/// Where a buffer's bytes are, unless they are within the value itself, which moves when it comes back.
fn address<B: IoBuf>(buf: &B) -> Option<*const u8> {
    let (bytes, value) = (buf.stable_ptr(), std::ptr::from_ref(buf).cast::<u8>());
    let within = (value as usize..value as usize + size_of::<B>()).contains(&(bytes as usize));
    (!within).then_some(bytes)
}

/// Takes completions until that of `token`.
#[track_caller]
fn take(port: &mut Port, token: Token) -> Completion {
    loop {
        let done = one(port);
        if done.token() == token {
            return done;
        }
    }
}

/// Each way to end on each flavour of the backend.
fn every_end(backend: Backend) -> impl Iterator<Item = (String, Port, End)> {
    let ports = move |(flavour, builder): (&str, anyport::Builder)| {
        let flavour = flavour.to_owned();
        ENDS.map(move |end| (format!("{flavour}, {end:?}"), builder.clone().build().expect("a port"), end))
    };
    flavours(backend).into_iter().flat_map(ports)
}

/// Receives into a buffer, which must come back with what was received, or else as it was lent.
#[track_caller]
fn receives_into<B: IoBufMut>(backend: Backend, what: &str, fresh: impl Fn() -> B, bytes: impl Fn(&B) -> &[u8]) {
    for (how, mut port, end) in every_end(backend) {
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let buf = fresh();
        let (place, before, size) = (address(&buf), bytes(&buf).to_vec(), buf.capacity().min(5));
        end.submit(&mut port, conn, op::Recv::new(conn, buf));
        match end {
            End::Success => far.write_all(&pattern(1, size)).expect("write"),
            End::Error => SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER"),
            _ => {}
        }
        // Closed in no time, it resets the connection.
        let far = (end != End::Error).then_some(far);
        let (result, buf) = take(&mut port, Token(1)).unpack::<op::Recv<B>>();
        end.check(&format!("{what}, {how}"), &result);
        assert_eq!(address(&buf), place, "{what}, {how}: another buffer");
        let Ok(received) = result else {
            // What comes now is for others.
            far.map(|mut far| far.write(b"late"));
            let _ = port.wait(Some(Duration::from_micros(100))).expect("wait");
            assert_eq!(bytes(&buf), before, "{what}, {how}: it was written to");
            continue;
        };
        assert_eq!(received, size, "{what}, {how}");
        assert_piece(&bytes(&buf)[..size], 1, 0);
        let rest = &bytes(&buf)[size..];
        assert_eq!(rest, &before[..rest.len()], "{what}, {how}: more was written than was received");
    }
}

/// Sends from a buffer, which must come back as it was lent.
#[track_caller]
fn sends_from<B: IoBuf>(backend: Backend, what: &str, fresh: impl Fn() -> B) {
    // SAFETY: IoBuf promises so many bytes at that address.
    let bytes = |buf: &B| unsafe { std::slice::from_raw_parts(buf.stable_ptr(), buf.initialized()) }.to_vec();
    for (how, mut port, end) in every_end(backend) {
        let (near, mut far) = unix_pair();
        fill(&near);
        let conn = port.attach(near).expect("attach");
        let buf = fresh();
        let (place, before) = (address(&buf), bytes(&buf));
        end.submit(&mut port, conn, op::SendAll::new(conn, buf));
        let (mut reader, mut idle) = (None, None);
        match end {
            End::Success => {
                reader = Some(thread::spawn(move || {
                    let mut received = Vec::new();
                    far.read_to_end(&mut received).expect("read to the end");
                    received
                }));
            }
            End::Error => drop(far),
            _ => idle = Some(far),
        }
        let (result, buf) = take(&mut port, Token(1)).unpack::<op::SendAll<B>>();
        end.check(&format!("{what}, {how}"), &result);
        assert_eq!(address(&buf), place, "{what}, {how}: another buffer");
        assert_eq!(bytes(&buf), before, "{what}, {how}");
        if let Some(reader) = reader {
            drop(port);
            assert!(reader.join().expect("the reader").ends_with(&before), "{what}, {how}: it sent something else");
        }
        drop(idle);
    }
}

fn receives_give_every_kind_of_buffer_back(backend: Backend) {
    receives_into(backend, "vec with capacity", || Vec::with_capacity(64), |buf| buf);
    receives_into(backend, "vec with content", || vec![FRESH; 64], |buf| buf);
    receives_into(backend, "boxed slice", || vec![FRESH; 64].into_boxed_slice(), |buf| buf);
    receives_into(backend, "array of a byte", || [FRESH; 1], |buf| buf);
    receives_into(backend, "array in the slot", || [FRESH; 48], |buf| buf);
    receives_into(backend, "boxed array", || [FRESH; 4096], |buf| buf);
    receives_into(backend, "part of a vec", || vec![FRESH; 64].slice(10..20), |buf| buf.as_slice());
    receives_into(backend, "end of a vec", || vec_with_room(b"head").slice(4..), |buf| buf.as_slice());
    receives_into(backend, "part of an array", || [FRESH; 40].slice(..7), |buf| buf.as_slice());
    let tally = Tally::default();
    receives_into(backend, "the user's own", || tally.lend(64), |buf| buf);
    tally.assert_settled();
}

fn vec_with_room(head: &[u8]) -> Vec<u8> {
    let mut vec = Vec::with_capacity(64);
    vec.extend_from_slice(head);
    vec
}

fn sends_give_every_kind_of_buffer_back(backend: Backend) {
    const WORDS: &str = "what is static is not copied";
    sends_from(backend, "vec", || pattern(2, 300));
    sends_from(backend, "boxed slice", || pattern(3, 300).into_boxed_slice());
    sends_from(backend, "array in the slot", || *b"forty-eight bytes at the most are in the slot...");
    sends_from(backend, "boxed array", || [7_u8; 4096]);
    sends_from(backend, "static str", || WORDS);
    sends_from(backend, "static slice", || WORDS.as_bytes());
    sends_from(backend, "static array", || b"static");
    sends_from(backend, "string", || String::from("owned"));
    sends_from(backend, "part of a vec", || pattern(4, 300).slice(100..200));
    sends_from(backend, "part of a static slice", || WORDS.as_bytes().slice(5..));
    sends_from(backend, "part of an array", || [9_u8; 40].slice(1..39));
    let tally = Tally::default();
    sends_from(backend, "the user's own", || tally.lend(300));
    tally.assert_settled();
}

#[cfg(feature = "bytes")]
fn buffers_of_the_bytes_crate_come_back(backend: Backend) {
    use bytes::{Bytes, BytesMut};
    receives_into(backend, "BytesMut with capacity", || BytesMut::with_capacity(64), |buf| buf);
    receives_into(backend, "BytesMut with content", || BytesMut::from(&[FRESH; 64][..]), |buf| buf);
    receives_into(backend, "part of a BytesMut", || BytesMut::from(&[FRESH; 64][..]).slice(3..9), |buf| buf.as_slice());
    let halves = || {
        let mut whole = BytesMut::from(&[FRESH; 64][..]);
        whole.split_off(32)
    };
    receives_into(backend, "half of a BytesMut", halves, |buf| buf);
    sends_from(backend, "Bytes", || Bytes::from(pattern(5, 300)));
    sends_from(backend, "static Bytes", || Bytes::from_static(b"static"));
    sends_from(backend, "part of a Bytes", || Bytes::from(pattern(5, 300)).slice(7..77));
    sends_from(backend, "shared Bytes", || Bytes::clone(&Bytes::from(pattern(5, 300))));
    sends_from(backend, "BytesMut", || BytesMut::from(&pattern(5, 300)[..]));
}

fn several_buffers_come_back_in_their_order(backend: Backend) {
    for (how, mut port, end) in every_end(backend) {
        let tally = Tally::default();
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let lent = vec![tally.lend(3), tally.lend(0), tally.lend(5), tally.lend(7)];
        let places: Vec<_> = lent.iter().map(|buf| buf.as_ptr()).collect();
        end.submit(&mut port, conn, op::RecvVectored::new(conn, lent));
        match end {
            End::Success => far.write_all(&pattern(1, 10)).expect("write"),
            End::Error => SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER"),
            _ => {}
        }
        let _far = (end != End::Error).then_some(far);
        let (result, bufs) = take(&mut port, Token(1)).unpack::<op::RecvVectored<Vec<Lent>>>();
        end.check(&how, &result);
        assert_eq!(bufs.iter().map(|buf| buf.as_ptr()).collect::<Vec<_>>(), places, "{how}");
        let bytes = bufs.iter().flat_map(|buf| buf.iter().copied()).collect::<Vec<u8>>();
        let received = result.unwrap_or(0);
        assert_piece(&bytes[..received], 1, 0);
        assert!(bytes[received..].iter().all(|&byte| byte == FRESH), "{how}: {bytes:?}");

        // The same buffers again, to be sent.
        while port.in_flight() > 0 {
            drop(one(&mut port));
        }
        let (near, far) = unix_pair();
        fill(&near);
        let conn = port.attach(near).expect("attach");
        end.submit(&mut port, conn, op::SendVectored::new(conn, bufs));
        let peer = match end {
            End::Success => Some(Peer::start(far, vec![Step::ReceiveToEnd])),
            End::Error => {
                drop(far);
                None
            }
            _ => {
                let done = take(&mut port, Token(1));
                drop(far);
                drop(done);
                tally.assert_settled();
                continue;
            }
        };
        let (result, bufs) = take(&mut port, Token(1)).unpack::<op::SendVectored<Vec<Lent>>>();
        end.check(&how, &result);
        assert_eq!(bufs.iter().map(|buf| buf.as_ptr()).collect::<Vec<_>>(), places, "{how}");
        drop((port, bufs));
        if let Some(peer) = peer {
            let sent = result.expect("sent");
            assert!(peer.finish().ends_with(&bytes[..sent]), "{how}");
        }
        tally.assert_settled();
    }
}

fn a_buffer_of_the_pool_can_be_lent_again(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.pool(2, 64).build().expect("a port");
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let mut place = None;
        let mut buf: Option<PoolBuf> = None;
        for round in 0..20 {
            far.write_all(&pattern(round, 40)).expect("write");
            let back = match buf.take() {
                // Into the buffer of the round before.
                Some(buf) => {
                    port.submit(op::Recv::new(conn, buf), Token(0));
                    let (result, buf) = one(&mut port).unpack::<op::Recv<PoolBuf>>();
                    assert_eq!(result.expect("data"), 40);
                    buf
                }
                None => {
                    port.submit(op::RecvPooled::new(conn), Token(0));
                    one(&mut port).unpack::<op::RecvPooled>().expect("data")
                }
            };
            assert_eq!(*place.get_or_insert(back.as_ptr()), back.as_ptr(), "{flavour}: another buffer");
            assert_eq!(back.len(), 40);
            assert_piece(&back, round, 0);
            port.submit(op::SendAll::new(conn, back), Token(0));
            let (result, back) = one(&mut port).unpack::<op::SendAll<PoolBuf>>();
            assert_eq!(result.expect("sent"), 40);
            let mut echo = [0; 40];
            far.read_exact(&mut echo).expect("read");
            assert_piece(&echo, round, 0);
            // Lent, and given up.
            let id = port.submit(op::Recv::new(conn, back), Token(0));
            assert!(!port.wait(NOW).expect("wait"));
            assert!(port.cancel(id));
            let (result, back) = one(&mut port).unpack::<op::Recv<PoolBuf>>();
            assert!(result.is_err_and(|error| error::is_cancelled(&error)));
            assert_piece(&back, round, 0);
            buf = Some(back);
        }
        // The other one was free all the time, and this one is when it is dropped.
        drop(buf);
        far.write_all(&pattern(9, 128)).expect("write");
        let held: Vec<PoolBuf> = (0..2)
            .map(|_| {
                port.submit(op::RecvPooled::new(conn), Token(0));
                one(&mut port).unpack::<op::RecvPooled>().expect("data")
            })
            .collect();
        held.iter().enumerate().for_each(|(at, buf)| assert_piece(buf, 9, at * 64));
    }
}

fn file_operations_give_their_buffers_back(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (builder.threads(2).build().expect("a port"), Tally::default());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, pattern(1, 10_000)).expect("write");
        let read_only = port.attach(std::fs::File::open(&path).expect("open")).expect("attach");
        let (gone, _) = unix_pair();
        let gone = port.attach(gone).expect("attach");
        port.submit(op::Close::new(gone), Token(0));
        drop(one(&mut port));

        let read = |port: &mut Port, handle: Handle| {
            port.submit(op::ReadAt::new(handle, tally.lend(100), 500), Token(0));
            one(port).unpack::<op::ReadAt<Lent>>()
        };
        let (result, buf) = read(&mut port, read_only);
        assert_eq!(result.expect("read"), 100, "{flavour}");
        assert_piece(&buf, 1, 500);
        drop(buf);
        let (result, buf) = read(&mut port, gone);
        assert_eq!(result.expect_err("stale").kind(), ErrorKind::NotFound, "{flavour}");
        assert!(buf.iter().all(|&byte| byte == FRESH), "{flavour}");
        drop(buf);
        port.submit(op::WriteAt::new(read_only, tally.lend(100), 0), Token(0));
        let (result, buf) = one(&mut port).unpack::<op::WriteAt<Lent>>();
        result.expect_err("it was not opened for writing");
        assert!(buf.iter().all(|&byte| byte == FRESH), "{flavour}");
        drop(buf);

        // Given up: begun or not, the buffer says what the result says.
        for round in 0..50 {
            let ids: Vec<_> = (0..20)
                .map(|at| port.submit(op::ReadAt::new(read_only, tally.lend(100), at * 100), Token(at)))
                .collect();
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            for id in ids {
                port.cancel(id);
            }
            for done in drive(&mut port, 20) {
                let at = done.token().0 as usize * 100;
                let (result, buf) = done.unpack::<op::ReadAt<Lent>>();
                match result {
                    Ok(size) => {
                        assert_eq!(size, 100, "{flavour}");
                        assert_piece(&buf, 1, at);
                    }
                    Err(error) => {
                        assert!(error::is_cancelled(&error), "{flavour}: {error}");
                        assert!(buf.iter().all(|&byte| byte == FRESH), "{flavour}: it was written to");
                    }
                }
            }
        }
        drop(port);
        tally.assert_settled();
    }
}

fn a_part_is_lent_and_no_more(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        far.write_all(&pattern(1, 100)).expect("write");
        let part = vec![FRESH; 64].into_boxed_slice().slice(20..30);
        port.submit(op::Recv::new(conn, part), Token(0));
        let (result, part) = one(&mut port).unpack::<op::Recv<anyport::buf::Slice<Box<[u8]>>>>();
        assert_eq!(result.expect("data"), 10, "{flavour}");
        let whole = part.into_inner();
        assert_piece(&whole[20..30], 1, 0);
        assert!(whole[..20].iter().chain(&whole[30..]).all(|&byte| byte == FRESH), "{flavour}: {whole:?}");
        port.submit(op::SendAll::new(conn, whole.slice(20..30)), Token(0));
        assert_eq!(one(&mut port).transferred(), 10, "{flavour}");
        let mut echo = [0; 10];
        far.read_exact(&mut echo).expect("read");
        assert_piece(&echo, 1, 0);
    }
}

/// A buffer that the test can look at while it is lent.
#[derive(Clone)]
struct Seen(Arc<[AtomicU8; 64]>);

impl Seen {
    fn fresh() -> Seen {
        Seen(Arc::new([const { AtomicU8::new(FRESH) }; 64]))
    }

    fn is_fresh(&self) -> bool {
        self.0.iter().all(|byte| byte.load(SeqCst) == FRESH)
    }
}

// SAFETY: the bytes are on the heap until the last clone is gone.
unsafe impl IoBuf for Seen {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
    fn initialized(&self) -> usize {
        64
    }
}

// SAFETY: as above; an atomic may be written through a shared reference.
unsafe impl IoBufMut for Seen {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }
    fn capacity(&self) -> usize {
        64
    }
    unsafe fn filled(&mut self, _len: usize) {}
}

/// Other traffic of the port: all that reuses memory.
fn bustle(port: &mut Port) {
    let before = port.in_flight();
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    far.write_all(&[0xee; 4096]).expect("write");
    for token in 100..200 {
        match token % 5 {
            0 => port.submit(op::Recv::new(conn, [0; 8]), Token(token)),
            1 => port.submit(op::RecvVectored::new(conn, [[0; 4], [0; 4]]), Token(token)),
            2 => port.submit(op::RecvPooled::new(conn).within(HOUR), Token(token)),
            3 => port.submit(op::Timer::after(Duration::ZERO), Token(token)),
            _ => port.submit(op::Send::new(conn, "bustle"), Token(token)),
        };
    }
    port.submit(op::Close::new(conn), Token(200));
    while port.in_flight() > before {
        assert!(one(port).token() >= Token(100), "what was to wait has completed");
    }
}

fn nobody_touches_what_is_lent(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let (here, there) = udp_pair();
        let there: UdpSocket = there;
        let datagrams = port.attach(here).expect("attach");
        // At the head of a lane, behind it, behind the call of a message header.
        let lent: Vec<Seen> = (0..4).map(|_| Seen::fresh()).collect();
        port.submit(op::Recv::new(conn, lent[0].clone()), Token(0));
        port.submit(op::Recv::new(conn, lent[1].clone()), Token(1));
        port.submit(op::RecvFrom::new(datagrams, lent[2].clone()), Token(2));
        port.submit(op::RecvVectored::new(datagrams, vec![lent[3].clone()]), Token(3));
        bustle(&mut port);
        assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
        assert!(lent.iter().all(Seen::is_fresh), "{flavour}: somebody wrote to a lent buffer");
        for (at, buf) in lent.iter().enumerate() {
            match at {
                0 | 1 => far.write_all(&pattern(at as u64, 64)).expect("write"),
                _ => drop(there.send(&pattern(at as u64, 64)).expect("send")),
            }
            assert_eq!(one(&mut port).token(), Token(at as u64), "{flavour}");
            let bytes: Vec<u8> = buf.0.iter().map(|byte| byte.load(SeqCst)).collect();
            assert_piece(&bytes, at as u64, 0);
            assert!(lent[at + 1..].iter().all(Seen::is_fresh), "{flavour}: it was another's");
        }
        // The completions were dropped, and with them all but the test's own clones.
        assert!(lent.iter().all(|buf| Arc::strong_count(&buf.0) == 1), "{flavour}");
    }
}

fn nobody_touches_what_has_come_back(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        for round in 0..100 {
            let (near, mut far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            let lent: Vec<Seen> = (0..3).map(|_| Seen::fresh()).collect();
            let ids = [
                port.submit(op::Recv::new(conn, lent[0].clone()), Token(0)),
                port.submit(op::RecvVectored::new(conn, vec![lent[1].clone()]), Token(1)),
                port.submit(op::Recv::new(conn, lent[2].clone()).within(Duration::from_micros(round)), Token(2)),
            ];
            let _ = port.wait(NOW).expect("wait");
            // The first is given up and its successor starts; then comes data, for whoever is still there.
            let given_up = round as usize % 3;
            port.cancel(ids[given_up]);
            let mut pieces = 0;
            for _ in 0..3 {
                far.write_all(&[0xee; 8]).expect("write");
                let done = one(&mut port);
                let buf = &lent[done.token().0 as usize];
                if done.transferred() > 0 {
                    pieces += 1;
                    assert_eq!(buf.0[0].load(SeqCst), 0xee, "{flavour}");
                } else {
                    assert!(buf.is_fresh(), "{flavour}: {done:?} was written to");
                }
            }
            let after: Vec<bool> = lent.iter().map(Seen::is_fresh).collect();
            assert_eq!(after.iter().filter(|&&fresh| !fresh).count(), pieces, "{flavour}");
            far.write_all(&[0xdd; 8]).expect("write");
            bustle(&mut port);
            let untouched = lent.iter().all(|buf| buf.0.iter().all(|byte| byte.load(SeqCst) != 0xdd));
            assert!(untouched, "{flavour}: written to after it came back");
            assert_eq!(lent.iter().map(Seen::is_fresh).collect::<Vec<_>>(), after, "{flavour}");
            port.submit(op::Close::new(conn), Token(9));
            one(&mut port).unpack::<op::Close>().expect("close");
        }
    }
}

fn a_buffer_in_its_slot_does_not_move_while_others_come(backend: Backend) {
    // (Where a connection holds megabytes, fewer take as long.)
    const CONNECTIONS: usize = if cfg!(windows) { 5 } else { 100 };
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.entries(8).build().expect("a port");
        let (mut conns, mut peers) = (Vec::new(), Vec::new());
        for number in 0..CONNECTIONS {
            let (near, far) = unix_pair();
            fill(&near);
            conns.push(port.attach(near).expect("attach"));
            peers.push(far);
            // Inline, and their addresses with the system.
            port.submit(op::Recv::new(conns[number], [0; 48]), Token(number as u64));
            let bytes: [u8; 48] = pattern(number as u64, 48).try_into().expect("its size");
            port.submit(op::SendAll::new(conns[number], bytes), Token((CONNECTIONS + number) as u64));
            // The slab grows meanwhile.
            for _ in 0..30 {
                port.submit(op::Timer::after(HOUR), Token(u64::MAX));
            }
            assert!(!port.wait(NOW).expect("wait"), "{flavour}");
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&pattern(number as u64, 48)).expect("write");
        }
        for done in drive(&mut port, CONNECTIONS) {
            let number = done.token().0;
            let (result, buf) = done.unpack::<op::Recv<[u8; 48]>>();
            assert_eq!(result.expect("data"), 48, "{flavour}");
            assert_piece(&buf, number, 0);
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            // First what filled it.
            let (mut received, mut filler) = (Vec::new(), 0);
            while !received.ends_with(&pattern(number as u64, 48)) {
                let mut bytes = [0; 65536];
                let size = peer.read(&mut bytes).expect("read");
                received.extend_from_slice(&bytes[..size]);
                while port.wait(NOW).expect("wait") {
                    let done = one(&mut port);
                    let sender = done.token().0 - CONNECTIONS as u64;
                    let (result, buf) = done.unpack::<op::SendAll<[u8; 48]>>();
                    assert_eq!(result.expect("sent"), 48, "{flavour}");
                    assert_piece(&buf, sender, 0);
                }
                filler += received[filler..].iter().take_while(|&&byte| byte == 0).count();
                assert!(received.len() - filler <= 48, "{flavour}: it sent something else");
            }
        }
    }
}

/// A port of few threads, one of which a closure keeps busy until the returned sender is dropped.
fn with_busy_thread(builder: anyport::Builder) -> (Port, mpsc::Sender<()>) {
    let mut port = builder.threads(1).build().expect("a port");
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let closure = move || {
        begin.send(()).expect("the test waits for it");
        let _ = released.recv();
    };
    port.submit(op::Blocking::new(closure), Token(u64::MAX));
    begun.recv().expect("it runs");
    (port, release)
}

fn a_port_dropped_with_everything_in_flight_takes_it_back(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for handed_over in [false, true] {
            let (mut port, tally) = (builder.clone().build().expect("a port"), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, None);
            if handed_over {
                assert!(!port.wait(Some(MS)).expect("wait"));
            }
            assert!(tally.out() > 0);
            drop(port);
            assert_eq!(tally.out(), 0, "{flavour}: buffers did not come back");
            cast.send_to_all();
            thread::sleep(MS);
            cast.send_to_all();
            tally.assert_settled();
        }
    }
}

fn a_port_dropped_while_the_peers_send_takes_it_back(backend: Backend) {
    for (_, builder) in flavours(backend) {
        for round in 0..8 {
            let builder = if round % 2 == 0 { builder.clone().entries(1) } else { builder.clone() };
            let (mut port, tally) = (builder.build().expect("a port"), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, (round == 7).then_some(MS));
            let _ = port.wait(Some(MS)).expect("wait");
            let start = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    // Some arrives before the port goes, some as it goes, some later.
                    (0..4).for_each(|_| cast.send_to_all());
                });
                start.wait();
                thread::sleep(Duration::from_micros(40 * round));
                drop(port);
                assert_eq!(tally.out(), 0, "buffers did not come back");
            });
            tally.assert_settled();
        }
    }
}

fn a_port_dropped_with_completions_untaken_drops_each_once(backend: Backend) {
    for (_, builder) in flavours(backend) {
        let (mut port, tally) = (builder.build().expect("a port"), Tally::default());
        for number in 0..20 {
            let (near, mut far) = unix_pair();
            let conn = port.attach(near).expect("attach");
            far.write_all(&[1; 100]).expect("write");
            port.submit(op::Recv::new(conn, tally.lend(10)), Token(number));
            port.submit(op::RecvVectored::new(conn, vec![tally.lend(10), tally.lend(10)]), Token(number));
            port.submit(op::RecvPooled::new(conn), Token(number));
            port.submit(op::SendAll::new(conn, tally.lend(10)), Token(number));
            let lent = tally.lend(10);
            port.submit(op::Blocking::new(move || lent), Token(number));
            assert!(port.poster().post(Token(number), tally.lend(10)).is_ok());
            let id = port.submit(op::Recv::new(conn, tally.lend(10)), Token(number));
            port.cancel(id);
        }
        // Some are taken; others wait in the port, in its inbox, in the system's queue.
        assert!(port.wait(Some(HOUR)).expect("wait"));
        for _ in 0..30 {
            drop(port.next());
        }
        let poster = port.poster();
        assert!(poster.post(Token(0), tally.lend(10)).is_ok());
        drop(port);
        tally.assert_settled();
        drop(poster);
    }
}

fn a_dropped_port_waits_for_closures_that_run(backend: Backend) {
    let tally = Tally::default();
    let (port, release) = with_busy_thread(Port::builder().backend(backend));
    let mut port_with_two = Port::builder().backend(backend).threads(2).build().expect("a port");
    let ended = Arc::new(AtomicUsize::new(0));
    let (begin, begun) = mpsc::channel();
    for _ in 0..2 {
        let (lent, ended, begin) = (tally.lend(64), ended.clone(), begin.clone());
        let closure = move || {
            begin.send(()).expect("the test waits for it");
            thread::sleep(20 * MS);
            assert!(lent.iter().all(|&byte| byte == FRESH), "its own buffer was taken from it");
            ended.fetch_add(1, SeqCst);
            lent
        };
        port_with_two.submit(op::Blocking::new(closure), Token(0));
    }
    begun.recv().expect("one runs");
    begun.recv().expect("the other runs");
    drop(port_with_two);
    assert_eq!(ended.load(SeqCst), 2, "a closure was still at work");
    tally.assert_settled();
    let releaser = thread::spawn(move || {
        thread::sleep(5 * MS);
        drop(release);
    });
    drop(port);
    releaser.join().expect("no panic");
}

fn a_dropped_port_runs_no_closure_that_has_not_begun(backend: Backend) {
    let tally = Tally::default();
    let (mut port, release) = with_busy_thread(Port::builder().backend(backend));
    let ran = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let (lent, ran) = (tally.lend(64), ran.clone());
        let closure = move || {
            ran.fetch_add(1, SeqCst);
            lent
        };
        port.submit(op::Blocking::new(closure), Token(number));
    }
    assert_eq!(tally.out(), 100);
    let releaser = thread::spawn(move || {
        // By then the port is being dropped, and has taken back what had not begun.
        thread::sleep(20 * MS);
        drop(release);
    });
    drop(port);
    assert_eq!(ran.load(SeqCst), 0, "it ran though nobody wants its result");
    tally.assert_settled();
    releaser.join().expect("no panic");
}

fn a_dropped_port_waits_for_the_pools_file_operations(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, pattern(1, 1 << 20)).expect("write");
    for (_, builder) in flavours(backend) {
        for round in 0..10 {
            let (mut port, tally) = (builder.clone().threads(3).build().expect("a port"), Tally::default());
            let file = std::fs::File::options().read(true).write(true).open(&path).expect("open");
            let file = port.attach(file).expect("attach");
            for number in 0..30 {
                port.submit(op::ReadAt::new(file, tally.lend(1 << 18), number), Token(0));
                port.submit(op::WriteAt::new(file, tally.lend(100), number), Token(0));
                port.submit(op::Metadata::of(file), Token(0));
                port.submit(op::Open::new(&path).read(true), Token(0));
            }
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            drop(port);
            assert_eq!(tally.out(), 0, "buffers did not come back");
            thread::sleep(Duration::from_micros(200));
            tally.assert_settled();
        }
    }
}

fn a_panic_gives_everything_back(backend: Backend) {
    for (_, builder) in flavours(backend) {
        let tally = Tally::default();
        let mut cast = Cast::default();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let mut port = builder.build().expect("a port");
            cast = submit_every_kind(&mut port, &tally, None);
            let lent = tally.lend(64);
            port.submit(op::Blocking::new(move || lent), Token(0));
            let _ = port.wait(Some(MS)).expect("wait");
            resume_unwind(Box::new("on purpose"));
        }));
        assert!(panic.is_err());
        assert_eq!(tally.out(), 0, "buffers did not come back");
        cast.send_to_all();
        thread::sleep(MS);
        tally.assert_settled();
    }
}

/// Panics when it is dropped.
struct Touchy;

impl Drop for Touchy {
    fn drop(&mut self) {
        if !thread::panicking() {
            // Quietly.
            resume_unwind(Box::new("on purpose"));
        }
    }
}

fn a_value_that_panics_does_not_free_what_is_lent(backend: Backend) {
    struct Buffer(Lent, #[allow(dead_code)] Touchy);
    // SAFETY: the inner buffer's own.
    unsafe impl IoBuf for Buffer {
        fn stable_ptr(&self) -> *const u8 {
            self.0.stable_ptr()
        }
        fn initialized(&self) -> usize {
            self.0.initialized()
        }
    }
    // SAFETY: the inner buffer's own.
    unsafe impl IoBufMut for Buffer {
        fn stable_mut_ptr(&mut self) -> *mut u8 {
            self.0.stable_mut_ptr()
        }
        fn capacity(&self) -> usize {
            self.0.capacity()
        }
        unsafe fn filled(&mut self, _len: usize) {}
    }
    for (flavour, builder) in flavours(backend) {
        for what in ["post", "closure", "lent buffer", "ready completion"] {
            let (mut port, tally) = (builder.clone().build().expect("a port"), Tally::default());
            let (near, mut far) = unix_pair();
            let conn = port.attach(near).expect("attach");
            match what {
                "post" => drop(port.poster().post(Token(0), Touchy).is_ok()),
                "closure" => {
                    let touchy = Touchy;
                    port.submit(op::Blocking::new(move || touchy), Token(0));
                }
                "lent buffer" => {
                    let (other, _) = unix_pair();
                    let other = port.attach(other).expect("attach");
                    port.submit(op::Recv::new(other, Buffer(tally.lend(8), Touchy)), Token(0));
                }
                _ => {
                    port.submit(op::SendAll::new(conn, Buffer(tally.lend(8), Touchy)), Token(0));
                    assert!(port.wait(Some(HOUR)).expect("wait"));
                }
            }
            for _ in 0..10 {
                port.submit(op::Recv::new(conn, tally.lend(64)), Token(1));
            }
            let _ = port.wait(NOW).expect("wait");
            let panic = catch_unwind(AssertUnwindSafe(|| drop(port)));
            assert!(panic.is_err(), "{flavour}: the {what} was not dropped");
            let _ = far.write_all(&[0xee; 4096]);
            thread::sleep(MS);
            tally.assert_settled();
        }
    }
}

fn completions_outlive_their_port(backend: Backend) {
    for (_, builder) in flavours(backend) {
        let (mut port, tally) = (builder.build().expect("a port"), Tally::default());
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        let (listener, address) = listener();
        let listener = port.attach(listener).expect("attach");
        far.write_all(&pattern(1, 100)).expect("write");
        let mut client = TcpStream::connect(address).expect("connect");
        let lent = tally.lend(10);
        let mut complete = Vec::new();
        port.submit(op::Recv::new(conn, tally.lend(30)), Token(0));
        complete.push(one(&mut port));
        port.submit(op::RecvVectored::new(conn, [tally.lend(20)]), Token(1));
        complete.push(one(&mut port));
        port.submit(op::RecvPooled::new(conn), Token(2));
        complete.push(one(&mut port));
        port.submit(op::Accept::new(listener), Token(3));
        complete.push(one(&mut port));
        port.submit(op::Blocking::boxed(move || lent), Token(4));
        complete.push(one(&mut port));
        port.submit(op::Metadata::at("/"), Token(5));
        complete.push(one(&mut port));
        assert!(port.poster().post(Token(6), tally.lend(10)).is_ok());
        complete.push(one(&mut port));
        port.submit(op::Recv::new(conn, tally.lend(30)), Token(7));
        port.submit(op::Close::new(conn), Token(8));
        complete.push(take(&mut port, Token(7)));
        complete.push(one(&mut port));
        drop(port);

        let mut complete = complete.into_iter();
        let mut next = || complete.next().expect("it was taken");
        let (result, buf) = next().unpack::<op::Recv<Lent>>();
        assert_eq!(result.expect("data"), 30);
        assert_piece(&buf, 1, 0);
        let (result, bufs) = next().unpack::<op::RecvVectored<[Lent; 1]>>();
        assert_eq!(result.expect("data"), 20);
        assert_piece(&bufs[0], 1, 30);
        let pooled = next().unpack::<op::RecvPooled>().expect("data");
        assert_piece(&pooled, 1, 50);
        let accepted = next().unpack::<op::Accept>().expect("a connection");
        let mut accepted = tcp_of(accepted);
        accepted.write_all(b"alive").expect("write");
        let mut greeting = [0; 5];
        client.read_exact(&mut greeting).expect("read");
        assert_eq!(greeting, *b"alive");
        let closure = next().unpack::<op::Blocking<Box<dyn FnOnce() -> Lent + Send>, Lent>>().expect("it ran");
        assert!(closure.iter().all(|&byte| byte == FRESH));
        assert!(next().unpack::<op::Metadata>().expect("metadata").is_dir());
        drop(next().unpack::<op::Post<Lent>>());
        assert!(next().unpack::<op::Recv<Lent>>().0.is_err_and(|error| error::is_cancelled(&error)));
        next().unpack::<op::Close>().expect("close");
        drop((buf, bufs, closure));
        tally.assert_settled();
    }
}

fn pool_buffers_outlive_their_port(backend: Backend) {
    for (_, builder) in flavours(backend) {
        let mut port = builder.pool(4, 32).build().expect("a port");
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        far.write_all(&pattern(1, 64)).expect("write");
        let mut held = Vec::new();
        for at in 0..2 {
            port.submit(op::RecvPooled::new(conn), Token(0));
            held.push(one(&mut port).unpack::<op::RecvPooled>().expect("data"));
            assert_piece(&held[at], 1, at * 32);
        }
        // One is in a completion, one with an operation that is in flight.
        port.submit(op::RecvPooledMulti::new(conn), Token(0));
        far.write_all(&pattern(2, 32)).expect("write");
        let complete = one(&mut port);
        port.submit(op::Recv::new(conn, held.pop().expect("two of them")), Token(0));
        let _ = port.wait(NOW).expect("wait");
        drop(port);
        let _ = far.write_all(&[0xee; 128]);
        thread::sleep(MS);
        assert_piece(&held[0], 1, 0);
        held[0][0] = 0;
        let pooled = complete.unpack::<op::RecvPooledMulti>().expect("data");
        assert_piece(&pooled, 2, 0);
        drop(held);
        assert_piece(&pooled, 2, 0);
    }
}

fn a_forgotten_completion_costs_its_buffer_only(backend: Backend) {
    let (mut port, tally) = (port(backend), Tally::default());
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    for round in 0..100 {
        far.write_all(&pattern(round, 8)).expect("write");
        port.submit(op::Recv::new(conn, tally.lend(8)), Token(round));
        std::mem::forget(one(&mut port));
        assert_eq!(port.in_flight(), 0, "it is over all the same");
    }
    drop(port);
    assert_eq!(tally.out(), 100);
    pass_with_leaks();
}

fn a_forgotten_pool_buffer_costs_itself_only(backend: Backend) {
    let mut port = Port::builder().backend(backend).pool(4, 32).build().expect("a port");
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    for round in 0..100 {
        far.write_all(&pattern(round, 32)).expect("write");
        port.submit(op::RecvPooled::new(conn), Token(round));
        let buf = one(&mut port).unpack::<op::RecvPooled>().expect("data");
        assert_piece(&buf, round, 0);
        // All but the last one.
        if round % 10 == 0 && round < 30 {
            std::mem::forget(buf);
        }
    }
    // The last one is out: nothing comes until it is back.
    far.write_all(&pattern(100, 32)).expect("write");
    port.submit(op::RecvPooled::new(conn), Token(100));
    let last = one(&mut port).unpack::<op::RecvPooled>().expect("data");
    far.write_all(&pattern(101, 32)).expect("write");
    port.submit(op::RecvPooled::new(conn), Token(101));
    assert!(drive_for(&mut port, 5 * MS).is_empty(), "there is no buffer");
    drop(last);
    assert_piece(&one(&mut port).unpack::<op::RecvPooled>().expect("data"), 101, 0);
    drop(port);
    pass_with_leaks();
}

fn a_forgotten_port_frees_nothing(backend: Backend) {
    let tally = Tally::default();
    for (_, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let before = tally.out();
        let cast = submit_every_kind(&mut port, &tally, None);
        let lent = tally.out() - before;
        let _ = port.wait(Some(MS)).expect("wait");
        std::mem::forget(port);
        cast.send_to_all();
        thread::sleep(MS);
        assert_eq!(tally.out() - before, lent, "the system may still write to it");
    }
    pass_with_leaks();
}

fn a_port_in_a_forked_child_refuses(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (builder.build().expect("a port"), Tally::default());
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        let (idle, _other) = unix_pair();
        let idle = port.attach(idle).expect("attach");
        let id = port.submit(op::Recv::new(conn, tally.lend(8)), Token(1));
        let timer = port.submit(op::Timer::after(HOUR), Token(2));
        assert!(!port.wait(NOW).expect("wait"));
        let child = in_a_child(|| {
            let refused = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(port.next().is_none());
            refused(port.wait(NOW).expect_err("a child's wait"));
            refused(port.attach(unix_pair().0).expect_err("a child's attach"));
            refused(port.detach(idle).expect_err("a child's detach"));
            assert!(!port.cancel(id) && !port.cancel(timer), "a child's cancel");
            assert_eq!(port.cancel_all(conn), 0, "a child's cancel");
            for operation in 0..3 {
                match operation {
                    0 => port.submit(op::Recv::new(idle, tally.lend(8)), Token(3)),
                    1 => port.submit(op::Blocking::new(|| ()), Token(3)),
                    _ => port.submit(op::Close::new(idle), Token(3)),
                };
                let done = port.next().expect("it was refused");
                assert_eq!(done.token(), Token(3));
                assert!(format!("{done:?}").contains("fork"), "{done:?}");
            }
            assert_eq!(tally.out(), 1, "what was refused came back");
            drop(port.explain());
        });
        assert!(child, "{flavour}");
        assert!(!port.wait(NOW).expect("wait"), "{flavour}: {:?}", port.next());
        far.write_all(&pattern(1, 8)).expect("write");
        let (result, buf) = one(&mut port).unpack::<op::Recv<Lent>>();
        assert_eq!(result.expect("data"), 8, "{flavour}");
        assert_piece(&buf, 1, 0);
        assert!(port.cancel(timer));
        drop((port, buf));
        tally.assert_settled();
    }
}

fn a_port_dropped_in_a_forked_child_leaves_the_parents_operations_alone(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for round in 0..2 {
            let (mut port, tally) = (builder.clone().build().expect("a port"), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, None);
            let (near, mut far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            let number = cast.pending.len() as u64;
            port.submit(op::RecvPooledMulti::new(conn), Token(number));
            if round == 0 {
                assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            }
            let in_flight = port.in_flight();
            let (out, mut own) = (tally.out(), Some(port));
            assert!(in_a_child(|| drop(own.take())), "{flavour}");
            let mut port = own.take().expect("it is the child's copy that was dropped");
            assert_eq!((port.in_flight(), tally.out()), (in_flight, out), "{flavour}");
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: {:?}", port.next());
            // They still work.
            for round in 0..3 {
                far.write_all(&pattern(round, 10)).expect("write");
                let done = one(&mut port);
                assert_eq!((done.token(), done.more()), (Token(number), true), "{flavour}");
                assert_piece(&done.unpack::<op::RecvPooledMulti>().expect("data"), round, 0);
            }
            cast.send_to_all();
            let mut data = 0;
            while port.wait(Some(5 * MS)).expect("wait") {
                data += usize::from(one(&mut port).transferred() > 0);
            }
            assert!(data >= 12, "{flavour}: only {data} receives got something");
            drop(port);
            cast.send_to_all();
            tally.assert_settled();
        }
    }
}

/// A kqueue is not there in the child: its number is another's.
fn a_port_dropped_in_a_forked_child_closes_nothing_else(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        port.submit(op::Recv::new(conn, vec![0; 8]), Token(1));
        assert!(!port.wait(NOW).expect("wait"), "{flavour}");
        let mut own = Some(port);
        let child = in_a_child(|| {
            let files: Vec<_> = (0..32).map(|_| null()).collect();
            drop(own.take());
            assert!(files.iter().all(|file| file.metadata().is_ok()), "{flavour}: a file was closed");
        });
        assert!(child, "{flavour}");
        far.write_all(b"12345678").expect("write");
        let mut port = own.take().expect("it is the child's copy that was dropped");
        assert_eq!(one(&mut port).transferred(), 8, "{flavour}");
    }
}

fn what_the_system_does_not_give_back_is_never_freed(backend: Backend) {
    if backend != Backend::Uring {
        // Nothing is with the system between two calls.
        return;
    }
    let tally = Tally::default();
    // Without deferred work the kernel writes whenever data comes, whether or not it is asked.
    let builder = Port::builder().backend(backend).without("defer taskrun").without("single issuer");
    let mut port = builder.build().expect("a port");
    let cast = submit_every_kind(&mut port, &tally, None);
    assert!(!port.wait(NOW).expect("wait"));
    let lent = tally.out();
    forbid(IO_URING_ENTER, errno::EPERM);
    let untold = port.submit(op::Nop::new(), Token(u64::MAX));
    assert!(port.cancel(untold));
    drop(port);
    assert!(tally.out() > 0 && tally.out() <= lent);
    cast.send_to_all();
    thread::sleep(MS);
    // What the system has is there for good.
    assert!(tally.out() > 0);
    pass_with_leaks();
}
