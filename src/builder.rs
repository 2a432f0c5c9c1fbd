//! Options of a port, and the choice of its backend.

use crate::backend::{Backend, Engine};
use crate::port::Port;
use crate::poster::Inbox;
use std::io;
use std::sync::Arc;

/// The environment variable that names the backend where the program does not.
pub(crate) const VARIABLE: &str = "ANYPORT_BACKEND";

/// Options of a port, from [`Port::builder`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use anyport::{Backend, Port};
/// let plainest = *Backend::ALL.last().unwrap(); // poll(2), on a Unix
/// let port = Port::builder().backend(plainest).threads(2).build()?;
/// assert_eq!(port.backend(), plainest);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    pub(crate) backend: Option<Backend>,
    pub(crate) entries: u32,
    pub(crate) pool_buffers: u16,
    pub(crate) pool_size: usize,
    pub(crate) threads: usize,
    pub(crate) without: Vec<String>,
}

impl Default for Builder {
    fn default() -> Builder {
        // The pool's threads wait for disks and name servers, so more than cores is of use.
        Builder {
            backend: None,
            entries: 256,
            pool_buffers: 256,
            pool_size: 16 * 1024,
            threads: 8,
            without: Vec::new(),
        }
    }
}

impl Builder {
    /// Uses this backend, or fails. Unless set, the variable `ANYPORT_BACKEND` decides (`io_uring`,
    /// `epoll`, `kqueue` or `poll`); without it the best one that works here is used.
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.backend = Some(backend);
        self
    }

    /// The size of a batch; 256 unless set. So many submissions fit into a ring, so many events are reported by one wait, and so
    /// many completions, but at least 256, are handed out before the system is asked again. More in flight is no problem. Where most
    /// of it is busy at once, a larger batch takes less CPU time on io_uring (docs/BACKENDS.md has what was measured), and timers
    /// and posts have their turn later. At most 32768; io_uring rounds it up to a power of two.
    pub fn entries(mut self, entries: u32) -> Builder {
        self.entries = entries;
        self
    }

    /// The pool that pooled receives take from: `buffers` (at most 32768; io_uring rounds up to a
    /// power of two) of `size` bytes each; 256 of 16 KiB unless set. Its memory is mapped at the first
    /// pooled receive. [`RecvFromPooledMulti`](crate::op::RecvFromPooledMulti) takes from a second one of the same measure,
    /// which is mapped at the first of these.
    pub fn pool(mut self, buffers: u16, size: usize) -> Builder {
        (self.pool_buffers, self.pool_size) = (buffers, size);
        self
    }

    /// The most threads that the blocking pool may start; 8 unless set.
    pub fn threads(mut self, max: usize) -> Builder {
        self.threads = max;
        self
    }

    /// Leaves out a feature or operation of io_uring, by its name in [`Port::explain`], as if this
    /// kernel lacked it: to test or measure the fallback.
    ///
    /// ```
    /// # use anyport::{Backend, Port};
    /// # fn main() -> std::io::Result<()> {
    /// # if Backend::ALL[0].check().is_err() || Backend::ALL[0].name() != "io_uring" { return Ok(()) }
    /// let port = Port::builder().backend(Backend::ALL[0]).without("buffer ring").build()?;
    /// let features = port.explain().features;
    /// assert!(features.iter().any(|feature| feature.name == "buffer ring" && !feature.used));
    /// # Ok(())
    /// # }
    /// ```
    pub fn without(mut self, feature: &str) -> Builder {
        self.without.push(feature.into());
        self
    }

    /// Opens the port.
    ///
    /// # Errors
    /// `InvalidInput` for an option or a backend name that is none; the system's error, with what to
    /// change, when the backend that was asked for (or every one) is refused.
    pub fn build(self) -> io::Result<Port> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if self.entries == 0 || self.entries > 32768 {
            return invalid(format!("a port has 1 to 32768 entries, not {}", self.entries));
        }
        if self.pool_buffers == 0 || self.pool_buffers > 32768 {
            return invalid(format!("a pool has 1 to 32768 buffers, not {}", self.pool_buffers));
        }
        if self.pool_size == 0 || u32::try_from(self.pool_size).is_err() {
            return invalid(format!("a pool's buffers have 1 to 2^32 - 1 bytes, not {}", self.pool_size));
        }
        let inbox = Inbox::new()?;
        let wish = match self.backend {
            Some(backend) => Some(backend),
            None => environment()?,
        };
        let engine = match wish {
            Some(backend) => Engine::new(backend, &self, &inbox)?,
            None => self.best(&inbox)?,
        };
        Port::assemble(self, engine, inbox)
    }

    /// The first backend that works; the last one's error if none does.
    fn best(&self, inbox: &Arc<Inbox>) -> io::Result<Engine> {
        let mut result = Err(io::ErrorKind::Unsupported.into());
        for &backend in Backend::ALL {
            result = Engine::new(backend, self, inbox);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// The backend that the environment asks for.
pub(crate) fn environment() -> io::Result<Option<Backend>> {
    match std::env::var(VARIABLE) {
        Ok(name) if name.is_empty() => Ok(None),
        Ok(name) => name
            .parse()
            .map(Some)
            .map_err(|error: io::Error| io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE}: {error}"))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE}: {error}"))),
    }
}
