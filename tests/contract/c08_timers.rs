//! C8: a timer never fires early, and all of them fire. Deadlines on operations are timers too: an operation that runs
//! out of time completes `TimedOut` and gives its buffer back; one that was faster gives its result.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyport::op::{self, Operation};
use anyport::{Backend, Port, Token, error};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_relative_timer_never_fires_early,
        an_absolute_timer_never_fires_early,
        ten_thousand_timers_all_fire_and_none_early,
        a_timer_of_the_past_fires_at_the_next_wait,
        a_timer_of_the_far_future_is_just_late,
        a_cancelled_timer_does_not_fire,
        a_timed_wait_is_never_early,
        a_timer_ends_a_longer_wait_and_not_a_shorter_one,
        a_deadline_gives_timed_out_and_the_buffer_back,
        an_absolute_deadline_is_the_same,
        a_deadline_holds_for_every_kind_of_operation,
        a_deadline_holds_for_an_operation_that_waits_its_turn,
        a_deadline_loses_to_a_result,
        a_deadline_that_races_with_data_loses_no_byte,
        a_deadline_tells_how_much_was_sent,
        a_deadline_of_the_past_does_not_lose_the_operation,
    ]
}

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Durations around the places where a clock may be rounded: nothing, less than a tick, exact and crooked
/// milliseconds, and past the first level of any wheel.
const DELAYS: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_micros(10),
    Duration::from_micros(999),
    Duration::from_millis(1),
    Duration::from_nanos(1_000_001),
    Duration::from_micros(1_500),
    Duration::from_micros(7_777),
    Duration::from_millis(16),
    Duration::from_nanos(63_999_999),
    Duration::from_millis(64),
    Duration::from_micros(270_100),
];

/// Collects timers whose token is an index into `due`; each must come once, with success, and not before it is due.
#[track_caller]
fn expect_all(port: &mut Port, due: &[Instant]) {
    let mut fired = vec![false; due.len()];
    for _ in 0..due.len() {
        let done = one(port);
        let now = Instant::now();
        let timer = done.token().0 as usize;
        done.unpack::<op::Timer>().expect("a timer");
        let early = due[timer].saturating_duration_since(now);
        assert!(early.is_zero(), "timer {timer} fired {early:?} early");
        assert!(!fired[timer], "timer {timer} fired twice");
        fired[timer] = true;
    }
    assert_eq!(port.in_flight(), 0);
}

fn a_relative_timer_never_fires_early(backend: Backend) {
    let mut port = port(backend);
    for round in 0..20 {
        // Start at another phase of the tick each time.
        std::thread::sleep(Duration::from_micros(round * 137));
        let mut due = Vec::new();
        for delay in DELAYS {
            due.push(Instant::now() + delay);
            port.submit(op::Timer::after(delay), Token(due.len() as u64 - 1));
        }
        expect_all(&mut port, &due);
    }
}

fn an_absolute_timer_never_fires_early(backend: Backend) {
    let mut port = port(backend);
    let start = Instant::now();
    // The furthest first, so that a nearer one must bring the wake-up forward.
    let due: Vec<_> = DELAYS.iter().rev().map(|&delay| start + delay).collect();
    for (token, &at) in due.iter().enumerate() {
        port.submit(op::Timer::at(at), Token(token as u64));
    }
    expect_all(&mut port, &due);
}

fn ten_thousand_timers_all_fire_and_none_early(backend: Backend) {
    let mut port = port(backend);
    let noise = pattern(8, 20_000);
    let mut due = Vec::new();
    for pair in noise.chunks_exact(2) {
        let delay = Duration::from_micros(u64::from(u16::from_le_bytes([pair[0], pair[1]])) * 5);
        due.push(Instant::now() + delay);
        port.submit(op::Timer::after(delay), Token(due.len() as u64 - 1));
    }
    expect_all(&mut port, &due);
}

