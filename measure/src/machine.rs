//! What the benchmarks ran on.

use std::fmt;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::affinity::Cores;
use super::sys::{self, CPU_TICK};

/// The facts without which a number means nothing.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The core that runs what is measured.
    pub server_core: usize,
    /// The core that runs the load; the same when there is only one.
    pub load_core: usize,
    /// System and release of its kernel.
    pub kernel: String,
    /// The version of Wine that plays Windows; `None`: the system is what it says.
    pub wine: Option<String>,
    /// Of this program.
    pub version: &'static str,
    /// Whether this program was built without optimisation, which makes its numbers worthless.
    pub debug_build: bool,
}

impl Machine {
    /// Asks the system.
    pub fn describe(cores: Cores) -> Machine {
        Machine {
            processor: sys::processor(),
            cores: thread::available_parallelism().map_or(1, |cores| cores.get()),
            server_core: cores.server,
            load_core: cores.load,
            kernel: sys::system(),
            wine: sys::wine(),
            version: env!("CARGO_PKG_VERSION"),
            debug_build: cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "anyport {} on {}, {} cores, {}", self.version, self.processor, self.cores, self.kernel)?;
        if self.server_core == self.load_core {
            write!(f, "Only one core: what is measured and its load share core {}.", self.load_core)?;
        } else {
            write!(f, "What is measured runs on core {}, its load on core {}.", self.server_core, self.load_core)?;
        }
        if CPU_TICK > Duration::from_millis(1) {
            write!(f, "\nCPU time is counted in steps of {} ms here.", CPU_TICK.as_secs_f64() * 1e3)?;
        }
        if let Some(version) = &self.wine {
            write!(f, "\nUNDER WINE {version}: that it runs is shown; the numbers say nothing about Windows.")?;
        }
        if self.debug_build {
            write!(f, "\nA DEBUG BUILD: build with --release before you believe a number.")?;
        }
        Ok(())
    }
}
