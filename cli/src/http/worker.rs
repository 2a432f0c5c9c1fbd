//! A worker: a thread with a port of its own and the connections that were handed to it.
//!
//! The acceptor posts [`Order`]s to it; everything else that happens is a completion of one of its
//! connections. A worker ends when it was told to stop and its last connection has closed, or its
//! time is up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyport::{Backend, Completion, Port, Poster, Token, op};
use slab::Slab;

use super::acceptor::Event;
use super::access_log::AccessLog;
use super::connection::{Connection, Context, Life};
use super::looks::Looks;
use super::site::Site;
use super::{Limits, report};

/// The token of the orders; a connection's token is its place in the slab.
pub(crate) const ORDERS: Token = Token(u64::MAX);

/// What the acceptor tells a worker.
pub(crate) enum Order {
    /// Serve this client.
    Serve(op::Accepted),
    /// Finish what is being answered, within this time.
    Stop(Duration),
}

/// How many connections a worker has: raised by the acceptor with each one it hands over, lowered
/// by the worker.
pub(crate) type Load = Arc<AtomicUsize>;

/// The thread-bound state of a worker.
pub(crate) struct Worker {
    cx: Context,
    connections: Slab<Connection>,
    load: Load,
    /// Where to say that there is room again.
    acceptor: (Poster, Token),
    /// Set by a stop: when to give up what is still going on.
    stop_by: Option<Instant>,
}

impl Worker {
    /// Makes a worker with a port of its own; to be called on the thread that will run it.
    pub(crate) fn new(
        backend: Option<Backend>,
        site: Arc<Site>,
        limits: Limits,
        log: AccessLog,
        load: Load,
        acceptor: (Poster, Token),
    ) -> io::Result<Self> {
        let port = build_port(backend)?;
        let cx = Context { port, site, limits, log, stopping: false, asked: Vec::new(), spare: Vec::new() };
        Ok(Worker { cx, connections: Slab::new(), load, acceptor, stop_by: None })
    }

    /// Where to post [`Order`]s.
    pub(crate) fn poster(&self) -> Poster {
        self.cx.port.poster()
    }

    /// Serves until stopped.
    pub(crate) fn run(mut self) -> io::Result<()> {
        loop {
            while let Some(done) = self.cx.port.next() {
                if done.token() == ORDERS {
                    self.obey(done.unpack::<op::Post<Order>>());
                } else {
                    self.step(done);
                }
            }
            self.answer();
            let left = self.stop_by.map(|by| by.saturating_duration_since(self.cx.port.now()));
            let over = left.is_some_and(|left| left.is_zero() || self.connections.is_empty());
            if over {
                for (_, connection) in &self.connections {
                    connection.note_as_cut(&mut self.cx);
                }
            }
            self.cx.log.flush();
            if over {
                return Ok(());
            }
            self.cx.port.wait(left)?;
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Serve(accepted) => {
                let peer = accepted.peer_addr().ok().and_then(|peer| peer.as_socket());
                match self.cx.port.attach(accepted) {
                    Ok(socket) => {
                        let place = self.connections.vacant_entry();
                        let token = Token(place.key() as u64);
                        place.insert(Connection::start(socket, token, peer, &mut self.cx));
                    }
                    Err(error) => {
                        report(format_args!("a connection was dropped: {error}"));
                        self.ended();
                    }
                }
            }
            Order::Stop(within) => {
                self.cx.stopping = true;
                self.stop_by = Some(self.cx.port.now() + within);
                for (_, connection) in &mut self.connections {
                    connection.stop(&mut self.cx);
                }
            }
        }
    }

    fn step(&mut self, done: Completion) {
        let place = done.token().0 as usize;
        if self.connections[place].step(done, &mut self.cx) == Life::Ended {
            self.connections.remove(place);
            self.ended();
        }
    }

    /// Answers the requests of this round.
    fn answer(&mut self) {
        let mut looks = Looks::default();
        let mut asked = std::mem::take(&mut self.cx.asked);
        for (token, request) in asked.drain(..) {
            self.connections[token.0 as usize].serve(request, &mut looks, &mut self.cx);
        }
        debug_assert!(self.cx.asked.is_empty(), "an answer is in flight, or the look for it");
        self.cx.asked = asked;
    }

    fn ended(&self) {
        // The acceptor may be waiting for exactly this one; it only does while some worker is full.
        if self.load.fetch_sub(1, Ordering::AcqRel) == self.cx.limits.connections {
            let (poster, token) = &self.acceptor;
            // A port that is gone needs no room.
            let _ = poster.post(*token, Event::Room);
        }
    }
}

/// A port on the backend that was asked for, or on the best there is.
pub(crate) fn build_port(backend: Option<Backend>) -> io::Result<Port> {
    let builder = Port::builder();
    match backend {
        Some(backend) => builder.backend(backend),
        None => builder,
    }
    .build()
}