fn a_timer_of_the_past_fires_at_the_next_wait(backend: Backend) {
    let mut port = port(backend);
    port.submit(op::Timer::after(Duration::ZERO), Token(0));
    let past = Instant::now().checked_sub(Duration::from_millis(5)).expect("the machine has run for 5 ms");
    port.submit(op::Timer::at(past), Token(1));
    let mut tokens: Vec<_> = drive(&mut port, 2).iter().map(|done| done.token().0).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [0, 1]);
}

fn a_timer_of_the_far_future_is_just_late(backend: Backend) {
    let mut port = port(backend);
    let delays = [HOUR, HOUR * 24 * 365 * 100, Duration::from_secs(u64::MAX / 4), Duration::MAX];
    let timers = delays.map(|delay| port.submit(op::Timer::after(delay), Token(9)));
    assert!(drive_for(&mut port, 20 * MS).is_empty(), "a timer of at least an hour fired at once");
    for timer in timers {
        assert!(port.cancel(timer));
        let result = one(&mut port).unpack::<op::Timer>();
        assert!(error::is_cancelled(&result.expect_err("it was cancelled")));
    }
    assert_eq!(port.in_flight(), 0);
}

fn a_cancelled_timer_does_not_fire(backend: Backend) {
    let mut port = port(backend);
    let gone = port.submit(op::Timer::after(5 * MS), Token(1));
    port.submit(op::Timer::after(20 * MS), Token(2));
    assert!(port.cancel(gone));
    let done = drive(&mut port, 2);
    assert_eq!([done[0].token(), done[1].token()], [Token(1), Token(2)]);
    let results: Vec<_> = done.into_iter().map(|done| done.unpack::<op::Timer>()).collect();
    assert!(results[0].as_ref().is_err_and(error::is_cancelled), "{:?}", results[0]);
    assert!(results[1].is_ok(), "{:?}", results[1]);
    assert!(!port.cancel(gone), "there is nothing left to cancel");
    assert!(drive_for(&mut port, 20 * MS).is_empty());
}

fn a_timed_wait_is_never_early(backend: Backend) {
    let mut port = port(backend);
    for delay in DELAYS {
        let start = Instant::now();
        let ready = port.wait(Some(delay)).expect("wait");
        assert!(!ready, "an idle port has nothing to say");
        assert!(start.elapsed() >= delay, "a wait of {delay:?} ended after {:?}", start.elapsed());
    }
}

fn a_timer_ends_a_longer_wait_and_not_a_shorter_one(backend: Backend) {
    let mut port = port(backend);
    let start = Instant::now();
    port.submit(op::Timer::after(40 * MS), Token(1));
    let due = port.wait(Some(10 * MS)).expect("wait");
    // (On a busy machine 10 ms may take that long.)
    assert!(!due || start.elapsed() >= 40 * MS, "the timer is not due before 40 ms");
    assert!(start.elapsed() >= 10 * MS);
    assert!(port.wait(Some(HOUR)).expect("wait"));
    assert!(start.elapsed() >= 40 * MS);
    one(&mut port).unpack::<op::Timer>().expect("a timer");
    // An empty wait without limit would hang here if the timer still stood.
    port.submit(op::Timer::after(MS), Token(2));
    assert!(port.wait(None).expect("wait"));
    assert_eq!(one(&mut port).token(), Token(2));
}

fn a_deadline_gives_timed_out_and_the_buffer_back(backend: Backend) {
    for (kind, near, far) in stream_pairs() {
        let mut port = port(backend);
        let conn = port.attach(near).expect("attach");
        let buf = Vec::with_capacity(333);
        let lent = buf.as_ptr();
        let start = Instant::now();
        port.submit(op::Recv::new(conn, buf).within(15 * MS), Token(1));
        let done = one(&mut port);
        assert!(start.elapsed() >= 15 * MS, "{kind}: the deadline was early");
        assert_eq!((done.more(), done.transferred()), (false, 0), "{kind}");
        let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
        assert_eq!(result.expect_err("nothing was sent").kind(), io::ErrorKind::TimedOut, "{kind}");
        assert_eq!((buf.as_ptr(), buf.len(), buf.capacity()), (lent, 0, 333), "{kind}: not the buffer that was lent");

        // The connection is as good as before: what comes now is for the next receive.
        let peer = Peer::start(far, vec![Step::Send(pattern(1, 100))]);
        port.submit(op::Recv::new(conn, buf), Token(2));
        let (result, buf) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
        assert_eq!(result.expect("data"), 100, "{kind}");
        assert_piece(&buf, 1, 0);
        peer.finish();
    }
}

