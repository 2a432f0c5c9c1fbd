//! The model of one object that has joined the port: what its peer has sent and received, which operations stand in
//! its lanes, and which of them the contract says can complete now, with what.

use std::collections::VecDeque;

use anyport::Handle;
use socket2::SockAddr;

use super::outcome::{self, BROKEN, DONE, RESET};
use super::script::{Kind, Verb};
use super::tape;
use crate::support::Far;

/// Bytes of a send that cannot fit between the two ends; see `peer::shrink_buffers`.
pub(super) const BIG: usize = 512 * 1024;

/// An operation in a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub token: u64,
    pub verb: Verb,
    /// Room of a receive, bytes of a send.
    pub size: usize,
}

/// What an operation must complete with.
pub(super) struct Expected {
    pub token: u64,
    pub text: String,
    pub more: bool,
}

/// The state of the port's pools as far as the contract knows it.
#[derive(Clone, Copy)]
pub(super) struct Free {
    pub buffers: usize,
    /// Of the second pool: those with a sender beside them.
    pub named: usize,
    pub size: usize,
}

pub(super) struct End {
    pub kind: Kind,
    pub handle: Handle,
    pub open: bool,
    /// The peer's end; `None`: closed.
    pub far: Option<Far>,
    pub far_address: Option<SockAddr>,
    /// The number of its stream of content; the one towards the peer has the next number.
    pub seed: u64,
    /// Bytes that the peer has sent, and those of them not received yet.
    pub sent: usize,
    pub unread: usize,
    /// Of a datagram socket: the lengths of the datagrams not received yet.
    pub datagrams: VecDeque<usize>,
    pub eof: bool,
    pub reset: bool,
    /// Where the content of the next send begins.
    pub written: usize,
    /// What was really sent: where it begins and how long it is.
    pub segments: Vec<(usize, usize)>,
    /// What the peer has received.
    pub got: Vec<u8>,
    pub shut_write: bool,
    pub shut_read: bool,
    /// The peer reads all that it can get, once the operations in `drain_after` are over.
    pub draining: bool,
    pub drain_after: Vec<u64>,
    pub reads: VecDeque<Item>,
    pub writes: VecDeque<Item>,
    pub readable: VecDeque<Item>,
    pub writable: VecDeque<Item>,
    /// Successful operations of each direction complete in this order.
    pub read_order: VecDeque<u64>,
    pub write_order: VecDeque<u64>,
    /// Of a listener: clients that were not accepted yet.
    pub waiting: VecDeque<SockAddr>,
    /// Of a file.
    pub content: Vec<u8>,
    pub position: usize,
}

impl End {
    pub(super) fn new(kind: Kind, handle: Handle, far: Option<Far>, seed: u64) -> End {
        End {
            kind,
            handle,
            open: true,
            far,
            far_address: None,
            seed,
            sent: 0,
            unread: 0,
            datagrams: VecDeque::new(),
            eof: false,
            reset: false,
            written: 0,
            segments: Vec::new(),
            got: Vec::new(),
            shut_write: false,
            shut_read: false,
            draining: false,
            drain_after: Vec::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            read_order: VecDeque::new(),
            write_order: VecDeque::new(),
            waiting: VecDeque::new(),
            content: Vec::new(),
            position: 0,
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Tcp | Kind::Unix | Kind::PipeIn | Kind::PipeOut)
    }

    pub(super) fn is_socket_stream(&self) -> bool {
        matches!(self.kind, Kind::Tcp | Kind::Unix)
    }

    /// Bytes that were sent to the peer.
    pub(super) fn sent_out(&self) -> usize {
        self.segments.iter().map(|segment| segment.1).sum()
    }

    /// Nothing that was sent is still on its way to the peer.
    pub(super) fn peer_has_all(&self) -> bool {
        self.writes.is_empty() && self.got.len() == self.sent_out()
    }

