//! C10: no handle starves another, and timers and posts are served, however busy one peer is. All of it is counted, in
//! completions of the busy one that pass before the quiet one has its turn; what the quiet one waits for is there when
//! the counting begins.

use std::collections::VecDeque;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Socket, Type};
use anyport::buf::PoolBuf;
use anyport::op::{self, Operation};
use anyport::{Backend, Builder, Completion, Handle, Port, Source, Token};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_flood_of_data_lets_a_quiet_peer_in,
        a_flood_of_multishot_data_lets_a_quiet_peer_in,
        an_endless_file_lets_a_quiet_peer_in,
        edges_of_a_busy_peer_do_not_add_up,
        a_flood_of_data_lets_a_send_through,
        a_flood_of_connections_lets_a_quiet_peer_in,
        floods_of_several_peers_share,
        operations_that_complete_at_once_let_a_quiet_peer_in,
        a_full_ring_lets_a_quiet_peer_in,
        sends_that_complete_at_once_let_a_crowd_of_quiet_peers_in,
        a_batch_is_as_large_as_a_port_has_entries,
        operations_that_complete_at_once_let_timers_and_posts_through,
        a_flood_of_data_lets_timers_and_posts_through,
        a_flood_of_posts_lets_a_quiet_peer_in,
        a_flood_of_posts_lets_timers_through,
        a_flood_of_timers_lets_a_quiet_peer_and_posts_in,
        a_flood_of_closures_lets_a_quiet_peer_in,
        a_flood_does_not_hold_up_a_close_or_a_cancel,
        those_that_wait_for_a_pool_buffer_have_them_in_turn,
        who_comes_back_for_a_pool_buffer_queues_behind_those_that_wait,
        a_flood_leaves_pool_buffers_for_others,
        an_idle_receive_holds_no_turn_for_a_pool_buffer,
    ]
}

const NOW: Option<Duration> = Some(Duration::ZERO);
const HOUR: Duration = Duration::from_secs(3600);

/// Completions that a port hands out before it looks at everything again, and as many that wait to be handed out by then;
/// with a pool of so few buffers, and a ring so small, that no more can be on the way.
const TURN: usize = 256;
const BUFFERS: u16 = 32;
const BOUND: usize = 2 * TURN + 2 * BUFFERS as usize;

/// Completions of the busy one before the counting begins, so that it is in full swing.
const WARM_UP: usize = 2000;

const BUSY: Token = Token(1);
const QUIET: Token = Token(2);

#[track_caller]
fn build(builder: &Builder) -> Port {
    builder.clone().entries(16).pool(BUFFERS, 256).build().expect("a port")
}

/// A thread that writes for as long as anybody reads.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(mut far: impl Write + Send + 'static) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || while !stopped.load(SeqCst) && far.write_all(&[1; 16384]).is_ok() {});
        Flood { stop, thread }
    }

    /// Ends it; the port that reads is gone.
    fn finish(self) {
        self.stop.store(true, SeqCst);
        self.thread.join().expect("the flood");
    }
}

/// Submits a pooled receive, of one buffer or many.
fn submit_pooled(port: &mut Port, conn: Handle, multi: bool, token: Token) {
    match multi {
        true => port.submit(op::RecvPooledMulti::new(conn), token),
        false => port.submit(op::RecvPooled::new(conn), token),
    };
}

/// Handles completions until one that `is_it`, and returns how many came before that. `go_on` keeps the busy one busy.
#[track_caller]
fn count_until(
    what: &str,
    port: &mut Port,
    bound: usize,
    mut go_on: impl FnMut(&mut Port, Completion),
    is_it: impl Fn(&Completion) -> bool,
) -> usize {
    for before in 0..=bound {
        let done = one(port);
        if is_it(&done) {
            return before;
        }
        go_on(port, done);
    }
    panic!("{what}: starved: more than {bound} completions of the others came first");
}

