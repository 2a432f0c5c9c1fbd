//! Bare polls of the AFD driver (`IOCTL_AFD_POLL`), one per socket, whose packets arrive at a completion port.
//!
//! A poll is asked once and answered once. Oneshot: `modify` asks again. Level: the next wait asks again for what the last
//! one reported. Edge: whoever has drained the socket asks again.

use std::collections::HashMap;
use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle, RawSocket};
use std::ptr::{null, null_mut};
use std::time::Duration;

use anyport::Backend;
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCancelIoFileEx, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, RtlNtStatusToDosError, STATUS_PENDING, UNICODE_STRING};
use windows_sys::Win32::Networking::WinSock::{SIO_BASE_HANDLE, SOCKET, WSAIoctl};
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE};
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, OVERLAPPED_ENTRY};

use super::{ACTIVE, How, Source, Watcher, read_all};
use crate::raw::completion_port::CompletionPort;

/// AFD's poll; its question and answer are in one place.
const IOCTL_AFD_POLL: u32 = 0x0001_2024;

/// Data, a connection, the end of the stream, a reset, a connect that failed.
const READABLE: u32 = 1 | 1 << 7 | 1 << 3 | 1 << 4 | 1 << 8;

/// `AFD_POLL_INFO` with one socket.
#[repr(C)]
struct Info {
    timeout: i64,
    count: u32,
    exclusive: u32,
    socket: HANDLE,
    events: u32,
    status: NTSTATUS,
}

/// A watched socket and its poll.
struct Watched {
    status: IO_STATUS_BLOCK,
    info: Info,
    base: HANDLE,
    key: usize,
    how: How,
    /// The poll is with the system.
    flying: bool,
    deleted: bool,
}

pub(super) struct ByHand {
    port: CompletionPort,
    afd: OwnedHandle,
    /// The addresses of boxes, which the system knows, too.
    watched: HashMap<RawSocket, *mut Watched>,
    /// Level: what the last wait has reported.
    again: Vec<*mut Watched>,
    flying: usize,
    packets: Vec<OVERLAPPED_ENTRY>,
}

// SAFETY: whoever has the value has all that the pointers lead to, but for what is the system's.
unsafe impl Send for ByHand {}

fn check(status: NTSTATUS) -> io::Result<()> {
    match status {
        0.. => Ok(()),
        // SAFETY: a table look-up.
        status => Err(io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) } as i32)),
    }
}

