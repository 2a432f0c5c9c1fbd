//! What the process holds: handles, threads, memory; and what cannot be done to it here.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle, RawHandle};
use std::process::{Command, ExitCode};
use std::ptr::{null, null_mut};
use std::time::Duration;

use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS};
use windows_sys::Wdk::System::Threading::{NtQueryInformationThread, ThreadQuerySetWin32StartAddress};
use windows_sys::Win32::Foundation::{
    GetHandleInformation, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, LocalFree, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_SUCCESS, SetHandleInformation,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::IO::CreateIoCompletionPort;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateTimerQueueTimer, CreateWaitableTimerExW, OpenThread,
    THREAD_QUERY_INFORMATION, TIMER_ALL_ACCESS, WT_EXECUTEONLYONCE,
};
use windows_sys::core::{PWSTR, s, w};

use super::memory::allocation;
use super::objects::Numbered;
use super::wine::is_wine;
use crate::support::files::set_readonly;
use crate::support::skip::skip_elsewhere;

/// What the system knows an open object by.
pub(crate) type Number = usize;

/// Ends the process when its trial hangs. The system's thread for timers does, none of the trial's.
pub(crate) fn end_process_after(time: Duration) {
    unsafe extern "system" fn end(_: *mut c_void, _: bool) {
        eprintln!("the trial hangs");
        std::process::exit(101);
    }
    let (mut timer, millis) = (null_mut(), time.as_millis() as u32);
    // SAFETY: the timer's handle is of this frame; the function needs nothing.
    let set =
        unsafe { CreateTimerQueueTimer(&mut timer, null_mut(), Some(end), null(), millis, 0, WT_EXECUTEONLYONCE) };
    assert_ne!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Set in a process that lists what it has inherited.
const LIST: &str = "ANYPORT_LIST_HANDLES";

/// When this process was started to list what it has inherited, does that.
pub(crate) fn run_if_instrument() -> Option<ExitCode> {
    std::env::var_os(LIST)?;
    let mut kinds = BTreeMap::<String, usize>::new();
    descriptors().into_values().for_each(|kind| *kinds.entry(kind).or_default() += 1);
    kinds.iter().for_each(|(kind, many)| println!("{many} x {kind}"));
    Some(ExitCode::SUCCESS)
}

/// What a program that is started now has open: how many objects of each sort.
pub(crate) fn seen_by_a_child() -> String {
    let program = std::env::current_exe().expect("the path of the test binary");
    let output = Command::new(program).env(LIST, "1").output().expect("start the test binary once more");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The open files, pipes, sockets, completion ports and timers, and what sort of object each is, by the system's number
/// for that. (Threads, events and the like come and go with the standard library.)
pub(crate) fn descriptors() -> BTreeMap<Number, String> {
    let (file, socket, (reader, _writer)) = (super::null(), super::super::listener().0, super::pipe());
    // SAFETY: calls without pointers; the handles are nobody else's.
    let (port, timer) = unsafe {
        let high = CREATE_WAITABLE_TIMER_HIGH_RESOLUTION;
        let timer = CreateWaitableTimerExW(null(), null(), high, TIMER_ALL_ACCESS);
        let port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 1);
        (OwnedHandle::from_raw_handle(port), (!timer.is_null()).then(|| OwnedHandle::from_raw_handle(timer)))
    };
    let all = handles();
    let samples = [file.as_raw_handle() as usize, socket.as_raw_socket() as usize, reader.number()];
    let samples = samples.into_iter().chain([port.as_raw_handle() as usize]);
    let samples = samples.chain(timer.as_ref().map(|timer| timer.as_raw_handle() as usize));
    let kinds: Vec<u16> = samples.map(|sample| all[&sample]).collect();
    drop((file, socket, reader, _writer, port, timer));
    let gone = handles();
    let open = all.into_iter().filter(|(handle, kind)| kinds.contains(kind) && gone.contains_key(handle));
    open.map(|(handle, kind)| (handle, format!("an object of type {kind}"))).collect()
}

/// The completion ports of this process.
pub(super) fn completion_ports() -> Vec<RawHandle> {
    // SAFETY: a call without pointers; the handle is nobody else's.
    let sample =
        unsafe { OwnedHandle::from_raw_handle(CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 1)) };
    let (all, sample) = (handles(), sample.as_raw_handle() as usize);
    let ports = all.iter().filter(|&(&handle, kind)| *kind == all[&sample] && handle != sample);
    ports.map(|(&handle, _)| handle as RawHandle).collect()
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

/// Whether the handle is one that no program which is started inherits.
pub(crate) fn close_on_exec(handle: Number) -> bool {
    let mut flags = 0;
    // SAFETY: the number is of this frame.
    let told = unsafe { GetHandleInformation(handle as RawHandle, &mut flags) };
    assert_ne!(told, 0, "{handle:x}: {}", std::io::Error::last_os_error());
    flags & HANDLE_FLAG_INHERIT == 0
}

/// Has the programs that are started from here on inherit the object.
pub(crate) fn have_inherited(object: &impl Numbered) {
    // SAFETY: a call without pointers.
    let set = unsafe { SetHandleInformation(object.number() as RawHandle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) };
    assert_ne!(set, 0, "{}", std::io::Error::last_os_error());
}

/// The names of the running threads that were started in this program, sorted. (Windows' libraries have some of their
/// own, which come and go.)
pub(crate) fn threads() -> Vec<String> {
    // SAFETY: a call without pointers; the handle is nobody else's.
    let list = unsafe { OwnedHandle::from_raw_handle(CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0)) };
    let mut entry = THREADENTRY32 { dwSize: size_of::<THREADENTRY32>() as u32, ..THREADENTRY32::default() };
    let mut names = Vec::new();
    // SAFETY: the entry is of this frame, and says its size.
    let mut more = unsafe { Thread32First(list.as_raw_handle(), &mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == std::process::id() {
            names.extend(name_of_own(entry.th32ThreadID));
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(list.as_raw_handle(), &mut entry) };
    }
    names.sort();
    names
}

/// None: it is another library's, or has ended.
fn name_of_own(thread: u32) -> Option<String> {
    let mut start = 0usize;
    // SAFETY: the handle is nobody else's; the answer is of this frame, and as long as is said.
    let (thread, status) = unsafe {
        let thread = OpenThread(THREAD_QUERY_INFORMATION, 0, thread);
        if thread.is_null() {
            return None;
        }
        let (class, size) = (ThreadQuerySetWin32StartAddress, size_of::<usize>() as u32);
        let status = NtQueryInformationThread(thread, class, (&raw mut start).cast(), size, null_mut());
        (OwnedHandle::from_raw_handle(thread), status)
    };
    // SAFETY: a call without pointers.
    let program = unsafe { GetModuleHandleW(null()) } as usize;
    (status == STATUS_SUCCESS && allocation(start) == program).then(|| name(&thread))
}

/// The thread's name, where the system has names (Windows 10, 1607).
fn name(thread: &OwnedHandle) -> String {
    type Describe = unsafe extern "system" fn(RawHandle, *mut PWSTR) -> i32;
    // SAFETY: the library is loaded in every process; the function has this type, and writes the address of memory that
    // the caller frees, which ends with a zero.
    unsafe {
        let describe = GetProcAddress(GetModuleHandleW(w!("kernel32.dll")), s!("GetThreadDescription"));
        let Some(describe) = describe else { return String::new() };
        let describe = std::mem::transmute::<unsafe extern "system" fn() -> isize, Describe>(describe);
        let mut text: PWSTR = null_mut();
        if describe(thread.as_raw_handle(), &mut text) < 0 || text.is_null() {
            return String::new();
        }
        let len = (0..).take_while(|&at| *text.add(at) != 0).count();
        let name = String::from_utf16_lossy(std::slice::from_raw_parts(text, len));
        LocalFree(text.cast());
        name
    }
}

/// Whether reads of `file` can be asked not to wait for the disk.
pub(crate) fn tells_what_is_cached(_: &std::fs::File) -> bool {
    false
}

pub(crate) fn leave_the_network() {
    skip_elsewhere("a process gets a network of its own on Linux alone");
}

pub(crate) fn give_up_soon(_: &socket2::Socket) {
    skip_elsewhere("how soon a connection is given up can be set on Linux alone");
}

/// Runs `body` if this is nobody who may write to what is read-only: on Windows nobody may, in Wine the administrator of
/// the system below.
pub(crate) fn without_power_over_files<T>(body: impl FnOnce() -> T) -> T {
    let file = tempfile::NamedTempFile::new().expect("a file");
    set_readonly(file.path(), true);
    let opened = std::fs::File::options().write(true).open(file.path()).is_ok();
    set_readonly(file.path(), false);
    if opened {
        skip_elsewhere("the administrator may open anything: run it as somebody else");
    }
    body()
}

/// There is no limit of open handles to raise. (But in Wine they are descriptors of the system below, all of them in one
/// process, whose limit nobody tells.)
pub(crate) fn allow_descriptors(wanted: u64) -> u64 {
    if is_wine() { wanted.min(4_200) } else { wanted }
}

/// Nor one to use up.
pub(crate) struct UsedUp(());

impl UsedUp {
    pub(crate) fn new() -> UsedUp {
        skip_elsewhere("Windows has no limit of open handles")
    }

    pub(crate) fn spare_some(&mut self) {}

    pub(crate) fn fill(&mut self) {}
}

/// Runs `body` in a forked child.
pub(crate) fn in_a_child(_: impl FnOnce()) -> bool {
    skip_elsewhere("Windows has no fork")
}

pub(crate) const IO_URING_ENTER: i32 = -1;
pub(crate) const PWRITEV2: i32 = -1;

/// Has a system call fail: not here.
pub(crate) fn forbid(_: i32, _: i32) {
    skip_elsewhere("system calls can be forbidden on Linux alone");
}

/// Nothing that is sent in vain ends a process here.
pub(crate) fn make_sigpipe_deadly() {}

pub(crate) fn block_deadly_sigpipe() {
    skip_elsewhere("Windows has no SIGPIPE")
}

pub(crate) fn assert_sigpipe_untouched() {}

/// Ends an isolated trial that leaks on purpose: it has passed.
pub(crate) fn pass_with_leaks() -> ! {
    std::process::exit(0)
}
