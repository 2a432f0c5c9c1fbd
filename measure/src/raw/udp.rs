//! Datagram servers by hand: each datagram goes back to where it came from, or (a flood) nowhere. They run until an error,
//! which is for ever.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use io_uring::{cqueue, opcode, squeue, types};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self as queue, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use super::buf_ring::BufRing;
use super::ring::{bare, enter, push_all, result};

/// Serves a socket. `true`: each datagram goes back. The length is that of the largest datagram.
pub type Serve = fn(UdpSocket, bool, usize) -> io::Result<()>;

/// Operations in flight on a ring.
const DEPTH: usize = 64;

/// On bare epoll, edge-triggered: a datagram socket is drained by `EAGAIN` alone.
pub fn epoll(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let epoll = queue::create(CreateFlags::CLOEXEC)?;
    queue::add(&epoll, &socket, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)?;
    let mut buffer = vec![0; length];
    let mut events = Vec::with_capacity(1);
    loop {
        match queue::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => events.clear(),
            Err(error) => return Err(error.into()),
        }
        loop {
            match recvfrom(&socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((received, _, Some(from))) if reply => {
                    sendto(&socket, &buffer[..received.min(length)], SendFlags::empty(), &from)?;
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A place for a datagram, with what the kernel needs to know about it, at an address that stays.
struct Slot {
    header: libc::msghdr,
    vector: libc::iovec,
    peer: libc::sockaddr_in,
    buffer: Box<[u8]>,
}

impl Slot {
    fn new(length: usize) -> Box<Slot> {
        // SAFETY: all of these are plain data, for which zeros are values.
        let (header, peer) = unsafe { (mem::zeroed(), mem::zeroed()) };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut slot = Box::new(Slot { header, vector, peer, buffer: vec![0; length].into() });
        slot.header.msg_name = (&raw mut slot.peer).cast();
        slot.header.msg_iov = &raw mut slot.vector;
        slot.header.msg_iovlen = 1;
        slot.vector.iov_base = slot.buffer.as_mut_ptr().cast();
        slot
    }

    /// The header for `length` bytes to or from the peer.
    fn header(&mut self, length: usize) -> *mut libc::msghdr {
        self.header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        self.vector.iov_len = length;
        &raw mut self.header
    }
}

/// On a bare io_uring with plain entries: receives in flight that each become a send and a receive again.
pub fn uring(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    let mut ring = bare(DEPTH as u32)?;
    let file = types::Fd(socket.as_raw_fd());
    // Never freed, because the kernel may write to them when this ends.
    let slots: &mut [Box<Slot>] = Vec::leak((0..DEPTH).map(|_| Slot::new(length)).collect());
    let receive = |slot: &mut Slot, place: usize| {
        opcode::RecvMsg::new(file, slot.header(length)).build().user_data((place as u64) << 1)
    };
    let mut next: Vec<_> = slots.iter_mut().enumerate().map(|(place, slot)| receive(slot, place)).collect();
    loop {
        // SAFETY: the slots are never freed, and each has one entry in flight at most.
        unsafe { push_all(&mut ring, &next)? };
        next.clear();
        enter(&ring, 1)?;
        for completion in ring.completion() {
            let (place, was_send) = ((completion.user_data() >> 1) as usize, completion.user_data() & 1 == 1);
            let moved = result(completion.result())?;
            let slot = &mut slots[place];
            next.push(if reply && !was_send {
                opcode::SendMsg::new(file, slot.header(moved)).build().user_data((place as u64) << 1 | 1)
            } else {
                receive(slot, place)
            });
        }
    }
}

/// On a bare io_uring with one multishot receive into provided buffers, from which the replies are sent.
pub fn multishot(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    const RECEIVE: u64 = u64::MAX;
    let mut ring = bare(DEPTH as u32)?;
    ring.submitter().register_files(&[socket.as_raw_fd()])?;
    let file = types::Fixed(0);
    // The kernel writes a header and the peer's address before the data.
    let room = 16 + size_of::<libc::sockaddr_in>() + length;
    // SAFETY: never dropped.
    let buffers = Box::leak(Box::new(unsafe { BufRing::register(&ring, 0, DEPTH as u16, room)? }));
    // A slot of each buffer, to send from it. Never freed, as above.
    let slots: &mut [Box<Slot>] = Vec::leak((0..DEPTH).map(|_| Slot::new(0)).collect());
    // SAFETY: plain data.
    let layout: &libc::msghdr = Box::leak(Box::new(libc::msghdr {
        msg_namelen: size_of::<libc::sockaddr_in>() as u32,
        ..unsafe { mem::zeroed() }
    }));
    let receive = || opcode::RecvMsgMulti::new(file, layout, 0).build().user_data(RECEIVE);
    let mut next: Vec<squeue::Entry> = vec![receive()];
    // Buffers whose replies are on their way, and whether the receive waits for one of them.
    let (mut sending, mut starved) = (0, false);
    loop {
        // SAFETY: slots and buffers are never freed; a buffer is given back when its send has completed.
        unsafe { push_all(&mut ring, &next)? };
        next.clear();
        enter(&ring, 1)?;
        for completion in ring.completion() {
            if completion.user_data() != RECEIVE {
                result(completion.result())?;
                buffers.give_back(completion.user_data() as u16);
                sending -= 1;
                if mem::take(&mut starved) {
                    next.push(receive());
                }
                continue;
            }
            let more = cqueue::more(completion.flags());
            let received = match result(completion.result()) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    // Unless they are all on their way, some are back already.
                    starved = sending > 0;
                    if !starved {
                        next.push(receive());
                    }
                    continue;
                }
                other => other?,
            };
            if !more {
                next.push(receive());
            }
            let id = cqueue::buffer_select(completion.flags()).ok_or_else(|| io::Error::other("no buffer"))?;
            if !reply {
                buffers.give_back(id);
                continue;
            }
            let filled = buffers.filled(id, received);
            let message = types::RecvMsgOut::parse(filled, layout).map_err(|()| io::Error::other("no header"))?;
            let slot = &mut slots[usize::from(id)];
            // SAFETY: the kernel wrote an address of this kind there.
            slot.peer = unsafe { message.name_data().as_ptr().cast::<libc::sockaddr_in>().read_unaligned() };
            slot.vector.iov_base = message.payload_data().as_ptr().cast_mut().cast();
            sending += 1;
            let header = slot.header(message.payload_data().len());
            next.push(opcode::SendMsg::new(file, header).build().user_data(u64::from(id)));
        }
    }
}
