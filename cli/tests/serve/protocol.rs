//! Requests and answers: methods, persistence, pipelining, framing, conditions and ranges.

use crate::server::Server;

on_each_backend! {
    a_file_is_served_with_its_type_and_validators,
    head_has_no_content_and_keeps_the_connection_in_step,
    other_methods_are_not_allowed,
    pipelined_requests_are_answered_in_order,
    a_request_may_come_in_any_pieces,
    http_1_0_closes_unless_it_asks_to_stay,
    connection_close_is_honoured,
    a_malformed_request_is_refused_and_ends_the_connection,
    content_is_refused_and_never_taken_for_a_request,
    oversized_heads_are_refused,
    conditional_requests_save_the_content,
    ranges_are_cut_from_the_file,
    each_request_has_a_line_in_the_log,
}

const HOST: &str = "Host: test\r\n";

fn a_file_is_served_with_its_type_and_validators(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a b/é.html", "<p>hello");
    let response = server.connect().get("/a%20b/%C3%A9.html");
    assert_eq!((response.status, response.text()), (200, "<p>hello"));
    assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.field("accept-ranges"), Some("bytes"));
    assert!(response.field("etag").unwrap().starts_with('"'));
    for date in ["date", "last-modified"] {
        assert!(response.field(date).unwrap().ends_with(" GMT"));
    }
    assert_eq!(response.field("connection"), None);
}

fn head_has_no_content_and_keeps_the_connection_in_step(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    for (target, status, length) in [("/a.txt", 200, Some("5")), ("/", 200, None), ("/none", 404, None)] {
        client.send(format!("HEAD {target} HTTP/1.1\r\n{HOST}\r\n"));
        let head = client.head();
        assert_eq!(head.status, status);
        assert!(head.field("content-length").is_some_and(|is| length.is_none_or(|length| is == length)));
    }
    assert_eq!(client.get("/a.txt").text(), "hello");
    assert_eq!(client.received(), b"");
}

fn other_methods_are_not_allowed(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO", "get"] {
        client.send(format!("{method} /a.txt HTTP/1.1\r\n{HOST}\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(client.get("/a.txt").text(), "hello");
}

fn pipelined_requests_are_answered_in_order(backend: &str) {
    let server = Server::start(backend, &[]);
    // Some of them longer than what is read and sent at a time.
    let contents: Vec<Vec<u8>> = (0..50).map(|n| vec![b'a' + n % 26; usize::from(n) * 4000]).collect();
    for (n, content) in contents.iter().enumerate() {
        server.write(&n.to_string(), content);
    }
    let mut client = server.connect();
    let mut requests = String::new();
    for n in 0..contents.len() {
        requests += &format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n");
        if n % 7 == 0 {
            requests += &format!("GET /none HTTP/1.1\r\n{HOST}\r\n");
        }
    }
    client.send(requests);
    for (n, content) in contents.iter().enumerate() {
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.body == *content, "answer {n} is another file's");
        if n % 7 == 0 {
            assert_eq!(client.response().status, 404);
        }
    }
    assert_eq!(client.received(), b"");
}

fn a_request_may_come_in_any_pieces(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    let request = format!("\r\nGET /a.txt HTTP/1.1\r\n{HOST}\r\n");
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().text(), "hello");
    // One request and a half, then the other half.
    let (half, other_half) = request.split_at(20);
    client.send(format!("{request}{half}"));
    assert_eq!(client.response().text(), "hello");
    client.send(other_half);
    assert_eq!(client.response().text(), "hello");
}

fn http_1_0_closes_unless_it_asks_to_stay(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (200, Some("keep-alive")));
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (200, Some("close")));
    assert_eq!(client.rest(), b"");
}

fn connection_close_is_honoured(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    // What is pipelined behind it is not answered, and does not harm the answer on its way.
    client.send(format!("GET /a.txt HTTP/1.1\r\n{HOST}Connection: close\r\n\r\nGET /a.txt HTTP/1.1\r\n{HOST}\r\n"));
    let response = client.response();
    assert_eq!((response.text(), response.field("connection")), ("hello", Some("close")));
    assert_eq!(client.rest(), b"");
}

fn a_malformed_request_is_refused_and_ends_the_connection(backend: &str) {
    let server = Server::start(backend, &[]);
    for (request, status) in [
        ("GET /\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nBad Field: b\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = server.connect();
        client.send(request);
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (status, Some("close")), "{request:?}");
        assert_eq!(client.rest(), b"", "{request:?}");
    }
}

