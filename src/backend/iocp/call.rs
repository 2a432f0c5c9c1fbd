//! The table: what each operation becomes as an overlapped call.
//!
//! A call that fails at once has no packet; one that succeeds at once has none on an object that skips it
//! (`attach.rs`). All others have exactly one, which `finish.rs` reads.

use super::Iocp;
use crate::buf::sender::Sender;
use crate::core::Core;
use crate::error;
use crate::handle::{Entry, Kind};
use crate::op::raw::{Direction, Lane, MAX_TRANSFER, RawOp};
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use crate::slot::{At, NONE};
use crate::sys::errno;
use crate::sys::windows::socket;
use crate::sys::{Block, Mapping, NO_OBJECT, Notes, Raw, Route, from_raw};
use std::cell::OnceCell;
use std::net::Shutdown;
use std::ptr;
use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_IO_PENDING, ERROR_SEEK_ON_DEVICE, GetLastError,
};
use windows_sys::Win32::Networking::WinSock::{
    LPFN_CONNECTEX, SD_SEND, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKADDR, SOCKET, TRANSMIT_FILE_BUFFERS, TransmitFile,
    WSABUF, WSAEAFNOSUPPORT, WSAENOTCONN, WSAENOTSOCK, WSAID_CONNECTEX, WSAIoctl, WSARecv, WSARecvFrom, WSASend,
    WSASendTo, connect, shutdown,
};
use windows_sys::Win32::Storage::FileSystem::{GetFileSizeEx, ReadFile, WriteFile};
use windows_sys::core::BOOL;

pub(super) use crate::sys::windows::Phase;

/// What came of making a call.
pub(super) enum Issued {
    /// Its packet will come.
    Pending,
    /// It is over, and no packet comes.
    Done(Outcome),
}

impl Issued {
    fn error(code: u32) -> Issued {
        Issued::Done(Outcome::error(errno::of_code(code)))
    }

    /// Of a call of Winsock with this block, which has moved `bytes` if it is over.
    fn of_socket(result: i32, bytes: u32, block: *const Block, notes: &Notes) -> Issued {
        match result {
            0 => Issued::succeeded(bytes, notes),
            _ => Issued::failed(socket::last_error() as u32, block, notes),
        }
    }

    /// The same of Win32.
    fn of_handle(succeeded: BOOL, bytes: u32, block: *const Block, notes: &Notes) -> Issued {
        if succeeded != 0 {
            return Issued::succeeded(bytes, notes);
        }
        // SAFETY: reads a number of this thread.
        Issued::failed(unsafe { GetLastError() }, block, notes)
    }

    /// The I/O manager queues no packet for a call that ends at once with an error. A warning ("more data") is none to
    /// it, but is one to the calls above: where packets are not skipped, one has been queued.
    fn failed(code: u32, block: *const Block, notes: &Notes) -> Issued {
        // SAFETY: the block is the caller's, and a status is a number whoever writes it.
        let status = unsafe { Block::answer(block).0 };
        match code {
            ERROR_IO_PENDING => Issued::Pending,
            _ if status as u32 >> 30 == WARNING && notes.route == (Route::Overlapped { skips: false }) => {
                Issued::Pending
            }
            code => Issued::error(code),
        }
    }

    fn succeeded(bytes: u32, notes: &Notes) -> Issued {
        match notes.route {
            Route::Overlapped { skips: true } => Issued::Done(Outcome::done(bytes as usize)),
            _ => Issued::Pending,
        }
    }
}

/// The severity of a status that is a warning: its two highest bits.
const WARNING: u32 = 2;

/// What calls need beside their operation.
#[derive(Default)]
pub(super) struct Calls {
    /// `ConnectEx` of each provider of sockets, by family.
    connect: Vec<(u16, ConnectEx)>,
    /// Where what does not fit of a datagram goes.
    sink: OnceCell<Mapping>,
}

type ConnectEx = unsafe extern "system" fn(
    SOCKET,
    *const SOCKADDR,
    i32,
    *const std::ffi::c_void,
    u32,
    *mut u32,
    *mut windows_sys::Win32::System::IO::OVERLAPPED,
) -> BOOL;