/// Keeps the busy one going for a while.
#[track_caller]
fn warm_up(port: &mut Port, completions: usize, mut go_on: impl FnMut(&mut Port, Completion)) {
    for _ in 0..completions {
        let done = one(port);
        assert_ne!(done.token(), QUIET, "there is nothing for it yet: {done:?}");
        go_on(port, done);
    }
}

/// Streams whose far ends somebody may flood.
fn floods() -> Vec<(&'static str, Source, Box<dyn Write + Send>)> {
    let (tcp, tcp_far) = tcp_pair();
    let (unix, unix_far) = unix_pair();
    let (reader, writer) = pipe();
    vec![
        ("tcp", tcp.into(), Box::new(tcp_far)),
        ("unix", unix.into(), Box::new(unix_far)),
        ("pipe", reader.into(), Box::new(writer)),
    ]
}

/// A quiet peer beside a busy one: again and again it says something, and must be heard within `BOUND` completions.
#[track_caller]
fn assert_quiet_is_heard(what: &str, port: &mut Port, go_on: impl FnMut(&mut Port, Completion)) {
    assert_quiet_is_heard_within(BOUND, what, port, go_on);
}

#[track_caller]
fn assert_quiet_is_heard_within(
    bound: usize,
    what: &str,
    port: &mut Port,
    mut go_on: impl FnMut(&mut Port, Completion),
) {
    let (near, mut far) = unix_pair();
    let quiet = port.attach(near).expect("attach");
    let mut most = 0;
    for round in 0..20 {
        match round % 3 {
            0 => port.submit(op::Recv::new(quiet, [0; 1]), QUIET),
            1 => port.submit(op::RecvPooled::new(quiet), QUIET),
            _ => port.submit(op::Ready::readable(quiet), QUIET),
        };
        warm_up(port, if round == 0 { WARM_UP } else { 300 }, &mut go_on);
        far.write_all(b"!").expect("write");
        most = most.max(count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET));
        if round % 3 == 2 {
            port.submit(op::Recv::new(quiet, [0; 1]), QUIET);
            most = most.max(count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET));
        }
    }
    println!("{what}: at most {most} others came first");
}

fn a_flood_of_data_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for (kind, near, far) in floods() {
            let mut port = build(&builder);
            let conn = port.attach(near).expect("attach");
            let flood = Flood::start(far);
            // Several, of both kinds, that are submitted again as soon as they complete.
            for _ in 0..4 {
                port.submit(op::Recv::new(conn, vec![0; 64]), BUSY);
                port.submit(op::RecvPooled::new(conn), BUSY);
            }
            assert_quiet_is_heard(&format!("{flavour}, {kind}"), &mut port, |port, done| {
                match done.try_unpack::<op::Recv<Vec<u8>>>() {
                    Ok((result, buf)) => {
                        result.expect("the flood goes on");
                        port.submit(op::Recv::new(conn, buf), BUSY);
                    }
                    Err(done) => {
                        drop(done.unpack::<op::RecvPooled>().expect("the flood goes on"));
                        port.submit(op::RecvPooled::new(conn), BUSY);
                    }
                }
            });
            drop(port);
            flood.finish();
        }
    }
}

fn a_flood_of_multishot_data_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for (kind, near, far) in floods() {
            let mut port = build(&builder);
            let conn = port.attach(near).expect("attach");
            let flood = Flood::start(far);
            port.submit(op::RecvPooledMulti::new(conn), BUSY);
            assert_quiet_is_heard(&format!("{flavour}, {kind}"), &mut port, |_, done| {
                assert!(done.more(), "{flavour}, {kind}");
                assert!(!done.unpack::<op::RecvPooledMulti>().expect("the flood goes on").is_empty());
            });
            drop(port);
            flood.finish();
        }
    }
}

fn an_endless_file_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for multi in [false, true] {
            let mut port = build(&builder);
            let zeros = port.attach(endless()).expect("attach");
            submit_pooled(&mut port, zeros, multi, BUSY);
            assert_quiet_is_heard(&format!("{flavour}, multishot: {multi}"), &mut port, |port, done| {
                assert!(done.transferred() > 0, "{flavour}: {done:?}");
                let more = done.more();
                drop(done);
                if !more {
                    submit_pooled(port, zeros, multi, BUSY);
                }
            });
        }
    }
}

