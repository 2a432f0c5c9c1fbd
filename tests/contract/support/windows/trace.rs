//! Exact counts of calls: `count(|| ...)` runs a closure and returns each call that its thread made meanwhile into the
//! system's libraries, by name.
//!
//! Windows has nothing like ptrace(2), and gives its system calls other numbers in each version; but a program makes them
//! only through functions that it imports. The table of these (the import address table, which the loader has filled in) is
//! pointed to a few instructions for each, once: they count the call if it is the counted thread's, and go on to the
//! function. So nothing that the library or `std` calls by name is left out; what is looked for at run time is
//! (`GetProcAddress`, `SIO_GET_EXTENSION_FUNCTION_POINTER`: `ConnectEx`, the packets of timers).

use std::ffi::CStr;
use std::ptr::null;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::System::Diagnostics::Debug::{IMAGE_DIRECTORY_ENTRY_IMPORT, IMAGE_NT_HEADERS64};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RESERVE, PAGE_EXECUTE_READWRITE, PAGE_READWRITE, VirtualAlloc, VirtualProtect,
};
use windows_sys::Win32::System::SystemServices::{IMAGE_DOS_HEADER, IMAGE_IMPORT_DESCRIPTOR, IMAGE_ORDINAL_FLAG64};
use windows_sys::Win32::System::Threading::GetCurrentThreadId;

use crate::support::calls::Calls;
use crate::support::skip::skip_elsewhere;

pub(crate) const WAITS: &[&str] = &["GetQueuedCompletionStatusEx"];
pub(crate) const RECVS: &[&str] = &["WSARecv", "WSARecvFrom", "recv", "ReadFile"];
pub(crate) const SENDS: &[&str] = &["WSASend", "WSASendTo", "send", "WriteFile"];

/// Waking a thread of the blocking pool.
pub(crate) const NOTIFIES: &[&str] = &["WakeByAddressSingle", "WakeConditionVariable", "NtReleaseKeyedEvent"];

/// Memory for what is queued: the heap's calls are not counted.
pub(crate) const MEMORY: &[&str] = &[];

/// What sets the clock that ends a wait, where that is a timer of high resolution.
pub(crate) const ALARMS: &[&str] = &["SetWaitableTimer"];

/// What reads or writes memory of the process, and makes no system call.
const IN_PLACE: &[&str] = &[
    "AcquireSRWLockExclusive",
    "GetCurrentThreadId",
    "GetLastError",
    "GetProcessHeap",
    "HeapAlloc",
    "HeapFree",
    "HeapReAlloc",
    "QueryPerformanceCounter",
    "QueryPerformanceFrequency",
    "ReleaseSRWLockExclusive",
    "SetLastError",
    "TlsGetValue",
    "TlsSetValue",
    "TryAcquireSRWLockExclusive",
    "WSAGetLastError",
];

/// One trial counts at a time.
static IMPORTS: Mutex<Option<Imports>> = Mutex::new(None);

/// Runs `body` and returns the calls that this thread made in it.
pub(crate) fn count<T>(body: impl FnOnce() -> T) -> (Calls, T) {
    if !cfg!(target_arch = "x86_64") {
        skip_elsewhere("calls are counted on x86-64 alone");
    }
    let mut imports = IMPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let imports = imports.get_or_insert_with(Imports::redirect);
    let counted = imports.begin();
    let result = body();
    (counted.end(), result)
}

/// The code of an import, and what it works with.
#[repr(C, align(16))]
struct Stub {
    code: [u8; 32],
    calls: u64,
    function: usize,
}

/// Where in the code the thread's number is.
const THREAD: usize = 8;

#[rustfmt::skip]
const CODE: [u8; 32] = [
    0x65, 0x81, 0x3c, 0x25, 0x48, 0, 0, 0, 0, 0, 0, 0, // cmp dword ptr gs:[0x48], THREAD (TEB.ClientId.UniqueThread)
    0x75, 7,                                           // jne over the next
    0x48, 0xff, 0x05, 11, 0, 0, 0,                     // inc qword ptr [calls]
    0xff, 0x25, 13, 0, 0, 0,                           // jmp qword ptr [function]
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];

/// All imports of this program, redirected for good.
struct Imports {
    names: Vec<String>,
    /// As many as there are names; mapped, and never given back.
    stubs: *mut Stub,
}

// SAFETY: the stubs are the process' own; they are changed under the lock alone, but for the counts, which the counted
// thread changes.
unsafe impl Send for Imports {}

