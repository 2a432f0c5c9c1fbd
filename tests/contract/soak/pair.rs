//! What two connected ends have said to each other: all that was sent and not yet received, so that each byte that
//! arrives is checked against the send that it came from.
//!
//! A send's bytes count once its completion says how many were taken, and that may be taken up after the completion of
//! the receive that got them; so both sides are kept until they meet.

use std::collections::{HashMap, VecDeque};

/// What connects the ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Tcp,
    Unix,
    Pipe,
    Udp,
    UnixDatagram,
}

impl Kind {
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Unix | Kind::Pipe)
    }

    pub(super) fn is_socket(self) -> bool {
        self != Kind::Pipe
    }
}

/// Two ends. End 0 of a pipe writes, end 1 reads.
pub(super) struct Pair {
    pub(super) kind: Kind,
    /// An end was closed or shut down, so that errors are in order.
    pub(super) disturbed: bool,
    /// From each end to the other.
    pub(super) flows: [Flow; 2],
    /// Ends that are not closed yet.
    pub(super) ends: u8,
}

impl Pair {
    pub(super) fn new(kind: Kind) -> Pair {
        Pair { kind, disturbed: false, flows: Default::default(), ends: 2 }
    }

    /// Both ends are gone: whatever was received must have been sent by somebody.
    #[track_caller]
    pub(super) fn assert_sound(&self) {
        for flow in &self.flows {
            assert!(flow.unmatched.is_empty(), "{} bytes were received that nobody sent", flow.unmatched.len());
        }
    }
}

/// One direction.
#[derive(Default)]
pub(super) struct Flow {
    /// Parts of the tape that were sent, in order, without what was matched.
    segments: VecDeque<&'static [u8]>,
    /// Received, but the completion of its send was not taken yet.
    unmatched: Vec<u8>,
    /// Bytes of which the completions were taken.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Sends (and shutdowns) in flight.
    pub(super) sending: usize,
    /// Its sender is to be closed or to shut this direction down: an end may be seen.
    pub(super) ended: bool,
    /// That has happened, so that the receiver must hear of it.
    pub(super) is_over: bool,
    /// Its receiver has shut this direction down: an end says nothing of what was sent.
    pub(super) refused: bool,
    /// More may have been sent than was told: what arrives is not compared any more.
    unsure: bool,
    /// The end was seen.
    pub(super) end_seen: bool,
    /// Datagrams in flight, and those that were sent and may arrive.
    datagrams: HashMap<u64, Datagram>,
    next_datagram: u64,
}

struct Datagram {
    body: &'static [u8],
    /// The completion of its send was not taken yet.
    in_flight: bool,
    arrived: bool,
}

impl Flow {
    /// A send has moved these bytes.
    #[track_caller]
    pub(super) fn moved(&mut self, bytes: &'static [u8]) {
        if !bytes.is_empty() {
            self.sent += bytes.len() as u64;
            self.segments.push_back(bytes);
            self.meet();
        }
        self.assert_whole();
    }

    /// A send has ended that may have moved more than it told: nobody knows what belongs here now.
    pub(super) fn lose_count(&mut self) {
        self.unsure = true;
        self.meet();
    }

    /// These bytes have arrived.
    #[track_caller]
    pub(super) fn arrived(&mut self, bytes: &[u8]) {
        assert!(!self.end_seen || self.refused, "data behind the end of the stream");
        self.received += bytes.len() as u64;
        self.unmatched.extend_from_slice(bytes);
        self.meet();
    }

    /// The end of the stream was received.
    #[track_caller]
    pub(super) fn arrived_end(&mut self) {
        assert!(self.ended || self.refused, "the end of a stream that nobody has ended");
        self.end_seen = true;
        self.assert_whole();
    }

    #[track_caller]
    fn meet(&mut self) {
        if self.unsure {
            self.segments.clear();
            self.unmatched.clear();
            return;
        }
        let mut matched = 0;
        while let Some(segment) = self.segments.front_mut()
            && matched < self.unmatched.len()
        {
            let here = &self.unmatched[matched..];
            let len = here.len().min(segment.len());
            assert!(here[..len] == segment[..len], "bytes were lost, repeated, swapped or changed");
            *segment = &segment[len..];
            matched += len;
            if segment.is_empty() {
                self.segments.pop_front();
            }
        }
        self.unmatched.drain(..matched);
    }

    /// Before its end a stream brings all that was sent: a connection that broke says so, and is no end.
    #[track_caller]
    pub(super) fn assert_whole(&self) {
        if self.end_seen && !self.refused && self.sending == 0 {
            let lost: usize = self.segments.iter().map(|segment| segment.len()).sum();
            assert_eq!((lost, self.unmatched.len()), (0, 0), "bytes lost before the end of the stream, and found");
        }
    }

    /// Makes a datagram of `body`: its number, and the message to send.
    pub(super) fn datagram(&mut self, body: &'static [u8]) -> (u64, Vec<u8>) {
        let number = self.next_datagram;
        self.next_datagram += 1;
        self.datagrams.insert(number, Datagram { body, in_flight: true, arrived: false });
        (number, [&number.to_le_bytes(), body].concat())
    }

    /// The send of a datagram is over.
    #[track_caller]
    pub(super) fn datagram_sent(&mut self, number: u64, sent: bool) {
        let datagram = self.datagrams.get_mut(&number).expect("it was in flight");
        datagram.in_flight = false;
        assert!(sent || !datagram.arrived, "a datagram arrived whose send has failed or was given up");
        if datagram.arrived || !sent {
            self.datagrams.remove(&number);
        }
    }

    /// A datagram has arrived in a buffer of `room` bytes.
    #[track_caller]
    pub(super) fn datagram_arrived(&mut self, bytes: &[u8], room: usize) {
        let (number, body) = bytes.split_first_chunk::<8>().expect("a datagram has a number");
        let number = u64::from_le_bytes(*number);
        let datagram = self.datagrams.get_mut(&number).expect("a datagram arrived that was not sent, or a second time");
        assert!(!datagram.arrived, "a datagram arrived a second time");
        datagram.arrived = true;
        assert!(body == &datagram.body[..datagram.body.len().min(room - 8)], "a datagram was changed or cut");
        if !datagram.in_flight {
            self.datagrams.remove(&number);
        }
    }

    /// True when a datagram was sent and has not arrived.
    pub(super) fn has_datagram(&self) -> bool {
        self.datagrams.values().any(|datagram| !datagram.in_flight && !datagram.arrived)
    }
}
