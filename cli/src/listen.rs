//! Listening sockets for the servers of this program.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::TcpListener;

use crate::args;
use crate::failure::Failure;

/// Listens on `host:port`. Every failure is the user's to put right, by another address; `how` says how to give one.
pub(crate) fn listen(text: &str, how: &str) -> Result<TcpListener, Failure> {
    let refused = |why: &dyn Display| Failure::input(format_args!("cannot listen on '{text}': {why}"));
    let addresses = args::addresses(text).map_err(|why| refused(&why))?;
    TcpListener::bind(addresses.as_slice()).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            refused(&format_args!("another program listens there; give another port {how}, or 0 for a free one"))
        }
        ErrorKind::AddrNotAvailable => {
            refused(&format_args!("this machine does not have that address; give another {how}, such as 127.0.0.1:0"))
        }
        ErrorKind::PermissionDenied => {
            refused(&format_args!("you may not take that port; give one from 1024 on {how}"))
        }
        _ => refused(&error),
    })
}
