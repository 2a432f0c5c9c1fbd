//! The hand-written loops that Anyport is measured against: the same work on the same system calls, with nothing in
//! between, each as good as its author can make it. They serve the benchmarks and nobody else, so they may
//! assume what a benchmark guarantees: so many peers at once, that behave.

#[cfg_attr(windows, path = "windows/bell.rs")]
pub mod bell;
pub mod block;
#[cfg(target_os = "linux")]
pub mod buf_ring;
pub mod channel;
#[cfg(windows)]
#[path = "windows/completion_port.rs"]
pub mod completion_port;
#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(windows)]
#[path = "windows/iocp.rs"]
pub mod iocp;
#[cfg(target_os = "linux")]
pub mod multishot;
#[cfg_attr(windows, path = "windows/nop.rs")]
pub mod nop;
#[cfg_attr(windows, path = "windows/read.rs")]
pub mod read;
#[cfg(target_os = "linux")]
pub mod ring;
#[cfg_attr(windows, path = "windows/servers.rs")]
pub mod servers;
pub mod timers;
#[cfg(target_os = "linux")]
pub mod udp;
#[cfg(target_os = "linux")]
pub mod uring;

use std::io;
use std::net::TcpListener;

use crate::work::Work;

/// An echo server: takes connections from the listener and echoes until [`Work::total`] of them have come and gone. An error of
/// a connection ends that connection.
pub type Serve = fn(TcpListener, &Work) -> io::Result<()>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::thread;
    use std::time::Duration;

    /// The servers that run here.
    fn servers() -> Vec<(&'static str, Serve)> {
        let mut servers = servers::ALL.to_vec();
        servers.retain(|(name, _)| match servers::refusal(name) {
            None => true,
            Some(why) => {
                println!("skipped: {name}: {why}");
                false
            }
        });
        servers
    }

    #[test]
    fn a_peer_that_reads_late_gets_every_byte_back_in_order() {
        let sent: Vec<u8> = (0..8_000_000_u32).map(|place| (place / 7) as u8).collect();
        for (name, serve) in servers() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = thread::spawn(move || serve(listener, &Work::once(1, 64)));
            let mut writer = TcpStream::connect(addr).unwrap();
            let mut reader = writer.try_clone().unwrap();
            let mut echoed = vec![0; sent.len()];
            thread::scope(|scope| {
                scope.spawn(|| writer.write_all(&sent).unwrap());
                // By now the server's socket is full.
                thread::sleep(Duration::from_millis(100));
                reader.read_exact(&mut echoed).unwrap();
            });
            assert!(echoed == sent, "{name} mixed up the bytes");
            reader.shutdown(Shutdown::Both).unwrap();
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_server_ends_when_all_its_peers_have_gone() {
        for (name, serve) in servers() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = thread::spawn(move || serve(listener, &Work::once(3, 64)));
            let mut peers: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
            while let Some(mut peer) = peers.pop() {
                let mut echoed = [0; 5];
                peer.write_all(&name.as_bytes()[9..13]).unwrap();
                peer.read_exact(&mut echoed[..4]).unwrap();
                assert_eq!(echoed[..4], name.as_bytes()[9..13]);
                assert!(!server.is_finished(), "{name} left its peers");
            }
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn peers_that_come_one_after_the_other_are_all_served() {
        for (name, serve) in servers() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let work = Work { total: 50, ..Work::once(2, 64) };
            let server = thread::spawn(move || serve(listener, &work));
            for number in 0..50_u8 {
                let mut peer = TcpStream::connect(addr).unwrap();
                let mut echoed = [0; 64];
                peer.write_all(&[number; 64]).unwrap();
                peer.read_exact(&mut echoed).unwrap();
                assert_eq!(echoed, [number; 64], "{name}");
                if number % 2 == 0 {
                    // Gone with a reset.
                    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
            server.join().unwrap().unwrap();
        }
    }
}
