//! A load for large files: connections that ask for one again and again and take it without a copy.
//!
//! wrk(1) takes an answer in pieces of 8 KiB and copies each: with files of 100 MB its core is full while the server's is idle
//! for more than half of the time, and every server waits for it. This load has the kernel discard what arrives
//! (`MSG_TRUNC`, tcp(7)).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::net::{RecvFlags, recv};

/// Bytes that are discarded at once, at most.
const PIECE: usize = 1 << 20;

/// A server from which nothing comes for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
pub(crate) struct Told<P> {
    /// Files, with the parts of files at both ends of the window.
    pub files: f64,
    pub wall: Duration,
    /// What the probe said at the beginning and the end.
    pub usage: (P, P),
    /// How long each file took that was whole within the window, in nanoseconds.
    pub latencies: Histogram<u64>,
}

/// What the connections share. A file that begins when it counts and ends before it is over has all of its bytes counted.
#[derive(Default)]
struct Progress {
    /// Bytes that have come.
    taken: AtomicU64,
    counts: AtomicBool,
    over: AtomicBool,
}

/// Asks for a file of `size` bytes on each of some connections for a while, the beginning of which does not count.
pub(crate) fn download<P>(
    addr: SocketAddr,
    path: &str,
    size: usize,
    connections: usize,
    (ramp, window): (Duration, Duration),
    probe: impl Fn() -> io::Result<P>,
) -> io::Result<Told<P>> {
    let progress = Progress::default();
    thread::scope(|scope| {
        let progress = &progress;
        let clients = (0..connections).map(|_| {
            scope.spawn(move || {
                let told = client(addr, path, size, progress);
                // Who fails ends it for all.
                progress.over.fetch_or(told.is_err(), SeqCst);
                told
            })
        });
        let clients: Vec<_> = clients.collect();
        let measured = (|| {
            thread::sleep(ramp);
            let (start, first, before) = (Instant::now(), progress.taken.load(SeqCst), probe()?);
            progress.counts.store(true, SeqCst);
            thread::sleep(window);
            progress.over.store(true, SeqCst);
            let (wall, last, after) = (start.elapsed(), progress.taken.load(SeqCst), probe()?);
            io::Result::Ok(((last - first) as f64 / size as f64, wall, (before, after)))
        })();
        // Also where the probe has failed.
        progress.over.store(true, SeqCst);
        let mut latencies = Histogram::new(3).map_err(io::Error::other)?;
        for client in clients {
            let own = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            own.into_iter().try_for_each(|time| latencies.record(time)).map_err(io::Error::other)?;
        }
        let (files, wall, usage) = measured?;
        Ok(Told { files, wall, usage, latencies })
    })
}

/// One connection; returns how long files took that were whole while it counted.
fn client(addr: SocketAddr, path: &str, size: usize, progress: &Progress) -> io::Result<Vec<u64>> {
    let Progress { taken, counts, over } = progress;
    let mut peer = TcpStream::connect(addr)?;
    peer.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; PIECE];
    let mut latencies = Vec::new();
    while !over.load(SeqCst) {
        let (counted, start) = (counts.load(SeqCst), Instant::now());
        write!(peer, "GET /{path} HTTP/1.1\r\nHost: {addr}\r\n\r\n")?;
        let arrived = head(&mut peer, &mut buffer, size)?;
        taken.fetch_add(arrived as u64, SeqCst);
        let mut left = size - arrived;
        while left > 0 && !over.load(SeqCst) {
            let most = left.min(PIECE);
            let (_, arrived) = recv(&peer, &mut buffer[..most], RecvFlags::TRUNC)?;
            if arrived == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            taken.fetch_add(arrived as u64, SeqCst);
            left -= arrived;
        }
        if counted && left == 0 && !over.load(SeqCst) {
            latencies.push(start.elapsed().as_nanos() as u64);
        }
    }
    Ok(latencies)
}

/// Reads the head of an answer, which is to promise so many bytes; returns how many of them came along.
fn head(peer: &mut TcpStream, buffer: &mut [u8], size: usize) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let arrived = peer.read(&mut buffer[length..])?;
        if arrived == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += arrived;
        let Some(end) = buffer[..length].windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let promised = head.lines().any(|line| {
            line.split_once(':')
                .is_some_and(|(name, value)| name == "content-length" && value.trim() == size.to_string())
        });
        if !head.starts_with("http/1.1 200") || !promised {
            return Err(io::Error::other(format!("not the file of {size} bytes that was asked for: {head}")));
        }
        return Ok(length - end - 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers each request on one connection with `head` and so many bytes.
    fn serve(head: &'static str, body: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || -> io::Result<()> {
            let (mut peer, _) = listener.accept()?;
            while peer.read(&mut [0; 1024])? > 0 {
                peer.write_all(head.as_bytes())?;
                peer.write_all(&vec![b'x'; body])?;
            }
            Ok(())
        });
        addr
    }

    const TIMES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

    #[test]
    fn files_are_counted_and_timed() {
        let addr = serve("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", 3_000_000);
        let told = download(addr, "large", 3_000_000, 1, TIMES, || Ok(())).unwrap();
        assert!(told.files > 0.0 && told.wall >= TIMES.1);
        assert!(told.latencies.is_empty() || told.latencies.max() > 1000, "nanoseconds");
        assert!(told.latencies.len() as f64 <= told.files);
    }

    #[test]
    fn another_answer_than_the_file_is_an_error() {
        for head in
            ["HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
        {
            let told = download(serve(head, 10), "large", 10, 1, TIMES, || Ok(()));
            assert!(told.is_err_and(|error| error.to_string().contains("asked for")), "{head}");
        }
    }
}