    /// The content that the peer must have received.
    pub(super) fn content_out(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.sent_out());
        self.segments.iter().for_each(|&(at, len)| tape::append(&mut all, self.seed + 1, at, len));
        all
    }

    pub(super) fn lane(&mut self, verb: Verb) -> Option<&mut VecDeque<Item>> {
        match verb {
            Verb::Recv | Verb::RecvVectored | Verb::RecvFrom | Verb::Pooled { .. } | Verb::PooledMulti { .. } => Some(&mut self.reads),
            Verb::FromPooled { .. } | Verb::FromPooledMulti { .. } => Some(&mut self.reads),
            Verb::Accept | Verb::AcceptMulti => Some(&mut self.reads),
            Verb::Send | Verb::SendAll | Verb::SendBig | Verb::SendVectored | Verb::SendTo | Verb::ShutdownWrite => Some(&mut self.writes),
            Verb::Readable => Some(&mut self.readable),
            Verb::Writable => Some(&mut self.writable),
            Verb::ShutdownRead | Verb::ReadAt { .. } | Verb::WriteAt { .. } | Verb::Fsync | Verb::Metadata => None,
        }
    }

    /// Takes all standing operations out of their lanes.
    pub(super) fn take_all(&mut self) -> Vec<Item> {
        let lanes = [&mut self.reads, &mut self.writes, &mut self.readable, &mut self.writable];
        lanes.into_iter().flat_map(std::mem::take).collect()
    }

    /// Takes one standing operation out; says whether it was a big send that had begun.
    pub(super) fn take_out(&mut self, token: u64) -> bool {
        let begun = self.writes.front().is_some_and(|item| item.token == token && item.verb == Verb::SendBig);
        for lane in [&mut self.reads, &mut self.writes, &mut self.readable, &mut self.writable] {
            lane.retain(|item| item.token != token);
        }
        begun
    }

    /// Is there something to receive: data, a connection, an end or an error?
    fn is_readable(&self) -> bool {
        let something = self.unread > 0 || !self.datagrams.is_empty() || !self.waiting.is_empty();
        something || self.eof || self.reset || self.kind == Kind::File
    }

    /// What the contract says completes now, in the order in which it must within each direction.
    pub(super) fn predict(&mut self, free: &mut Free) -> Vec<Expected> {
        let mut all = Vec::new();
        while let Some(&item) = self.reads.front() {
            let Some((text, more)) = self.next_read(item, free) else { break };
            if !more {
                self.reads.pop_front();
            }
            self.read_order.push_back(item.token);
            all.push(Expected { token: item.token, text, more });
        }
        while let Some(&item) = self.writes.front() {
            let Some(text) = self.next_write(item) else { break };
            self.writes.pop_front();
            self.write_order.push_back(item.token);
            all.push(Expected { token: item.token, text, more: false });
        }
        if self.is_readable() {
            all.extend(self.readable.drain(..).map(ready));
        }
        let blocked = self.writes.front().is_some_and(|item| item.verb == Verb::SendBig);
        if !blocked || self.eof && self.far.is_none() {
            all.extend(self.writable.drain(..).map(ready));
        }
        all
    }

    /// The next completion of the first receive, if it can have one.
    fn next_read(&mut self, item: Item, free: &mut Free) -> Option<(String, bool)> {
        let (pooled, multi, hold) = match item.verb {
            Verb::Pooled { hold } | Verb::FromPooled { hold } => (true, false, hold),
            Verb::PooledMulti { hold } | Verb::FromPooledMulti { hold } => (true, true, hold),
            verb => (false, verb == Verb::AcceptMulti, false),
        };
        let room = if pooled { free.size } else { item.size };
        let named = matches!(item.verb, Verb::FromPooledMulti { .. });
        let buffers = if named { &mut free.named } else { &mut free.buffers };
        if pooled && *buffers == 0 {
            return None;
        }
        let content = match self.kind {
            Kind::Listener => {
                self.waiting.pop_front()?;
                return Some((DONE.into(), multi));
            }
            Kind::Udp => {
                let len = self.datagrams.pop_front()?;
                let at = self.sent - self.datagrams.iter().sum::<usize>() - len;
                tape::cut(self.seed, at, len.min(room))
            }
            Kind::File => {
                let start = self.position.min(self.content.len());
                let end = self.content.len().min(start + room);
                self.position = end.max(self.position);
                self.content[start..end].to_vec()
            }
            _ if self.unread > 0 => {
                let n = room.min(self.unread);
                let at = self.sent - self.unread;
                self.unread -= n;
                tape::cut(self.seed, at, n)
            }
            // It stays an error: an end of stream would be a lie.
            _ if self.reset => return Some((RESET.into(), false)),
            _ if self.eof => Vec::new(),
            _ => return None,
        };
        if pooled && hold && !content.is_empty() {
            *buffers -= 1;
        }
        // An empty datagram is one with its sender, else an end.
        let goes_on = !content.is_empty() || named && self.kind == Kind::Udp;
        Some((outcome::bytes(&content), multi && goes_on))
    }

    fn next_write(&mut self, item: Item) -> Option<String> {
        if item.verb == Verb::ShutdownWrite {
            self.shut_write = true;
            // There is no TCP connection any more to shut down.
            let gone = self.reset && self.kind == Kind::Tcp;
            return Some(if gone { "error NotConnected" } else { DONE }.into());
        }
        let gone = self.far.is_none() && matches!(self.kind, Kind::Unix | Kind::PipeOut);
        if self.reset || self.shut_write || gone {
            return Some(BROKEN.into());
        }
        (item.verb != Verb::SendBig || self.draining).then(|| outcome::count(item.size))
    }
}

fn ready(item: Item) -> Expected {
    Expected { token: item.token, text: DONE.into(), more: false }
}
