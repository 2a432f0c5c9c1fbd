//! What the benchmarks ran on.

use std::fmt;
use std::fs;
use std::thread;

use serde::Serialize;

use super::affinity::Cores;

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
    /// Of this program.
    pub version: &'static str,
    /// Whether this program was built without optimisation, which makes its numbers worthless.
    pub debug_build: bool,
}

impl Machine {
    /// Asks the system.
    pub fn describe(cores: Cores) -> Machine {
        let uname = rustix::system::uname();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: model
                .map_or_else(|| uname.machine().to_string_lossy().into_owned(), |(_, name)| name.to_owned()),
            cores: thread::available_parallelism().map_or(1, |cores| cores.get()),
            server_core: cores.server,
            load_core: cores.load,
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
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
        if self.debug_build {
            write!(f, "\nA DEBUG BUILD: build with --release before you believe a number.")?;
        }
        Ok(())
    }
}
