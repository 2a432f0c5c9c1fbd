//! What is under a target: files of any size, folders, and what is neither.

use std::fs::{self, OpenOptions};

use crate::client::Client;
use crate::server::Server;
use crate::system;

on_each_backend! {
    a_file_of_any_size_arrives_whole,
    a_folder_has_its_index_page_or_a_listing,
    a_folder_without_a_slash_is_redirected,
    a_listing_escapes_names_and_its_links_work,
    what_is_not_there_or_not_allowed_is_said,
    a_fifo_stops_nobody,
    a_file_that_shrinks_ends_the_connection_early,
    many_clients_get_what_they_asked_for,
    a_change_is_seen_by_the_next_request,
    a_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was,
}

fn a_file_of_any_size_arrives_whole(backend: &str) {
    let server = Server::start(backend, &[]);
    let mut client = server.connect();
    // Around the chunk size with a head of some 250 bytes in the first, and well beyond.
    for size in [0, 1, 65_000, 65_200, 65_300, 65_400, 65_535, 65_536, 65_537, 131_072, 5_000_001] {
        let content: Vec<u8> = (0..size as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        server.write("file", &content);
        let response = client.get("/file");
        assert_eq!(response.status, 200);
        assert!(response.body == content, "{size} bytes arrive changed");
    }
}

fn a_folder_has_its_index_page_or_a_listing(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("with/index.html", "<p>index");
    server.write("without/a.txt", "a");
    let mut client = server.connect();
    let response = client.get("/with/");
    assert_eq!((response.text(), response.field("content-type")), ("<p>index", Some("text/html; charset=utf-8")));
    assert!(response.field("etag").is_some());
    let response = client.get("/without/");
    assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.text().contains("<a href=\"a.txt\">a.txt</a>"));
    let response = client.get("/");
    assert!(response.text().contains("<a href=\"with/\">with/</a>"));
}

fn a_folder_without_a_slash_is_redirected(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a b/c/index.html", "c");
    server.write("example.org/x", "x");
    let mut client = server.connect();
    for (target, location) in
        [("/a%20b/c", "/a%20b/c/"), ("/a%20b?x=/y", "/a%20b/?x=/y"), ("//example.org", "/example.org/")]
    {
        let response = client.get(target);
        assert_eq!((response.status, response.field("location")), (301, Some(location)));
    }
}

fn a_listing_escapes_names_and_its_links_work(backend: &str) {
    let server = Server::start(backend, &[]);
    let names = system::ODD_NAMES;
    for name in names {
        server.write(&format!("sub/{name}"), name);
    }
    let mut client = server.connect();
    let page = client.get("/sub/").text().to_owned();
    assert!(!page.contains("<b>"));
    let links: Vec<&str> = page.split("<tbody>").nth(1).unwrap().split("href=\"").skip(2).collect();
    assert_eq!(links.len(), names.len());
    let mut found: Vec<String> = links
        .iter()
        .map(|link| link.split('"').next().unwrap())
        .map(|link| client.get(&format!("/sub/{link}")).text().to_owned())
        .collect();
    let mut expected = names.to_vec();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

fn what_is_not_there_or_not_allowed_is_said(backend: &str) {
    let server = Server::start(backend, &[]);
    server.write("a.txt", "hello");
    let mut client = server.connect();
    for target in ["/none", "/a.txt/", "/a.txt/b", "/a%2ftxt", "/%00"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    server.write("secret", "x");
    if system::hide(&server.root().join("secret")) {
        assert_eq!(client.get("/secret").status, 403);
    }
}

fn a_fifo_stops_nobody(backend: &str) {
    let server = Server::start(backend, &["--workers", "1"]);
    server.write("a.txt", "hello");
    let fifo = server.root().join("fifo");
    if !system::make_fifo(&fifo) {
        return;
    }
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/fifo").status, 403);
    }
    assert_eq!(client.get("/a.txt").text(), "hello");
}

fn a_file_that_shrinks_ends_the_connection_early(backend: &str) {
    let server = Server::start(backend, &[]);
    const LENGTH: u64 = 64 << 20;
    let file = fs::File::create(server.root().join("file")).unwrap();
    file.set_len(LENGTH).unwrap();
    let mut client = server.connect();
    client.send("GET /file HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().field("content-length"), Some(LENGTH.to_string().as_str()));
    OpenOptions::new().write(true).open(server.root().join("file")).unwrap().set_len(1000).unwrap();
    let rest = client.rest();
    assert!((rest.len() as u64) < LENGTH, "bytes that are not in the file were sent");
    assert_eq!(server.connect().get("/file").body.len(), 1000);
    assert!(server.stop().contains("could not be read to its end"));
}

fn many_clients_get_what_they_asked_for(backend: &str) {
    let server = Server::start(backend, &[]);
    let content = |n: usize| vec![b'a' + n as u8; n * 30_000 + 1];
    for n in 0..10 {
        server.write(&n.to_string(), content(n));
    }
    std::thread::scope(|scope| {
        for start in 0..20 {
            let address = server.address();
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for n in 0..30 {
                    let n = (start + n * 3) % 10;
                    let body = client.get(&format!("/{n}")).body;
                    assert!(body == content(n), "the answer is another file's");
                }
            });
        }
    });
}

fn a_change_is_seen_by_the_next_request(backend: &str) {
    let server = Server::start(backend, &["--workers", "1"]);
    let (mut one, mut other) = (server.connect(), server.connect());
    for n in 0..200 {
        let content = n.to_string();
        server.write("file", &content);
        assert_eq!(one.get("/file").text(), content);
        assert_eq!(other.get("/file").text(), content);
        if n % 10 == 9 {
            fs::remove_file(server.root().join("file")).unwrap();
            assert_eq!(one.get("/file").status, 404);
        }
    }
}

fn a_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was(backend: &str) {
    const LENGTH: usize = 20 << 20;
    let server = Server::start(backend, &[]);
    server.write("file", vec![b'a'; LENGTH]);
    let mut client = server.connect();
    client.send("GET /file HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().field("content-length"), Some(LENGTH.to_string().as_str()));
    server.write("other", vec![b'b'; 2 * LENGTH]);
    if !system::replace(&server.root().join("other"), &server.root().join("file")) {
        return;
    }
    let body = client.rest();
    assert!(body.len() == LENGTH && body.iter().all(|&byte| byte == b'a'));
    assert_eq!(server.connect().get("/file").body.len(), 2 * LENGTH);
}
