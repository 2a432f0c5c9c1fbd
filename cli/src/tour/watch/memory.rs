//! What a stopped child has in its memory and its table of descriptors.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

pub(super) struct Memory {
    child: Pid,
    bytes: Option<File>,
}

impl Memory {
    pub(super) fn of(child: Pid) -> Memory {
        // Whoever may trace a process may read its memory; without it, less is told.
        Memory { child, bytes: File::open(format!("/proc/{child}/mem")).ok() }
    }

    /// The `N` bytes at `address`, where there are any.
    pub(super) fn bytes<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.bytes.as_ref()?.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    pub(super) fn word(&self, address: u64) -> Option<u32> {
        self.bytes(address).map(u32::from_ne_bytes)
    }

    /// A descriptor and what it is, as in `3<epoll>`.
    pub(super) fn descriptor(&self, fd: i64) -> String {
        let Ok(target) = fs::read_link(format!("/proc/{}/fd/{fd}", self.child)) else { return fd.to_string() };
        let target = target.to_string_lossy();
        let kind = match &*target {
            "anon_inode:[eventpoll]" => "epoll",
            "anon_inode:[io_uring]" => "io_uring",
            "anon_inode:[eventfd]" => "eventfd",
            _ if target.starts_with("socket:") => "socket",
            _ if target.starts_with("pipe:") => "pipe",
            other => other.rsplit('/').next().unwrap_or(other),
        };
        format!("{fd}<{kind}>")
    }
}
