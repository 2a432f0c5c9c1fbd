//! Sending a part of a file: what the promises come to for an operation that lends one. The order among other sends is
//! C5's, the cost C11's, the signal that must not come C12's; a cancel, a deadline, a close and a drop meet it among all
//! other kinds in C2, C3 and C4.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyport::op::{self, Operation};
use anyport::{Backend, Port, Token, error};
use socket2::Socket;
use tempfile::TempDir;

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_part_of_a_file_goes_out_behind_its_head,
        a_file_of_many_shares_arrives_whole,
        a_file_that_is_not_in_memory_arrives_whole,
        what_is_lent_comes_back_whatever_happens,
        it_keeps_its_place_among_sends,
        a_file_may_be_lent_to_many_at_once,
        a_file_that_ends_before_its_part_is_sent_as_far_as_it_goes,
        a_file_that_grows_is_sent_as_far_as_was_asked,
        a_deadline_tells_how_much_went_out,
        a_long_file_lets_others_in_between,
        what_cannot_be_sent_from_is_refused,
        what_cannot_be_sent_on_is_refused,
    ]
}

/// A file with `len` bytes of the pattern `seed`.
fn file(seed: u64, len: usize) -> (File, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, pattern(seed, len)).expect("write");
    (File::open(path).expect("open"), folder)
}

fn read_to_end(mut far: Socket) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).expect("read to the end");
        bytes
    })
}

/// Ports of all flavours, each with the near end of a stream of each kind.
fn on_every_stream(backend: Backend, mut check: impl FnMut(&str, Port, Socket, Socket)) {
    for (flavour, builder) in flavours(backend) {
        for (kind, near, far) in stream_pairs() {
            check(&format!("{flavour}, {kind}"), builder.clone().build().expect("a port"), near, far);
        }
    }
}

fn a_part_of_a_file_goes_out_behind_its_head(backend: Backend) {
    on_every_stream(backend, |what, mut port, near, mut far| {
        let conn = port.attach(near).expect("attach");
        let (file, _folder) = file(7, 10_000);
        let mut expected = Vec::new();
        for (range, head) in [(4..7, "head"), (0..10_000, ""), (9_999..10_000, "x"), (5..5, "only a head"), (3..3, "")] {
            expected.extend(head.bytes());
            expected.extend(piece(7, range.start as usize, (range.end - range.start) as usize));
            let file = file.try_clone().expect("a duplicate");
            let len = head.len() + (range.end - range.start) as usize;
            port.submit(op::SendFile::new(conn, file, range).head(head), Token(1));
            let done = one(&mut port);
            assert_eq!(done.transferred(), len, "{what}");
            let (result, _, back) = done.unpack::<op::SendFile<File, &str>>();
            assert_eq!((result.expect("sent"), back), (len, head), "{what}");
        }
        let mut received = vec![0; expected.len()];
        far.read_exact(&mut received).expect("read");
        assert!(received == expected, "{what}");
    });
}

fn a_file_of_many_shares_arrives_whole(backend: Backend) {
    const LEN: usize = (2 << 20) + 17;
    const HEAD: usize = 300_000;
    on_every_stream(backend, |what, mut port, near, far| {
        let conn = port.attach(near).expect("attach");
        let far = read_to_end(far);
        let (file, _folder) = file(3, LEN);
        port.submit(op::SendFile::new(conn, file, 5..LEN as u64).head(vec![9; HEAD]), Token(1));
        let (result, ..) = one(&mut port).unpack::<op::SendFile<File, Vec<u8>>>();
        assert_eq!(result.expect("sent"), HEAD + LEN - 5, "{what}");
        drop(port);
        let received = far.join().expect("the reader");
        assert!(received[..HEAD].iter().all(|&byte| byte == 9), "{what}");
        assert_piece(&received[HEAD..], 3, 5);
        assert_eq!(received.len(), HEAD + LEN - 5, "{what}");
    });
}

fn a_file_that_is_not_in_memory_arrives_whole(backend: Backend) {
    const LEN: usize = (1 << 20) + 1;
    on_every_stream(backend, |what, mut port, near, far| {
        let conn = port.attach(near).expect("attach");
        let far = read_to_end(far);
        let (file, _folder) = file(4, LEN);
        if !forget_pages(&file) {
            skip_elsewhere("the temporary folder's file system keeps files in memory");
        }
        port.submit(op::SendFile::new(conn, file, 0..LEN as u64), Token(1));
        let (result, ..) = one(&mut port).unpack::<op::SendFile<File>>();
        assert_eq!(result.expect("sent"), LEN, "{what}");
        drop(port);
        let received = far.join().expect("the reader");
        assert_piece(&received, 4, 0);
        assert_eq!(received.len(), LEN, "{what}");
    });
}