/// No datagram is larger.
const DATAGRAM_MAX: usize = 65536;

impl Calls {
    /// A buffer that takes what a datagram has beyond the lent one. So no receive is ever "too long", an error that
    /// would leave it open whether a packet comes. Nobody reads what is written there. (None for all else.)
    fn sink(&self, kind: Kind) -> Option<WSABUF> {
        if kind != Kind::Datagram {
            return None;
        }
        if self.sink.get().is_none() {
            let _ = self.sink.set(Mapping::anonymous(DATAGRAM_MAX).ok()?);
        }
        self.sink.get().map(|sink| WSABUF { len: DATAGRAM_MAX as u32, buf: sink.as_ptr() })
    }

    /// `ConnectEx` is no library's function: the socket's provider has it.
    fn connect_ex(&mut self, socket: SOCKET, family: u16) -> Result<ConnectEx, i32> {
        if let Some((_, connect)) = self.connect.iter().find(|(known, _)| *known == family) {
            return Ok(*connect);
        }
        let mut function: LPFN_CONNECTEX = None;
        let (mut bytes, id) = (0, WSAID_CONNECTEX);
        // SAFETY: question and answer are of this frame; not overlapped, so the call is over when it returns.
        let result = unsafe {
            WSAIoctl(
                socket,
                SIO_GET_EXTENSION_FUNCTION_POINTER,
                (&raw const id).cast(),
                size_of_val(&id) as u32,
                (&raw mut function).cast(),
                size_of::<LPFN_CONNECTEX>() as u32,
                &mut bytes,
                ptr::null_mut(),
                None,
            )
        };
        match function {
            Some(function) if result == 0 => {
                self.connect.push((family, function));
                Ok(function)
            }
            _ => Err(socket::last_error()),
        }
    }
}

fn cut(len: usize) -> u32 {
    len.min(MAX_TRANSFER) as u32
}

impl Iocp {
    /// Makes the call of the operation in `slot`, and more of them as long as they are over at once.
    pub(super) fn issue(&mut self, core: &mut Core, slot: At, phase: Phase) -> Issued {
        let head = core.slots.head(slot);
        let block = core.slots.block(slot);
        // SAFETY: no call has the block: the operation is about to be started, or its packet was taken.
        unsafe { (*block).phase = phase };
        let raw = head.raw;
        if let RawOp::Close { object } = raw {
            return Issued::Done(close(object));
        }
        let handle = head.handle;
        debug_assert!(handle != NONE, "{raw:?} has a handle");
        let entry = core.handles.entry_mut(handle);
        let issued = match raw {
            raw if raw.is_pooled() => return self.receive_pooled(core, slot, phase),
            RawOp::Recv { buf, len } => {
                // SAFETY: pointers in a RawOp lead into its payload, which stays in place and is nobody else's until
                // the operation is over (slot.rs, the list of states); no call has the block.
                let issued = unsafe { receive(entry, block, buf, len, self.calls.sink(entry.kind)) };
                hear_nothing(entry, block, &issued);
                issued
            }
            RawOp::RecvMsg { scratch } => {
                // SAFETY: as above; the scratch is in the payload.
                let issued = unsafe { receive_message(entry, block, &mut *scratch, self.calls.sink(entry.kind)) };
                hear_nothing(entry, block, &issued);
                issued
            }
            // SAFETY: as above.
            RawOp::Send { buf, len, .. } => unsafe { send(entry, block, buf, len) },
            // SAFETY: as above.
            RawOp::SendMsg { scratch } => unsafe { send_message(entry, block, &mut *scratch) },
            RawOp::ReadAt { .. } | RawOp::WriteAt { .. } if entry.kind != Kind::File => {
                Issued::error(ERROR_SEEK_ON_DEVICE)
            }
            // SAFETY: as above.
            RawOp::SendFile { scratch } => unsafe { send_file(entry, block, &mut *scratch) },
            // SAFETY: as above.
            RawOp::ReadAt { buf, len, offset } => unsafe { read(entry, block, buf, len, offset) },
            // SAFETY: as above.
            RawOp::WriteAt { buf, len, offset } => unsafe { write(entry, block, buf, len, offset) },
            RawOp::Connect { scratch, .. } => {
                // SAFETY: as above.
                let scratch = unsafe { &*scratch };
                self.connect(entry, block, scratch)
            }
            RawOp::Shutdown { how } => return self.shut_down(core, handle, how),
            RawOp::Ready { direction } => self.ready(core, slot, direction),
            _ => unreachable!("{raw:?} is not for the completion port"),
        };
        match issued {
            Issued::Pending => Issued::Pending,
            Issued::Done(outcome) => Issued::Done(self.settle(core, slot, outcome)),
        }
    }

