//! The load on io_uring: a send and the receive of its echo are queued together, and one `io_uring_enter` serves a batch.

use std::io;
use std::mem;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::squeue::{Flags, SubmissionQueue};
use io_uring::{IoUring, opcode, types};

use super::super::raw::ring::{enter, push, result};
use super::Meter;

/// Don't try before the socket is readable (`IORING_RECVSEND_POLL_FIRST`): the echo cannot be there yet.
const POLL_FIRST: u16 = 1;

/// Marks the completion of a send, which comes only when it failed.
const SEND: u64 = 1 << 63;

/// Marks the end of all patience.
const LIMIT: u64 = u64::MAX;

/// Drives blocking sockets on `ring` until `meter` has had enough and nothing is under way any more.
pub(super) fn drive<P>(
    mut ring: IoUring,
    connections: &[&TcpStream],
    message: &[u8],
    meter: &mut Meter<'_, P>,
) -> io::Result<()> {
    let mut ignored = vec![0; message.len()];
    let driven = exchange(&mut ring, connections, message, &mut ignored, meter);
    if driven.is_err() {
        // Closing a ring does not wait for what is in flight: the kernel may still read and write these.
        mem::forget(ignored);
        mem::forget(message.to_owned());
    }
    driven
}

fn exchange<P>(
    ring: &mut IoUring,
    connections: &[&TcpStream],
    message: &[u8],
    ignored: &mut [u8],
    meter: &mut Meter<'_, P>,
) -> io::Result<()> {
    let ignored = ignored.as_mut_ptr();
    // TCP discards with `MSG_TRUNC` instead of copying: `ignored` is never written. (Together with `MSG_WAITALL` the
    // kernel would lose count of what it has discarded.)
    let receive = |queue: &mut SubmissionQueue<'_>, place: usize, length: usize| {
        let receive = opcode::Recv::new(types::Fd(connections[place].as_raw_fd()), ignored, length as u32)
            .flags(libc::MSG_TRUNC)
            .ioprio(POLL_FIRST)
            .build()
            .user_data(place as u64);
        // SAFETY: `ignored` has room for a message and outlives what is in flight: see `drive`.
        unsafe { push(queue, &receive) }
    };
    let request = |queue: &mut SubmissionQueue<'_>, place: usize| {
        let socket = types::Fd(connections[place].as_raw_fd());
        let send = opcode::Send::new(socket, message.as_ptr(), message.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(SEND | place as u64);
        // SAFETY: the message outlives what is in flight: see `drive`.
        unsafe { push(queue, &send)? };
        receive(queue, place, message.len())
    };
    let time = types::Timespec::from(super::LIMIT);
    // SAFETY: the kernel copies the time when the entry is submitted, by the first `enter` below.
    unsafe { push(&mut ring.submission(), &opcode::Timeout::new(&time).build().user_data(LIMIT))? };
    for place in 0..connections.len() {
        request(&mut ring.submission(), place)?;
    }
    let mut began = vec![Instant::now(); connections.len()];
    // What each connection still has to bring back.
    let mut missing = vec![message.len(); connections.len()];
    let mut busy = connections.len();
    let mut replied = Vec::with_capacity(connections.len());
    while busy > 0 {
        enter(ring, 1)?;
        let (_, mut queue, completions) = ring.split();
        for completion in completions {
            if completion.user_data() == LIMIT {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a message has not come back"));
            }
            let moved = result(completion.result())?;
            if moved == 0 || completion.user_data() & SEND != 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let place = completion.user_data() as usize;
            missing[place] -= moved;
            match missing[place] {
                0 => replied.push(place),
                rest => receive(&mut queue, place, rest)?,
            }
        }
        let now = Instant::now();
        let go_on = meter.replied(now, replied.iter().map(|&place: &usize| now - began[place]))?;
        for place in replied.drain(..) {
            if go_on {
                (missing[place], began[place]) = (message.len(), now);
                request(&mut queue, place)?;
            } else {
                busy -= 1;
            }
        }
    }
    Ok(())
}
