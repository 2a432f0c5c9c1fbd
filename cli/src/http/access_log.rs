//! The access log: a line a request, in the Common Log Format.
//!
//! A worker collects the lines of one round of completions and hands them over in one piece; a
//! thread of its own writes them to stdout, because a terminal or a pipe may block and a worker
//! must not. When stdout stalls, lines beyond a bound are dropped and counted, and the count is
//! reported once it moves again; a reader that went away (`| head`) ends the log, not the server.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use jiff::Timestamp;

/// How many pieces may wait for stdout.
const BACKLOG: usize = 4096;
/// How much is written at a time, unless a piece is longer.
const BATCH: usize = 64 * 1024;
/// How long the thread that writes rests between two writes, and a line may be late by that.
const REST: Duration = Duration::from_millis(20);

/// A worker's end of the log.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    lines: String,
    count: u64,
    writer: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// Starts the thread that writes to `out`. It ends when the last [`AccessLog`] is gone and
/// everything is written.
pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<(AccessLog, JoinHandle<()>)> {
    let (writer, pieces) = sync_channel(BACKLOG);
    let dropped = Arc::new(AtomicU64::new(0));
    let log = AccessLog { lines: String::new(), count: 0, writer, dropped: Arc::clone(&dropped) };
    let thread =
        thread::Builder::new().name("access log".into()).spawn(move || drop(write_all(out, &pieces, &dropped)))?;
    Ok((log, thread))
}

fn write_all(mut out: impl Write, pieces: &Receiver<String>, dropped: &AtomicU64) -> io::Result<()> {
    while let Ok(mut lines) = pieces.recv() {
        while lines.len() < BATCH
            && let Ok(more) = pieces.try_recv()
        {
            lines.push_str(&more);
        }
        out.write_all(lines.as_bytes())?;
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(out, "# {lost} lines were lost because this output stalled")?;
        }
        out.flush()?;
        // The worker that hands the next piece over has nobody to wake meanwhile.
        thread::sleep(REST);
    }
    Ok(())
}

impl AccessLog {
    /// Notes an answer: `sent` is the number of content bytes that were handed to the system.
    pub(crate) fn note(&mut self, peer: Option<SocketAddr>, at: SystemTime, line: &str, status: StatusCode, sent: u64) {
        self.count += 1;
        // Writing to a String cannot fail.
        let _ = match peer {
            Some(peer) => write!(self.lines, "{}", peer.ip().to_canonical()),
            None => write!(self.lines, "-"),
        };
        let time = Timestamp::try_from(at).unwrap_or_default();
        let _ = writeln!(
            self.lines,
            " - - [{}] \"{}\" {} {sent}",
            time.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            Quoted(line),
            status.as_u16(),
        );
    }

    /// Hands over what was noted since the last call.
    pub(crate) fn flush(&mut self) {
        if self.count == 0 {
            return;
        }
        let count = std::mem::take(&mut self.count);
        if self.writer.try_send(std::mem::take(&mut self.lines)).is_err() {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Text from a client, between quotes: it cannot end the quotes, start a line or reach the terminal
/// as a control sequence.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_unicode())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn note(log: &mut AccessLog, line: &str) {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        log.note(Some("127.0.0.1:5".parse().unwrap()), at, line, StatusCode::OK, 12);
    }

    #[test]
    fn a_line_is_in_the_common_log_format_and_cannot_be_forged() {
        let out = Shared::default();
        let (mut log, thread) = start(out.clone()).unwrap();
        note(&mut log, "GET / HTTP/1.1");
        note(&mut log, "a\"\\\n\x1b[31m\u{e9}");
        log.flush();
        drop(log);
        thread.join().unwrap();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET / HTTP/1.1\" 200 12\n\
             127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"a\\\"\\\\\\u{a}\\u{1b}[31m\\u{e9}\" 200 12\n"
        );
    }

    #[test]
    fn an_output_that_stalls_costs_lines_and_not_the_worker() {
        let out = Shared::default();
        let (mut log, thread) = start(out.clone()).unwrap();
        let stall = out.0.lock().unwrap();
        // The thread may have taken a batch before it stalls, of a few hundred lines.
        const LINES: usize = 2 * BACKLOG;
        for _ in 0..LINES {
            note(&mut log, "x");
            log.flush();
        }
        drop(stall);
        // Another piece makes sure that something is written after the stall.
        while log.writer.try_send(String::new()).is_err() {
            thread::yield_now();
        }
        drop(log);
        thread.join().unwrap();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let written = text.lines().filter(|line| line.contains("\"x\"")).count() as u64;
        let lost: u64 = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert!(lost > 0);
        assert_eq!(written + lost, LINES as u64);
    }
}