    fn connect(&mut self, entry: &Entry, block: *mut Block, scratch: &Scratch) -> Issued {
        let Raw::Socket(_) = entry.raw() else { return Issued::Done(Outcome::error(WSAENOTSOCK)) };
        if scratch.family() != entry.notes.family {
            return Issued::Done(Outcome::error(WSAEAFNOSUPPORT));
        }
        let socket = entry.raw().socket();
        let (name, len) = scratch.name();
        if entry.kind == Kind::Datagram {
            // Only notes the peer: never takes time.
            // SAFETY: the name is the scratch's own.
            return match unsafe { connect(socket, name, len) } {
                0 => {
                    socket::report_refusals(socket, true);
                    Issued::Done(Outcome::done(0))
                }
                _ => Issued::error(socket::last_error() as u32),
            };
        }
        let function = match self.calls.connect_ex(socket, entry.notes.family) {
            Ok(function) => function,
            Err(code) => return Issued::error(code as u32),
        };
        if let Err(error) = socket::bind_to_any(socket, scratch.family()) {
            return Issued::Done(error.into());
        }
        let mut bytes = 0;
        // SAFETY: the name lives in the operation's payload; no call has the block. Nothing is sent along.
        let succeeded = unsafe {
            let memory = Block::prepare(block, 0);
            function(socket, name, len, ptr::null(), 0, &mut bytes, memory)
        };
        Issued::of_handle(succeeded, 0, block, &entry.notes)
    }

    /// Shutting down sending is the system's. Receiving is not: Windows would refuse to hand out what has arrived, and
    /// answer what comes later with a reset. So the receive in flight is ended, and others find what is there, or
    /// the end of the stream.
    fn shut_down(&mut self, core: &mut Core, handle: u32, how: Shutdown) -> Issued {
        let entry = core.handles.entry_mut(handle);
        let socket = entry.raw().socket();
        let result = match how {
            Shutdown::Read if socket::is_connected(socket) => 0,
            Shutdown::Read => {
                let code = if let Raw::Socket(_) = entry.raw() { WSAENOTCONN } else { WSAENOTSOCK };
                return Issued::Done(Outcome::error(code));
            }
            // SAFETY: a call without pointers.
            Shutdown::Write | Shutdown::Both => unsafe { shutdown(socket, SD_SEND) },
        };
        if result != 0 {
            let code = socket::last_error();
            return Issued::error(if errno::is_broken(code) { WSAENOTCONN } else { code } as u32);
        }
        // The system may forget a connection's failure where it was told; elsewhere there is no connection then.
        if entry.has_failed() {
            return Issued::error(WSAENOTCONN as u32);
        }
        if how != Shutdown::Write {
            entry.notes.deaf = true;
            let object = entry.raw();
            let receive = entry.first(Lane::Read);
            if receive != NONE {
                super::cancel_call(object, core.slots.block(core.slots.at(receive)));
            }
        }
        Issued::Done(Outcome::done(0))
    }

