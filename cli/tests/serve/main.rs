//! `anyport serve` from outside: the real program on a free port, raw TCP clients, on every backend
//! of this machine.

#[macro_use]
mod each_backend;
mod bad_input;
mod client;
mod files;
mod limits;
mod outside;
mod protocol;
mod server;
mod stop;
#[cfg_attr(unix, path = "../system/unix.rs")]
#[cfg_attr(windows, path = "../system/windows.rs")]
mod system;
