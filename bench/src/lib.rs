//! Anyport next to what people would pick instead: the servers, the loads, the contests and the page that shows them.
//! The program `anyport-bench` is its command line.

pub mod calls;
mod cause;
pub mod cells;
mod download;
mod http;
pub mod load;
mod loops;
mod page;
pub mod run;
pub mod server;
pub mod verdict;
mod versions;
