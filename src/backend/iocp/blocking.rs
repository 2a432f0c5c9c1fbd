//! What each operation becomes as a call that blocks, on a thread of the blocking pool: what Windows cannot do
//! otherwise, and everything on objects that were not opened for overlapped calls.

use crate::error;
use crate::op::raw::{MAX_TRANSFER, RawOp};
use crate::outcome::Outcome;
use crate::sys::Raw;
use crate::sys::errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, IntoRawHandle};
use std::path::Path;
use std::ptr;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_INVALID_PARAMETER, ERROR_MORE_DATA,
    ERROR_SEEK_ON_DEVICE, GetLastError, HANDLE,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_TYPE_DISK, FlushFileBuffers,
    GetFileInformationByHandle, GetFileType, ReadFile, WriteFile,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::BOOL;

/// Carries `raw` out, however long it takes, on `object` (none where it has none).
///
/// # Safety
/// The pointers in `raw` are valid, and nobody else's, until the call returns.
pub(crate) unsafe fn perform_blocking(raw: &RawOp, object: Raw) -> Outcome {
    let handle = object.handle();
    // SAFETY (of each block below): the caller's.
    match *raw {
        RawOp::Open { path, how } => {
            // SAFETY: see above.
            let path: &Path = unsafe { &*path };
            how.open(path).map_or_else(Outcome::from, |file| Outcome::done(file.into_raw_handle() as usize))
        }
        RawOp::Recv { buf, len } => {
            // SAFETY: see above.
            unsafe { read(handle, buf, len.min(MAX_TRANSFER) as u32, None) }
        }
        RawOp::Send { buf, len, .. } => {
            // SAFETY: see above.
            unsafe { write(handle, buf, len.min(MAX_TRANSFER) as u32, None) }
        }
        RawOp::RecvMsg { scratch } => {
            // SAFETY: see above.
            let scratch = unsafe { &mut *scratch };
            let (buf, len) = scratch.gathering_room();
            // SAFETY: the buffer is the scratch's own.
            let outcome = unsafe { read(handle, buf, len as u32, None) };
            if let Some(n) = outcome.value() {
                // SAFETY: see above.
                unsafe { scratch.spread(n) };
            }
            outcome
        }
        RawOp::SendMsg { scratch } => {
            // SAFETY: see above.
            let (buf, len) = unsafe { (*scratch).gather() };
            // SAFETY: the buffer is the scratch's own.
            unsafe { write(handle, buf, len as u32, None) }
        }
        RawOp::ReadAt { .. } | RawOp::WriteAt { .. } if !is_file(object) => Outcome::error(ERROR_SEEK_ON_DEVICE as i32),
        RawOp::ReadAt { buf, len, offset } => {
            // SAFETY: see above.
            unsafe { read(handle, buf, len, Some(offset)) }
        }
        RawOp::WriteAt { buf, len, offset } => {
            // SAFETY: see above.
            unsafe { write(handle, buf, len, Some(offset)) }
        }
        // Windows would wait until a pipe's reader has read everything.
        RawOp::Sync { .. } if !is_file(object) => Outcome::error(ERROR_INVALID_PARAMETER as i32),
        RawOp::Sync { .. } => {
            // SAFETY: a call without pointers; the port keeps the object open meanwhile.
            outcome(unsafe { FlushFileBuffers(handle) }, 0)
        }
        RawOp::Stat { path, scratch } => {
            // SAFETY: see above.
            let (path, file) = unsafe { (path.as_ref(), &mut (*scratch).file) };
            match path {
                None => stat(handle, file),
                Some(path) => match open_for_metadata(path) {
                    Ok(opened) => stat(opened.as_raw_handle(), file),
                    Err(error) => error.into(),
                },
            }
        }
        RawOp::Call { run, payload } => {
            // SAFETY: see above; `run` is the one that was made for this payload's type.
            unsafe { run(payload) };
            Outcome::done(0)
        }
        _ => unreachable!("{raw:?} does not need the blocking pool"),
    }
}

fn is_file(object: Raw) -> bool {
    // SAFETY: a call without pointers; the port keeps the object open meanwhile.
    matches!(object, Raw::Handle(_)) && unsafe { GetFileType(object.handle()) } == FILE_TYPE_DISK
}

/// Opens a file or directory to be asked about, which needs no right to read it.
fn open_for_metadata(path: &Path) -> io::Result<File> {
    OpenOptions::new().access_mode(FILE_READ_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

fn stat(handle: HANDLE, file: &mut BY_HANDLE_FILE_INFORMATION) -> Outcome {
    // SAFETY: the structure is the operation's scratch, which is nobody else's meanwhile.
    outcome(unsafe { GetFileInformationByHandle(handle, file) }, 0)
}

fn outcome(succeeded: BOOL, bytes: u32) -> Outcome {
    if succeeded != 0 {
        return Outcome::done(bytes as usize);
    }
    // SAFETY: reads a number of this thread.
    Outcome::error(errno::of_code(unsafe { GetLastError() }))
}

/// # Safety
/// `buf` is valid for writes of `len` bytes.
unsafe fn read(handle: HANDLE, buf: *mut u8, len: u32, offset: Option<u64>) -> Outcome {
    let mut bytes = 0;
    let mut place = at(offset);
    let place = place.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's. The handle is open for synchronous calls, so this one is over when it returns; with a
    // place it reads there.
    let result = outcome(unsafe { ReadFile(handle, buf, len, &mut bytes, place) }, bytes);
    match result.errno().map(|code| code as u32) {
        Some(ERROR_ACCESS_DENIED) => Outcome::error(errno::WRONG_DIRECTION),
        Some(ERROR_BROKEN_PIPE | ERROR_HANDLE_EOF) => Outcome::done(0),
        Some(ERROR_MORE_DATA) => Outcome::done(bytes as usize),
        _ => or_part(result, bytes),
    }
}

/// # Safety
/// `buf` is valid for reads of `len` bytes.
unsafe fn write(handle: HANDLE, buf: *const u8, len: u32, offset: Option<u64>) -> Outcome {
    let mut bytes = 0;
    let mut place = at(offset);
    let place = place.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: as for `read`.
    let result = outcome(unsafe { WriteFile(handle, buf, len, &mut bytes, place) }, bytes);
    match result.errno().map(|code| code as u32) {
        Some(ERROR_ACCESS_DENIED) => Outcome::error(errno::WRONG_DIRECTION),
        _ => or_part(result, bytes),
    }
}

/// A call that was interrupted after it had moved a part: that is what really happened.
fn or_part(outcome: Outcome, bytes: u32) -> Outcome {
    match outcome.errno() {
        Some(error::CANCELLED) if bytes > 0 => Outcome::done(bytes as usize),
        _ => outcome,
    }
}

/// A place in a file, as calls take it.
fn at(offset: Option<u64>) -> Option<OVERLAPPED> {
    let mut place = OVERLAPPED::default();
    let offset = offset?;
    place.Anonymous.Anonymous.Offset = offset as u32;
    place.Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
    Some(place)
}
