//! What measuring asks the system for: cores to run on, clocks of CPU time, the machine's facts. A file per system, with
//! the same names.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod here;

pub(crate) use here::{CPU_TICK, allowed_cores, processor, system, wine};
pub use here::{CpuClock, pin, process_cpu};
