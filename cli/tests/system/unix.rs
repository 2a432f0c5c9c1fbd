//! What the program's tests do with the program's process on a Unix.

use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

/// The program, with a way to stop it from outside.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_anyport"))
}

/// The same with at most so many descriptors.
pub(crate) fn program_with_descriptors(limit: u32) -> Option<Command> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_anyport")]);
    Some(shell)
}

/// As Ctrl-C does. (False, on another system: it cannot be done.)
pub(crate) fn interrupt(child: &Child) -> bool {
    kill_process(Pid::from_child(child), Signal::INT).is_ok()
}

/// As whoever ends all programs does.
#[allow(dead_code, reason = "not in each of the files that share this one")]
pub(crate) fn terminate(child: &Child) -> bool {
    kill_process(Pid::from_child(child), Signal::TERM).is_ok()
}

/// Renames `from` to `to`, in the place of a file that may be open. False: the system does not do that.
#[allow(dead_code, reason = "as above")]
pub(crate) fn replace(from: &Path, to: &Path) -> bool {
    std::fs::rename(from, to).unwrap();
    true
}

/// How many descriptors it has open.
#[allow(dead_code, reason = "as above")]
pub(crate) fn descriptors(child: &Child) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count()
}

/// Makes a link to a file.
#[allow(dead_code, reason = "as above")]
pub(crate) fn link_to_file(target: impl AsRef<Path>, link: &Path) -> bool {
    std::os::unix::fs::symlink(target, link).unwrap();
    true
}

/// Makes a link to a folder.
#[allow(dead_code, reason = "as above")]
pub(crate) fn link_to_folder(target: impl AsRef<Path>, link: &Path) -> bool {
    link_to_file(target, link)
}

/// Names of files that HTML and addresses have to be careful with.
#[allow(dead_code, reason = "as above")]
pub(crate) const ODD_NAMES: [&str; 5] = ["<b>&\"'.txt", "javascript:alert(1)", "a?b#c%20", "ü", " "];

/// Makes a file unreadable. False, which is reported: this user may read every file.
#[allow(dead_code, reason = "as above")]
pub(crate) fn hide(file: &Path) -> bool {
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let hidden = std::fs::read(file).is_err();
    if !hidden {
        println!("skipped: this user may read every file");
    }
    hidden
}

/// Makes a FIFO.
#[allow(dead_code, reason = "as above")]
pub(crate) fn make_fifo(path: &Path) -> bool {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    true
}
