//! The accepting port: takes connections in and hands each to the worker that has the fewest.
//!
//! One listening socket and one port that does nothing but accept, instead of a listener per worker
//! with `SO_REUSEPORT`. The kernel spreads connections over such listeners by a hash, so that with
//! few of them one worker may have most; it resets those that are queued at a listener that closes;
//! and with it a second server can take the same address without either being told. One acceptor
//! hands out evenly, stops in one place, finds the address taken, and works the same on every
//! system. It costs one post a connection.
//!
//! While every worker is full nothing is accepted: clients wait in the listen queue, and the system
//! says so when that is full.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyport::{Backend, Completion, Handle, Port, Poster, Token, op};

use super::access_log::AccessLog;
use super::site::Site;
use super::worker::{Load, ORDERS, Order, Worker, build_port};
use super::{Limits, report};

const ACCEPT: Token = Token(0);
const RETRY: Token = Token(1);
const CLOSED: Token = Token(2);
/// The token of the [`Event`]s.
const EVENTS: Token = Token(3);

/// How long to wait after an accept that failed for want of descriptors or memory.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How much longer than the connections' time to wait for workers at the end.
const WORKERS_GRACE: Duration = Duration::from_millis(500);

/// What the acceptor is told from other threads.
pub(crate) enum Event {
    /// A worker that was full has a place.
    Room,
    /// A worker has ended.
    Ended(usize),
    /// Stop; the second time, at once.
    Stop,
}

/// A server that is ready to accept.
pub(crate) struct Acceptor {
    port: Port,
    listener: Handle,
    intake: Intake,
    /// The last accept failed, which has been reported.
    failing: bool,
    workers: Vec<WorkerEnd>,
    limits: Limits,
    /// Which worker comes first among equals.
    turn: usize,
    /// Set by a stop: when to give up waiting for the workers.
    stop_by: Option<Instant>,
}

/// How connections come in.
#[derive(PartialEq, Eq)]
enum Intake {
    /// An accept is in flight.
    Open,
    /// All workers are full.
    Full,
    /// An accept failed; a timer runs before the next.
    Resting,
    /// The listener is closed or closing.
    Closed,
}

/// The acceptor's end of a worker.
struct WorkerEnd {
    poster: Poster,
    load: Load,
    /// `None` once it has ended.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Posts that a worker has ended, also when it panics.
struct Farewell {
    acceptor: Poster,
    index: usize,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // A port that is gone waits for nobody.
        let _ = self.acceptor.post(EVENTS, Event::Ended(self.index));
    }
}

impl Acceptor {
    /// Starts `workers` workers; nothing is accepted before [`run`](Self::run).
    pub(crate) fn start(
        listener: TcpListener,
        site: Site,
        backend: Option<Backend>,
        workers: usize,
        limits: Limits,
        log: &AccessLog,
    ) -> io::Result<Self> {
        let mut port = build_port(backend)?;
        let listener = port.attach(listener)?;
        let site = Arc::new(site);
        let mut acceptor = Acceptor {
            port,
            listener,
            intake: Intake::Closed,
            failing: false,
            workers: Vec::with_capacity(workers),
            limits,
            turn: 0,
            stop_by: None,
        };
        for index in 0..workers {
            let worker = acceptor.start_worker(index, backend, Arc::clone(&site), log.clone())?;
            acceptor.workers.push(worker);
        }
        Ok(acceptor)
    }

    fn start_worker(
        &self,
        index: usize,
        backend: Option<Backend>,
        site: Arc<Site>,
        log: AccessLog,
    ) -> io::Result<WorkerEnd> {
        let load: Load = Arc::new(AtomicUsize::new(0));
        let (limits, acceptor) = (self.limits, self.port.poster());
        let (started, start) = channel();
        let worker_load = Arc::clone(&load);
        let thread = thread::Builder::new().name(format!("worker {index}")).spawn(move || {
            let _farewell = Farewell { acceptor: acceptor.clone(), index };
            let worker = Worker::new(backend, site, limits, log, worker_load, (acceptor, EVENTS));
            match worker {
                Ok(worker) => {
                    // The other end waits for exactly one message.
                    let _ = started.send(Ok(worker.poster()));
                    worker.run()
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    Ok(())
                }
            }
        })?;
        let poster = start.recv().map_err(|_| io::Error::other("a worker died at its start"))??;
        Ok(WorkerEnd { poster, load, thread: Some(thread) })
    }

