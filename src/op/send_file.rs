//! Sending a part of a file, behind bytes of one's own.

use super::front::{Lends, Lowered, Operation, Place, Unpack, Value, count};
use super::raw::{RawOp, check};
use crate::Handle;
use crate::buf::IoBuf;
use crate::scratch::ScratchRef;
use crate::sys::{AsFile, NO_OBJECT, Raw, raw_file};
use std::io;
use std::ops::Range;

/// Sends a part of a file on a stream socket, without a copy in the program; and before it, if wanted, a head: bytes
/// that go out with it. All of it, in as many calls as it takes. The file is lent as a buffer is, and need not be
/// attached: a [`File`](std::fs::File), an `Rc` of one, whatever has a descriptor (on Windows a handle) of a regular file.
///
/// The result is the number of bytes that were sent, head included. It is less than that of the head and the part only
/// if the file ended before: what is sent is what the file holds when its turn comes. If an error (or cancel, or deadline)
/// ends it, [`transferred`](crate::Completion::transferred) says how many bytes had been sent.
///
/// sendfile(2) when the socket can be sent to, of what the system has in its cache; what it has not is read by the
/// blocking pool before. (The head by send(2), `MSG_MORE`.) `TransmitFile` on Windows. Systems without such a call read
/// and send.
///
/// # Errors
/// As [`Send`](super::Send)'s and [`ReadAt`](super::ReadAt)'s; `InvalidInput` for a range that ends above 2^63 - 1, on
/// what is no stream socket, and from a file that is open for direct I/O.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::{fs::File, io::Read};
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// std::fs::write(&path, "0123456789")?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// let digits = op::SendFile::new(conn, File::open(&path)?, 4..7).head("digits: ");
/// port.submit(digits, Token(1));
/// port.wait(None)?;
/// let (result, _file, _head) = port.next().unwrap().unpack::<op::SendFile<File, &str>>();
/// assert_eq!(result?, 11);
/// let mut received = [0; 11];
/// peer.read_exact(&mut received)?;
/// assert_eq!(&received, b"digits: 456");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SendFile<F, H = &'static [u8]> {
    handle: Handle,
    head: H,
    file: F,
    range: Range<u64>,
}

impl<F: AsFile + 'static> SendFile<F> {
    /// Sends the bytes of `file` in `range` on `handle`.
    pub fn new(handle: Handle, file: F, range: Range<u64>) -> SendFile<F> {
        SendFile { handle, head: &[], file, range }
    }
}

impl<F, H> SendFile<F, H> {
    /// The initialized bytes of `head` go first.
    pub fn head<B: IoBuf>(self, head: B) -> SendFile<F, B> {
        SendFile { handle: self.handle, head, file: self.file, range: self.range }
    }
}

/// What is lent.
pub struct Sending<F, H> {
    file: F,
    head: H,
    scratch: ScratchRef,
}

impl<F: AsFile + 'static, H: IoBuf> Lends for SendFile<F, H> {
    type Payload = Sending<F, H>;
    const NAME: &'static str = "send-file";
}

impl<F: AsFile + 'static, H: IoBuf> Unpack for SendFile<F, H> {
    type Output = (io::Result<usize>, F, H);
    fn output(sending: Sending<F, H>, result: io::Result<Value>) -> Self::Output {
        (count(result), sending.file, sending.head)
    }
}

impl<F: AsFile + 'static, H: IoBuf> Operation for SendFile<F, H> {
    type Of = Self;
    fn lower(self, place: Place<'_, Sending<F, H>>) -> Lowered {
        let scratch = place.scratch();
        let (sending, placed) = place.put(Sending { file: self.file, head: self.head, scratch });
        let (head, head_len) = (sending.head.stable_ptr(), sending.head.initialized());
        let Range { start, end } = self.range;
        // A count of bytes is what the whole results in, so that is all that there can be.
        let most = (isize::MAX as usize).saturating_sub(head_len);
        let left = usize::try_from(end.saturating_sub(start)).unwrap_or(most).min(most);
        let file = raw_file(&sending.file);
        sending.scratch.get_mut().part = Part { head, head_len, file, offset: start, left, at_hand: 0 };
        let raw = check(start.max(end)).map(|_| RawOp::SendFile { scratch: sending.scratch.as_ptr() });
        Lowered::new(placed, self.handle, raw)
    }
}

/// What a [`SendFile`] still has to send; in its scratch.
pub(crate) struct Part {
    pub(crate) head: *const u8,
    pub(crate) head_len: usize,
    /// The lent file's, which stays open as long as it is lent.
    pub(crate) file: Raw,
    pub(crate) offset: u64,
    pub(crate) left: usize,
    /// The blocking pool has read the file up to here.
    #[cfg_attr(windows, expect(dead_code, reason = "the system reads by itself there"))]
    pub(crate) at_hand: u64,
}

impl Default for Part {
    fn default() -> Part {
        Part { head: std::ptr::null(), head_len: 0, file: NO_OBJECT, offset: 0, left: 0, at_hand: 0 }
    }
}

impl Part {
    /// Notes that `n` bytes more were sent. False: that was all.
    pub(crate) fn goes_on_after(&mut self, n: usize) -> bool {
        let of_head = n.min(self.head_len);
        // SAFETY: that many bytes of the head were sent, so this stays within it.
        self.head = unsafe { self.head.add(of_head) };
        self.head_len -= of_head;
        self.offset += (n - of_head) as u64;
        self.left -= n - of_head;
        self.head_len + self.left > 0
    }
}