fn an_absolute_deadline_is_the_same(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let due = Instant::now() + 15 * MS;
    port.submit(op::Recv::new(conn, vec![0; 10]).by(due), Token(1));
    let (result, buf) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
    assert!(Instant::now() >= due, "the deadline was early");
    assert_eq!(result.expect_err("nothing was sent").kind(), io::ErrorKind::TimedOut);
    assert_eq!(buf.capacity(), 10);
}

fn a_deadline_holds_for_every_kind_of_operation(backend: Backend) {
    let mut port = port(backend);
    let (listener, _) = listener();
    let listener = port.attach(listener).expect("attach");
    let (near, _far) = tcp_pair();
    let stream = port.attach(near).expect("attach");
    let (near, _far) = tcp_pair();
    let pooled = port.attach(near).expect("attach");
    let (near, _far) = unix_pair();
    let ready = port.attach(near).expect("attach");
    let (near, _far) = udp_pair();
    let datagram = port.attach(near).expect("attach");
    let (read_end, _write_end) = pipe();
    let pipe = port.attach(read_end).expect("attach");

    port.submit(op::Accept::new(listener).within(5 * MS), Token(0));
    port.submit(op::RecvVectored::new(stream, [vec![0; 4], vec![0; 4]]).within(5 * MS), Token(1));
    port.submit(op::RecvPooled::new(pooled).within(5 * MS), Token(2));
    port.submit(op::Ready::readable(ready).within(5 * MS), Token(3));
    port.submit(op::RecvFrom::new(datagram, vec![0; 4]).within(5 * MS), Token(4));
    port.submit(op::Recv::new(pipe, vec![0; 4]).within(5 * MS), Token(5));
    port.submit(op::Timer::after(HOUR).within(5 * MS), Token(6));
    let mut done = drive(&mut port, 7);
    done.sort_by_key(|done| done.token());
    let mut done = done.into_iter();
    let mut next = || done.next().expect("seven completions");
    let errors = [
        next().unpack::<op::Accept>().map(drop),
        next().unpack::<op::RecvVectored<[Vec<u8>; 2]>>().0.map(drop),
        next().unpack::<op::RecvPooled>().map(drop),
        next().unpack::<op::Ready>(),
        next().unpack::<op::RecvFrom<Vec<u8>>>().0.map(drop),
        next().unpack::<op::Recv<Vec<u8>>>().0.map(drop),
        next().unpack::<op::Timer>(),
    ];
    for (token, result) in errors.into_iter().enumerate() {
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut), "operation {token}");
    }
    assert_eq!(port.in_flight(), 0);
}

fn a_deadline_holds_for_an_operation_that_waits_its_turn(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::Recv::new(conn, vec![0; 10]), Token(1));
    port.submit(op::Recv::new(conn, vec![0; 10]).within(5 * MS), Token(2));
    port.submit(op::Recv::new(conn, vec![0; 10]), Token(3));
    let done = one(&mut port);
    assert_eq!(done.token(), Token(2), "only the second has a deadline");
    let (result, _) = done.unpack::<op::Recv<Vec<u8>>>();
    assert_eq!(result.expect_err("a deadline").kind(), io::ErrorKind::TimedOut);
    let peer = Peer::start(far, vec![Step::Send(pattern(3, 20))]);
    let mut received = Vec::new();
    for token in [1, 3] {
        let done = one(&mut port);
        assert_eq!(done.token(), Token(token));
        let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
        result.expect("data");
        received.extend(buf);
    }
    assert_eq!(received.len(), 20);
    assert_piece(&received, 3, 0);
    peer.finish();
}