    /// A pooled receive: a receive of nothing (which completes when there is something, or the end of the stream),
    /// then one into a buffer of the pool, which by then is over at once. If it is not (somebody else has taken what
    /// was there) it is given up at once, so that the buffer is not kept.
    fn receive_pooled(&mut self, core: &mut Core, slot: At, phase: Phase) -> Issued {
        let block = core.slots.block(slot);
        let head = core.slots.head(slot);
        let (raw, entry) = (head.raw, core.handles.entry(head.handle));
        if !entry.kind.is_socket() && !matches!(raw, RawOp::RecvPooled { .. }) {
            return Issued::Done(Outcome::error(WSAENOTSOCK));
        }
        if entry.notes.route == Route::Blocking {
            return Issued::error(ERROR_CALL_NOT_IMPLEMENTED);
        }
        if phase == Phase::First && entry.kind == Kind::Datagram {
            return self.poll(core, slot, Direction::Read);
        }
        let looks = phase == Phase::First && entry.kind != Kind::File && !entry.notes.deaf;
        if looks {
            // SAFETY: no call has the block; a buffer of no bytes needs no memory.
            let issued = unsafe {
                (*block).phase = Phase::Look;
                receive(entry, block, ptr::NonNull::dangling().as_ptr(), 0, None)
            };
            match issued {
                Issued::Done(outcome) if outcome.value().is_some() => {}
                Issued::Done(outcome) => return Issued::Done(self.settle(core, slot, outcome)),
                Issued::Pending => return Issued::Pending,
            }
        }
        let pool = core.pool.of(&raw);
        let buffer = match pool.take() {
            Ok(Some(buffer)) => buffer,
            Ok(None) => return Issued::Done(Outcome::error(error::NO_BUFFER)),
            Err(error) => return Issued::Done(error.into()),
        };
        let (address, size) = pool.room(buffer);
        let sink = self.calls.sink(entry.kind);
        // SAFETY: no call has the block, and the pool has given this buffer (and what is in front of it) to nobody but this
        // call; the scratch is in the payload, which stays in place.
        let issued = unsafe {
            (*block).phase = Phase::Fetch { buffer };
            match raw {
                RawOp::RecvFromPooled { scratch } => {
                    (*scratch).expect_address();
                    receive_from(entry, block, (address, size), sink, (*scratch).name_mut())
                }
                RawOp::RecvFromPooledMulti => {
                    let (name, len) = Sender::expect(pool.sender(buffer));
                    receive_from(entry, block, (address, size), sink, (name.cast(), len.cast()))
                }
                _ => receive(entry, block, address, size, sink),
            }
        };
        match issued {
            Issued::Done(outcome) => Issued::Done(self.settle(core, slot, outcome)),
            Issued::Pending => {
                if entry.kind != Kind::File {
                    super::cancel_call(entry.raw(), block);
                }
                Issued::Pending
            }
        }
    }
}

/// After a shutdown of receiving, a receive that has to wait is given up at once: `finish.rs` makes it the end of the
/// stream.
fn hear_nothing(entry: &Entry, block: *mut Block, issued: &Issued) {
    if entry.notes.deaf && matches!(issued, Issued::Pending) {
        super::cancel_call(entry.raw(), block);
    }
}

/// # Safety
/// `buf` is valid for writes of `len` bytes, and nobody else uses it, until the call's packet was taken; no call has
/// the block.
pub(super) unsafe fn receive(
    entry: &Entry,
    block: *mut Block,
    buf: *mut u8,
    len: usize,
    sink: Option<WSABUF>,
) -> Issued {
    if !entry.kind.is_socket() {
        // SAFETY: the caller's.
        return unsafe { read(entry, block, buf, cut(len), entry.notes.position) };
    }
    let mut list = [WSABUF { len: cut(len), buf }, WSABUF { len: 0, buf }];
    let mut count = 1;
    if let Some(sink) = sink {
        (list[1], count) = (sink, 2);
    }
    let mut bytes = 0;
    // SAFETY: the caller's; the provider has copied the list when the call returns.
    let result = unsafe {
        let memory = Block::prepare(block, 0);
        WSARecv(entry.raw().socket(), list.as_ptr(), count, &mut bytes, &raw mut (*block).flags, memory, None)
    };
    Issued::of_socket(result, bytes, block, &entry.notes)
}