fn edges_of_a_busy_peer_do_not_add_up(backend: Backend) {
    // So many buffers that no shortage of them ends a turn.
    let mut port = Port::builder().backend(backend).entries(16).pool(4096, 256).build().expect("a port");
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    // There is nothing at first, so that it waits for an edge.
    port.submit(op::RecvPooledMulti::new(conn), BUSY);
    assert!(!port.wait(NOW).expect("wait"));
    far.write_all(&[1; 20_000]).expect("write");
    // As much comes as goes, so that it never runs dry, and each piece is an edge.
    let mut go_on = |_: &mut Port, done: Completion| {
        assert!(done.more());
        far.write_all(&[1; 256][..done.transferred()]).expect("write");
    };
    warm_up(&mut port, 50_000, &mut go_on);
    assert_quiet_is_heard("edges", &mut port, go_on);
}

fn a_flood_of_data_lets_a_send_through(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (near, far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let flood = Flood::start(far);
        port.submit(op::RecvPooledMulti::new(conn), BUSY);
        let go_on = |_: &mut Port, done: Completion| assert!(done.more());
        warm_up(&mut port, WARM_UP, go_on);
        for _ in 0..20 {
            // On the flooded handle itself, and on another one.
            port.submit(op::Send::new(conn, "!"), QUIET);
            count_until(flavour, &mut port, BOUND, go_on, |done| done.token() == QUIET);
            let (near, _far) = unix_pair();
            let other = port.attach(near).expect("attach");
            port.submit(op::Send::new(other, "!"), QUIET);
            port.submit(op::Close::new(other), Token(9));
            count_until(flavour, &mut port, BOUND, go_on, |done| done.token() == QUIET);
            count_until(flavour, &mut port, BOUND, go_on, |done| done.token() == Token(9));
        }
        drop(port);
        flood.finish();
    }
}

fn a_flood_of_connections_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for multi in [false, true] {
            let mut port = build(&builder);
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (listener, address) = unix_target(folder.path());
            let listener = port.attach(listener).expect("attach");
            let stop = Arc::new(AtomicBool::new(false));
            let clients = {
                let stop = stop.clone();
                let client = move || Socket::new(domain_of(&address), Type::STREAM, None)?.connect(&address);
                thread::spawn(move || while !stop.load(SeqCst) && client().is_ok() {})
            };
            let submit = move |port: &mut Port| match multi {
                true => port.submit(op::AcceptMulti::new(listener), BUSY),
                false => port.submit(op::Accept::new(listener), BUSY),
            };
            submit(&mut port);
            assert_quiet_is_heard(&format!("{flavour}, multishot: {multi}"), &mut port, |port, done| {
                assert!(!format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
                if !done.more() {
                    submit(port);
                }
            });
            stop.store(true, SeqCst);
            drop(port);
            clients.join().expect("the clients");
        }
    }
}

fn floods_of_several_peers_share(backend: Backend) {
    const PEERS: usize = 6;
    for (flavour, builder) in flavours(backend) {
        for (kind, multi) in [("endless", false), ("endless", true), ("full", false), ("full", true)] {
            let what = format!("{flavour}, {kind}, multishot: {multi}");
            // Sockets have something for as long as is counted; files for ever.
            let Full { mut port, mut conns, _peers } = full(&builder.clone().entries(16), BUFFERS, PEERS);
            if kind == "endless" {
                conns = conns.iter().map(|_| port.attach(endless()).expect("attach")).collect();
            }
            let submit =
                |port: &mut Port, number: usize| submit_pooled(port, conns[number], multi, Token(number as u64));
            for number in 0..PEERS {
                submit(&mut port, number);
            }
            let (mut counts, mut last, mut longest) = ([0_usize; PEERS], [0_usize; PEERS], 0);
            for round in 0..6000 {
                let done = one(&mut port);
                let number = done.token().0 as usize;
                assert_eq!((done.more(), done.transferred()), (multi, 16), "{what}");
                drop(done);
                if !multi {
                    submit(&mut port, number);
                }
                counts[number] += 1;
                last[number] = round;
                longest = longest.max(last.iter().map(|&last| round - last).max().unwrap_or(0));
                assert!(longest <= BOUND, "{what}: {counts:?}: one of them waited for {longest} others");
            }
            println!("{what}: {counts:?}, at most {longest} in a row without one of them");
        }
    }
}

