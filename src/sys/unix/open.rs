//! Opening files: paths are C strings, options are the flags of open(2).

use crate::error::Refusal;
use crate::op::Open;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as the system takes it, by its address.
pub(crate) type NativePath = libc::c_char;

/// A path as an operation owns it.
pub(crate) type OwnedPath = CString;

pub(crate) fn own_path(path: &Path) -> Result<OwnedPath, Refusal> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Refusal::PathWithNul)
}

pub(crate) fn path_ptr(path: &OwnedPath) -> *const NativePath {
    path.as_ptr()
}

/// The last two arguments of open(2).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct OpenHow {
    pub(crate) flags: i32,
    pub(crate) mode: u32,
}

/// What the user asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenOptions {
    read: bool,
    write: bool,
    flags: i32,
    mode: u32,
}

impl OpenOptions {
    pub(crate) fn new() -> OpenOptions {
        OpenOptions { read: false, write: false, flags: 0, mode: 0o666 }
    }

    fn flag(&mut self, flag: i32, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(crate) fn read(&mut self, on: bool) {
        self.read = on;
    }

    pub(crate) fn write(&mut self, on: bool) {
        self.write = on;
    }

    pub(crate) fn append(&mut self, on: bool) {
        self.flag(libc::O_APPEND, on);
    }

    pub(crate) fn create(&mut self, on: bool) {
        self.flag(libc::O_CREAT, on);
    }

    pub(crate) fn truncate(&mut self, on: bool) {
        self.flag(libc::O_TRUNC, on);
    }

    pub(crate) fn exclusive(&mut self, on: bool) {
        self.flag(libc::O_EXCL, on);
    }

    pub(crate) fn how(&self) -> Result<OpenHow, Refusal> {
        let access = match (self.read, self.write || self.flags & libc::O_APPEND != 0) {
            (true, true) => libc::O_RDWR,
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (false, false) => return Err(Refusal::OpenForNothing),
        };
        Ok(OpenHow { flags: access | self.flags | libc::O_CLOEXEC, mode: self.mode })
    }
}

impl Open {
    /// Permissions of a new file, before the umask; 0o666 unless set.
    pub fn mode(mut self, mode: u32) -> Open {
        self.options.mode = mode;
        self
    }

    /// More `O_*` flags of open(2), for example `O_DIRECT`.
    pub fn custom_flags(mut self, flags: i32) -> Open {
        self.options.flags |= flags & !libc::O_ACCMODE;
        self
    }
}
