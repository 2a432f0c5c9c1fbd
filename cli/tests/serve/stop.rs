//! How the server ends, and what does not end it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::server::Server;

on_each_backend! {
    a_stop_lets_answers_finish_and_closes_idle_connections,
    ctrl_c_stops_an_idle_server,
    a_stop_has_an_end,
    a_second_signal_does_not_wait,
    a_request_that_is_on_its_way_is_answered_as_the_last,
    a_log_that_nobody_reads_stops_nothing,
}

const LENGTH: usize = 64 << 20;

/// A server with a client in the middle of a large answer.
fn downloading(backend: &str, args: &[&str]) -> (Server, crate::client::Client) {
    let server = Server::start(backend, args);
    std::fs::File::create(server.root().join("large")).unwrap().set_len(LENGTH as u64).unwrap();
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    client.head();
    (server, client)
}

fn refuses_connections(server: &Server) {
    let hung = Instant::now() + crate::server::HUNG;
    while TcpStream::connect(server.address()).is_ok() {
        assert!(Instant::now() < hung, "the server still accepts");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_stop_lets_answers_finish_and_closes_idle_connections(backend: &str) {
    let (mut server, mut client) = downloading(backend, &[]);
    server.write("a.txt", "hello");
    let mut idle = server.connect();
    assert_eq!(idle.get("/a.txt").status, 200);
    if !server.terminate() {
        return;
    }
    assert!(idle.is_ended());
    refuses_connections(&server);
    assert!(server.is_running());
    assert_eq!(client.rest().len(), LENGTH);
    drop(client);
    assert_eq!(server.ended().code(), Some(0));
    let log = server.rest_of_log();
    assert!(log.iter().any(|line| line.ends_with(&format!("\"GET /large HTTP/1.1\" 200 {LENGTH}"))), "{log:?}");
}

fn ctrl_c_stops_an_idle_server(backend: &str) {
    let mut server = Server::start(backend, &[]);
    let _idle = server.connect();
    if !server.interrupt() {
        return;
    }
    assert_eq!(server.ended().code(), Some(0));
}

fn a_stop_has_an_end(backend: &str) {
    let (mut server, _client) = downloading(backend, &["--stop-timeout", "300ms"]);
    let started = Instant::now();
    if !server.terminate() {
        return;
    }
    assert_eq!(server.ended().code(), Some(0));
    assert!(started.elapsed() >= Duration::from_millis(300), "an answer was cut early");
}

fn a_second_signal_does_not_wait(backend: &str) {
    let (mut server, _client) = downloading(backend, &["--stop-timeout", "1h"]);
    if !server.interrupt() {
        return;
    }
    refuses_connections(&server);
    assert!(server.is_running());
    assert!(server.interrupt());
    assert_eq!(server.ended().code(), Some(0));
}

fn a_request_that_is_on_its_way_is_answered_as_the_last(backend: &str) {
    let mut server = Server::start(backend, &["--workers", "1"]);
    server.write("a.txt", "hello");
    let (mut idle, mut client) = (server.connect(), server.connect());
    assert_eq!(idle.get("/a.txt").text(), "hello");
    // The server has the first half for sure once it has answered what came before it.
    client.send("GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\nGET /a.txt HT");
    assert_eq!(client.response().text(), "hello");
    if !server.terminate() {
        return;
    }
    refuses_connections(&server);
    // Connections that are idle are closed when the worker has been told.
    assert_eq!(idle.rest(), b"");
    client.send("TP/1.1\r\nHost: test\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text(), response.field("connection")), ("hello", Some("close")));
    assert_eq!(client.rest(), b"");
    drop(client);
    assert_eq!(server.ended().code(), Some(0));
}

fn a_log_that_nobody_reads_stops_nothing(backend: &str) {
    let mut server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    server.close_log();
    let mut client = server.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/a.txt").text(), "hello");
    }
    drop(client);
    assert_eq!(server.stop(), "");
}
