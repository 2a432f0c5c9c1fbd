//! C1 and C3 where a call itself waits and nobody can interrupt it: opening a FIFO whose other end nobody has opened. A
//! thread of the blocking pool is in it until the other end comes; a ring may open it without waiting.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use anyport::op::Operation;
use anyport::{Backend, Token, error, op};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            an_open_that_is_given_up_ends_once_and_at_the_latest_when_the_other_end_comes,
            others_are_carried_out_beside_an_open_that_waits,
        ],
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

fn fifo(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("fifo");
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path");
    // SAFETY: the name is a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

fn an_open_that_is_given_up_ends_once_and_at_the_latest_when_the_other_end_comes(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = fifo(&folder);
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        for by_deadline in [false, true] {
            let time = if by_deadline { 5 * MS } else { HOUR };
            let id = port.submit(op::Open::new(&path).read(true).within(time), Token(1));
            let opened = port.wait(Some(MS)).expect("wait");
            if !by_deadline {
                assert_eq!(port.cancel(id), !opened, "{flavour}");
            }
            let ended = port.wait(Some(50 * MS)).expect("wait");
            // A thread is in its call by now.
            let other_end = (!ended).then(|| std::fs::File::options().write(true).open(&path).expect("the other end"));
            let done = one(&mut port);
            assert!(!done.more());
            match done.unpack::<op::Open>() {
                Ok(_) => assert!(opened || other_end.is_some(), "{flavour}: it was given up, and nobody was there"),
                Err(error) if by_deadline => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{flavour}"),
                Err(error) => assert!(error::is_cancelled(&error), "{flavour}: {error}"),
            }
            assert_eq!(port.in_flight(), 0, "{flavour}");
            println!("{flavour}: {}", if ended { "it did not wait" } else { "it ended when the other end came" });
        }
    }
}

fn others_are_carried_out_beside_an_open_that_waits(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = fifo(&folder);
    let file = folder.path().join("file");
    std::fs::write(&file, "content").expect("write");
    for (_, builder) in flavours(backend) {
        let mut port = builder.threads(2).build().expect("a port");
        port.submit(op::Open::new(&path).read(true), Token(1));
        for _ in 0..10 {
            port.submit(op::Open::new(&file).read(true), Token(2));
        }
        let (mut waits, mut others) = (None, 0);
        while others < 10 {
            let done = one(&mut port);
            match done.token() {
                Token(1) => waits = Some(done.unpack::<op::Open>().expect("open")),
                _ => {
                    done.unpack::<op::Open>().expect("open");
                    others += 1;
                }
            }
        }
        let _other_end = std::fs::File::options().write(true).open(&path).expect("the other end");
        if waits.is_none() {
            one(&mut port).unpack::<op::Open>().expect("both are there");
        }
    }
}
