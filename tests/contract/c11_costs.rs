//! C11: in steady state an operation makes no heap allocation and no avoidable system call; an idle connection costs
//! little memory, and a port that is gone leaves nothing. All of it is counted, nothing is timed.
//!
//! Each is a process of its own: allocations are counted in the threads of the blocking pool too, and a thread that has
//! had another port before might be interrupted, and wait once more, when the kernel tears that one's ring down.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use anyport::buf::PoolBuf;
use anyport::error::is_cancelled;
use anyport::op::{self, Operation};
use anyport::{Backend, Completion, Handle, OpId, Port, Token};
use socket2::SockAddr;

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend_isolated: [
            a_nop_does_not_allocate,
            recv_and_send_do_not_allocate,
            send_all_does_not_allocate,
            vectored_operations_do_not_allocate,
            a_payload_beyond_48_bytes_costs_one_box,
            a_pooled_recv_does_not_allocate,
            a_multishot_pooled_recv_does_not_allocate,
            a_pooled_datagram_with_its_sender_does_not_allocate,
            accept_attach_and_close_do_not_allocate,
            multishot_accept_does_not_allocate,
            datagrams_do_not_allocate,
            readiness_does_not_allocate,
            timers_do_not_allocate,
            deadlines_do_not_allocate,
            cancels_do_not_allocate,
            posts_do_not_allocate,
            file_reads_and_writes_do_not_allocate,
            sending_a_file_does_not_allocate,
            closures_do_not_allocate,
            an_idle_connection_costs_at_most_300_bytes,
            what_waits_for_its_turn_holds_no_buffer,
            what_is_received_ahead_is_little,
            a_port_that_is_gone_leaves_nothing,
            a_port_dropped_with_operations_in_flight_leaves_nothing,
            a_port_starts_no_thread_for_what_the_system_does,
            a_read_from_the_page_cache_starts_no_thread,
            an_echoed_message_costs_one_recv_and_one_send,
            an_echo_of_pooled_buffers_costs_the_same,
            a_multishot_echo_costs_the_same,
            a_flood_of_datagrams_costs_a_recv_each,
            a_full_batch_costs_one_wait,
            what_is_submitted_together_is_called_together,
            what_is_sent_is_under_way_before_anything_is_received,
            a_receive_that_is_given_up_at_once_costs_one_wait,
            an_object_that_is_used_often_is_registered_once,
            a_look_tries_all_that_was_submitted,
            a_file_costs_a_look_and_a_call_to_send_it,
            a_timed_wait_costs_one_system_call,
            a_timer_costs_one_system_call,
            a_post_to_a_port_that_is_awake_makes_no_system_call,
        ],
    }
}

/// Runs `round` until everything that is kept for reuse is there, then some more, and checks that these asked nothing
/// of the heap, in any thread of the process.
#[track_caller]
fn assert_no_allocation(round: impl FnMut()) {
    assert_allocations(0, round);
}

/// In steady state a round makes exactly so many allocations, and leaves none.
#[track_caller]
fn assert_allocations(per_round: u64, mut round: impl FnMut()) {
    for _ in 0..300 {
        round();
    }
    let before = process_heap();
    for _ in 0..300 {
        round();
    }
    let used = process_heap() - before;
    assert_eq!((used.allocations, used.live), (300 * per_round, 0), "allocations and bytes of 300 rounds");
}

fn a_nop_does_not_allocate(backend: Backend) {
    let mut port = port(backend);
    assert_no_allocation(|| {
        for token in 0..10 {
            port.submit(op::Nop::new(), Token(token));
        }
        (0..10).for_each(|_| one(&mut port).unpack::<op::Nop>().expect("a nop"));
    });
}

/// A port with both ends of a connection.
fn connected(backend: Backend) -> (Port, Handle, Handle) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let near = port.attach(near).expect("attach");
    let far = port.attach(far).expect("attach");
    (port, near, far)
}

/// Waits for one completion of each of the tokens 0 and 1, in whichever order.
fn both(port: &mut Port) -> [Completion; 2] {
    let (first, second) = (one(port), one(port));
    if first.token() == Token(0) { [first, second] } else { [second, first] }
}

/// A lent buffer, kept between the rounds.
fn kept(size: usize) -> Option<Vec<u8>> {
    Some(vec![1; size])
}

fn recv_and_send_do_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    let (mut send, mut recv) = (kept(64), kept(4096));
    assert_no_allocation(|| {
        port.submit(op::Recv::new(far, recv.take().expect("kept")), Token(0));
        port.submit(op::Send::new(near, send.take().expect("kept")), Token(1));
        let [received, sent] = both(&mut port);
        let (n, buf) = received.unpack::<op::Recv<Vec<u8>>>();
        assert_eq!(n.expect("data"), 64);
        recv = Some(buf);
        let (n, buf) = sent.unpack::<op::Send<Vec<u8>>>();
        assert_eq!(n.expect("sent"), 64);
        send = Some(buf);
    });
}

/// Has each end wait for a byte of the other one.
fn wait_for_readiness(port: &mut Port, near: Handle, far: Handle) {
    for (receiver, sender) in [(near, far), (far, near)] {
        port.submit(op::Recv::new(receiver, [0]), Token(0));
        assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
        port.submit(op::Send::new(sender, "!"), Token(1));
        drop(drive(port, 2));
    }
}