/// The same with the sender's name and, over that of its room, its length.
///
/// # Safety
/// As for [`receive`], also of the name and its length.
unsafe fn receive_from(
    entry: &Entry,
    block: *mut Block,
    (buf, len): (*mut u8, usize),
    sink: Option<WSABUF>,
    (name, name_len): (*mut SOCKADDR, *mut i32),
) -> Issued {
    if entry.kind != Kind::Datagram {
        // A stream's receives name no peer.
        // SAFETY: the caller's.
        return unsafe {
            *name_len = 0;
            receive(entry, block, buf, len, sink)
        };
    }
    let list = [WSABUF { len: cut(len), buf }, sink.unwrap_or(WSABUF { len: 0, buf })];
    let mut bytes = 0;
    // SAFETY: the caller's; the provider has copied the list when the call returns.
    let result = unsafe {
        let memory = Block::prepare(block, 0);
        let (socket, flags) = (entry.raw().socket(), &raw mut (*block).flags);
        WSARecvFrom(socket, list.as_ptr(), 2, &mut bytes, flags, name, name_len, memory, None)
    };
    Issued::of_socket(result, bytes, block, &entry.notes)
}

/// # Safety
/// As for [`receive`], with the buffers and the address of `scratch`.
unsafe fn receive_message(entry: &Entry, block: *mut Block, scratch: &mut Scratch, sink: Option<WSABUF>) -> Issued {
    if !entry.kind.is_socket() {
        // Nothing reads into several buffers here: one stands for all, and is spread when the call is over.
        let (buf, len) = scratch.gathering_room();
        // SAFETY: the buffer is the scratch's own.
        return unsafe { receive(entry, block, buf, len, None) };
    }
    let datagram = entry.kind == Kind::Datagram;
    let lent = scratch.buffers().len();
    if let Some(sink) = sink {
        scratch.buffers().push(sink);
    }
    let (list, count) = (scratch.buffers().as_ptr(), scratch.buffers().len() as u32);
    let (name, len) = scratch.name_mut();
    let mut bytes = 0;
    // SAFETY: the caller's; the provider has copied the list when the call returns. The length of a name that is
    // expected is that of its room.
    let result = unsafe {
        let memory = Block::prepare(block, 0);
        let (socket, flags) = (entry.raw().socket(), &raw mut (*block).flags);
        if datagram && *len > 0 {
            WSARecvFrom(socket, list, count, &mut bytes, flags, name, len, memory, None)
        } else {
            // A stream's receives name no peer.
            *len = 0;
            WSARecv(socket, list, count, &mut bytes, flags, memory, None)
        }
    };
    scratch.buffers().truncate(lent);
    Issued::of_socket(result, bytes, block, &entry.notes)
}

/// # Safety
/// `buf` is valid for reads of `len` bytes, and nobody writes to it, until the call's packet was taken; no call has
/// the block.
unsafe fn send(entry: &Entry, block: *mut Block, buf: *const u8, len: usize) -> Issued {
    if !entry.kind.is_socket() {
        // SAFETY: the caller's.
        return unsafe { write(entry, block, buf, cut(len), entry.notes.position) };
    }
    let list = WSABUF { len: cut(len), buf: buf.cast_mut() };
    let mut bytes = 0;
    // SAFETY: the caller's; the provider has copied the list when the call returns.
    let result = unsafe {
        let memory = Block::prepare(block, 0);
        WSASend(entry.raw().socket(), &list, 1, &mut bytes, 0, memory, None)
    };
    Issued::of_socket(result, bytes, block, &entry.notes)
}