fn content_is_refused_and_never_taken_for_a_request(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let hidden = format!("GET /a.txt HTTP/1.1\r\n{HOST}\r\n");
    let length = hidden.len();
    for (method, fields, status) in [
        ("GET", format!("Content-Length: {length}\r\n"), 413),
        ("HEAD", format!("Content-Length: {length}\r\n"), 413),
        ("POST", format!("Content-Length: {length}\r\n"), 405),
        ("GET", "Transfer-Encoding: chunked\r\n".into(), 413),
        ("POST", "Transfer-Encoding: chunked\r\n".into(), 405),
        ("GET", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), 400),
        ("GET", "Transfer-Encoding: identity\r\n".into(), 400),
        ("GET", format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), 400),
        ("GET", format!("Content-Length: +{length}\r\n"), 400),
    ] {
        let mut client = server.connect();
        client.send(format!("{method} /a.txt HTTP/1.1\r\n{HOST}{fields}\r\n{hidden}"));
        let rest = client.rest();
        let text = String::from_utf8(rest).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {fields:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{method} {fields:?}: {text}");
        assert!(text.contains("Connection: close\r\n"));
    }
    // An empty content is none.
    let mut client = server.connect();
    assert_eq!(client.get_with("/a.txt", "Content-Length: 0\r\n").status, 200);
    assert_eq!(client.get("/a.txt").status, 200);
}

fn oversized_heads_are_refused(backend: &str) {
    let server = Server::start(backend, &[]);
    let long = "a".repeat(10_000);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\n{HOST}\r\n"), 414),
        (format!("GET /{long}"), 414),
        (format!("GET / HTTP/1.1\r\n{HOST}X: {long}\r\nY: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{HOST}X: {long}{long}"), 431),
        (format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "A: b\r\n".repeat(200)), 431),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (status, Some("close")));
        assert_eq!(client.rest(), b"");
    }
}

fn conditional_requests_save_the_content(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    let first = client.get("/a.txt");
    let etag = first.field("etag").unwrap().to_owned();
    let modified = first.field("last-modified").unwrap().to_owned();
    const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: \"x\", W/{etag}\r\n"), 304),
        ("If-None-Match: \"x\"\r\n".into(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}\r\n"), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Modified-Since: {LONG_AGO}\r\n"), 200),
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".into(), 412),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 412),
        (format!("If-Unmodified-Since: {LONG_AGO}\r\n"), 412),
        (format!("If-Unmodified-Since: {modified}\r\n"), 200),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: {LONG_AGO}\r\n"), 200),
    ] {
        let response = client.get_with("/a.txt", &fields);
        assert_eq!(response.status, status, "{fields:?}");
        if status == 304 {
            assert_eq!(response.field("etag"), Some(etag.as_str()));
            assert_eq!(response.field("content-length"), None);
        }
    }
    server.write("a.txt", "hello again");
    let response = client.get_with("/a.txt", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((response.status, response.text()), (200, "hello again"));
    assert_ne!(response.field("etag"), Some(etag.as_str()));
}

fn ranges_are_cut_from_the_file(backend: &str) {
    let server = Server::start(backend, &[]);
    let content: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    server.write("a.bin", &content);
    let mut client = server.connect();
    for (range, from, to) in [
        ("0-0", 0, 1),
        ("1000-250000", 1000, 250_001),
        ("299999-", 299_999, 300_000),
        ("-70000", 230_000, 300_000),
        ("5-999999999999999999999", 5, 300_000),
    ] {
        let response = client.get_with("/a.bin", &format!("Range: bytes={range}\r\n"));
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.field("content-range"), Some(format!("bytes {from}-{}/300000", to - 1).as_str()));
        assert!(response.body == content[from..to], "{range}");
    }
    for unsatisfiable in ["300000-", "-0"] {
        let response = client.get_with("/a.bin", &format!("Range: bytes={unsatisfiable}\r\n"));
        assert_eq!((response.status, response.field("content-range")), (416, Some("bytes */300000")));
    }
    for whole in ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes=x"] {
        let response = client.get_with("/a.bin", &format!("Range: {whole}\r\n"));
        assert!(response.status == 200 && response.body == content, "{whole}");
    }
    let etag = client.get("/a.bin").field("etag").unwrap().to_owned();
    let response = client.get_with("/a.bin", &format!("Range: bytes=0-1\r\nIf-Range: {etag}\r\n"));
    assert_eq!(response.status, 206);
    let response = client.get_with("/a.bin", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n");
    assert_eq!(response.status, 200);
    client.send(format!("HEAD /a.bin HTTP/1.1\r\n{HOST}Range: bytes=0-1\r\n\r\n"));
    assert_eq!(client.head().status, 200);
}

fn each_request_has_a_line_in_the_log(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    client.get("/a.txt");
    client.get_with("/a.txt", "Range: bytes=1-2\r\n");
    client.get("/none\"x");
    client.send("nonsense\x1b\r\n\r\n");
    client.response();
    for (request, end) in [
        ("GET /a.txt HTTP/1.1", "\" 200 5"),
        ("GET /a.txt HTTP/1.1", "\" 206 2"),
        ("GET /none\\\"x HTTP/1.1", "\" 404 "),
        ("nonsense\\u{1b}", "\" 400 "),
    ] {
        let line = server.log_line();
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(line.contains(&format!("] \"{request}{end}")), "{line}");
    }
}
