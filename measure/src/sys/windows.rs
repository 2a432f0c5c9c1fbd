//! Windows: `SetThreadAffinityMask`, `GetThreadTimes`, `GetProcessTimes`, `RtlGetVersion`, the registry.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem::transmute;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, FILETIME, HANDLE};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_SZ, RegGetValueW};
use windows_sys::Win32::System::SystemInformation::OSVERSIONINFOW;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessAffinityMask, GetProcessTimes, GetThreadTimes, SetThreadAffinityMask,
};
use windows_sys::core::{BOOL, s, w};

/// In what steps CPU time is counted: the system's clock interrupt charges whoever it finds running.
pub(crate) const CPU_TICK: Duration = Duration::from_micros(15_625);

fn check(succeeded: BOOL) -> io::Result<()> {
    if succeeded != 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cores that this process may use, in order (of its processor group, which has 64 at most).
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    let (mut process, mut system) = (0usize, 0usize);
    // SAFETY: both masks are of this frame.
    check(unsafe { GetProcessAffinityMask(GetCurrentProcess(), &mut process, &mut system) })?;
    Ok((0..usize::BITS as usize).filter(|core| process >> core & 1 == 1).collect())
}

/// Pins the calling thread to `core`.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a call without pointers.
    check((unsafe { SetThreadAffinityMask(GetCurrentThread(), 1 << core) } != 0).into())
}

/// The CPU clock of one thread, counted in steps of 15.6 ms. It can still be read when the thread has ended.
#[derive(Clone, Debug)]
pub struct CpuClock(Arc<OwnedHandle>);

impl CpuClock {
    /// The calling thread's clock, for others to read.
    pub fn of_this_thread() -> io::Result<CpuClock> {
        let mut thread: HANDLE = null_mut();
        // SAFETY: the handle is of this frame; what is duplicated stands for the calling thread.
        check(unsafe {
            let (process, own) = (GetCurrentProcess(), GetCurrentThread());
            DuplicateHandle(process, own, process, &mut thread, 0, 0, DUPLICATE_SAME_ACCESS)
        })?;
        // SAFETY: the call has just made this handle, and nobody else has it.
        Ok(CpuClock(Arc::new(unsafe { OwnedHandle::from_raw_handle(thread) })))
    }

    /// The CPU time that has been used since the start.
    pub fn read(&self) -> io::Result<Duration> {
        let thread = self.0.as_raw_handle();
        // SAFETY: the handle is open, the times are of the frame that asks.
        used(|[created, ended, kernel, user]| unsafe { GetThreadTimes(thread, created, ended, kernel, user) })
    }
}

/// The CPU time of the whole process.
pub fn process_cpu() -> Duration {
    // SAFETY: as above.
    let asked = used(|[created, ended, kernel, user]| unsafe {
        GetProcessTimes(GetCurrentProcess(), created, ended, kernel, user)
    });
    asked.expect("a process may ask about itself")
}

/// Kernel and user time together, of what `ask` fills in.
fn used(ask: impl FnOnce([&mut FILETIME; 4]) -> BOOL) -> io::Result<Duration> {
    let mut times = [FILETIME::default(); 4];
    check(ask(times.each_mut()))?;
    // In units of 100 ns.
    let count = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Ok(Duration::from_nanos((count(times[2]) + count(times[3])) * 100))
}

/// The processor's name for itself.
pub(crate) fn processor() -> String {
    let mut name = [0u16; 128];
    let mut bytes = size_of_val(&name) as u32;
    // SAFETY: the answer's place is of this frame, and as long as is said.
    let result = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            w!(r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"),
            w!("ProcessorNameString"),
            RRF_RT_REG_SZ,
            null_mut(),
            name.as_mut_ptr().cast(),
            &mut bytes,
        )
    };
    let length = name.iter().position(|&unit| unit == 0).unwrap_or(name.len());
    match String::from_utf16_lossy(&name[..length]).trim() {
        name if result == 0 && !name.is_empty() => name.to_owned(),
        _ => std::env::consts::ARCH.to_owned(),
    }
}

/// The system and its version.
pub(crate) fn system() -> String {
    let size = size_of::<OSVERSIONINFOW>() as u32;
    let mut version = OSVERSIONINFOW { dwOSVersionInfoSize: size, ..OSVERSIONINFOW::default() };
    // SAFETY: the structure is of this frame and says how long it is. The call does not fail.
    unsafe { RtlGetVersion(&mut version) };
    let OSVERSIONINFOW { dwMajorVersion, dwMinorVersion, dwBuildNumber, .. } = version;
    format!("Windows {dwMajorVersion}.{dwMinorVersion}.{dwBuildNumber}")
}

/// The version of Wine that plays the system, if it does: its `ntdll` has a function that tells.
pub(crate) fn wine() -> Option<String> {
    // SAFETY: the library is loaded in every process. The function, which only Wine has, is declared there as
    // `const char *wine_get_version(void)`; what it returns is a constant.
    unsafe {
        let tell = GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version"))?;
        let tell: unsafe extern "C" fn() -> *const c_char = transmute(tell);
        Some(CStr::from_ptr(tell()).to_string_lossy().into_owned())
    }
}
