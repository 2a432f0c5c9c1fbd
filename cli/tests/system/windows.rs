//! What the program's tests do with the program's process on Windows.

use std::fs;
use std::io;
use std::os::windows::fs::{symlink_dir, symlink_file};
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Once;

use windows_sys::Win32::System::Console::{AllocConsole, CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, GetProcessHandleCount};
use windows_sys::core::{s, w};

/// The program, with a way to stop it from outside: a group of its own on a console that it shares with the test.
pub(crate) fn program() -> Command {
    static CONSOLE: Once = Once::new();
    // SAFETY: a call without pointers. Who has a console already is refused another.
    CONSOLE.call_once(|| unsafe {
        AllocConsole();
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyport"));
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    command
}

/// The same with at most so many descriptors, which Windows has no limit for.
pub(crate) fn program_with_descriptors(_: u32) -> Option<Command> {
    println!("skipped: Windows does not limit how many handles a process has");
    None
}

/// As Ctrl-Break does; Ctrl-C cannot be sent to one group alone. False: Wine cannot do that.
pub(crate) fn interrupt(child: &Child) -> bool {
    // SAFETY: a call without pointers.
    let sent = unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, child.id()) } != 0;
    let error = io::Error::last_os_error();
    // SAFETY: the library is loaded in every process; Wine's alone has this function, which is not called.
    let is_wine = unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version")) }.is_some();
    assert!(sent || is_wine, "{error}");
    if !sent {
        println!("skipped: Wine sends no Ctrl-Break: {error}");
    }
    sent
}

/// The same: Windows has no other way that a program can tell.
#[allow(dead_code, reason = "not in each of the files that share this one")]
pub(crate) fn terminate(child: &Child) -> bool {
    interrupt(child)
}

/// Renames `from` to `to`, in the place of a file that may be open. False: that cannot be, before Windows 10 (1607) and on Wine.
#[allow(dead_code, reason = "as above")]
pub(crate) fn replace(from: &Path, to: &Path) -> bool {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: nothing takes the place of an open file here: {error}");
            false
        }
        result => {
            result.unwrap();
            true
        }
    }
}

/// How many handles it has open.
#[allow(dead_code, reason = "as above")]
pub(crate) fn descriptors(child: &Child) -> usize {
    let mut count = 0;
    // SAFETY: the handle is open, the number of this frame.
    let told = unsafe { GetProcessHandleCount(child.as_raw_handle(), &mut count) };
    assert_ne!(told, 0, "{}", io::Error::last_os_error());
    count as usize
}

/// Whether there is a link now. (Wine says so of what it has not made.)
fn made(result: io::Result<()>, link: &Path) -> bool {
    let made = result.and_then(|()| link.symlink_metadata().map(drop));
    made.inspect_err(|error| println!("skipped: this user cannot make symbolic links here: {error}")).is_ok()
}

/// Makes a link to a file, if this user may.
#[allow(dead_code, reason = "as above")]
pub(crate) fn link_to_file(target: impl AsRef<Path>, link: &Path) -> bool {
    made(symlink_file(target, link), link)
}

/// Makes a link to a folder, if this user may.
#[allow(dead_code, reason = "as above")]
pub(crate) fn link_to_folder(target: impl AsRef<Path>, link: &Path) -> bool {
    made(symlink_dir(target, link), link)
}

/// Names of files that HTML and addresses have to be careful with, as far as Windows has such.
#[allow(dead_code, reason = "as above")]
pub(crate) const ODD_NAMES: [&str; 3] = ["&'amp;.txt", "a#c%20", "ü"];

/// Makes a file unreadable: not here.
#[allow(dead_code, reason = "as above")]
pub(crate) fn hide(_: &Path) -> bool {
    println!("skipped: a file's owner can always read it by the standard library's means here");
    false
}

/// Makes a FIFO: there are none here.
#[allow(dead_code, reason = "as above")]
pub(crate) fn make_fifo(_: &Path) -> bool {
    println!("skipped: folders hold no FIFOs here");
    false
}
