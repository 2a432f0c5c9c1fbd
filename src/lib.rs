//! One completion port for any OS.
//!
//! A program lends the operating system a buffer, asks for an operation, and is told *when it is
//! done*, with the same meaning on every system. Five steps make an event loop:
//!
//! ```
//! use anyport::{Port, Token, op};
//! use std::io::Write;
//! use std::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let mut peer = TcpStream::connect(listener.local_addr()?)?;
//! # let (stream, _) = listener.accept()?;
//! let mut port = Port::new()?;                              // 1  create the queue
//! let conn = port.attach(stream)?;                          // 2  an OS object joins it,
//! let buf = Vec::with_capacity(4096);                       //    and a buffer
//! port.submit(op::Recv::new(conn, buf), Token(7));          // 3  register interest, lending the buffer
//! # peer.write_all(b"hello")?;
//! port.wait(None)?;                                         // 4  block until something has completed
//! while let Some(done) = port.next() {                      // 5  the buffer is back, filled
//!     assert_eq!(done.token(), Token(7));
//!     let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
//!     assert_eq!((result?, &buf[..]), (5, &b"hello"[..]));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Port::submit`] cannot fail: a stale handle, a bad argument or a full ring come back as the
//! operation's [`Completion`]. A completion owns what was lent. The promises that hold on every
//! backend are listed in the project's `docs/CONTRACT.md`.

#[cfg(not(any(unix, windows)))]
compile_error!("Anyport has no backend for this system: build it for Linux, macOS, a BSD or Windows");

mod backend;
pub mod buf;
mod builder;
mod clock;
mod completion;
mod core;
pub mod error;
mod explain;
mod fifo;
mod handle;
pub mod op;
pub mod os;
mod outcome;
mod payload;
pub mod poller;
mod port;
mod poster;
mod scratch;
mod slot;
mod starved;
mod sys;
mod timer;

pub use backend::Backend;
pub use builder::Builder;
pub use completion::Completion;
pub use explain::{Candidate, Carrier, Explanation, Feature, OperationRow, Verdict};
pub use handle::Handle;
pub use poller::Poller;
pub use port::Port;
pub use poster::{PostError, Poster};
pub use slot::OpId;
pub use sys::{Object, Source};

/// What the user calls an operation: it comes back with the operation's completions, unchanged.
///
/// The port gives it no meaning. It is often an index into the user's own table of connections.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let names = ["first", "second"];
/// let mut port = Port::new()?;
/// for index in 0..names.len() {
///     port.submit(op::Nop::new(), Token(index as u64));
/// }
/// port.wait(None)?;
/// while let Some(done) = port.next() {
///     println!("{} is done", names[done.token().0 as usize]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Token(pub u64);

/// The README's program is compiled with the examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
