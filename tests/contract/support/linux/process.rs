//! What the process holds: descriptors, threads, memory. For isolated trials, where nobody else opens or starts
//! anything meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::fd::RawFd;
use std::path::PathBuf;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::libkqueue::settle_libkqueue;
use crate::support::skip::skip_elsewhere;

/// The open descriptors and what each refers to (`socket:[123]`, `anon_inode:[eventpoll]`, a path), without the one
/// that this reading itself opens.
pub(crate) fn descriptors() -> BTreeMap<RawFd, String> {
    settle_libkqueue();
    let folder = fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let paths: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    // The folder's own descriptor is closed by now, so its link no longer resolves.
    let resolve = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    };
    paths.into_iter().filter_map(resolve).collect()
}

/// The names of the running threads, sorted. A kernel worker of io_uring (`iou-wrk-...`) is listed too.
pub(crate) fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc/self/task").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let mut names: Vec<_> = tasks.filter_map(name).map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// Whether reads of `file` can be asked not to wait for the disk.
pub(crate) fn tells_what_is_cached(file: &File) -> bool {
    let mut byte = [0];
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, rustix::io::ReadWriteFlags::NOWAIT);
    read != Err(rustix::io::Errno::OPNOTSUPP)
}

/// Whether `descriptor` is close-on-exec, as the kernel says in `/proc/self/fdinfo`.
pub(crate) fn close_on_exec(descriptor: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).expect("fdinfo of an open descriptor");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has flags");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    flags & libc::O_CLOEXEC != 0
}

/// Bytes of writable anonymous mappings that the C allocator has not made: what somebody mapped for himself. The size,
/// not what is resident, so that memory which is merely not touched yet counts as well.
#[cfg(target_env = "gnu")]
pub(crate) fn mapped_beside_the_heap() -> i64 {
    if std::env::var_os("ANYPORT_SANITIZER").is_some() {
        skip_elsewhere("a sanitizer maps memory of its own");
    }
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    let mapped: i64 = maps.lines().filter_map(anonymous_size).sum();
    // SAFETY: it only reads the allocator's own statistics and returns them by value.
    let heap = unsafe { libc::mallinfo2() };
    mapped - heap.arena as i64 - heap.hblkhd as i64
}

/// The size of a line of `/proc/self/maps`, if it is writable anonymous memory other than a stack, or shared memory of
/// a ring.
#[cfg(target_env = "gnu")]
fn anonymous_size(line: &str) -> Option<i64> {
    let mut fields = line.split_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let path = fields.nth(3).unwrap_or("");
    let anonymous = path.is_empty() || path == "[heap]" || path.starts_with("[anon") || path.starts_with("anon_inode:");
    if !access.starts_with("rw") || !anonymous {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some(i64::from_str_radix(end, 16).ok()? - i64::from_str_radix(start, 16).ok()?)
}

/// Memory that was mapped, as somebody would for himself.
pub(crate) struct Mapped {
    address: *mut std::ffi::c_void,
    bytes: usize,
}

impl Mapped {
    pub(crate) fn new(bytes: usize) -> Mapped {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice disturbs no memory in use.
        let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE) };
        Mapped { address: mapped.expect("a mapping"), bytes }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this is exactly the mapping made above, and nothing points into it.
        unsafe { munmap(self.address, self.bytes) }.expect("unmap");
    }
}
