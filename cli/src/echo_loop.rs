//! A TCP echo server on a port: what `anyport echo` runs and `anyport bench echo` measures.
//!
//! Each peer has one operation in flight: a pooled receive, or the sending of what it brought. So a peer that does not
//! read gets nothing more to read, and one that is idle holds no buffer.

use std::io::{self, Write};
use std::net::TcpListener;

use anyport::{Completion, Handle, Port, Token, buf::PoolBuf, op};
use slab::Slab;
use socket2::SockRef;

/// The token of the accept; peers have their place in the slab.
const ACCEPT: Token = Token(u64::MAX);

/// The peers of one listener.
pub(crate) struct EchoLoop {
    listener: Handle,
    peers: Slab<Handle>,
    gone: usize,
    /// The last accept failed, which has been reported.
    failing: bool,
    /// A connection has shown that they inherit the listener's `TCP_NODELAY`.
    inherited: bool,
}

impl EchoLoop {
    /// Begins to accept. From now on the port's completions belong to [`EchoLoop::complete`], except those with tokens
    /// of the caller's own, which are to be chosen from the upper half of the numbers, but not the last one.
    pub(crate) fn start(port: &mut Port, listener: TcpListener) -> io::Result<EchoLoop> {
        // An answer goes out at once. Most systems' connections inherit it, which saves a call for each.
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let listener = port.attach(listener)?;
        port.submit(op::AcceptMulti::new(listener), ACCEPT);
        Ok(EchoLoop { listener, peers: Slab::new(), gone: 0, failing: false, inherited: false })
    }

    /// How many peers have come and gone.
    pub(crate) fn gone(&self) -> usize {
        self.gone
    }

    /// Does what comes after `done`. An error of a peer ends that peer; only an error that ends the listener is returned.
    pub(crate) fn complete(&mut self, port: &mut Port, done: Completion) -> io::Result<()> {
        let token = done.token();
        if token == ACCEPT {
            return self.accepted(port, done);
        }
        let peer = self.peers[token.0 as usize];
        if done.is::<op::RecvPooled>() {
            match done.unpack::<op::RecvPooled>() {
                Ok(data) if !data.is_empty() => port.submit(op::SendAll::new(peer, data), token),
                Ok(_) | Err(_) => port.submit(op::Close::new(peer), token),
            };
        } else if done.is::<op::SendAll<PoolBuf>>() {
            match done.unpack::<op::SendAll<PoolBuf>>() {
                (Ok(_), _) => port.submit(op::RecvPooled::new(peer), token),
                (Err(_), _) => port.submit(op::Close::new(peer), token),
            };
        } else {
            // The close was the last operation of this peer, so its place is free.
            self.peers.remove(token.0 as usize);
            self.gone += 1;
        }
        Ok(())
    }

    fn accepted(&mut self, port: &mut Port, done: Completion) -> io::Result<()> {
        let more = done.more();
        let accepted = match done.unpack::<op::AcceptMulti>() {
            // The port tries again by itself: descriptors or memory are short. Peers wait in the listen queue.
            Err(error) if more => {
                if !std::mem::replace(&mut self.failing, true) {
                    let _ = writeln!(io::stderr(), "anyport: cannot accept: {error}; trying again until it works");
                }
                return Ok(());
            }
            accepted => accepted?,
        };
        self.failing = false;
        if !more {
            port.submit(op::AcceptMulti::new(self.listener), ACCEPT);
        }
        let peer = port.attach(accepted)?;
        if !self.inherited {
            // A peer that is gone already fails here and again, for good, in its first receive.
            port.with_socket(peer, |socket| {
                self.inherited = socket.tcp_nodelay().unwrap_or(false);
                let _ = socket.set_tcp_nodelay(true);
            })?;
        }
        let token = Token(self.peers.insert(peer) as u64);
        port.submit(op::RecvPooled::new(peer), token);
        Ok(())
    }
}
