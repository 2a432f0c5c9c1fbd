//! Pooled receives that tell the sender, on Unix sockets: names that are paths, senders without a name, connections of
//! packets.

use anyport::buf::PoolBuf;
use anyport::{Backend, Port, Token, op};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_sender_is_named_by_its_path,
        a_sender_without_a_name_sends_empty_datagrams_too,
        a_connection_of_packets_has_an_end,
        a_name_is_none_of_an_earlier_operation,
    ]
}

/// On ports of all flavours: the next datagram, by one receive for many and by a receive for each.
fn on_each(backend: Backend, mut check: impl FnMut(&str, &mut Port, bool)) {
    for (flavour, builder) in flavours(backend) {
        for multi in [false, true] {
            let mut port = builder.clone().pool(4, 64).build().expect("a port");
            check(&format!("{flavour}, multishot: {multi}"), &mut port, multi);
        }
    }
}

#[track_caller]
fn next(port: &mut Port, on: anyport::Handle, multi: bool) -> (PoolBuf, SockAddr, bool) {
    if !multi {
        port.submit(op::RecvFromPooled::new(on), Token(1));
    }
    let done = one(port);
    let more = done.more();
    let (buf, from) = match multi {
        true => done.unpack::<op::RecvFromPooledMulti>().expect("a datagram"),
        false => done.unpack::<op::RecvFromPooled>().expect("a datagram"),
    };
    (buf, from, more)
}

fn a_sender_is_named_by_its_path(backend: Backend) {
    on_each(backend, |what, port, multi| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let receiver = UnixDatagram::bind(path("receiver")).expect("bind");
        let on = port.attach(receiver).expect("attach");
        if multi {
            port.submit(op::RecvFromPooledMulti::new(on), Token(1));
        }
        // The longest that there can be is one that fits.
        let most = if cfg!(target_os = "linux") { 107 } else { 103 };
        let long = "x".repeat(most - folder.path().as_os_str().len() - 1);
        for name in ["a", "another sender", &long] {
            let sender = UnixDatagram::bind(path(name)).expect("bind");
            sender.send_to(name.as_bytes(), path("receiver")).expect("send");
            let (buf, from, more) = next(port, on, multi);
            let cut = &name.as_bytes()[..name.len().min(64)];
            assert_eq!((&*buf, from.as_pathname(), more), (cut, Some(&*path(name)), multi), "{what}");
        }
    });
}

fn a_sender_without_a_name_sends_empty_datagrams_too(backend: Backend) {
    on_each(backend, |what, port, multi| {
        let (near, far) = unix_datagram_pair();
        let on = port.attach(near).expect("attach");
        if multi {
            port.submit(op::RecvFromPooledMulti::new(on), Token(1));
        }
        for bytes in [&b""[..], b"one", b"", b"", b"two"] {
            assert_eq!(far.send(bytes).expect("send"), bytes.len());
            let (buf, from, more) = next(port, on, multi);
            assert_eq!((&*buf, from.as_pathname(), more), (bytes, None, multi), "{what}");
        }
    });
}

fn a_connection_of_packets_has_an_end(backend: Backend) {
    let pair = || Socket::pair(Domain::UNIX, Type::SEQPACKET, None);
    if pair().is_err() {
        skip_elsewhere("this system has no connections of packets");
    }
    on_each(backend, |what, port, multi| {
        let (near, far) = pair().expect("a pair");
        let on = port.attach(near).expect("attach");
        if multi {
            port.submit(op::RecvFromPooledMulti::new(on), Token(1));
        }
        for bytes in [&b"one"[..], b"two"] {
            far.send(bytes).expect("send");
            let (buf, _, more) = next(port, on, multi);
            assert_eq!((&*buf, more), (bytes, multi), "{what}");
        }
        drop(far);
        let (buf, _, more) = next(port, on, multi);
        assert_eq!((buf.len(), more, port.in_flight()), (0, false, 0), "{what}");
    });
}

/// The memory for a name is used again and again.
fn a_name_is_none_of_an_earlier_operation(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let (here, there) = udp_unconnected();
        there.send_to(b"named", here.local_addr().expect("an address")).expect("send");
        let on = port.attach(here).expect("attach");
        port.submit(op::RecvFrom::new(on, [0; 8]), Token(1));
        let (_, from) = one(&mut port).unpack::<op::RecvFrom<[u8; 8]>>().0.expect("a datagram");
        assert!(from.as_socket().is_some(), "{flavour}");
        let (reader, mut writer) = pipe();
        std::io::Write::write_all(&mut writer, b"nobody's").expect("write");
        let on = port.attach(reader).expect("attach");
        port.submit(op::RecvFrom::new(on, [0; 8]), Token(1));
        let (n, from) = one(&mut port).unpack::<op::RecvFrom<[u8; 8]>>().0.expect("data");
        assert_eq!((n, from.as_socket()), (8, None), "{flavour}");
    }
}
