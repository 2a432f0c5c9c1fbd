//! What the process holds, and what can be told about it here.

use std::collections::BTreeMap;
use std::os::windows::io::{AsRawHandle, AsRawSocket};
use std::process::ExitCode;
use std::time::Duration;

use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS};
use windows_sys::Win32::Foundation::{STATUS_INFO_LENGTH_MISMATCH, STATUS_SUCCESS};

use super::super::skip::skip_elsewhere;

/// Ends the process when its trial hangs.
pub(crate) fn end_process_after(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        eprintln!("the trial hangs");
        std::process::exit(101);
    });
}

/// There is no tracer here.
pub(crate) fn run_if_tracer() -> Option<ExitCode> {
    None
}

/// The open files, pipes and sockets, and what sort of object each is, by the system's number for that. (Threads, events and
/// the like come and go with the standard library.)
pub(crate) fn descriptors() -> BTreeMap<usize, String> {
    let (file, socket, (reader, _writer)) = (super::null(), super::super::listener().0, super::pipe());
    let all = handles();
    let samples = [file.as_raw_handle() as usize, socket.as_raw_socket() as usize, reader.number()];
    let kinds = samples.map(|sample| all[&sample]);
    drop((file, socket, reader, _writer));
    let gone = handles();
    let open = all.into_iter().filter(|(handle, kind)| kinds.contains(kind) && gone.contains_key(handle));
    open.map(|(handle, kind)| (handle, format!("an object of type {kind}"))).collect()
}

/// All handles of this process, each with its type's number. Windows lists those of all processes
/// (`SystemExtendedHandleInformation`).
fn handles() -> BTreeMap<usize, u16> {
    const EXTENDED_HANDLES: SYSTEM_INFORMATION_CLASS = 64;
    let mut list = vec![0usize; 1 << 16];
    loop {
        let mut size = 0;
        // SAFETY: the list is as long as is said, and aligned for what is written to it.
        let status = unsafe {
            let bytes = (list.len() * size_of::<usize>()) as u32;
            NtQuerySystemInformation(EXTENDED_HANDLES, list.as_mut_ptr().cast(), bytes, &mut size)
        };
        match status {
            STATUS_INFO_LENGTH_MISMATCH => list.resize(list.len() * 2, 0),
            STATUS_SUCCESS => break,
            status => skip_elsewhere(format!("this Windows does not list handles: {status:x}")),
        }
    }
    // Two words of head, then so many entries.
    let entries = list[2..].as_ptr().cast::<Entry>();
    let own = std::process::id() as usize;
    // SAFETY: the system has written `list[0]` entries behind the head.
    let entries = unsafe { std::slice::from_raw_parts(entries, list[0]) };
    let own = entries.iter().filter(|entry| entry.process == own);
    own.map(|entry| (entry.handle, entry.kind)).collect()
}

/// `SYSTEM_HANDLE_TABLE_ENTRY_INFO_EX`.
#[repr(C)]
struct Entry {
    object: usize,
    process: usize,
    handle: usize,
    access: u32,
    backtrace: u16,
    kind: u16,
    attributes: u32,
    reserved: u32,
}

/// The names of the running threads.
pub(crate) fn threads() -> Vec<String> {
    skip_elsewhere("the names of a process' threads are not told here")
}

/// There is no limit of open handles to raise.
pub(crate) fn allow_descriptors(wanted: u64) -> u64 {
    wanted
}

/// Runs `body` in a forked child.
pub(crate) fn in_a_child(_: impl FnOnce()) -> bool {
    skip_elsewhere("Windows has no fork")
}

pub(crate) const IO_URING_ENTER: i32 = -1;

/// Has a system call fail: not here.
pub(crate) fn forbid(_: i32, _: i32) {
    skip_elsewhere("system calls can be forbidden on Linux alone");
}

/// Ends an isolated trial that leaks on purpose: it has passed.
pub(crate) fn pass_with_leaks() -> ! {
    std::process::exit(0)
}