/// # Safety
/// As for [`send`], with the buffers of `scratch`.
unsafe fn send_message(entry: &Entry, block: *mut Block, scratch: &mut Scratch) -> Issued {
    if !entry.kind.is_socket() {
        // Nothing writes from several buffers here: a copy stands for all.
        // SAFETY: the caller's.
        let (buf, len) = unsafe { scratch.gather() };
        // SAFETY: the buffer is the scratch's own.
        return unsafe { send(entry, block, buf, len) };
    }
    let (name, len) = scratch.name();
    if len > 0 && scratch.family() != entry.notes.family {
        return Issued::Done(Outcome::error(WSAEAFNOSUPPORT));
    }
    let list = scratch.buffers();
    let (socket, count) = (entry.raw().socket(), list.len() as u32);
    let mut bytes = 0;
    // SAFETY: the caller's; the provider has copied list and name when the call returns.
    let result = unsafe {
        let memory = Block::prepare(block, 0);
        if len > 0 {
            WSASendTo(socket, list.as_ptr(), count, &mut bytes, 0, name, len, memory, None)
        } else {
            WSASend(socket, list.as_ptr(), count, &mut bytes, 0, memory, None)
        }
    };
    Issued::of_socket(result, bytes, block, &entry.notes)
}

/// The length is looked up first: a call that asks for more than the file has is an error.
///
/// # Safety
/// As for [`send`], with the head and the file of `scratch`.
unsafe fn send_file(entry: &Entry, block: *mut Block, scratch: &mut Scratch) -> Issued {
    if entry.notes.route == Route::Blocking {
        return Issued::error(ERROR_CALL_NOT_IMPLEMENTED);
    }
    let part = &scratch.part;
    let mut size = 0;
    // SAFETY: the number is of this frame; the file is open as long as it is lent.
    if part.left > 0 && unsafe { GetFileSizeEx(part.file.handle(), &mut size) } == 0 {
        // SAFETY: reads a number of this thread.
        return Issued::error(unsafe { GetLastError() });
    }
    let there = (size as u64).saturating_sub(part.offset).min(part.left as u64);
    let head = cut(part.head_len);
    let len = there.min(u64::from(MAX_TRANSFER as u32 - head)) as u32;
    if len == 0 {
        return match head {
            0 => Issued::Done(Outcome::done(0)),
            // SAFETY: the caller's.
            _ => unsafe { send(entry, block, part.head, part.head_len) },
        };
    }
    scratch.head = TRANSMIT_FILE_BUFFERS {
        Head: part.head.cast_mut().cast(),
        HeadLength: head,
        ..TRANSMIT_FILE_BUFFERS::default()
    };
    // SAFETY: the caller's; the head's description is in the scratch, which is in place as long.
    let succeeded = unsafe {
        let memory = Block::prepare(block, part.offset);
        TransmitFile(entry.raw().socket(), part.file.handle(), len, 0, memory, &scratch.head, 0)
    };
    if succeeded != 0 {
        return Issued::succeeded(head + len, &entry.notes);
    }
    Issued::failed(socket::last_error() as u32, block, &entry.notes)
}

/// # Safety
/// As for [`receive`].
unsafe fn read(entry: &Entry, block: *mut Block, buf: *mut u8, len: u32, offset: u64) -> Issued {
    let mut bytes = 0;
    // SAFETY: the caller's.
    let succeeded = unsafe {
        let memory = Block::prepare(block, offset);
        ReadFile(entry.raw().handle(), buf, len, &mut bytes, memory)
    };
    Issued::of_handle(succeeded, bytes, block, &entry.notes)
}

/// # Safety
/// As for [`send`].
unsafe fn write(entry: &Entry, block: *mut Block, buf: *const u8, len: u32, offset: u64) -> Issued {
    let mut bytes = 0;
    // SAFETY: the caller's.
    let succeeded = unsafe {
        let memory = Block::prepare(block, offset);
        WriteFile(entry.raw().handle(), buf, len, &mut bytes, memory)
    };
    Issued::of_handle(succeeded, bytes, block, &entry.notes)
}

/// Closes an object. Even when it reports an error, the object is gone.
fn close(object: Raw) -> Outcome {
    match object {
        NO_OBJECT => Outcome::done(0),
        Raw::Socket(_) => socket::close(object.socket()).map_or_else(Outcome::from, |()| Outcome::done(0)),
        Raw::Handle(_) => {
            // SAFETY: the port took the object out of its handle for this call alone.
            drop(unsafe { from_raw(object) });
            Outcome::done(0)
        }
    }
}