/// Nops that are submitted again as soon as they complete.
fn nops(port: &mut Port, many: usize) -> impl FnMut(&mut Port, Completion) + use<> {
    for _ in 0..many {
        port.submit(op::Nop::new(), BUSY);
    }
    |port, done| {
        assert_eq!(done.token(), BUSY);
        port.submit(op::Nop::new(), BUSY);
    }
}

fn operations_that_complete_at_once_let_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for many in [1, 64] {
            let mut port = build(&builder);
            let go_on = nops(&mut port, many);
            assert_quiet_is_heard(&format!("{flavour}, {many} nops"), &mut port, go_on);
        }
        // Sends that always have room.
        let mut port = build(&builder);
        let null = port.attach(null()).expect("attach");
        port.submit(op::SendAll::new(null, "x"), BUSY);
        assert_quiet_is_heard(&format!("{flavour}, sends"), &mut port, |port, _| {
            port.submit(op::SendAll::new(null, "x"), BUSY);
        });
    }
}

/// With more operations in flight than a ring has room for, all of them wait to be handed out before the quiet one: those,
/// and no more of those that follow them than with few.
fn a_full_ring_lets_a_quiet_peer_in(backend: Backend) {
    const MANY: usize = 400;
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let go_on = nops(&mut port, MANY);
        assert_quiet_is_heard_within(BOUND + MANY, flavour, &mut port, go_on);
        let mut port = build(&builder);
        let go_on = nops(&mut port, MANY);
        assert_time_and_posts_are_served_within(BOUND + MANY, flavour, &mut port, go_on);
    }
}

/// Quiet peers who all say something at once are heard within as many completions as one of them: none has to wait for another batch
/// because there are many.
fn sends_that_complete_at_once_let_a_crowd_of_quiet_peers_in(backend: Backend) {
    let mut port = Port::builder().backend(backend).build().expect("a port");
    let nulls: Vec<_> = (0..TURN).map(|_| port.attach(null()).expect("attach")).collect();
    let send = |port: &mut Port, place| _ = port.submit(op::SendAll::new(nulls[place], "x"), Token(place as u64));
    (0..TURN).for_each(|place| send(&mut port, place));
    let (near, far): (Vec<_>, Vec<_>) = (0..200).map(|_| unix_pair()).unzip();
    let conns: Vec<_> = near.into_iter().map(|near| port.attach(near).expect("attach")).collect();
    for round in 0..3 {
        conns.iter().for_each(|&conn| _ = port.submit(op::Recv::new(conn, [0; 1]), Token(0)));
        for _ in 0..WARM_UP {
            let done = one(&mut port);
            send(&mut port, done.token().0 as usize);
        }
        far.iter().for_each(|mut peer| peer.write_all(b"!").expect("write"));
        let (mut heard, mut sent) = (0, 0);
        while heard < conns.len() {
            let done = one(&mut port);
            if done.is::<op::Recv<[u8; 1]>>() {
                heard += 1;
            } else {
                sent += 1;
                send(&mut port, done.token().0 as usize);
            }
        }
        assert!(sent <= BOUND, "round {round}: {sent} sends came before all of the crowd");
    }
}