/// A handle of the driver.
fn open_driver() -> io::Result<OwnedHandle> {
    let mut name: Vec<u16> = r"\Device\Afd\ByHand".encode_utf16().collect();
    let bytes = (name.len() * size_of::<u16>()) as u16;
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
    let size = size_of::<OBJECT_ATTRIBUTES>() as u32;
    let attributes = OBJECT_ATTRIBUTES { Length: size, ObjectName: &raw const name, ..OBJECT_ATTRIBUTES::default() };
    let (mut handle, mut status) = (null_mut(), IO_STATUS_BLOCK::default());
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    // SAFETY: all pointers are to values of this frame, and the call is over when it returns.
    check(unsafe {
        NtCreateFile(&mut handle, SYNCHRONIZE, &attributes, &mut status, null(), 0, share, FILE_OPEN, 0, null(), 0)
    })?;
    // SAFETY: the call has just made this handle, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The socket as the driver knows it.
fn base(socket: RawSocket) -> io::Result<HANDLE> {
    let (mut base, mut bytes): (SOCKET, u32) = (0, 0);
    // SAFETY: the answer is of this frame and as long as is said; the call is over when it returns.
    let result = unsafe {
        let (place, size) = ((&raw mut base).cast(), size_of::<SOCKET>() as u32);
        WSAIoctl(socket as SOCKET, SIO_BASE_HANDLE, null(), 0, place, size, &mut bytes, null_mut(), None)
    };
    if result == 0 { Ok(base as HANDLE) } else { Err(io::Error::last_os_error()) }
}

impl ByHand {
    /// Has a poll of the socket with the system.
    fn ask(&mut self, watched: *mut Watched) -> io::Result<()> {
        // SAFETY: the box lives until its poll has come back and it is deleted; without a poll nobody else uses it.
        unsafe {
            if (*watched).flying {
                return Ok(());
            }
            let socket = (*watched).base;
            (*watched).status.Anonymous.Status = STATUS_PENDING;
            (*watched).info = Info { timeout: i64::MAX, count: 1, exclusive: 0, socket, events: READABLE, status: 0 };
            let (info, size) = ((&raw mut (*watched).info).cast(), size_of::<Info>() as u32);
            let status = &raw mut (*watched).status;
            let driver = self.afd.as_raw_handle();
            let context = watched.cast();
            check(NtDeviceIoControlFile(
                driver,
                null_mut(),
                None,
                context,
                status,
                IOCTL_AFD_POLL,
                info,
                size,
                info,
                size,
            ))?;
            (*watched).flying = true;
        }
        self.flying += 1;
        Ok(())
    }

    fn find(&self, source: Source<'_>) -> io::Result<*mut Watched> {
        let found = self.watched.get(&source.as_raw_socket()).copied();
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Ends watching; the box goes when its poll is back.
    fn forget(&mut self, watched: *mut Watched) {
        // SAFETY: as for `ask`; what was not asked for is freed at once.
        unsafe {
            (*watched).deleted = true;
            if (*watched).flying {
                let mut status = IO_STATUS_BLOCK::default();
                NtCancelIoFileEx(self.afd.as_raw_handle(), &raw const (*watched).status, &mut status);
            } else {
                self.again.retain(|&other| other != watched);
                drop(Box::from_raw(watched));
            }
        }
    }

    /// Takes the packets up that `wait` waits for, and hands out the keys of what is ready.
    fn take(&mut self, millis: u32, mut report: impl FnMut(usize)) -> io::Result<()> {
        let mut packets = std::mem::take(&mut self.packets);
        let waited = self.port.wait(&mut packets, Some(millis));
        for packet in &packets {
            let watched: *mut Watched = packet.lpOverlapped.cast();
            self.flying -= 1;
            // SAFETY: the poll's packet was taken, so the box is nobody else's.
            unsafe {
                (*watched).flying = false;
                if (*watched).deleted {
                    drop(Box::from_raw(watched));
                    continue;
                }
                if (*watched).status.Anonymous.Status >= 0 && (*watched).info.count > 0 {
                    report((*watched).key);
                }
                if (*watched).how == How::Level {
                    self.again.push(watched);
                }
            }
        }
        self.packets = packets;
        waited
    }
}

impl Watcher for ByHand {
    const NAME: &'static str = "by hand, AFD";

    fn new(_: Option<Backend>) -> io::Result<ByHand> {
        let (port, afd) = (CompletionPort::new()?, open_driver()?);
        port.join_with_packets(afd.as_raw_handle() as usize, 0)?;
        let packets = Vec::with_capacity(ACTIVE);
        Ok(ByHand { port, afd, watched: HashMap::new(), again: Vec::new(), flying: 0, packets })
    }

    fn add(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()> {
        let (status, base) = (IO_STATUS_BLOCK::default(), base(source.as_raw_socket())?);
        let info = Info { timeout: 0, count: 0, exclusive: 0, socket: base, events: 0, status: 0 };
        let watched = Watched { status, info, base, key, how, flying: false, deleted: false };
        let watched = Box::into_raw(Box::new(watched));
        self.watched.insert(source.as_raw_socket(), watched);
        self.ask(watched)
    }

    fn modify(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()> {
        let watched = self.find(source)?;
        // SAFETY: as for `ask`; these fields are never the system's.
        unsafe { ((*watched).key, (*watched).how) = (key, how) };
        self.ask(watched)
    }

    fn delete(&mut self, source: Source<'_>) -> io::Result<()> {
        let watched = self.find(source)?;
        self.watched.remove(&source.as_raw_socket());
        self.forget(watched);
        Ok(())
    }

    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        for watched in std::mem::take(&mut self.again) {
            self.ask(watched)?;
        }
        ready.clear();
        self.take(timeout.as_millis() as u32, |key| ready.push(key))
    }

    fn drain(&mut self, source: Source<'_>) -> io::Result<()> {
        read_all(source)?;
        let watched = self.find(source)?;
        self.ask(watched)
    }
}

impl Drop for ByHand {
    /// Waits for the polls that are with the system.
    fn drop(&mut self) {
        for (_, watched) in std::mem::take(&mut self.watched) {
            self.forget(watched);
        }
        while self.flying > 0 && self.take(u32::MAX, |_| ()).is_ok() {}
    }
}
