//! The limit of a file's size (setrlimit(2), `RLIMIT_FSIZE`): a write beyond it is an error and no `SIGXFSZ`, which would
//! end the process, whichever thread writes and however the file is open.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use anyport::{Backend, Token, op};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend_isolated: [
            a_write_up_to_the_limit_is_a_short_one,
            a_write_beyond_the_limit_is_an_error,
            so_is_one_of_direct_io,
        ],
    }
}

const LIMIT: u64 = 8192;

fn file() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn a_write_up_to_the_limit_is_a_short_one(backend: Backend) {
    limit_file_size(LIMIT);
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let file = port.attach(file()).expect("attach");
        port.submit(op::WriteAt::new(file, vec![1; 4096], LIMIT - 1000), Token(0));
        assert_eq!(one(&mut port).unpack::<op::WriteAt<Vec<u8>>>().0.expect("write"), 1000, "{flavour}");
    }
}

#[track_caller]
fn assert_too_large(what: &str, result: std::io::Result<usize>) {
    let error = result.expect_err(what);
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::FileTooLarge, Some(libc::EFBIG)), "{what}");
}

fn a_write_beyond_the_limit_is_an_error(backend: Backend) {
    make_sigxfsz_deadly();
    limit_file_size(LIMIT);
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let mut file = file();
        file.seek(SeekFrom::Start(LIMIT)).expect("seek");
        let file = port.attach(file).expect("attach");
        port.submit(op::WriteAt::new(file, "x", LIMIT), Token(0));
        assert_too_large(flavour, one(&mut port).unpack::<op::WriteAt<&str>>().0);
        port.submit(op::Send::new(file, "x"), Token(0));
        assert_too_large(flavour, one(&mut port).unpack::<op::Send<&str>>().0);
        port.submit(op::SendVectored::new(file, ["x", "y"]), Token(0));
        assert_too_large(flavour, one(&mut port).unpack::<op::SendVectored<[&str; 2]>>().0);
    }
}

/// Which a ring would carry out in the port's own thread.
fn so_is_one_of_direct_io(backend: Backend) {
    #[repr(align(4096))]
    struct Block([u8; 4096]);
    static BLOCK: Block = Block([1; 4096]);
    make_sigxfsz_deadly();
    limit_file_size(LIMIT);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.build().expect("a port");
        let direct = File::options().write(true).custom_flags(libc::O_TMPFILE | libc::O_DIRECT).open(folder.path());
        let Ok(direct) = direct else { skip_elsewhere("the temporary folder's file system has no direct I/O") };
        let file = port.attach(direct).expect("attach");
        port.submit(op::WriteAt::new(file, &BLOCK.0[..], LIMIT), Token(0));
        assert_too_large(flavour, one(&mut port).unpack::<op::WriteAt<&'static [u8]>>().0);
    }
}