impl Imports {
    fn redirect() -> Imports {
        // SAFETY: the program's own image is mapped as long as it runs, and its headers say where its tables are.
        let imports: Vec<Import> = unsafe { imports() };
        let size = imports.len() * size_of::<Stub>();
        // SAFETY: new memory, at an address of the system's choice.
        let stubs = unsafe { VirtualAlloc(null(), size, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE) };
        assert!(!stubs.is_null(), "{}", std::io::Error::last_os_error());
        let stubs = stubs.cast::<Stub>();
        for (number, import) in imports.iter().enumerate() {
            // SAFETY: room for as many stubs as there are imports. An entry is a pointer to a function, written in one piece
            // while others may read it; its page is made writable meanwhile.
            unsafe {
                let stub = stubs.add(number);
                stub.write(Stub { code: CODE, calls: 0, function: *import.entry });
                let (entry, size, mut access) = (import.entry.cast(), size_of::<usize>(), 0);
                assert_ne!(VirtualProtect(entry, size, PAGE_READWRITE, &mut access), 0);
                import.entry.write_volatile(stub as usize);
                VirtualProtect(entry, size, access, &mut access);
            }
        }
        Imports { names: imports.into_iter().map(|import| import.name).collect(), stubs }
    }

    /// From here on calls of this thread are counted.
    fn begin(&mut self) -> Counted<'_> {
        for number in 0..self.names.len() {
            // SAFETY: one of the stubs; nobody counts now.
            unsafe { (*self.stubs.add(number)).calls = 0 };
        }
        // SAFETY: a call without pointers.
        self.set_thread(unsafe { GetCurrentThreadId() });
        Counted(self)
    }

    fn set_thread(&mut self, thread: u32) {
        for number in 0..self.names.len() {
            // SAFETY: one of the stubs. The number in it is aligned, so that other threads read the old or the new one.
            unsafe {
                let code = (&raw mut (*self.stubs.add(number)).code).cast::<u8>();
                code.add(THREAD).cast::<u32>().write_volatile(thread);
            }
        }
    }
}

/// As long as this lives, calls are counted.
struct Counted<'a>(&'a mut Imports);

impl Counted<'_> {
    fn end(self) -> Calls {
        self.0.set_thread(0);
        let Imports { names, stubs } = &*self.0;
        // SAFETY: one of the stubs; nobody counts any more.
        let calls = names.iter().enumerate().map(|(at, name)| (name.clone(), unsafe { (*stubs.add(at)).calls }));
        calls.filter(|(name, calls)| *calls > 0 && !IN_PLACE.contains(&name.as_str())).collect()
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set_thread(0);
    }
}

/// A function that the program imports.
struct Import {
    name: String,
    /// Where its address is.
    entry: *mut usize,
}

/// The functions that this program imports, but for those of the C library: they copy memory and the like.
///
/// # Safety
/// The image of this program is as its headers say.
unsafe fn imports() -> Vec<Import> {
    // SAFETY: the caller's; the tables end with an entry of zeros, and names with a zero.
    unsafe {
        let base = GetModuleHandleW(null()).cast::<u8>();
        let header = base.add((*base.cast::<IMAGE_DOS_HEADER>()).e_lfanew as usize).cast::<IMAGE_NT_HEADERS64>();
        let table = (*header).OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT as usize].VirtualAddress;
        let mut library = base.add(table as usize).cast::<IMAGE_IMPORT_DESCRIPTOR>();
        let mut imports = Vec::new();
        while (*library).Name != 0 {
            let file = CStr::from_ptr(base.add((*library).Name as usize).cast()).to_string_lossy().to_lowercase();
            let mut name = base.add((*library).Anonymous.OriginalFirstThunk as usize).cast::<u64>();
            let mut entry = base.add((*library).FirstThunk as usize).cast::<usize>();
            while *name != 0 && !file.contains("crt") && !file.contains("vcruntime") {
                let name_of = match *name & IMAGE_ORDINAL_FLAG64 {
                    // Behind a number that is the loader's.
                    0 => CStr::from_ptr(base.add(*name as usize + 2).cast()).to_string_lossy().into_owned(),
                    _ => format!("{file} {}", *name as u16),
                };
                imports.push(Import { name: name_of, entry });
                (name, entry) = (name.add(1), entry.add(1));
            }
            library = library.add(1);
        }
        imports
    }
}
