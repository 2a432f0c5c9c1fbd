//! The operations, as values to [submit](crate::Port::submit).
//!
//! Each names the system call it becomes; `anyport info` (or [`Port::explain`](crate::Port::explain))
//! tells how a port's own backend carries it: natively, emulated over readiness, or on the blocking
//! pool. The meaning is the same on all.
//!
//! An operation owns what it lends. Its completion is unpacked by naming its type again:
//!
//! ```
//! # use anyport::{Port, Token, op};
//! # fn main() -> std::io::Result<()> {
//! let mut port = Port::new()?;
//! port.submit(op::Nop::new(), Token(1));
//! port.wait(None)?;
//! port.next().unwrap().unpack::<op::Nop>()?;
//! # Ok(())
//! # }
//! ```
//!
//! Any of them can end with the errors that [`error`](crate::error) lists (stale handle, cancelled,
//! deadline) and with the system's own; what an operation adds to these its page tells. Lengths and
//! offsets are in bytes; one call moves at most 2 GiB less a page, as the system has it.

mod file;
pub(crate) mod front;
mod message;
mod net;
pub(crate) mod raw;
mod ready;
pub(crate) mod send_file;
mod stat;
mod stream;
mod task;
mod time;

pub use file::{Fsync, Metadata, Open, Opened, ReadAt, WriteAt};
pub use front::{Deadline, Operation, Unpack};
pub use message::{RecvFrom, RecvFromPooled, RecvFromPooledMulti, RecvVectored, SendTo, SendVectored};
pub use net::{Accept, AcceptMulti, Accepted, Close, Connect, Shutdown};
pub use ready::Ready;
pub use send_file::SendFile;
pub use stat::Stat;
pub use stream::{Recv, RecvPooled, RecvPooledMulti, Send, SendAll};
pub use task::{Blocking, Post};
pub use time::{Nop, Timer};
