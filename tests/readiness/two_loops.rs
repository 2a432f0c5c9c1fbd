//! A port and a poller on one socket where neither can be a source of the other (Windows, poll(2)): `op::Ready` on the
//! port alone, or a thread that waits on the poller and posts to the port. Both work everywhere.

use std::io::{Read, Write};
use std::thread;

use anyport::poller::{Events, Interest, Mode};
use anyport::{Backend, Port, Token, op};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![what_a_poller_tells_a_port_tells_by_itself, a_thread_waits_for_the_port]
}

const SOCKET: u64 = 7;

fn ports() -> impl Iterator<Item = Port> {
    Backend::ALL.iter().filter(|backend| backend.check().is_ok()).map(|&backend| port(backend))
}

fn what_a_poller_tells_a_port_tells_by_itself(backend: Backend) {
    for mut port in ports() {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        let mut reader = near.try_clone().expect("a second handle of the socket");
        watch.add(&reader, 1, Interest::READABLE, Mode::Level).expect("add");
        let conn = port.attach(near).expect("attach");
        for round in 0..20 {
            port.submit(op::Ready::readable(conn), Token(round));
            watch.silent();
            far.write_all(b"x").expect("send");
            let done = one(&mut port);
            assert_eq!(done.token(), Token(round));
            done.unpack::<op::Ready>().expect("ready");
            assert_eq!(watch.one().key, 1);
            reader.read_exact(&mut [0]).expect("receive");
            // An event can come without need.
            watch.look();
        }
    }
}

fn a_thread_waits_for_the_port(backend: Backend) {
    for mut port in ports() {
        let poller = poller(backend).poller;
        let (near, mut far) = tcp_pair();
        let mut reader = near.try_clone().expect("a second handle of the socket");
        poller.add(&reader, SOCKET as usize, Interest::READABLE, Mode::Oneshot).expect("add");
        let conn = port.attach(near).expect("attach");
        let poster = port.poster();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut events = Events::new();
                // A notification ends it.
                while poller.wait(&mut events, None).expect("wait") > 0 {
                    for event in &events {
                        poster.post(Token(event.key as u64), ()).expect("the port is there");
                    }
                }
            });
            for round in 0..100 {
                port.submit(op::SendAll::new(conn, vec![round]), Token(u64::from(round) + 100));
                assert_eq!(one(&mut port).token(), Token(u64::from(round) + 100));
                let mut byte = [0];
                far.read_exact(&mut byte).expect("what the port has sent");
                far.write_all(&byte).expect("send it back");
                assert_eq!(one(&mut port).token(), Token(SOCKET));
                reader.read_exact(&mut byte).expect("receive");
                assert_eq!(byte, [round]);
                poller.modify(&reader, SOCKET as usize, Interest::READABLE, Mode::Oneshot).expect("modify");
            }
            poller.notify();
        });
    }
}