fn a_batch_is_as_large_as_a_port_has_entries(backend: Backend) {
    for (entries, batch) in [(256, TURN), (1024, 1024)] {
        let mut port = Port::builder().backend(backend).entries(entries).build().expect("a port");
        let _ = nops(&mut port, 1500);
        assert!(port.wait(None).expect("wait"));
        let handed_out = std::iter::from_fn(|| port.next()).count();
        assert_eq!(handed_out, batch, "{entries} entries");
        assert!(port.wait(None).expect("wait") && port.next().is_some(), "the rest comes with the next batch");
    }
}

/// Timers, deadlines and posts beside a busy one: each must be served within `BOUND` completions.
#[track_caller]
fn assert_time_and_posts_are_served(what: &str, port: &mut Port, go_on: impl FnMut(&mut Port, Completion)) {
    assert_time_and_posts_are_served_within(BOUND, what, port, go_on);
}

#[track_caller]
fn assert_time_and_posts_are_served_within(
    bound: usize,
    what: &str,
    port: &mut Port,
    mut go_on: impl FnMut(&mut Port, Completion),
) {
    let (near, _far) = unix_pair();
    let idle = port.attach(near).expect("attach");
    // Over by then, so that no clock decides how soon it comes. (An instant of long ago is one that a system's clock need not
    // have.)
    let past = Instant::now();
    warm_up(port, WARM_UP, &mut go_on);
    for _ in 0..20 {
        port.submit(op::Timer::at(past), QUIET);
        count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET);
        port.submit(op::Recv::new(idle, [0; 1]).by(past), QUIET);
        count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET);
        assert!(port.poster().post(QUIET, ()).is_ok());
        count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET);
        let poster = port.poster();
        thread::spawn(move || assert!(poster.post(QUIET, ()).is_ok())).join().expect("the sender");
        count_until(what, port, bound, &mut go_on, |done| done.token() == QUIET);
        port.submit(op::Blocking::new(|| ()), QUIET);
        // When it has run, its result is like a post.
        let mut ran = false;
        for _ in 0..1_000_000 {
            let done = one(port);
            if done.token() == QUIET {
                ran = true;
                break;
            }
            go_on(port, done);
        }
        assert!(ran, "{what}: the result of a closure never came");
    }
}

fn operations_that_complete_at_once_let_timers_and_posts_through(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for many in [1, 64] {
            let mut port = build(&builder);
            let go_on = nops(&mut port, many);
            assert_time_and_posts_are_served(&format!("{flavour}, {many} nops"), &mut port, go_on);
        }
    }
}

fn a_flood_of_data_lets_timers_and_posts_through(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (near, far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let flood = Flood::start(far);
        port.submit(op::RecvPooledMulti::new(conn), BUSY);
        assert_time_and_posts_are_served(flavour, &mut port, |_, done| assert!(done.more(), "{flavour}: {done:?}"));
        drop(port);
        flood.finish();
        let mut port = build(&builder);
        let zeros = port.attach(endless()).expect("attach");
        port.submit(op::RecvPooledMulti::new(zeros), BUSY);
        assert_time_and_posts_are_served(flavour, &mut port, |_, done| assert!(done.more(), "{flavour}: {done:?}"));
    }
}

fn a_flood_of_posts_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let poster = port.poster();
        // Far more than are ever counted, and each one is posted again.
        for _ in 0..10_000 {
            assert!(poster.post(BUSY, ()).is_ok());
        }
        assert_quiet_is_heard(flavour, &mut port, |_, done| {
            assert_eq!(done.token(), BUSY);
            assert!(poster.post(BUSY, ()).is_ok());
        });
    }
}

fn a_flood_of_posts_lets_timers_through(backend: Backend) {
    let mut port = build(&Port::builder().backend(backend));
    let poster = port.poster();
    for _ in 0..10_000 {
        assert!(poster.post(BUSY, ()).is_ok());
    }
    let go_on = |_: &mut Port, done: Completion| {
        assert_eq!(done.token(), BUSY);
        assert!(poster.post(BUSY, ()).is_ok());
    };
    let past = Instant::now();
    warm_up(&mut port, WARM_UP, go_on);
    for _ in 0..20 {
        port.submit(op::Timer::at(past), QUIET);
        count_until("posts", &mut port, BOUND, go_on, |done| done.token() == QUIET);
        port.submit(op::Nop::new(), QUIET);
        count_until("posts", &mut port, BOUND, go_on, |done| done.token() == QUIET);
    }
}

