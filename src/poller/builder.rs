//! The choice of a poller's backend.

use super::Poller;
use super::queue::Queue;
use crate::backend::Backend;
use crate::builder::environment;
use std::io;

/// Options of a poller, from [`Poller::builder`].
///
/// ```
/// # use anyport::Poller;
/// # fn main() -> std::io::Result<()> {
/// for &backend in Poller::BACKENDS {
///     match Poller::builder().backend(backend).build() {
///         Ok(poller) => assert_eq!(poller.backend(), backend),
///         Err(why) => println!("{backend} does not work here: {why}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Builder {
    backend: Option<Backend>,
}

impl Builder {
    /// Uses this backend, or fails. Unless set, the variable `ANYPORT_BACKEND` decides where it names one of
    /// [`Poller::BACKENDS`]; else the best one that works here is used.
    pub fn backend(mut self, backend: Backend) -> Builder {
        self.backend = Some(backend);
        self
    }

    /// Opens the poller.
    ///
    /// # Errors
    /// `Unsupported` for a backend that reports completions only; `InvalidInput` when `ANYPORT_BACKEND` names none;
    /// the system's error when the backend that was asked for (or every one) is refused.
    pub fn build(self) -> io::Result<Poller> {
        let wish = match self.backend {
            Some(backend) => Some(backend),
            None => environment()?.filter(|backend| Queue::ALL.contains(backend)),
        };
        let queue = match wish {
            Some(backend) => Queue::new(backend)?,
            None => best()?,
        };
        Ok(Poller::over(queue))
    }
}

/// The first backend that works; the last one's error if none does.
fn best() -> io::Result<Queue> {
    let mut result = Err(io::ErrorKind::Unsupported.into());
    for &backend in Queue::ALL {
        result = Queue::new(backend);
        if result.is_ok() {
            break;
        }
    }
    result
}
