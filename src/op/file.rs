//! Files: open, read and write at an offset, fsync, metadata.
//!
//! Native on io_uring; elsewhere on the port's blocking pool, because readiness says nothing about
//! regular files. Operations on one file run side by side, in no order: each names its offset.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, count, plain_operation, source, unit};
use super::raw::RawOp;
use super::stat::Stat;
use super::stream::filled;
use crate::Handle;
use crate::buf::{IoBuf, IoBufMut};
use crate::error::Refusal;
use crate::scratch::ScratchRef;
use crate::sys::{OpenOptions, OwnedPath, Source, own_path, path_ptr};
use std::io;
use std::path::Path;

/// Opens a file (openat(2), `IORING_OP_OPENAT`), close-on-exec. What is read from and written to it
/// is chosen as with [`std::fs::OpenOptions`].
///
/// # Errors
/// The system's (`NotFound`, `PermissionDenied` ...); `InvalidInput` for a path with a NUL byte and for a
/// file that is opened neither for reading nor for writing.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// let mut port = Port::new()?;
/// port.submit(op::Open::new(&path).write(true).create(true), Token(1));
/// port.wait(None)?;
/// let opened = port.next().unwrap().unpack::<op::Open>()?;
/// let file = port.attach(opened)?;
/// port.submit(op::WriteAt::new(file, b"hello", 0), Token(2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Open {
    path: Result<OwnedPath, Refusal>,
    pub(crate) options: OpenOptions,
}

/// Generates the options that every system has.
macro_rules! open_options {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(mut self, on: bool) -> Open {
            self.options.$name(on);
            self
        }
    )*};
}

impl Open {
    /// Opens the file at `path`, relative to the current directory.
    pub fn new(path: impl AsRef<Path>) -> Open {
        Open { path: own_path(path.as_ref()), options: OpenOptions::new() }
    }

    open_options! {
        /// For reading.
        read,
        /// For writing.
        write,
        /// Every write goes to the end of the file.
        append,
        /// Made if it does not exist.
        create,
        /// Emptied.
        truncate,
        /// With `create`: an error if it exists.
        exclusive,
    }
}

impl Lends for Open {
    type Payload = OwnedPath;
    const NAME: &'static str = "open";
}

impl Unpack for Open {
    type Output = io::Result<Opened>;
    fn output(_: OwnedPath, result: io::Result<Value>) -> Self::Output {
        source(result).map(Opened)
    }
}

impl Operation for Open {
    type Of = Open;
    fn lower(self, place: Place<'_, OwnedPath>) -> Lowered {
        let how = self.options.how();
        let (path, path_error) = match self.path {
            Ok(path) => (path, None),
            Err(error) => (OwnedPath::default(), Some(error)),
        };
        let (path, placed) = place.put(path);
        let how = path_error.map_or(how, Err);
        let raw = how.map(|how| RawOp::Open { path: path_ptr(path), how });
        Lowered::new(placed, None, raw)
    }
}

/// A file that was opened. [Attach](crate::Port::attach) it, or turn it into a [`File`](std::fs::File); dropping it
/// closes it.
///
/// On Windows the file is open for overlapped calls, which have to name a place: there the `File` reads and writes by
/// `seek_read` and `seek_write` (`std::os::windows::fs::FileExt`), and the system refuses [`Read`](std::io::Read) and
/// [`Write`](std::io::Write) (`ERROR_INVALID_PARAMETER`, 87).
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::fs::File;
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # std::fs::write(&path, "hello")?;
/// let mut port = Port::new()?;
/// port.submit(op::Open::new(&path).read(true), Token(1));
/// port.wait(None)?;
/// let opened = port.next().unwrap().unpack::<op::Open>()?;
/// assert_eq!(File::from(opened).metadata()?.len(), 5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Opened(pub(crate) Source);

impl From<Opened> for Source {
    fn from(opened: Opened) -> Source {
        opened.0
    }
}

/// Reads at an offset in bytes (pread(2), `IORING_OP_READ`). The result is the number of bytes, which may
/// be less than there is room for; `Ok(0)` is the end of the file. What Linux has in its page cache is read at once on a
/// readiness queue, too (preadv2(2) with `RWF_NOWAIT`); else the blocking pool reads it there.
///
/// # Errors
/// `InvalidInput` for a buffer without room and an offset above 2^63 - 1.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::fs::File;
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// std::fs::write(&path, "0123456789")?;
/// let mut port = Port::new()?;
/// let file = port.attach(File::open(&path)?)?;
/// port.submit(op::ReadAt::new(file, [0; 4], 6), Token(1));
/// port.wait(None)?;
/// let (result, buf) = port.next().unwrap().unpack::<op::ReadAt<[u8; 4]>>();
/// assert_eq!((result?, &buf), (4, b"6789"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ReadAt<B> {
    handle: Handle,
    buf: B,
    offset: u64,
}

impl<B: IoBufMut> ReadAt<B> {
    /// Reads from `offset` of `handle` into `buf`, at most its capacity.
    pub fn new(handle: Handle, buf: B, offset: u64) -> ReadAt<B> {
        ReadAt { handle, buf, offset }
    }
}

impl<B: IoBufMut> Lends for ReadAt<B> {
    type Payload = B;
    const NAME: &'static str = "read-at";
}

impl<B: IoBufMut> Unpack for ReadAt<B> {
    type Output = (io::Result<usize>, B);
    fn output(buf: B, result: io::Result<Value>) -> Self::Output {
        filled(buf, result)
    }
}

