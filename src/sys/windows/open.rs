//! Opening files: the standard library's options, for overlapped calls.

use crate::error::Refusal;
use crate::op::Open;
use std::fs::{File, OpenOptions as StdOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_APPEND_DATA, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OVERLAPPED, FILE_GENERIC_WRITE, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, SYNCHRONIZE,
};

/// A path as a call takes it, by its address.
pub(crate) type NativePath = PathBuf;

/// A path as an operation owns it.
pub(crate) type OwnedPath = PathBuf;

pub(crate) fn own_path(path: &Path) -> Result<OwnedPath, Refusal> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Refusal::PathWithNul);
    }
    Ok(path.to_owned())
}

pub(crate) fn path_ptr(path: &OwnedPath) -> *const NativePath {
    path
}

/// How `CreateFileW` is asked.
pub(crate) type OpenHow = OpenOptions;

/// What the user asks for. (Packed, because it is part of an operation's slot.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenOptions {
    /// A set of the bits below.
    wants: u8,
    share: u8,
    /// `FILE_FLAG_*` and `FILE_ATTRIBUTE_*`, which are one argument of the call.
    flags: u32,
}

const READ: u8 = 1;
const WRITE: u8 = 2;
const APPEND: u8 = 4;
const CREATE: u8 = 8;
const TRUNCATE: u8 = 16;
const EXCLUSIVE: u8 = 32;

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    pub(crate) fn new() -> OpenOptions {
        let share = (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE) as u8;
        OpenOptions { wants: 0, share, flags: 0 }
    }

    fn set(&mut self, want: u8, on: bool) {
        self.wants = if on { self.wants | want } else { self.wants & !want };
    }

    fn wants(&self, want: u8) -> bool {
        self.wants & want != 0
    }

    pub(crate) fn read(&mut self, on: bool) {
        self.set(READ, on);
    }

    pub(crate) fn write(&mut self, on: bool) {
        self.set(WRITE, on);
    }

    pub(crate) fn append(&mut self, on: bool) {
        self.set(APPEND, on);
    }

    pub(crate) fn create(&mut self, on: bool) {
        self.set(CREATE, on);
    }

    pub(crate) fn truncate(&mut self, on: bool) {
        self.set(TRUNCATE, on);
    }

    pub(crate) fn exclusive(&mut self, on: bool) {
        self.set(EXCLUSIVE, on);
    }

    pub(crate) fn how(&self) -> Result<OpenHow, Refusal> {
        if self.wants(READ | WRITE | APPEND) { Ok(*self) } else { Err(Refusal::OpenForNothing) }
    }

    /// `CreateFileW`: there is no overlapped one, so it runs on the blocking pool.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        let mut access = 0;
        for (want, right) in [(READ, GENERIC_READ), (WRITE, GENERIC_WRITE), (APPEND, FILE_APPEND_DATA | SYNCHRONIZE)] {
            access |= if self.wants(want) { right } else { 0 };
        }
        // With the right to write anywhere, not every write would go to the end.
        if self.wants(APPEND) && self.wants(WRITE) {
            access = access & !GENERIC_WRITE | FILE_GENERIC_WRITE & !FILE_WRITE_DATA;
        }
        StdOptions::new()
            .access_mode(access)
            // What open(2) allows and the standard library does not: to make a file that is only read.
            .write(true)
            .truncate(self.wants(TRUNCATE))
            .create(self.wants(CREATE))
            .create_new(self.wants(CREATE) && self.wants(EXCLUSIVE))
            .share_mode(u32::from(self.share))
            // Backup semantics let a directory be opened, as open(2) does.
            .custom_flags(self.flags | FILE_FLAG_OVERLAPPED | FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)
    }
}

impl Open {
    /// More `FILE_FLAG_*` flags of `CreateFileW`, for example `FILE_FLAG_NO_BUFFERING`.
    pub fn custom_flags(mut self, flags: u32) -> Open {
        self.options.flags |= flags;
        self
    }

    /// What others may do with the file meanwhile: `FILE_SHARE_*`; everything unless set, as on a Unix.
    pub fn share_mode(mut self, share: u32) -> Open {
        self.options.share = share as u8;
        self
    }

    /// The `FILE_ATTRIBUTE_*` of a new file.
    pub fn attributes(mut self, attributes: u32) -> Open {
        self.options.flags |= attributes;
        self
    }
}
