//! A file's metadata, as [`Metadata`](super::Metadata) results in it.

use std::time::SystemTime;

/// Metadata of a file.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::time::SystemTime;
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// std::fs::write(&path, "hello")?;
/// let mut port = Port::new()?;
/// port.submit(op::Metadata::at(&path), Token(1));
/// port.wait(None)?;
/// let stat: op::Stat = port.next().unwrap().unpack::<op::Metadata>()?;
/// assert!(stat.is_file());
/// assert_eq!((stat.len(), stat.links()), (5, 1));
/// assert!(stat.modified() > SystemTime::UNIX_EPOCH);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File type and permissions, as the system has them.
    pub(crate) native: u32,
    pub(crate) len: u64,
    pub(crate) inode: u64,
    pub(crate) links: u64,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
}

impl Stat {
    /// Size in bytes.
    #[allow(clippy::len_without_is_empty)] // a size, not a collection
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Inode number; on Windows the file's index on its volume.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Number of hard links.
    pub fn links(&self) -> u64 {
        self.links
    }

    /// Time of the last access.
    pub fn accessed(&self) -> SystemTime {
        self.accessed
    }

    /// Time of the last change of the contents.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }
}