fn send_all_does_not_allocate(backend: Backend) {
    const SIZE: usize = 4 << 20;
    let (mut port, near, far) = connected(backend);
    let (mut send, mut recv) = (kept(SIZE), kept(1 << 20));
    // In fast rounds nothing ever does.
    wait_for_readiness(&mut port, near, far);
    let mut round = || {
        port.submit(op::SendAll::new(near, send.take().expect("kept")), Token(1));
        let (mut left, mut sent) = (SIZE, false);
        port.submit(op::Recv::new(far, recv.take().expect("kept")), Token(0));
        while left > 0 || !sent {
            let done = one(&mut port);
            if done.token() == Token(1) {
                let (n, buf) = done.unpack::<op::SendAll<Vec<u8>>>();
                assert_eq!(n.expect("sent"), SIZE);
                (send, sent) = (Some(buf), true);
                continue;
            }
            let (n, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            left -= n.expect("data");
            if left > 0 {
                port.submit(op::Recv::new(far, buf), Token(0));
            } else {
                recv = Some(buf);
            }
        }
    };
    // Each round moves 4 MiB, so fewer of them will do.
    (0..10).for_each(|_| round());
    let before = process_heap();
    (0..10).for_each(|_| round());
    assert_eq!(process_heap() - before, Heap::default(), "10 rounds");
}

fn vectored_operations_do_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    let mut send = Some(vec![vec![1; 10], vec![2; 20]]);
    let mut recv = Some(vec![vec![0; 5], vec![0; 5], vec![0; 100]]);
    assert_no_allocation(|| {
        port.submit(op::RecvVectored::new(far, recv.take().expect("kept")), Token(0));
        port.submit(op::SendVectored::new(near, send.take().expect("kept")), Token(1));
        let [received, sent] = both(&mut port);
        let (n, bufs) = received.unpack::<op::RecvVectored<Vec<Vec<u8>>>>();
        assert_eq!(n.expect("data"), 30);
        recv = Some(bufs);
        let (n, bufs) = sent.unpack::<op::SendVectored<Vec<Vec<u8>>>>();
        assert_eq!(n.expect("sent"), 30);
        send = Some(bufs);
    });
}

fn a_payload_beyond_48_bytes_costs_one_box(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    let mut send = Some([vec![1; 10], vec![2; 20]]);
    let mut recv = Some([vec![0; 5], vec![0; 5], vec![0; 100]]);
    // Two arrays of vectors with their scratch are 64 and 88 bytes: each is boxed, and freed when unpacked.
    assert_allocations(2, || {
        port.submit(op::RecvVectored::new(far, recv.take().expect("kept")), Token(0));
        port.submit(op::SendVectored::new(near, send.take().expect("kept")), Token(1));
        let [received, sent] = both(&mut port);
        let (n, bufs) = received.unpack::<op::RecvVectored<[Vec<u8>; 3]>>();
        assert_eq!(n.expect("data"), 30);
        recv = Some(bufs);
        let (n, bufs) = sent.unpack::<op::SendVectored<[Vec<u8>; 2]>>();
        assert_eq!(n.expect("sent"), 30);
        send = Some(bufs);
    });
}

fn a_pooled_recv_does_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    assert_no_allocation(|| {
        port.submit(op::RecvPooled::new(far), Token(0));
        port.submit(op::Send::new(near, "to be pooled"), Token(1));
        let [received, sent] = both(&mut port);
        assert_eq!(sent.unpack::<op::Send<&str>>().0.expect("sent"), 12);
        let buf = received.unpack::<op::RecvPooled>().expect("data");
        assert_eq!(*buf, *b"to be pooled");
        // And as a lent buffer of a send.
        port.submit(op::RecvPooled::new(near), Token(0));
        port.submit(op::Send::new(far, buf), Token(1));
        let [received, sent] = both(&mut port);
        assert_eq!(received.unpack::<op::RecvPooled>().expect("data").len(), 12);
        drop(sent);
    });
}

fn a_multishot_pooled_recv_does_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    port.submit(op::RecvPooledMulti::new(far), Token(0));
    assert_no_allocation(|| {
        port.submit(op::Send::new(near, "again"), Token(1));
        let [received, sent] = both(&mut port);
        assert_eq!(sent.unpack::<op::Send<&str>>().0.expect("sent"), 5);
        if !received.more() {
            port.submit(op::RecvPooledMulti::new(far), Token(0));
        }
        assert_eq!(*received.unpack::<op::RecvPooledMulti>().expect("data"), *b"again");
    });
}

fn a_pooled_datagram_with_its_sender_does_not_allocate(backend: Backend) {
    let mut port = port(backend);
    let (here, there) = udp_unconnected();
    let to = SockAddr::from(there.local_addr().expect("an address"));
    let [here, there] = [here, there].map(|socket| port.attach(socket).expect("attach"));
    for multi in [false, true] {
        let many = multi.then(|| port.submit(op::RecvFromPooledMulti::new(there), Token(0)));
        assert_no_allocation(|| {
            if !multi {
                port.submit(op::RecvFromPooled::new(there), Token(0));
            }
            port.submit(op::SendTo::new(here, "again", to.clone()), Token(1));
            let [received, sent] = both(&mut port);
            assert_eq!(sent.unpack::<op::SendTo<&str>>().0.expect("sent"), 5);
            assert_eq!(received.more(), multi);
            let (buf, _) = match multi {
                true => received.unpack::<op::RecvFromPooledMulti>().expect("a datagram"),
                false => received.unpack::<op::RecvFromPooled>().expect("a datagram"),
            };
            assert_eq!(*buf, *b"again");
        });
        if let Some(many) = many {
            port.cancel(many);
            drop(one(&mut port));
        }
    }
}

fn accept_attach_and_close_do_not_allocate(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    assert_no_allocation(|| {
        port.submit(op::Accept::new(listener), Token(0));
        let client = TcpStream::connect(address).expect("connect");
        let accepted = one(&mut port).unpack::<op::Accept>().expect("accept");
        let conn = port.attach(accepted).expect("attach");
        port.submit(op::Close::new(conn), Token(1));
        one(&mut port).unpack::<op::Close>().expect("close");
        drop(client);
    });
}

fn multishot_accept_does_not_allocate(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    port.submit(op::AcceptMulti::new(listener), Token(0));
    assert_no_allocation(|| {
        let client = TcpStream::connect(address).expect("connect");
        let done = one(&mut port);
        if !done.more() {
            port.submit(op::AcceptMulti::new(listener), Token(0));
        }
        drop(done.unpack::<op::AcceptMulti>().expect("accept"));
        drop(client);
    });
}

fn datagrams_do_not_allocate(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = udp_unconnected();
    let address = far.local_addr().expect("an address");
    let near = port.attach(near).expect("attach");
    let far = port.attach(far).expect("attach");
    let mut recv = kept(2048);
    assert_no_allocation(|| {
        port.submit(op::RecvFrom::new(far, recv.take().expect("kept")), Token(0));
        port.submit(op::SendTo::new(near, "datagram", address), Token(1));
        let [received, sent] = both(&mut port);
        assert_eq!(sent.unpack::<op::SendTo<&str>>().0.expect("sent"), 8);
        let (result, buf) = received.unpack::<op::RecvFrom<Vec<u8>>>();
        assert_eq!(result.expect("data").0, 8);
        recv = Some(buf);
    });
}

