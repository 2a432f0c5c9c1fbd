//! Opening and reading files without waiting for a disk, on Linux: from what the kernel has in its caches.
//!
//! Tried first, on the port's thread; a hop to the blocking pool would cost several times as much. Whatever
//! the caches have not, and whatever is out of the ordinary, is `None` here and then done by the pool, with the
//! same meaning.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

/// Opens the regular file at `path` beneath `dir` for reading.
pub(crate) fn open(dir: impl AsFd, path: &Path) -> Option<File> {
    let open = |flags| -> Option<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
        let file = openat2(&dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).ok()?;
        let regular = FileType::from_raw_mode(fstat(&file).ok()?.st_mode) == FileType::RegularFile;
        regular.then_some(file)
    };
    // What is no regular file is not to be opened, only looked at.
    open(OFlags::PATH)?;
    let file = open(OFlags::RDONLY | OFlags::NONBLOCK)?;
    super::site::wait_for_data(&file).ok()?;
    Some(file.into())
}
