//! Measuring event loops: what `anyport bench` and the workspace `bench/` share.
//!
//! A benchmark ([`echo`], [`nop`] ...) is a list of contests; a contest is one piece of work and the ways to do it, which
//! take turns. The contests here have the backends of Anyport, and the loops by hand in [`raw`]; `bench/` adds everyone
//! else. For Linux and Windows only, like the loops by hand.

#![cfg(any(target_os = "linux", windows))]

pub mod affinity;
#[cfg_attr(windows, path = "calls_uncounted.rs")]
pub mod calls;
pub mod clock;
pub mod contest;
pub mod echo;
// The server that `anyport echo` runs is the one that is measured.
#[path = "../../cli/src/echo_loop.rs"]
mod echo_loop;
pub mod file;
pub mod load;
pub mod machine;
pub mod nop;
pub mod page;
pub mod plan;
pub mod plot;
pub mod post;
pub mod raw;
pub mod ready;
pub mod report;
pub mod stats;
mod sys;
pub mod timer;
pub mod work;