fn readiness_does_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    let mut recv = kept(16);
    assert_no_allocation(|| {
        port.submit(op::Ready::readable(far), Token(0));
        port.submit(op::Send::new(near, "r"), Token(1));
        drop(both(&mut port));
        port.submit(op::Recv::new(far, recv.take().expect("kept")), Token(0));
        recv = Some(one(&mut port).unpack::<op::Recv<Vec<u8>>>().1);
    });
}

fn timers_do_not_allocate(backend: Backend) {
    let mut port = port(backend);
    // Some that stand, at all distances, so that the timers of the rounds are not alone.
    for delay in 0..1000 {
        port.submit(op::Timer::after(Duration::from_secs(3600 + delay * delay)), Token(9));
    }
    // The queue of what is ready grows until it has held as many as are ever ready together.
    for _ in 0..10 {
        port.submit(op::Timer::after(Duration::ZERO), Token(0));
    }
    drop(drive(&mut port, 10));
    let mut spread = 0_u64;
    assert_no_allocation(|| {
        for _ in 0..10 {
            spread = spread * 6_364_136_223 % 1_000_003 + 7;
            port.submit(op::Timer::after(Duration::from_micros(spread % 3000)), Token(0));
        }
        (0..10).for_each(|_| one(&mut port).unpack::<op::Timer>().expect("a timer"));
    });
}

fn deadlines_do_not_allocate(backend: Backend) {
    let (mut port, near, far) = connected(backend);
    let (mut send, mut recv) = (kept(64), kept(4096));
    assert_no_allocation(|| {
        // One deadline that passes and one that does not.
        port.submit(op::Recv::new(near, recv.take().expect("kept")).within(Duration::from_micros(1)), Token(0));
        let (result, buf) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
        result.expect_err("nothing was sent");
        port.submit(op::Recv::new(far, buf).within(Duration::from_secs(60)), Token(0));
        port.submit(op::Send::new(near, send.take().expect("kept")).within(Duration::from_secs(60)), Token(1));
        let [received, sent] = both(&mut port);
        recv = Some(received.unpack::<op::Recv<Vec<u8>>>().1);
        send = Some(sent.unpack::<op::Send<Vec<u8>>>().1);
    });
}

fn cancels_do_not_allocate(backend: Backend) {
    let (mut port, near, _) = connected(backend);
    let mut recv = kept(64);
    assert_no_allocation(|| {
        let id: OpId = port.submit(op::Recv::new(near, recv.take().expect("kept")), Token(0));
        port.wait(Some(Duration::ZERO)).expect("wait");
        assert!(port.cancel(id));
        recv = Some(one(&mut port).unpack::<op::Recv<Vec<u8>>>().1);
        let timer = port.submit(op::Timer::after(Duration::from_secs(3600)), Token(0));
        assert!(port.cancel(timer));
        one(&mut port).unpack::<op::Timer>().expect_err("cancelled");
    });
}

fn posts_do_not_allocate(backend: Backend) {
    let mut port = port(backend);
    let poster = port.poster();
    assert_no_allocation(|| {
        (0..10_u64).for_each(|number| assert!(poster.post(Token(number), number).is_ok()));
        (0..10).for_each(|number| assert_eq!(one(&mut port).unpack::<op::Post<u64>>(), number));
    });
}

/// A port whose blocking pool has one thread: more are started whenever all are busy, for as long as there may be more,
/// and a new thread allocates.
fn port_of_one_thread(backend: Backend) -> Port {
    Port::builder().backend(backend).threads(1).build().expect("a port on a backend that works here")
}

fn file_reads_and_writes_do_not_allocate(backend: Backend) {
    let mut port = port_of_one_thread(backend);
    let file = port.attach(tempfile::tempfile().expect("a temporary file")).expect("attach");
    let (mut read, mut write) = (kept(4096), kept(4096));
    assert_no_allocation(|| {
        port.submit(op::WriteAt::new(file, write.take().expect("kept"), 8192), Token(1));
        let (n, buf) = one(&mut port).unpack::<op::WriteAt<Vec<u8>>>();
        assert_eq!(n.expect("write"), 4096);
        write = Some(buf);
        port.submit(op::ReadAt::new(file, read.take().expect("kept"), 8192), Token(0));
        let (n, buf) = one(&mut port).unpack::<op::ReadAt<Vec<u8>>>();
        assert_eq!(n.expect("read"), 4096);
        read = Some(buf);
    });
}

