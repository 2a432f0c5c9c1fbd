//! The hand-written loops that Anyport is measured against: the same work on the same system calls, with nothing in
//! between, each as good as its author can make it. They serve the benchmarks and nobody else, so they may
//! assume what a benchmark guarantees: a fixed number of peers that behave.

pub mod buf_ring;
pub mod channel;
pub mod epoll;
pub mod multishot;
pub mod nop;
pub mod read;
pub mod ring;
pub mod timers;
pub mod uring;

use std::io;
use std::net::{TcpListener, TcpStream};

/// An echo server: takes this many connections from the listener and echoes until all of them are closed.
pub type Serve = fn(TcpListener, usize) -> io::Result<()>;

/// The largest message that is read at once.
pub const CHUNK: usize = 16 * 1024;

/// Takes `connections` connections, without Nagle's delay.
fn accept(listener: &TcpListener, connections: usize) -> io::Result<Vec<TcpStream>> {
    let accept = || {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        Ok(socket)
    };
    (0..connections).map(|_| accept()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::thread;
    use std::time::Duration;

    /// The servers by name; those on io_uring only where it is not refused.
    fn servers() -> Vec<(&'static str, Serve)> {
        let mut servers: Vec<(&str, Serve)> = vec![("epoll", epoll::serve)];
        match ring::bare(8) {
            Ok(_) => servers.extend([("io_uring", uring::serve as Serve), ("multishot", multishot::serve)]),
            Err(error) => println!("skipped: io_uring: {error}"),
        }
        servers
    }

    #[test]
    fn a_peer_that_reads_late_gets_every_byte_back_in_order() {
        let sent: Vec<u8> = (0..8_000_000_u32).map(|place| (place / 7) as u8).collect();
        for (name, serve) in servers() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = thread::spawn(move || serve(listener, 1));
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
            let server = thread::spawn(move || serve(listener, 3));
            let mut peers: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
            while let Some(mut peer) = peers.pop() {
                let mut echoed = [0; 5];
                peer.write_all(&name.as_bytes()[..4]).unwrap();
                peer.read_exact(&mut echoed[..4]).unwrap();
                assert_eq!(echoed[..4], name.as_bytes()[..4]);
                assert!(!server.is_finished(), "{name} left its peers");
            }
            server.join().unwrap().unwrap();
        }
    }
}