fn what_is_lent_comes_back_whatever_happens(backend: Backend) {
    on_every_stream(backend, |what, mut port, near, far| {
        let conn = port.attach(near).expect("attach");
        let (file, _folder) = file(1, 1000);
        let file = Rc::new(file);
        let tally = Tally::default();
        // More than any socket holds: the first is partly sent when it is given up, the second not at all.
        let first = port.submit(op::SendFile::new(conn, file.clone(), 0..1000).head(tally.lend(32 << 20)), Token(1));
        let second = port.submit(op::SendFile::new(conn, file.clone(), 0..1000).head(tally.lend(10)), Token(2));
        assert!(drive_for(&mut port, Duration::from_millis(20)).is_empty(), "{what}: nobody reads");
        for (id, partly) in [(second, false), (first, true)] {
            assert!(port.cancel(id), "{what}");
            let done = one(&mut port);
            assert_eq!((done.id(), done.transferred() > 0), (id, partly), "{what}");
            let (result, back, head) = done.unpack::<op::SendFile<Rc<File>, Lent>>();
            assert!(error::is_cancelled(&result.expect_err("given up")), "{what}");
            assert!(Rc::ptr_eq(&back, &file) && head.len() >= 10, "{what}");
        }
        // An error.
        drop(far);
        port.submit(op::SendFile::new(conn, file.clone(), 0..1000).head(tally.lend(32 << 20)), Token(3));
        let (result, back, _) = one(&mut port).unpack::<op::SendFile<Rc<File>, Lent>>();
        assert!(result.is_err() && Rc::ptr_eq(&back, &file), "{what}");
        drop(back);
        // A port that is dropped lets go.
        let (near, _far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        port.submit(op::SendFile::new(conn, file.clone(), 0..1000).head(tally.lend(32 << 20)), Token(4));
        drop(port);
        assert_eq!(Rc::strong_count(&file), 1, "{what}");
        tally.assert_settled();
    });
}

fn it_keeps_its_place_among_sends(backend: Backend) {
    const LEN: usize = 100_000;
    on_every_stream(backend, |what, mut port, near, far| {
        let conn = port.attach(near).expect("attach");
        let (file, _folder) = file(9, 12 * LEN);
        let file = Rc::new(file);
        for at in 0..12 {
            let (start, end) = (at * LEN, (at + 1) * LEN);
            let middle = start + 10;
            match at % 3 {
                0 => port.submit(op::SendAll::new(conn, piece(9, start, LEN)), Token(0)),
                1 => port.submit(op::SendFile::new(conn, file.clone(), start as u64..end as u64), Token(1)),
                _ => {
                    let rest = op::SendFile::new(conn, file.clone(), middle as u64..end as u64);
                    port.submit(rest.head(piece(9, start, 10)), Token(2))
                }
            };
        }
        let far = read_to_end(far);
        for (at, done) in drive(&mut port, 12).into_iter().enumerate() {
            assert_eq!((done.token().0, done.transferred()), (at as u64 % 3, LEN), "{what}");
        }
        drop(port);
        assert_piece(&far.join().expect("the reader"), 9, 0);
    });
}

fn a_file_may_be_lent_to_many_at_once(backend: Backend) {
    const LEN: usize = 2 << 20;
    let mut port = port(backend);
    let (file, _folder) = file(5, LEN);
    let file = Rc::new(file);
    let readers: Vec<_> = (0..8)
        .map(|at| {
            let (near, far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            port.submit(op::SendFile::new(conn, file.clone(), at..LEN as u64), Token(at));
            port.submit(op::Shutdown::new(conn, std::net::Shutdown::Write), Token(100));
            read_to_end(far.into())
        })
        .collect();
    for done in drive(&mut port, 16) {
        let at = done.token().0;
        if at < 100 {
            let (result, ..) = done.unpack::<op::SendFile<Rc<File>>>();
            assert_eq!(result.expect("sent"), LEN - at as usize);
        }
    }
    for (at, reader) in readers.into_iter().enumerate() {
        let received = reader.join().expect("a reader");
        assert_piece(&received, 5, at);
        assert_eq!(received.len(), LEN - at);
    }
}

fn a_file_that_ends_before_its_part_is_sent_as_far_as_it_goes(backend: Backend) {
    on_every_stream(backend, |what, mut port, near, mut far| {
        let conn = port.attach(near).expect("attach");
        let (file, _folder) = file(6, 5000);
        for (range, sent) in [(0..9000, 5000), (4000..1 << 40, 1000), (5000..6000, 0), (6000..u64::MAX >> 1, 0)] {
            let file = file.try_clone().expect("a duplicate");
            port.submit(op::SendFile::new(conn, file, range.clone()).head("<>"), Token(1));
            let (result, ..) = one(&mut port).unpack::<op::SendFile<File, &str>>();
            assert_eq!(result.expect("sent"), sent + 2, "{what}");
            let mut received = vec![0; sent + 2];
            far.read_exact(&mut received).expect("read");
            assert_eq!(received[..2], *b"<>", "{what}");
            assert_piece(&received[2..], 6, range.start as usize);
        }
    });
}

fn a_file_that_grows_is_sent_as_far_as_was_asked(backend: Backend) {
    const LEN: usize = 8 << 20;
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let (file, folder) = file(8, LEN);
    port.submit(op::SendFile::new(conn, file, 0..LEN as u64), Token(1));
    drop(drive_for(&mut port, Duration::from_millis(5)));
    let mut more = OpenOptions::new().append(true).open(folder.path().join("file")).expect("open");
    more.write_all(b"more").expect("append");
    let far = read_to_end(far.into());
    let (result, ..) = one(&mut port).unpack::<op::SendFile<File>>();
    assert_eq!(result.expect("sent"), LEN);
    drop(port);
    let received = far.join().expect("the reader");
    assert_piece(&received, 8, 0);
    assert_eq!(received.len(), LEN);
}

fn a_deadline_tells_how_much_went_out(backend: Backend) {
    const LEN: usize = 64 << 20;
    on_every_stream(backend, |what, mut port, near, far| {
        let conn = port.attach(near).expect("attach");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = File::create_new(folder.path().join("file")).expect("create");
        file.set_len(LEN as u64).expect("a file of zeros");
        let file = File::open(folder.path().join("file")).expect("open");
        let send = op::SendFile::new(conn, file, 0..LEN as u64).head("head");
        port.submit(send.within(Duration::from_millis(20)), Token(1));
        let done = one(&mut port);
        let moved = done.transferred();
        let (result, ..) = done.unpack::<op::SendFile<File, &str>>();
        assert_eq!(result.expect_err("nobody reads").kind(), ErrorKind::TimedOut, "{what}");
        assert!(moved > 4 && moved < LEN, "{what}: {moved}");
        drop(port);
        assert_eq!(read_to_end(far).join().expect("the reader").len(), moved, "{what}");
    });
}

/// On a socket that takes all of it at once, so that nothing but fairness divides the sending.
fn a_long_file_lets_others_in_between(backend: Backend) {
    const LEN: u64 = 8 << 20;
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    hold_much(&near, 4 * LEN as u32);
    let conn = port.attach(near).expect("attach");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    File::create_new(&path).expect("create").set_len(LEN).expect("a file of zeros");
    port.submit(op::SendFile::new(conn, File::open(path).expect("open"), 0..LEN), Token(1));
    // Was there before the file is out, and has its turn before that.
    port.submit(op::Nop::new(), Token(2));
    assert_eq!(one(&mut port).token(), Token(2));
    let (result, ..) = one(&mut port).unpack::<op::SendFile<File>>();
    assert_eq!(result.expect("sent"), LEN as usize);
    drop((port, far));
}

fn what_cannot_be_sent_from_is_refused(backend: Backend) {
    on_every_stream(backend, |what, mut port, near, _far| {
        let conn = port.attach(near).expect("attach");
        let (file, folder) = file(2, 10);
        port.submit(op::SendFile::new(conn, file, 0..u64::MAX), Token(1));
        let (result, ..) = one(&mut port).unpack::<op::SendFile<File>>();
        assert_eq!(result.expect_err("no such offset").kind(), ErrorKind::InvalidInput, "{what}");
        let write_only = OpenOptions::new().write(true).open(folder.path().join("file")).expect("open");
        port.submit(op::SendFile::new(conn, write_only, 0..10), Token(1));
        let (result, ..) = one(&mut port).unpack::<op::SendFile<File>>();
        // Wine 8 sends nothing, and calls that a success.
        assert!(result.is_err() || is_wine(), "{what}");
        // The connection has not suffered.
        port.submit(op::SendAll::new(conn, "x"), Token(1));
        assert_eq!(one(&mut port).unpack::<op::SendAll<&str>>().0.expect("sent"), 1, "{what}");
    });
}

fn what_cannot_be_sent_on_is_refused(backend: Backend) {
    let mut port = port(backend);
    let (file, _folder) = file(2, 10);
    let file = Rc::new(file);
    let ((datagram, _far), (_read_end, write_end)) = (udp_pair(), pipe());
    for source in [port.attach(datagram), port.attach(write_end)] {
        let handle = source.expect("attach");
        port.submit(op::SendFile::new(handle, file.clone(), 0..10), Token(1));
        let (result, back, _): (io::Result<usize>, _, _) = one(&mut port).unpack::<op::SendFile<Rc<File>>>();
        assert_eq!(result.expect_err("no stream socket").kind(), ErrorKind::InvalidInput);
        assert!(Rc::ptr_eq(&back, &file));
    }
}
