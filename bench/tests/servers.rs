//! Every server, as the benchmark starts it: it echoes what it is sent, whatever its peers do.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyport_bench::server::process::{Kind, Process};
use anyport_bench::server::{ALL, Server};
use measure::affinity::Cores;
use measure::load::exchange;
use measure::work::Work;
use socket2::SockRef;

const SOON: Option<Duration> = Some(Duration::from_secs(60));

/// Runs `test` with each server of this machine.
fn each(kind: Kind, work: Work, test: impl Fn(&Server, &Process)) {
    for server in ALL {
        if let Err(why) = (server.here)() {
            println!("skipped: {}: {why}", server.name);
            continue;
        }
        let core = Cores::choose().unwrap().server;
        let process = Process::start(Path::new(env!("CARGO_BIN_EXE_anyport-bench")), server.name, kind, &work, core);
        test(server, &process.unwrap_or_else(|error| panic!("{}: {error}", server.name)));
    }
}

fn work(connections: usize, message: usize) -> Work {
    Work { total: usize::MAX, ..Work::once(connections, message) }
}

fn connect(process: &Process) -> TcpStream {
    let socket = TcpStream::connect(process.addr).unwrap();
    socket.set_read_timeout(SOON).unwrap();
    socket.set_write_timeout(SOON).unwrap();
    socket
}

/// A receive with a time limit is not repeated by the system after an interruption.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[test]
fn messages_of_every_size_come_back_on_every_connection() {
    for message in [1, 64, 64 * 1024] {
        each(Kind::Tcp, work(20, message), |server, process| {
            let mut peers: Vec<_> = (0..20).map(|_| connect(process)).collect();
            let mut echoed = vec![0; message];
            for round in 0..3 {
                for (place, peer) in peers.iter_mut().enumerate() {
                    let mark = round << 8 | place as u64;
                    exchange(peer, &vec![7; message], mark, &mut echoed)
                        .unwrap_or_else(|error| panic!("{}, {message} B: {error}", server.name));
                }
            }
        });
    }
}

#[test]
fn a_peer_that_reads_late_gets_every_byte_back_in_order() {
    let sent: Vec<u8> = (0..4_000_000_u32).map(|place| (place / 7) as u8).collect();
    each(Kind::Tcp, work(1, 64), |server, process| {
        let mut writer = connect(process);
        let mut reader = writer.try_clone().unwrap();
        let mut echoed = vec![0; sent.len()];
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&sent).unwrap());
            // By now the server's socket is full.
            thread::sleep(Duration::from_millis(100));
            reader.read_exact(&mut echoed).unwrap_or_else(|error| panic!("{}: {error}", server.name));
        });
        assert!(echoed == sent, "{} mixed up the bytes", server.name);
    });
}

#[test]
fn the_end_of_a_stream_is_answered_with_the_end() {
    each(Kind::Tcp, work(4, 64), |server, process| {
        let mut peer = connect(process);
        peer.write_all(b"the last words").unwrap();
        let mut echoed = [0; 14];
        peer.read_exact(&mut echoed).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{}: {error}", server.name));
        assert!(rest.is_empty(), "{}", server.name);
    });
}

#[test]
fn peers_that_come_and_go_leave_nothing_open() {
    each(Kind::Tcp, work(16, 64), |server, process| {
        let open = || std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
        let mut echoed = [0; 64];
        let mut before = None;
        for number in 0..100 {
            let mut peer = connect(process);
            exchange(&mut peer, &[1; 64], number, &mut echoed)
                .unwrap_or_else(|error| panic!("{}: {error}", server.name));
            before.get_or_insert_with(open);
            if number % 2 == 0 {
                // Gone with a reset.
                SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        // The server closes when it learns of it.
        let most = before.expect("there were peers");
        let closed = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            open() <= most
        });
        assert!(closed, "{}: {} descriptors, {most} with the first peer", server.name, open());
    });
}

#[test]
fn more_peers_than_are_active_are_served_with_the_buffers_of_these() {
    let work = Work { active: 4, ..work(200, 64) };
    each(Kind::Tcp, work, |server, process| {
        let mut peers: Vec<_> = (0..200).map(|_| connect(process)).collect();
        let mut echoed = [0; 64];
        for (place, peer) in peers.iter_mut().enumerate() {
            exchange(peer, &[3; 64], place as u64, &mut echoed)
                .unwrap_or_else(|error| panic!("{}: {error}", server.name));
        }
    });
}

#[test]
fn datagrams_go_back_to_where_they_came_from() {
    each(Kind::Udp, work(8, 1000), |server, process| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                socket.connect(process.addr).unwrap();
                socket.set_read_timeout(SOON).unwrap();
                socket
            })
            .collect();
        for round in 0..50_u8 {
            // All of them are under way at once; no two are alike, not even in length.
            let message = |place: usize| vec![round; 1 + place * 100];
            for (place, client) in clients.iter().enumerate() {
                client.send(&message(place)).unwrap();
            }
            for (place, client) in clients.iter().enumerate() {
                let mut echoed = [0; 2000];
                let length = receive(client, &mut echoed).unwrap_or_else(|error| panic!("{}: {error}", server.name));
                assert_eq!(echoed[..length], message(place), "{}", server.name);
            }
        }
    });
}

#[test]
fn a_sink_answers_nothing_and_goes_on() {
    each(Kind::Sink, work(1, 64), |server, process| {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(process.addr).unwrap();
        // More than any queue or pool holds.
        for _ in 0..5000 {
            client.send(&[5; 64]).unwrap_or_else(|error| panic!("{}: {error}", server.name));
        }
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(client.recv(&mut [0; 64]).is_err(), "{} answers", server.name);
        // All that it got it takes in the end: its socket's queue, the fifth column, is empty.
        let port = format!(":{:04X}", process.addr.port());
        let empty = || {
            let table = std::fs::read_to_string("/proc/net/udp").unwrap();
            let line = table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|at| at.ends_with(&port)));
            line.is_some_and(|line| line.split_whitespace().nth(4).is_some_and(|queues| queues.ends_with(":00000000")))
        };
        let taken = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            empty()
        });
        assert!(taken, "{} takes no more", server.name);
    });
}
