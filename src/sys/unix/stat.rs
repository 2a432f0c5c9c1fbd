//! A file's metadata, from statx(2) on Linux, stat(2) elsewhere.

use super::Scratch;
use crate::op::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time before 1970 counts backwards in whole seconds, forwards in nanoseconds.
fn time(seconds: i64, nanos: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    second + Duration::from_nanos(u64::from(nanos))
}

/// The nanoseconds of the last access and of the last change.
#[cfg(not(any(target_os = "linux", target_os = "netbsd")))]
fn nanos(s: &libc::stat) -> (libc::c_long, libc::c_long) {
    (s.st_atime_nsec as _, s.st_mtime_nsec as _)
}

/// The same, under the names that NetBSD has for them.
#[cfg(target_os = "netbsd")]
fn nanos(s: &libc::stat) -> (libc::c_long, libc::c_long) {
    (s.st_atimensec, s.st_mtimensec)
}

impl Stat {
    #[cfg(target_os = "linux")]
    pub(crate) fn of(scratch: &Scratch) -> Stat {
        let x = &scratch.statx;
        Stat {
            native: u32::from(x.stx_mode),
            len: x.stx_size,
            inode: x.stx_ino,
            links: u64::from(x.stx_nlink),
            accessed: time(x.stx_atime.tv_sec, x.stx_atime.tv_nsec),
            modified: time(x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec),
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the fields' types differ from system to system
    pub(crate) fn of(scratch: &Scratch) -> Stat {
        let s = &scratch.stat;
        Stat {
            native: s.st_mode as u32,
            len: s.st_size as u64,
            inode: s.st_ino as u64,
            links: s.st_nlink as u64,
            accessed: time(s.st_atime as i64, nanos(s).0 as u32),
            modified: time(s.st_mtime as i64, nanos(s).1 as u32),
        }
    }

    #[allow(clippy::useless_conversion)] // mode_t has 16 bits on some systems
    fn has_type(&self, kind: libc::mode_t) -> bool {
        self.native & u32::from(libc::S_IFMT) == u32::from(kind)
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.has_type(libc::S_IFREG)
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.has_type(libc::S_IFDIR)
    }

    /// File type and permission bits, as in stat(2)'s `st_mode`.
    pub fn mode(&self) -> u32 {
        self.native
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_is_not_shifted() {
        assert_eq!(time(-1, 500_000_000), UNIX_EPOCH - Duration::from_millis(500));
        assert_eq!(time(1, 5), UNIX_EPOCH + Duration::new(1, 5));
    }
}
