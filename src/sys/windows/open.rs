//! Opening files: the standard library's options, for overlapped calls.

use crate::error::Refusal;
use crate::op::Open;
use std::fs::{File, OpenOptions as StdOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OVERLAPPED, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
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

/// What the user asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    create: bool,
    truncate: bool,
    exclusive: bool,
    share: u32,
    flags: u32,
    attributes: u32,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    pub(crate) fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            create: false,
            truncate: false,
            exclusive: false,
            share: FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            flags: 0,
            attributes: 0,
        }
    }

    pub(crate) fn read(&mut self, on: bool) {
        self.read = on;
    }

    pub(crate) fn write(&mut self, on: bool) {
        self.write = on;
    }

    pub(crate) fn append(&mut self, on: bool) {
        self.append = on;
    }

    pub(crate) fn create(&mut self, on: bool) {
        self.create = on;
    }

    pub(crate) fn truncate(&mut self, on: bool) {
        self.truncate = on;
    }

    pub(crate) fn exclusive(&mut self, on: bool) {
        self.exclusive = on;
    }

    pub(crate) fn how(&self) -> Result<OpenHow, Refusal> {
        if self.read || self.write || self.append { Ok(*self) } else { Err(Refusal::OpenForNothing) }
    }

    /// `CreateFileW`: there is no overlapped one, so it runs on the blocking pool.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        StdOptions::new()
            .read(self.read)
            .write(self.write || self.truncate && !self.append)
            .append(self.append)
            .truncate(self.truncate)
            .create(self.create)
            .create_new(self.create && self.exclusive)
            .share_mode(self.share)
            .attributes(self.attributes)
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
        self.options.share = share;
        self
    }

    /// The `FILE_ATTRIBUTE_*` of a new file.
    pub fn attributes(mut self, attributes: u32) -> Open {
        self.options.attributes = attributes;
        self
    }
}
