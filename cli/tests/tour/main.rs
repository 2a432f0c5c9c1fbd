//! `anyport tour` from outside: what it says on each backend of this machine, and on what kind of paper.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod calls;
#[cfg(unix)]
mod paper;
mod program;
mod telling;
