//! No client holds a place for ever.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::server::Server;

on_each_backend! {
    an_idle_connection_is_closed,
    a_head_that_trickles_in_is_given_up,
    a_client_that_does_not_read_is_given_up,
    a_client_that_reads_slowly_but_steadily_is_served,
    clients_beyond_the_limit_wait_for_a_place,
    clients_beyond_the_descriptors_wait_for_a_place,
    a_client_that_goes_away_leaves_nothing_behind,
}

const TIMEOUT: Duration = Duration::from_millis(400);

fn an_idle_connection_is_closed(backend: &str) {
    let server = Server::start(backend, &["--idle-timeout", "400ms"]);
    let started = Instant::now();
    assert_eq!(server.connect().rest(), b"");
    assert!(started.elapsed() >= TIMEOUT, "closed early");

    server.write("a.txt", "hello");
    let mut client = server.connect();
    assert_eq!(client.get("/a.txt").status, 200);
    let started = Instant::now();
    assert_eq!(client.rest(), b"");
    // The server may have begun to count a little before the client had read the answer.
    assert!(started.elapsed() >= TIMEOUT / 2, "closed early");
}

fn a_head_that_trickles_in_is_given_up(backend: &str) {
    let server = Server::start(backend, &["--header-timeout", "400ms"]);
    let mut client = server.connect();
    let started = Instant::now();
    let mut trickle = client.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        // Each byte comes well within the timeout, the last one never.
        let _ = trickle.write_all(b"GET / HTTP/1.1\r\nX: ");
        while trickle.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(started.elapsed() >= TIMEOUT, "given up early");
    assert!(client.is_ended());
    // The connection is gone for good: the writes fail.
    sender.join().unwrap();
    let line = server.log_line();
    assert!(line.contains("\"GET / HTTP/1.1\" 408"), "{line}");
}

fn a_client_that_does_not_read_is_given_up(backend: &str) {
    let server = Server::start(backend, &["--send-timeout", "400ms"]);
    const LENGTH: u64 = 256 << 20;
    std::fs::File::create(server.root().join("large")).unwrap().set_len(LENGTH).unwrap();
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    let line = server.log_line();
    let sent: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(line.contains("\" 200 ") && sent > 0 && sent < LENGTH, "{line}");
}

fn a_client_that_reads_slowly_but_steadily_is_served(backend: &str) {
    // A chunk of 64 KiB every 20 ms or so is all that is asked for, many times over.
    let server = Server::start(backend, &["--send-timeout", "2s"]);
    const LENGTH: u64 = 24 << 20;
    std::fs::File::create(server.root().join("large")).unwrap().set_len(LENGTH).unwrap();
    let mut client = server.connect();
    socket2::SockRef::from(client.stream()).set_recv_buffer_size(64 * 1024).unwrap();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    client.head();
    let mut turns = 0u32;
    while (client.received().len() as u64) < LENGTH {
        turns += 1;
        if turns.is_multiple_of(4) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(client.receive(), "given up after {} bytes", client.received().len());
    }
}

fn clients_beyond_the_limit_wait_for_a_place(backend: &str) {
    let server = Server::start(backend, &["--workers", "1", "--max-connections", "2"]);
    server.write("a.txt", "hello");
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!(first.get("/a.txt").status, 200);
    assert_eq!(second.get("/a.txt").status, 200);
    let mut third = server.connect();
    let mut fourth = server.connect();
    for waiting in [&mut third, &mut fourth] {
        waiting.send("GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(waiting.is_silent(), "a client beyond the limit was served");
    }
    drop(first);
    assert_eq!(third.response().text(), "hello");
    assert!(fourth.is_silent(), "a client beyond the limit was served");
    drop(second);
    assert_eq!(fourth.response().text(), "hello");
}

fn clients_beyond_the_descriptors_wait_for_a_place(backend: &str) {
    let Some(server) = Server::start_with_descriptors(64, backend, &["--workers", "1"]) else { return };
    server.write("a.txt", "hello");
    let clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
    // All of them ask, and whoever was answered leaves.
    for mut client in clients {
        client.send("GET /a.txt HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "hello"));
    }
    assert_eq!(server.stop(), "", "nothing went wrong");
}

fn a_client_that_goes_away_leaves_nothing_behind(backend: &str) {
    let server = Server::start(backend, &["--workers", "1"]);
    server.write("a.txt", "hello");
    std::fs::File::create(server.root().join("large")).unwrap().set_len(64 << 20).unwrap();
    let mut witness = server.connect();
    assert_eq!(witness.get("/a.txt").status, 200);
    let before = server.descriptors();
    for n in 0..60 {
        let mut client = server.connect();
        match n % 4 {
            // In the middle of a head, an answer, or a pipelined pair; with a reset instead of an
            // end.
            0 => client.send("GET /a.txt HT"),
            1 => {
                client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
                client.head();
            }
            2 => client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n"),
            _ => {
                client.send("GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
                socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    }
    assert_eq!(witness.get("/a.txt").text(), "hello");
    let hung = Instant::now() + crate::server::HUNG;
    while server.descriptors() > before {
        assert!(Instant::now() < hung, "{} descriptors, {before} before", server.descriptors());
        std::thread::sleep(Duration::from_millis(10));
    }
}