/// Of a file that the system has in memory; else the blocking pool reads into a buffer first.
fn sending_a_file_does_not_allocate(backend: Backend) {
    let mut port = port_of_one_thread(backend);
    let (near, mut far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let file = std::rc::Rc::new(tempfile::tempfile().expect("a temporary file"));
    file.set_len(4096).expect("a file of zeros");
    let (mut head, mut received) = (kept(100), [0; 4196]);
    head.as_mut().expect("kept").resize(100, 1);
    assert_no_allocation(|| {
        let send = op::SendFile::new(conn, file.clone(), 0..4096).head(head.take().expect("kept"));
        port.submit(send, Token(0));
        let (n, _, buf) = one(&mut port).unpack::<op::SendFile<std::rc::Rc<std::fs::File>, Vec<u8>>>();
        assert_eq!(n.expect("sent"), 4196);
        head = Some(buf);
        far.read_exact(&mut received).expect("read");
    });
}

fn closures_do_not_allocate(backend: Backend) {
    let mut port = port_of_one_thread(backend);
    // A plain function, so that its type can be named; a closure that holds more than a slot's room is boxed.
    let work: fn() -> u64 = || 42;
    assert_no_allocation(|| {
        port.submit(op::Blocking::new(work), Token(0));
        assert_eq!(one(&mut port).unpack::<op::Blocking<fn() -> u64, u64>>().expect("no panic"), 42);
    });
}

/// The limit of the promise, in bytes of user-space memory for each connection that waits with a pooled receive.
const IDLE_LIMIT: i64 = 300;

fn an_idle_connection_costs_at_most_300_bytes(backend: Backend) {
    // Both ends of each connection are in this process.
    let connections = (allow_descriptors(20_200).saturating_sub(200) / 2).min(10_000) as usize;
    assert!(connections >= 100, "the limit of open descriptors is too low to say anything");
    let (mut near, mut far): (Vec<UnixStream>, Vec<UnixStream>) = (0..connections).map(|_| unix_pair()).unzip();
    let mut port = port(backend);
    // The first one pays for what there is once in a port: the pool of buffers, the rings.
    let idle = |port: &mut Port, socket: UnixStream, token: usize| {
        let conn = port.attach(socket).expect("attach");
        port.submit(op::RecvPooled::new(conn), Token(token as u64));
    };
    let last = connections - 1;
    idle(&mut port, near.pop().expect("at least one"), last);
    far[last].write_all(b"x").expect("write");
    drop(one(&mut port).unpack::<op::RecvPooled>().expect("data"));

    let (heap, mapped) = (process_heap().live, mapped_beside_the_heap());
    for token in (0..last).rev() {
        idle(&mut port, near.pop().expect("one for each"), token);
    }
    // With a wait at least, in which the system is told of them.
    assert!(!port.wait(Some(Duration::from_millis(1))).expect("wait"), "they are idle");
    let (heap, mapped) = (process_heap().live - heap, mapped_beside_the_heap() - mapped);
    let each = (heap + mapped) / last as i64;
    println!("{backend}: {last} idle connections, {each} bytes each ({heap} of heap, {mapped} mapped)");

    // They really wait: the first, the last and one in the middle receive what comes.
    for token in [0, last / 2, last - 1] {
        far[token].write_all(b"wake up").expect("write");
        let done = one(&mut port);
        assert_eq!(done.token(), Token(token as u64));
        assert_eq!(*done.unpack::<op::RecvPooled>().expect("data"), *b"wake up");
    }
    assert_eq!(port.in_flight(), last - 3);
    assert!(each <= IDLE_LIMIT, "{each} bytes each");
}

/// What a process holds that a port may leave behind.
#[track_caller]
fn assert_leaves_nothing(life: impl Fn()) {
    // The first life pays for what the program needs once (the standard library's own lazy state).
    life();
    let (descriptors_before, threads_before) = (descriptors(), threads());
    let mapped = mapped_beside_the_heap();
    let heap = process_heap().live;
    life();
    // A thread of the pool gives its memory back when it ends.
    eventually("the threads are gone", || threads() == threads_before);
    let heap = process_heap().live - heap;
    let mapped = mapped_beside_the_heap() - mapped;
    assert_eq!(descriptors(), descriptors_before, "descriptors are left");
    assert_eq!((heap, mapped), (0, 0), "bytes of heap and of mappings are left");
}

fn a_port_that_is_gone_leaves_nothing(backend: Backend) {
    skip_on_libkqueue(backend, "frees a closed queue later, in a thread of its own");
    assert_leaves_nothing(|| drop(port(backend)));
    assert_leaves_nothing(|| {
        let mut port = port(backend);
        port.submit(op::Nop::new(), Token(0));
        one(&mut port).unpack::<op::Nop>().expect("a nop");
    });
    assert_leaves_nothing(|| {
        let (mut port, near, far) = connected(backend);
        port.submit(op::RecvPooled::new(far), Token(0));
        port.submit(op::Send::new(near, "to be pooled"), Token(1));
        drop(both(&mut port));
    });
    assert_leaves_nothing(|| {
        let mut port = port_of_one_thread(backend);
        port.submit(op::Metadata::at("/"), Token(0));
        port.submit(op::Blocking::new(|| String::from("made elsewhere")), Token(1));
        drop(both(&mut port));
    });
}

fn a_port_dropped_with_operations_in_flight_leaves_nothing(backend: Backend) {
    skip_on_libkqueue(backend, "frees a closed queue later, in a thread of its own");
    assert_leaves_nothing(|| {
        let (mut port, near, far) = connected(backend);
        let (listener, _) = listener();
        let listener = port.attach(listener).expect("attach");
        port.submit(op::AcceptMulti::new(listener), Token(0));
        port.submit(op::Recv::new(near, vec![0; 1000]), Token(1));
        port.submit(op::Recv::new(near, vec![0; 1000]).within(Duration::from_secs(60)), Token(2));
        port.submit(op::RecvPooledMulti::new(far), Token(3));
        port.submit(op::Timer::after(Duration::from_secs(3600)), Token(4));
        port.submit(op::SendAll::new(far, vec![1; 32 << 20]), Token(5));
        port.submit(op::Blocking::new(|| vec![0; 1000]), Token(6));
        port.wait(Some(Duration::ZERO)).expect("wait");
        port.submit(op::Ready::writable(near), Token(7));
        assert!(port.poster().post(Token(8), vec![0; 1000]).is_ok());
    });
}

fn a_port_starts_no_thread_for_what_the_system_does(backend: Backend) {
    skip_on_libkqueue(backend, "has a thread of its own");
    let before = threads();
    let (mut port, near, far) = connected(backend);
    port.submit(op::RecvPooled::new(far), Token(0));
    port.submit(op::Timer::after(Duration::from_millis(1)), Token(0));
    port.submit(op::Nop::new(), Token(0));
    port.submit(op::Send::new(near, "x"), Token(0));
    drop(drive(&mut port, 4));
    assert_eq!(threads(), before);
}

fn a_read_from_the_page_cache_starts_no_thread(backend: Backend) {
    skip_on_libkqueue(backend, "has a thread of its own");
    let before = threads();
    let mut source = tempfile::tempfile().expect("a temporary file");
    source.write_all(&pattern(0, 8192)).expect("write");
    if !tells_what_is_cached(&source) {
        skip_elsewhere("the file system of temporary files has no RWF_NOWAIT");
    }
    let mut port = Port::builder().backend(backend).build().expect("a port on a backend that works here");
    let file = port.attach(source).expect("attach");
    for at in [0, 4096] {
        port.submit(op::ReadAt::new(file, vec![0; 4096], at as u64), Token(0));
        let (n, buf) = one(&mut port).unpack::<op::ReadAt<Vec<u8>>>();
        assert_eq!((n.expect("read"), &buf[..]), (4096, &pattern(0, 8192)[at..at + 4096]));
    }
    assert_eq!(threads(), before);
}

/// While a port is busy with some of many connections that are ready, the others are not received from: each would hold a
/// buffer of the pool until its turn.
fn what_waits_for_its_turn_holds_no_buffer(backend: Backend) {
    const READY: usize = 200;
    if matches!(backend, Backend::Uring | Backend::Iocp) {
        skip_elsewhere("the system receives by itself");
    }
    let mut port = Port::builder().backend(backend).pool(READY as u16, 64).build().expect("a port");
    let (conns, mut far): (Vec<_>, Vec<_>) = (0..READY)
        .map(|token| {
            let (here, there) = tcp_pair();
            let here = port.attach(here).expect("attach");
            port.submit(op::RecvPooled::new(here), Token(token as u64));
            (here, there)
        })
        .unzip();
    far.iter_mut().for_each(|peer| peer.write_all(b"ready").expect("write"));
    until_arrived(&port, &conns);
    // What each is answered with uses the port's batch up before all had their turn.
    let mut served = 0;
    assert!(port.wait(None).expect("wait"));
    while let Some(done) = port.next() {
        if done.is::<op::RecvPooled>() {
            served += 1;
            port.submit(op::Nop::new(), Token(0));
        }
    }
    assert!(port.wait(None).expect("wait"));
    let unread = conns.iter().filter(|&&conn| near(&port, conn).expect("attached").unread() > 0);
    let (unread, rest) = (unread.count(), READY - served);
    assert!(served < READY && unread * 2 > rest, "{unread} of the {rest} that wait are still unread");
}

/// Of many connections that are ready some are received from before the first completion is handed out, which is cheaper
/// than one by one: as many as stay in the cache, and no more than there are buffers for.
fn what_is_received_ahead_is_little(backend: Backend) {
    const READY: usize = 80;
    if matches!(backend, Backend::Uring | Backend::Iocp) {
        skip_elsewhere("the system receives by itself");
    }
    let received_ahead_of = |tried: bool, buffers, size: usize| {
        let mut port = Port::builder().backend(backend).pool(buffers, 32 * 1024).build().expect("a port");
        let message = pattern(1, size);
        let conns = (0..READY as u64).map(|token| {
            let (here, there) = tcp_pair();
            let here = port.attach(here).expect("attach");
            port.submit(op::RecvPooled::new(here), Token(token));
            (here, there)
        });
        let mut conns: Vec<_> = conns.collect();
        if tried {
            assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
        }
        conns.iter_mut().for_each(|(_, there)| there.write_all(&message).expect("write"));
        let unread = |port: &Port, conn| near(port, conn).expect("attached").unread();
        for &(conn, _) in &conns {
            eventually("the message is there", || unread(&port, conn) == size);
        }
        assert!(port.wait(None).expect("wait"));
        let done = port.next().expect("a completion");
        assert!(*done.unpack::<op::RecvPooled>().expect("data") == *message);
        let received = conns.iter().filter(|&&(conn, _)| unread(&port, conn) == 0).count();
        // All buffers are there for the others.
        let held: Vec<Completion> = (1..READY.min(buffers.into())).map(|_| one(&mut port)).collect();
        drop(held);
        received
    };
    // Tried for the first time, or again after an edge.
    let received_ahead = |buffers, size| {
        let received = received_ahead_of(false, buffers, size);
        assert_eq!(received_ahead_of(true, buffers, size), received);
        received
    };
    assert_eq!(received_ahead(128, 64), 64);
    assert_eq!(received_ahead(4, 64), 4);
    assert_eq!(received_ahead(64, 4 * 1024), 48);
    assert_eq!(received_ahead(64, 16 * 1024), 12);
}

/// The calls that one message costs: to receive it and to send it.
fn calls_of_a_message(backend: Backend, pooled: bool) -> (u64, u64) {
    match backend {
        Backend::Uring => (0, 0),
        // To have no buffer while it waits, a pooled receive waits with one of no bytes.
        Backend::Iocp if pooled => (2, 1),
        _ => (1, 1),
    }
}

/// Connections and messages of an echo that is counted, and the messages before it that are not.
const CONNECTIONS: usize = 8;
const MESSAGES: u64 = 100;
const WARM_UP: u64 = 20;
const SIZE: usize = 64;

/// Eight clients in threads of their own, each of which sends a message, waits for its echo, and so on. They pause
/// after the warm-up, and keep their connections to the end, so that what is counted begins and ends with quiet.
struct Clients {
    peers: Vec<Peer>,
    go_on: Vec<mpsc::Sender<()>>,
    leave: Vec<mpsc::Sender<()>>,
}

impl Clients {
    /// Starts them, and returns the other ends of their connections, attached to `port`.
    fn start(port: &mut Port) -> (Vec<Handle>, Clients) {
        let mut clients = Clients { peers: Vec::new(), go_on: Vec::new(), leave: Vec::new() };
        let exchange = |number| [Step::Send(pattern(number, SIZE)), Step::Receive(SIZE)];
        let conns = (0..CONNECTIONS).map(|_| {
            let (near, far) = tcp_pair();
            let (go_on, told_to_go_on) = mpsc::channel();
            let (leave, told_to_leave) = mpsc::channel();
            let mut script: Vec<_> = (0..WARM_UP).flat_map(exchange).collect();
            script.push(Step::Await(told_to_go_on));
            script.extend((WARM_UP..WARM_UP + MESSAGES).flat_map(exchange));
            script.push(Step::Await(told_to_leave));
            clients.go_on.push(go_on);
            clients.leave.push(leave);
            clients.peers.push(Peer::start(far, script));
            port.attach(near).expect("attach")
        });
        (conns.collect(), clients)
    }

    /// Lets them go, and checks what they got back.
    #[track_caller]
    fn finish(self) {
        drop(self.leave);
        let expected: Vec<u8> = (0..WARM_UP + MESSAGES).flat_map(|number| pattern(number, SIZE)).collect();
        for peer in self.peers {
            assert!(peer.finish() == expected, "the echo is not what was sent");
        }
    }
}

/// Serves the clients and counts, after the warm-up: what each message costs, not more than one call to wait for each
/// batch, and nothing else at all. `on` handles a completion and says whether that was a message that has been sent.
#[track_caller]
fn assert_lean_echo(
    mut port: Port,
    mut clients: Clients,
    pooled: bool,
    mut on: impl FnMut(&mut Port, Completion) -> bool,
) {
    let mut serve = |messages: u64| {
        let (mut sent, mut batches) = (0, 0);
        while sent < messages {
            batches += 1;
            port.wait(Some(Duration::from_secs(60))).expect("wait");
            while let Some(done) = port.next() {
                sent += u64::from(on(&mut port, done));
            }
        }
        assert_eq!(sent, messages, "more was echoed than sent");
        batches
    };
    let messages = CONNECTIONS as u64 * MESSAGES;
    serve(CONNECTIONS as u64 * WARM_UP);
    clients.go_on.clear();
    let (calls, batches) = count(|| serve(messages));
    clients.finish();
    let backend = port.backend();
    let calls = without_libkqueue(backend, calls);
    println!("{backend}: {messages} messages in {batches} batches: {calls}");
    let (recvs, sends) = calls_of_a_message(backend, pooled);
    let expected = (recvs * messages, sends * messages);
    assert_eq!((calls.of_any(RECVS), calls.of_any(SENDS)), expected, "{messages} messages: {calls}");
    assert!(calls.of_any(WAITS) <= batches, "{batches} batches: {calls}");
    let known = [WAITS, RECVS, SENDS].concat();
    assert_eq!(calls.except(&known).total(), 0, "{calls}");
}

fn an_echoed_message_costs_one_recv_and_one_send(backend: Backend) {
    let mut port = port(backend);
    let (conns, clients) = Clients::start(&mut port);
    for (token, &conn) in conns.iter().enumerate() {
        port.submit(op::Recv::new(conn, Vec::with_capacity(4096)), Token(token as u64));
    }
    assert_lean_echo(port, clients, false, |port, done| {
        let (token, conn) = (done.token(), conns[done.token().0 as usize]);
        if done.is::<op::Recv<Vec<u8>>>() {
            let (n, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            assert_eq!(n.expect("data"), SIZE);
            port.submit(op::Send::new(conn, buf), token);
            return false;
        }
        let (n, buf) = done.unpack::<op::Send<Vec<u8>>>();
        assert_eq!(n.expect("sent"), SIZE);
        port.submit(op::Recv::new(conn, buf), token);
        true
    });
}

fn an_echo_of_pooled_buffers_costs_the_same(backend: Backend) {
    let mut port = port(backend);
    let (conns, clients) = Clients::start(&mut port);
    for (token, &conn) in conns.iter().enumerate() {
        port.submit(op::RecvPooled::new(conn), Token(token as u64));
    }
    assert_lean_echo(port, clients, true, |port, done| {
        let (token, conn) = (done.token(), conns[done.token().0 as usize]);
        if done.is::<op::RecvPooled>() {
            let buf = done.unpack::<op::RecvPooled>().expect("data");
            assert_eq!(buf.len(), SIZE);
            port.submit(op::Send::new(conn, buf), token);
            return false;
        }
        assert_eq!(done.unpack::<op::Send<PoolBuf>>().0.expect("sent"), SIZE);
        port.submit(op::RecvPooled::new(conn), token);
        true
    });
}

fn a_multishot_echo_costs_the_same(backend: Backend) {
    let mut port = port(backend);
    let (conns, clients) = Clients::start(&mut port);
    for (token, &conn) in conns.iter().enumerate() {
        port.submit(op::RecvPooledMulti::new(conn), Token(token as u64));
    }
    assert_lean_echo(port, clients, true, |port, done| {
        let (token, conn) = (done.token(), conns[done.token().0 as usize]);
        if !done.is::<op::RecvPooledMulti>() {
            assert_eq!(done.unpack::<op::Send<PoolBuf>>().0.expect("sent"), SIZE);
            return true;
        }
        let more = done.more();
        let buf = done.unpack::<op::RecvPooledMulti>().expect("data");
        assert_eq!(buf.len(), SIZE);
        port.submit(op::Send::new(conn, buf), token);
        if !more {
            port.submit(op::RecvPooledMulti::new(conn), token);
        }
        false
    });
}

/// And on a ring none at all: one submission receives them all.
fn a_flood_of_datagrams_costs_a_recv_each(backend: Backend) {
    const DATAGRAMS: u64 = 100;
    let mut port = Port::builder().backend(backend).pool(16, 128).build().expect("a port");
    let (here, there) = udp_unconnected();
    let to = there.local_addr().expect("an address");
    let there = port.attach(there).expect("attach");
    port.submit(op::RecvFromPooledMulti::new(there), Token(0));
    let send = || {
        for _ in 0..DATAGRAMS {
            assert_eq!(here.send_to(&[7; 64], to).expect("send"), 64);
        }
    };
    let from = here.local_addr().expect("an address");
    let serve = |port: &mut Port| {
        let (mut received, mut batches) = (0, 0);
        while received < DATAGRAMS {
            batches += 1;
            port.wait(Some(Duration::from_secs(60))).expect("wait");
            while let Some(done) = port.next() {
                assert!(done.more());
                let (buf, sender) = done.unpack::<op::RecvFromPooledMulti>().expect("a datagram");
                assert_eq!((&*buf, sender.as_socket()), (&[7; 64][..], Some(from)));
                received += 1;
            }
        }
        batches
    };
    send();
    serve(&mut port);
    // Registers the socket, where that is part of a wait.
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
    send();
    let (calls, batches) = count(|| serve(&mut port));
    let calls = without_libkqueue(backend, calls);
    println!("{backend}: {DATAGRAMS} datagrams in {batches} batches: {calls}");
    let recvs = calls.of_any(RECVS);
    match backend {
        Backend::Uring => assert_eq!(recvs, 0, "{calls}"),
        // The last one finds nothing more.
        _ => assert!((DATAGRAMS..=DATAGRAMS + 1).contains(&recvs), "{calls}"),
    }
    // Windows looks first whether there is one: a receive of nothing would take it.
    if backend != Backend::Iocp {
        assert!(calls.of_any(WAITS) <= batches, "{batches} batches: {calls}");
        assert_eq!(calls.except(&[WAITS, RECVS].concat()).total(), 0, "{calls}");
    }
}

/// Nothing is sent while it is submitted; then all is, before the first completion is handed out.
fn what_is_submitted_together_is_called_together(backend: Backend) {
    if backend == Backend::Iocp {
        skip_elsewhere("Windows makes each call when it is submitted");
    }
    let mut port = port(backend);
    let (near, far): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
        .map(|_| {
            let (here, there) = tcp_pair();
            (port.attach(here).expect("attach"), there)
        })
        .unzip();
    let submit = |port: &mut Port| {
        for (token, &handle) in near.iter().enumerate() {
            port.submit(op::Send::new(handle, "together"), Token(token as u64));
        }
    };
    let (calls, ()) = count(|| submit(&mut port));
    assert_eq!(calls.total(), 0, "{calls}");
    let (calls, first) = count(|| one(&mut port));
    let calls = without_libkqueue(backend, calls);
    let (_, each) = calls_of_a_message(backend, false);
    // A ring is asked once, by a wait; for the others there is nothing to wait for.
    let waits = u64::from(backend == Backend::Uring);
    assert_eq!(calls.of_any(WAITS), waits, "{calls}");
    assert_eq!(calls.total(), waits + each * CONNECTIONS as u64, "{calls}");
    for done in drive(&mut port, CONNECTIONS - 1).into_iter().chain([first]) {
        assert_eq!(done.unpack::<op::Send<&str>>().0.expect("sent"), 8);
    }
    for mut peer in far {
        let mut bytes = [0; 8];
        peer.read_exact(&mut bytes).expect("read");
        assert_eq!(&bytes, b"together");
    }
}

/// Of what is submitted together: a peer can see to its answer while others' messages are received.
fn what_is_sent_is_under_way_before_anything_is_received(backend: Backend) {
    if backend == Backend::Iocp {
        skip_elsewhere("Windows makes each call when it is submitted");
    }
    let mut port = port(backend);
    let (near, mut far): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
        .map(|_| {
            let (here, there) = tcp_pair();
            (port.attach(here).expect("attach"), there)
        })
        .unzip();
    far.iter_mut().for_each(|peer| peer.write_all(b"question").expect("write"));
    until_arrived(&port, &near);
    for (token, &handle) in near.iter().enumerate() {
        port.submit(op::RecvPooled::new(handle), Token(token as u64));
        port.submit(op::Send::new(handle, "answer"), Token(token as u64));
    }
    let done = drive(&mut port, 2 * CONNECTIONS);
    let (sent, received) = done.split_at(CONNECTIONS);
    assert!(sent.iter().all(|done| done.is::<op::Send<&str>>()), "{sent:?}");
    assert!(received.iter().all(|done| done.is::<op::RecvPooled>()), "{received:?}");
    for part in [sent, received] {
        assert!(part.iter().map(Completion::token).eq((0..CONNECTIONS as u64).map(Token)), "{part:?}");
    }
}

/// The cancel comes behind what it names, so that it finds it.
fn a_receive_that_is_given_up_at_once_costs_one_wait(backend: Backend) {
    let mut port = port(backend);
    let (here, _there) = tcp_pair();
    let conn = port.attach(here).expect("attach");
    for round in 0..3 {
        let (calls, done) = count(|| {
            let id = port.submit(op::RecvPooled::new(conn), Token(round));
            assert!(port.cancel(id));
            one(&mut port)
        });
        let calls = without_libkqueue(backend, calls);
        assert_eq!(done.token(), Token(round));
        assert!(is_cancelled(&done.unpack::<op::RecvPooled>().expect_err("given up")));
        assert!(calls.of_any(WAITS) <= 1, "{calls}");
    }
}

/// With a ring that can, and the first one makes the table; the last call of each takes it out again.
fn an_object_that_is_used_often_is_registered_once(backend: Backend) {
    let mut port = port(backend);
    let can = port.explain().features.iter().any(|feature| feature.name == "registered files" && feature.used);
    for table in [u64::from(can), 0] {
        let (here, there) = tcp_pair();
        let conn = port.attach(here).expect("attach");
        let mut use_it = |times| {
            for _ in 0..times {
                port.submit(op::Send::new(conn, "a word"), Token(0));
                one(&mut port).unpack::<op::Send<&str>>().0.expect("sent");
            }
        };
        let registered = [15, 1, 100].map(|times| count(|| use_it(times)).0.of("io_uring_register"));
        assert_eq!(registered, [0, table + u64::from(can), 0]);
        let close = || {
            port.submit(op::Close::new(conn), Token(0));
            one(&mut port).unpack::<op::Close>().expect("closed");
        };
        assert_eq!(count(close).0.of("io_uring_register"), u64::from(can));
        drop(there);
    }
}

/// However much it is: from then on the system tells when there is something, and the port may sleep.
fn a_look_tries_all_that_was_submitted(backend: Backend) {
    const SUBMITTED: usize = 200;
    if backend == Backend::Iocp {
        skip_elsewhere("Windows makes each call when it is submitted");
    }
    let mut port = port(backend);
    let mut far: Vec<_> = (0..SUBMITTED as u64)
        .map(|token| {
            let (here, there) = tcp_pair();
            let here = port.attach(here).expect("attach");
            port.submit(op::RecvPooled::new(here), Token(token));
            there
        })
        .collect();
    let (calls, found) = count(|| port.wait(Some(Duration::ZERO)).expect("wait"));
    let calls = without_libkqueue(backend, calls);
    assert!(!found, "there is nothing yet");
    let (recvs, _) = calls_of_a_message(backend, true);
    assert_eq!(calls.of_any(RECVS), recvs * SUBMITTED as u64, "{calls}");
    // Libkqueue looks without its ppoll(2).
    assert_eq!(calls.of_any(WAITS), u64::from(!is_libkqueue(backend)), "{calls}");
    far[SUBMITTED - 1].write_all(b"!").expect("write");
    assert!(port.wait(None).expect("wait"));
    assert_eq!(port.next().map(|done| done.token()), Some(Token(SUBMITTED as u64 - 1)));
}

fn a_full_batch_costs_one_wait(backend: Backend) {
    let mut port = port(backend);
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for token in 0..CONNECTIONS {
        let (here, there) = tcp_pair();
        near.push(port.attach(here).expect("attach"));
        far.push(there);
        port.submit(op::Recv::new(near[token], Vec::with_capacity(4096)), Token(token as u64));
    }
    for round in 0..3 {
        far.iter_mut().for_each(|peer| peer.write_all(b"one of a batch").expect("write"));
        until_arrived(&port, &near);
        let receive_and_send = |port: &mut Port| {
            for done in drive(port, CONNECTIONS) {
                let (token, (n, buf)) = (done.token(), done.unpack::<op::Recv<Vec<u8>>>());
                assert_eq!(n.expect("data"), 14);
                port.submit(op::Send::new(near[token.0 as usize], buf), token);
            }
            drive(port, CONNECTIONS)
        };
        let (calls, sent) = count(|| receive_and_send(&mut port));
        let calls = without_libkqueue(backend, calls);
        let (recvs, sends) = calls_of_a_message(backend, false);
        // On a completion port the calls to receive were made before.
        let each = if backend == Backend::Iocp { sends } else { recvs + sends };
        // A ring's sends are another batch.
        let waits = if backend == Backend::Uring { 2 } else { 1 };
        // The first round registers the sockets.
        if round > 0 {
            assert_eq!(calls.of_any(WAITS), waits, "{calls}");
            assert_eq!(calls.total(), waits + each * CONNECTIONS as u64, "{calls}");
        }
        for done in sent {
            let (token, (n, buf)) = (done.token(), done.unpack::<op::Send<Vec<u8>>>());
            assert_eq!(n.expect("sent"), 14);
            port.submit(op::Recv::new(near[token.0 as usize], buf), token);
        }
        for peer in &mut far {
            peer.read_exact(&mut [0; 14]).expect("read");
        }
        assert!(drive_for(&mut port, Duration::from_millis(2)).is_empty(), "the next receives wait");
    }
}

/// What sending costs beside the head's send: a look for whether the system has the file in memory (at both ends of more
/// than a page), so that the port's thread waits for no disk; whether `SIGPIPE` is ignored, as sendfile(2) has no flag
/// against it; and the call itself. Nor has that a flag not to wait, and a ring's sockets are blocking ones, for its own
/// calls: their flags are read, set, and put back. Windows is asked how long the file is, which it would not say of a part
/// that ends behind it.
fn calls_of_a_file(backend: Backend, len: usize) -> Vec<(&'static str, u64)> {
    let looks = if len > 4096 { 2 } else { 1 };
    match backend {
        Backend::Uring => vec![("preadv2", looks), ("rt_sigaction", 1), ("sendfile", 1), ("fcntl", 3)],
        Backend::Iocp => vec![("GetFileSizeEx", 1), ("TransmitFile", 1)],
        _ => vec![("preadv2", looks), ("rt_sigaction", 1), ("sendfile", 1)],
    }
}

fn a_file_costs_a_look_and_a_call_to_send_it(backend: Backend) {
    const ROUNDS: u64 = 20;
    let mut port = port(backend);
    let (near, mut far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let mut content = tempfile::tempfile().expect("a temporary file");
    content.write_all(&pattern(0, 32768)).expect("write");
    if backend != Backend::Iocp && !tells_what_is_cached(&content) {
        skip_elsewhere("the file system of temporary files does not tell what is in memory");
    }
    let file = std::rc::Rc::new(content);
    for (head, len) in [(0, 4096), (100, 4096), (100, 32768)] {
        // The test's own memory is there before: an allocator may map some at any time.
        let (mut bytes, mut room) = (vec![1; head], vec![0; head + len]);
        let mut send = |port: &mut Port| {
            let send = op::SendFile::new(conn, file.clone(), 0..len as u64).head(std::mem::take(&mut bytes));
            port.submit(send, Token(0));
            let (n, _, head_back) = one(port).unpack::<op::SendFile<std::rc::Rc<std::fs::File>, Vec<u8>>>();
            assert_eq!(n.expect("sent"), head + len);
            bytes = head_back;
            far.read_exact(&mut room).expect("read");
        };
        (0..5).for_each(|_| send(&mut port));
        let (calls, ()) = count(|| (0..ROUNDS).for_each(|_| send(&mut port)));
        // What the peer receives is received here.
        let calls = without_libkqueue(backend, calls).except(RECVS);
        println!("{backend}: {ROUNDS} times {head} + {len} bytes: {calls}");
        let mut expected = calls_of_a_file(backend, len);
        if head > 0 && backend != Backend::Iocp {
            expected.push(("sendto", 1));
        }
        for &(name, each) in &expected {
            assert_eq!(calls.of(name), each * ROUNDS, "{name}, {ROUNDS} times {head} + {len} bytes: {calls}");
        }
        // What Windows does not send at once has a packet.
        let waits = if backend == Backend::Iocp { ROUNDS } else { 0 };
        assert!(calls.of_any(WAITS) <= waits, "{calls}");
        let names = expected.iter().map(|&(name, _)| name).chain(WAITS.iter().copied());
        assert_eq!(calls.except(&names.collect::<Vec<_>>()).total(), 0, "{calls}");
    }
}

/// One call to wait, and nothing but what sets the clock that ends it.
#[track_caller]
fn assert_one_wait(what: &str, backend: Backend, wait: impl FnOnce()) {
    let (calls, ()) = count(wait);
    let calls = without_libkqueue(backend, calls);
    assert!(calls.of_any(ALARMS) <= 1, "{what}: {calls}");
    let calls = calls.except(ALARMS);
    assert_eq!((calls.of_any(WAITS), calls.total()), (1, 1), "{what}: {calls}");
}

fn a_timed_wait_costs_one_system_call(backend: Backend) {
    let mut port = port(backend);
    let wait = |port: &mut Port| assert!(!port.wait(Some(Duration::from_millis(5))).expect("wait"));
    wait(&mut port);
    assert_one_wait("with nothing in flight", backend, || wait(&mut port));
    // Nor is it more when there is something in flight, a timer that stands among it.
    port.submit(op::Timer::after(Duration::from_secs(3600)), Token(0));
    let (near, _far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::Recv::new(conn, vec![0; 10]), Token(0));
    wait(&mut port);
    assert_one_wait("with something in flight", backend, || wait(&mut port));
}

fn a_timer_costs_one_system_call(backend: Backend) {
    let mut port = port(backend);
    let mut timer = |delay| {
        port.submit(op::Timer::after(Duration::from_millis(delay)), Token(0));
        while !port.wait(None).expect("wait") {}
        one(&mut port).unpack::<op::Timer>().expect("a timer");
    };
    // The first one makes the memory that all need.
    timer(1);
    for delay in [2, 17, 65] {
        assert_one_wait(&format!("a timer of {delay} ms"), backend, || timer(delay));
    }
}

fn a_post_to_a_port_that_is_awake_makes_no_system_call(backend: Backend) {
    let mut port = port(backend);
    let poster = port.poster();
    let exchange = |port: &mut Port| {
        (0..100_u64).for_each(|number| assert!(poster.post(Token(number), number).is_ok()));
        (0..100).for_each(|number| assert_eq!(one(port).unpack::<op::Post<u64>>(), number));
    };
    exchange(&mut port);
    let (calls, ()) = count(|| exchange(&mut port));
    let calls = without_libkqueue(backend, calls);
    assert!(calls.of_any(WAITS) <= 1, "{calls}");
    assert_eq!(calls.except(WAITS).total(), 0, "{calls}");
}
