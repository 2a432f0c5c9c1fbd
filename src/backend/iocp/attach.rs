//! Joining and leaving the completion port.

use crate::explain::Feature;
use crate::handle::Kind;
use crate::sys::windows::socket;
use crate::sys::{Notes, Raw, Route};
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_COMPLETION_INFORMATION, FILE_INFORMATION_CLASS, FILE_SYNCHRONOUS_IO_ALERT, FILE_SYNCHRONOUS_IO_NONALERT,
    FileModeInformation, FileReplaceCompletionInformation, NtQueryInformationFile, NtSetInformationFile,
};
use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, RtlNtStatusToDosError, STATUS_SUCCESS};
use windows_sys::Win32::Networking::WinSock::XP1_IFS_HANDLES;
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::{CreateIoCompletionPort, IO_STATUS_BLOCK};
use windows_sys::Win32::System::WindowsProgramming::{
    FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
};

/// Lets an object join `port`.
pub(super) fn join(port: BorrowedHandle<'_>, object: Raw, kind: Kind) -> io::Result<Notes> {
    let mut notes = Notes { route: Route::Blocking, family: 0, protocol: 0, deaf: false, position: 0, base: None };
    // A pipe of messages may say at once that there is more, and queue a packet.
    let mut may_skip = kind != Kind::Pipe;
    match object {
        Raw::Socket(_) => {
            let info = socket::protocol_info(object.socket())?;
            (notes.family, notes.protocol) = (info.iAddressFamily as u16, info.iProtocol);
            // Above a layered provider whose sockets are no handles of the system's own, some calls succeed at
            // once and queue a packet all the same. And a receive of a datagram that succeeds at once may say
            // "pending" (every Windows so far): then nothing would ever come.
            may_skip = info.dwServiceFlags1 & XP1_IFS_HANDLES != 0 && kind != Kind::Datagram;
            if kind == Kind::Datagram {
                socket::report_refusals(object.socket(), socket::is_connected(object.socket()));
            }
        }
        Raw::Handle(_) if is_synchronous(object) => return Ok(notes),
        Raw::Handle(_) => {}
    }
    // SAFETY: calls on open handles, without pointers.
    unsafe {
        if CreateIoCompletionPort(object.handle(), port.as_raw_handle(), 0, 0).is_null() {
            return Err(refused(io::Error::last_os_error()));
        }
        // Nobody waits on the object itself.
        let skip = if may_skip { FILE_SKIP_COMPLETION_PORT_ON_SUCCESS } else { 0 };
        let modes = (skip | FILE_SKIP_SET_EVENT_ON_HANDLE) as u8;
        let set = SetFileCompletionNotificationModes(object.handle(), modes) != 0;
        notes.route = Route::Overlapped { skips: may_skip && set };
    }
    Ok(notes)
}

/// The system's error, with what it means here.
fn refused(error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(ERROR_INVALID_PARAMETER as i32) {
        return error;
    }
    let text =
        "the object belongs to a completion port already; detach it there, or attach it before anything else does";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Whether the handle was opened for calls that block, which no completion port takes.
fn is_synchronous(object: Raw) -> bool {
    let mut status = IO_STATUS_BLOCK::default();
    let mut mode = 0u32;
    // SAFETY: both answers are of this frame, and as long as is said.
    let result = unsafe {
        let size = size_of::<u32>() as u32;
        NtQueryInformationFile(object.handle(), &mut status, (&raw mut mode).cast(), size, FileModeInformation)
    };
    // What is not asked so (a console) is not overlapped either.
    result != STATUS_SUCCESS || mode & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT) != 0
}

/// Lets an object that has no call in flight leave its completion port, so that it can join another.
///
/// `FileReplaceCompletionInformation` (Windows 8.1) with no port is the only way out. The mode of not queueing
/// packets stays set; whoever attaches the object to a port again has to expect that.
pub(super) fn leave(object: Raw, route: Route) -> io::Result<()> {
    if route == Route::Blocking {
        return Ok(());
    }
    let none = FILE_COMPLETION_INFORMATION { Port: ptr::null_mut(), Key: ptr::null_mut() };
    let mut status = IO_STATUS_BLOCK::default();
    let class: FILE_INFORMATION_CLASS = FileReplaceCompletionInformation;
    // SAFETY: the structures are of this frame, and as long as is said.
    let result = unsafe {
        let size = size_of::<FILE_COMPLETION_INFORMATION>() as u32;
        NtSetInformationFile(object.handle(), &mut status, (&raw const none).cast(), size, class)
    };
    if result == STATUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: a table look-up.
    let code = unsafe { RtlNtStatusToDosError(result) };
    let text = format!(
        "this Windows does not let an object leave its completion port (8.1 and newer do; error {code}): close it \
         instead, or keep it attached"
    );
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

pub(super) fn features() -> Vec<Feature> {
    Vec::new()
}