    /// The backend that carries the connections.
    pub(crate) fn backend(&self) -> Backend {
        self.port.backend()
    }

    /// What stops the server: once for a stop that lets answers finish, twice for one that does
    /// not.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let poster = self.port.poster();
        move || {
            // A port that is gone is stopped.
            let _ = poster.post(EVENTS, Event::Stop);
        }
    }

    /// Accepts until stopped. After a stop: whether every worker has ended. An error if the port or
    /// a worker failed.
    pub(crate) fn run(mut self) -> io::Result<bool> {
        self.accept();
        loop {
            while let Some(done) = self.port.next() {
                self.step(done)?;
            }
            let left = self.stop_by.map(|by| by.saturating_duration_since(self.port.now()));
            let ended = self.workers.iter().all(|worker| worker.thread.is_none());
            let waited = left.is_some_and(|left| left.is_zero());
            if ended || waited {
                return Ok(ended);
            }
            self.port.wait(left)?;
        }
    }

    fn step(&mut self, done: Completion) -> io::Result<()> {
        match done.token() {
            ACCEPT => self.accepted(done.unpack::<op::Accept>()),
            RETRY => self.accept_unless_closed(),
            CLOSED => self.stop_workers(self.limits.stop),
            _ => match done.unpack::<op::Post<Event>>() {
                Event::Room if self.intake == Intake::Full => self.accept(),
                Event::Room => {}
                Event::Stop if self.stop_by.is_some() => self.stop_workers(Duration::ZERO),
                Event::Stop => self.stop(),
                Event::Ended(index) => self.ended(index)?,
            },
        }
        Ok(())
    }

    fn accept_unless_closed(&mut self) {
        if self.intake != Intake::Closed {
            self.accept();
        }
    }

    /// Accepts the next connection if some worker can take it.
    fn accept(&mut self) {
        let limit = self.limits.connections;
        let full = self.workers.iter().all(|worker| worker.load.load(Ordering::Acquire) >= limit);
        if full {
            self.intake = Intake::Full;
        } else {
            self.intake = Intake::Open;
            self.port.submit(op::Accept::new(self.listener), ACCEPT);
        }
    }

    fn accepted(&mut self, result: io::Result<op::Accepted>) {
        match result {
            Ok(accepted) => {
                self.failing = false;
                self.hand_over(accepted);
                self.accept_unless_closed();
            }
            // Ended by the close of the listener.
            Err(_) if self.intake == Intake::Closed => {}
            // The client went away in the queue.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => self.accept(),
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    report(format_args!("cannot accept connections: {error}; trying again until it works"));
                }
                self.intake = Intake::Resting;
                self.port.submit(op::Timer::after(RETRY_AFTER), RETRY);
            }
        }
    }

    fn hand_over(&mut self, accepted: op::Accepted) {
        let count = self.workers.len();
        let fewest = (0..count)
            .map(|n| (self.turn + n) % count)
            .min_by_key(|&index| self.workers[index].load.load(Ordering::Acquire))
            .unwrap_or(0);
        self.turn = (fewest + 1) % count;
        let worker = &self.workers[fewest];
        worker.load.fetch_add(1, Ordering::AcqRel);
        // A worker that is gone has told so; the connection closes as it is dropped here.
        let _ = worker.poster.post(ORDERS, Order::Serve(accepted));
    }

    fn stop(&mut self) {
        self.intake = Intake::Closed;
        self.stop_by = Some(self.port.now() + self.limits.stop + WORKERS_GRACE);
        // Ends the accept in flight, and completes after it: a connection that it still brought
        // goes to its worker first.
        self.port.submit(op::Close::new(self.listener), CLOSED);
    }

    fn stop_workers(&mut self, within: Duration) {
        self.stop_by = Some(self.port.now() + within + WORKERS_GRACE);
        for worker in &self.workers {
            // A worker that is gone is stopped.
            let _ = worker.poster.post(ORDERS, Order::Stop(within));
        }
    }

    fn ended(&mut self, index: usize) -> io::Result<()> {
        let Some(thread) = self.workers[index].thread.take() else {
            return Ok(());
        };
        match thread.join() {
            Ok(result) => result,
            // The panic has been printed.
            Err(_) => Err(io::Error::other("a worker has panicked")),
        }
    }
}
