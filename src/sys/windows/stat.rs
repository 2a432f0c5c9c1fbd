//! A file's metadata, from `GetFileInformationByHandle`.

use super::Scratch;
use crate::op::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::Storage::FileSystem::{FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT};

/// Units of 100 ns between the epochs: 1601 and 1970.
const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn time(time: FILETIME) -> SystemTime {
    let ticks = wide(time.dwHighDateTime, time.dwLowDateTime) as i64 - UNIX_EPOCH_TICKS;
    let distance = Duration::new(ticks.unsigned_abs() / 10_000_000, (ticks.unsigned_abs() % 10_000_000) as u32 * 100);
    if ticks < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

impl Stat {
    pub(crate) fn of(scratch: &Scratch) -> Stat {
        let file = &scratch.file;
        Stat {
            native: file.dwFileAttributes,
            len: wide(file.nFileSizeHigh, file.nFileSizeLow),
            inode: wide(file.nFileIndexHigh, file.nFileIndexLow),
            links: u64::from(file.nNumberOfLinks),
            accessed: time(file.ftLastAccessTime),
            modified: time(file.ftLastWriteTime),
        }
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.native & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT) == 0
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.native & FILE_ATTRIBUTE_DIRECTORY != 0
    }

    /// The `FILE_ATTRIBUTE_*` bits.
    pub fn attributes(&self) -> u32 {
        self.native
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_time_is_shifted_by_the_epochs_alone() {
        let of = |ticks: i64| FILETIME { dwHighDateTime: (ticks >> 32) as u32, dwLowDateTime: ticks as u32 };
        assert_eq!(time(of(UNIX_EPOCH_TICKS + 10_000_005)), UNIX_EPOCH + Duration::new(1, 500));
        assert_eq!(time(of(UNIX_EPOCH_TICKS - 5)), UNIX_EPOCH - Duration::from_nanos(500));
    }
}