fn a_flood_of_timers_lets_a_quiet_peer_and_posts_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let past = Instant::now();
        let mut port = build(&builder);
        for _ in 0..64 {
            port.submit(op::Timer::at(past), BUSY);
        }
        let go_on = |port: &mut Port, done: Completion| {
            assert_eq!(done.token(), BUSY);
            port.submit(op::Timer::at(past), BUSY);
        };
        assert_quiet_is_heard(flavour, &mut port, go_on);
        for _ in 0..20 {
            assert!(port.poster().post(QUIET, ()).is_ok());
            count_until(flavour, &mut port, BOUND, go_on, |done| done.token() == QUIET);
        }
    }
}

fn a_flood_of_closures_lets_a_quiet_peer_in(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.threads(2));
        let submit = |port: &mut Port| port.submit(op::Blocking::new(|| ()), BUSY);
        for _ in 0..256 {
            submit(&mut port);
        }
        assert_quiet_is_heard(flavour, &mut port, |port, done| {
            assert_eq!(done.token(), BUSY);
            submit(port);
        });
    }
}

fn a_flood_does_not_hold_up_a_close_or_a_cancel(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for round in 0..6 {
            let mut port = build(&builder);
            let (near, far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            let flood = Flood::start(far);
            let id = port.submit(op::RecvPooledMulti::new(conn), BUSY);
            warm_up(&mut port, WARM_UP, |_, done| assert!(done.more()));
            match round % 3 {
                0 => assert!(port.cancel(id), "{flavour}"),
                1 => assert_eq!(port.cancel_all(conn), 1, "{flavour}"),
                _ => assert_ne!(port.submit(op::Close::new(conn), QUIET), id),
            }
            count_until(flavour, &mut port, BOUND, |_, _| (), |done| done.id() == id && !done.more());
            assert_eq!(port.in_flight(), usize::from(round % 3 == 2), "{flavour}");
            drop(port);
            flood.finish();
        }
    }
}

/// Connections with more to receive than anybody takes.
struct Full {
    port: Port,
    conns: Vec<Handle>,
    _peers: Vec<UnixStream>,
}

fn full(builder: &Builder, buffers: u16, connections: usize) -> Full {
    let mut port = builder.clone().pool(buffers, 16).build().expect("a port");
    let (mut conns, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let (near, mut far) = unix_pair();
        far.write_all(&[1; 60_000]).expect("write");
        conns.push(port.attach(near).expect("attach"));
        peers.push(far);
    }
    Full { port, conns, _peers: peers }
}

fn those_that_wait_for_a_pool_buffer_have_them_in_turn(backend: Backend) {
    const CONNECTIONS: usize = 5;
    for (flavour, builder) in flavours(backend) {
        for (buffers, multi) in [(1, false), (2, false), (1, true), (2, true)] {
            let what = format!("{flavour}, {buffers} buffers, multishot: {multi}");
            let Full { mut port, conns, _peers } = full(&builder, buffers, CONNECTIONS);
            let submit =
                |port: &mut Port, number: usize| submit_pooled(port, conns[number], multi, Token(number as u64));
            for number in 0..CONNECTIONS {
                submit(&mut port, number);
            }
            let mut held: VecDeque<PoolBuf> = VecDeque::new();
            let mut counts = [0_usize; CONNECTIONS];
            let mut last = [0_usize; CONNECTIONS];
            for round in 0..500 {
                // One buffer comes back at a time.
                if held.len() == usize::from(buffers) {
                    assert!(!port.wait(NOW).expect("wait"), "{what}: there is no buffer");
                    held.pop_front();
                }
                let done = one(&mut port);
                let (number, more) = (done.token().0 as usize, done.more());
                held.push_back(match multi {
                    true => done.unpack::<op::RecvPooledMulti>().expect("data"),
                    false => done.unpack::<op::RecvPooled>().expect("data"),
                });
                assert_eq!(more, multi, "{what}");
                if !more {
                    submit(&mut port, number);
                }
                counts[number] += 1;
                last[number] = round;
                // Nobody is passed over more often than there are others, and buffers in a hand.
                let waited = last.iter().map(|&last| round - last).max().unwrap_or(0);
                let most = 2 * CONNECTIONS * usize::from(buffers);
                assert!(waited <= most, "{what}: one of them waited for {waited}: {counts:?}");
            }
            println!("{what}: {counts:?}");
        }
    }
}