fn a_deadline_loses_to_a_result(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let peer = Peer::start(far, vec![Step::Pause(10 * MS), Step::Send(pattern(4, 50))]);
    port.submit(op::Recv::new(conn, vec![0; 50]).within(HOUR), Token(1));
    let (result, buf) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
    assert_eq!(result.expect("data"), 50);
    assert_piece(&buf, 4, 0);
    peer.finish();
    // Its deadline is gone with it, and a short one that was kept does not come back either.
    port.submit(op::Nop::new().within(10 * MS), Token(2));
    one(&mut port).unpack::<op::Nop>().expect("a nop");
    assert_eq!(port.in_flight(), 0);
    assert!(drive_for(&mut port, 30 * MS).is_empty(), "a deadline outlived its operation");
}

fn a_deadline_that_races_with_data_loses_no_byte(backend: Backend) {
    const ROUNDS: usize = 300;
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    // The peer sends ten bytes about when the deadline is, now a little before and now a little after it.
    let (go, start) = mpsc::channel::<Duration>();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let mut far = far;
        for (round, pause) in start.iter().enumerate() {
            std::thread::sleep(pause);
            far.write_all(&piece(5, round * 10, 10)).expect("send");
        }
    });
    let (mut offset, mut expired, mut buf) = (0, 0, Vec::with_capacity(64));
    for round in 0..ROUNDS {
        go.send(Duration::from_micros(800 + (round as u64 % 40) * 20)).expect("the sender runs");
        buf.clear();
        port.submit(op::Recv::new(conn, buf).within(MS), Token(1));
        let done = one(&mut port);
        let (result, filled) = done.unpack::<op::Recv<Vec<u8>>>();
        match result {
            Ok(n) => assert_eq!(n, filled.len()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert!(filled.is_empty(), "bytes came with a time-out: the stream would have lost them");
                expired += 1;
            }
        }
        assert_piece(&filled, 5, offset);
        offset += filled.len();
        buf = filled;
    }
    drop(go);
    sender.join().expect("the sender");
    while offset < ROUNDS * 10 {
        port.submit(op::Recv::new(conn, buf), Token(2));
        let (result, filled) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
        assert!(result.expect("data") > 0, "{} bytes are lost ({expired} deadlines)", ROUNDS * 10 - offset);
        assert_piece(&filled, 5, offset);
        offset += filled.len();
        buf = filled;
    }
    assert_eq!(offset, ROUNDS * 10);
}

fn a_deadline_tells_how_much_was_sent(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    // More than the system's buffers hold, and nobody reads.
    let size = 64 << 20;
    port.submit(op::SendAll::new(conn, pattern(6, size)).within(50 * MS), Token(1));
    let done = one(&mut port);
    let sent = done.transferred();
    let (result, buf) = done.unpack::<op::SendAll<Vec<u8>>>();
    assert_eq!(result.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
    assert_eq!(buf.len(), size, "the whole buffer comes back");
    assert!(sent > 0 && sent < size, "{sent} bytes");
    port.submit(op::Close::new(conn), Token(2));
    one(&mut port).unpack::<op::Close>().expect("close");
    let received = Peer::start(far, vec![Step::ReceiveToEnd]).finish();
    assert_eq!(received.len(), sent, "what the peer got is what the completion says");
    assert_piece(&received, 6, 0);
}

fn a_deadline_of_the_past_does_not_lose_the_operation(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::Recv::new(conn, vec![7; 10]).within(Duration::ZERO), Token(1));
    port.submit(op::Recv::new(conn, vec![7; 10]).by(Instant::now()), Token(2));
    for done in drive(&mut port, 2) {
        let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
        assert_eq!(result.expect_err("nothing was sent").kind(), io::ErrorKind::TimedOut);
        assert_eq!(buf.capacity(), 10);
    }
    assert_eq!(port.in_flight(), 0);
}