impl<B: IoBufMut> Operation for ReadAt<B> {
    type Of = Self;
    fn lower(self, place: Place<'_, B>) -> Lowered {
        let (buf, placed) = place.put(self.buf);
        let raw = RawOp::read_at(buf.stable_mut_ptr(), buf.capacity(), self.offset);
        Lowered::new(placed, self.handle, raw)
    }
}

/// Writes at an offset in bytes (pwrite(2), `IORING_OP_WRITE`). The result is the number of bytes, which
/// may be less than was lent.
///
/// # Errors
/// `InvalidInput` for an offset above 2^63 - 1; the system's (`StorageFull` ...). `FileTooLarge` beyond the limit of a
/// file's size that the process has (setrlimit(2), `RLIMIT_FSIZE`), on Linux without the signal `SIGXFSZ`, if the limit was
/// set before the port was made.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::fs::File;
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// let mut port = Port::new()?;
/// let file = port.attach(File::create(&path)?)?;
/// port.submit(op::WriteAt::new(file, b"hello", 2), Token(1));
/// port.wait(None)?;
/// let (result, _) = port.next().unwrap().unpack::<op::WriteAt<&[u8; 5]>>();
/// assert_eq!(result?, 5);
/// assert_eq!(std::fs::read(&path)?, b"\0\0hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WriteAt<B> {
    handle: Handle,
    buf: B,
    offset: u64,
}

impl<B: IoBuf> WriteAt<B> {
    /// Writes the initialized bytes of `buf` at `offset` of `handle`.
    pub fn new(handle: Handle, buf: B, offset: u64) -> WriteAt<B> {
        WriteAt { handle, buf, offset }
    }
}

impl<B: IoBuf> Lends for WriteAt<B> {
    type Payload = B;
    const NAME: &'static str = "write-at";
}

impl<B: IoBuf> Unpack for WriteAt<B> {
    type Output = (io::Result<usize>, B);
    fn output(buf: B, result: io::Result<Value>) -> Self::Output {
        (count(result), buf)
    }
}

impl<B: IoBuf> Operation for WriteAt<B> {
    type Of = Self;
    fn lower(self, place: Place<'_, B>) -> Lowered {
        let (buf, placed) = place.put(self.buf);
        let raw = RawOp::write_at(buf.stable_ptr(), buf.initialized(), self.offset);
        Lowered::new(placed, self.handle, raw)
    }
}

/// Makes what was written durable (fsync(2), fdatasync(2), `IORING_OP_FSYNC`). Covers the writes
/// that were complete when it was submitted.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::fs::File;
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// let mut port = Port::new()?;
/// let file = port.attach(File::create(&path)?)?;
/// port.submit(op::WriteAt::new(file, b"kept", 0), Token(1));
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::WriteAt<&[u8; 4]>>().0?;
/// port.submit(op::Fsync::data(file), Token(2)); // only now: it covers what is complete
/// port.wait(None)?;
/// port.next().unwrap().unpack::<op::Fsync>()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Fsync {
    handle: Handle,
    data: bool,
}

impl Fsync {
    /// Data and metadata of `handle`.
    pub fn new(handle: Handle) -> Fsync {
        Fsync { handle, data: false }
    }

    /// The data of `handle`, and only the metadata needed to read it back.
    pub fn data(handle: Handle) -> Fsync {
        Fsync { handle, data: true }
    }
}

plain_operation!(Fsync, "fsync", (), unit, |self| self.handle, RawOp::Sync { data: self.data });

/// Asks for a file's metadata (statx(2), `IORING_OP_STATX`; stat(2) outside Linux). Symbolic links
/// are followed.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// port.submit(op::Metadata::at("."), Token(1));
/// port.wait(None)?;
/// assert!(port.next().unwrap().unpack::<op::Metadata>()?.is_dir());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Metadata {
    handle: Option<Handle>,
    path: Result<OwnedPath, Refusal>,
}

impl Metadata {
    /// Of an attached file.
    pub fn of(handle: Handle) -> Metadata {
        Metadata { handle: Some(handle), path: Ok(OwnedPath::default()) }
    }

    /// Of the file at `path`, relative to the current directory.
    pub fn at(path: impl AsRef<Path>) -> Metadata {
        Metadata { handle: None, path: own_path(path.as_ref()) }
    }
}

impl Lends for Metadata {
    type Payload = (OwnedPath, ScratchRef);
    const NAME: &'static str = "metadata";
}

impl Unpack for Metadata {
    type Output = io::Result<Stat>;
    fn output((_, scratch): (OwnedPath, ScratchRef), result: io::Result<Value>) -> Self::Output {
        unit(result).map(|()| Stat::of(scratch.get()))
    }
}

impl Operation for Metadata {
    type Of = Metadata;
    fn lower(self, place: Place<'_, (OwnedPath, ScratchRef)>) -> Lowered {
        let scratch = place.scratch();
        let (path, error) = match self.path {
            Ok(path) => (path, None),
            Err(error) => (OwnedPath::default(), Some(error)),
        };
        let ((path, scratch), placed) = place.put((path, scratch));
        let path = if self.handle.is_some() { std::ptr::null() } else { path_ptr(path) };
        let raw = RawOp::Stat { path, scratch: scratch.as_ptr() };
        Lowered::new(placed, self.handle, error.map_or(Ok(raw), Err))
    }
}