fn who_comes_back_for_a_pool_buffer_queues_behind_those_that_wait(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let Full { mut port, conns, _peers } = full(&builder, 1, 3);
        // The first has the buffer; the others wait.
        for (number, &conn) in conns.iter().enumerate() {
            port.submit(op::RecvPooled::new(conn), Token(number as u64));
            if number == 0 {
                assert!(port.wait(Some(HOUR)).expect("wait"));
            }
        }
        let mut order = Vec::new();
        for _ in 0..30 {
            let done = one(&mut port);
            let number = done.token().0 as usize;
            order.push(number);
            let buf = done.unpack::<op::RecvPooled>().expect("data");
            assert!(!port.wait(NOW).expect("wait"), "{flavour}: there is no buffer");
            // It gives its buffer back and asks for one in the same breath.
            drop(buf);
            port.submit(op::RecvPooled::new(conns[number]), Token(number as u64));
        }
        let in_turn: Vec<usize> = (0..30).map(|at| at % 3).collect();
        assert_eq!(order, in_turn, "{flavour}");
    }
}

fn a_flood_leaves_pool_buffers_for_others(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.pool(2, 64).build().expect("a port");
        let (near, far) = unix_pair();
        let busy = port.attach(near).expect("attach");
        let flood = Flood::start(far);
        port.submit(op::RecvPooledMulti::new(busy), BUSY);
        let (near, mut far) = unix_pair();
        let quiet = port.attach(near).expect("attach");
        let mut held = VecDeque::new();
        let mut go_on = |_: &mut Port, done: Completion| {
            assert!(done.more());
            // Always one is out.
            held.push_back(done.unpack::<op::RecvPooledMulti>().expect("the flood goes on"));
            if held.len() == 2 {
                held.pop_front();
            }
        };
        for _ in 0..50 {
            port.submit(op::RecvPooled::new(quiet), QUIET);
            warm_up(&mut port, 100, &mut go_on);
            far.write_all(b"!").expect("write");
            count_until(flavour, &mut port, BOUND, &mut go_on, |done| done.token() == QUIET);
        }
        drop(port);
        flood.finish();
    }
}

fn an_idle_receive_holds_no_turn_for_a_pool_buffer(backend: Backend) {
    let served = Arc::new(AtomicUsize::new(0));
    for (flavour, builder) in flavours(backend) {
        let Full { mut port, conns, _peers } = full(&builder, 1, 1);
        port.submit(op::RecvPooled::new(conns[0]), Token(0));
        let held = one(&mut port).unpack::<op::RecvPooled>().expect("data");
        // While the pool is empty many come that have nothing to receive, and then one that has.
        let mut idle = Vec::new();
        for _ in 0..50 {
            let (near, far) = unix_pair();
            let conn = port.attach(near).expect("attach");
            port.submit(op::RecvPooled::new(conn), QUIET);
            idle.push(far);
        }
        port.submit(op::RecvPooled::new(conns[0]), BUSY);
        assert!(!port.wait(NOW).expect("wait"), "{flavour}: there is no buffer");
        drop(held);
        assert_eq!(one(&mut port).token(), BUSY, "{flavour}");
        for peer in &mut idle {
            peer.write_all(b"!").expect("write");
            assert_eq!(one(&mut port).token(), QUIET, "{flavour}");
            served.fetch_add(1, SeqCst);
        }
    }
}
