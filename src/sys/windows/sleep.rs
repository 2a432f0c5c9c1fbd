//! How long a thread sleeps on a completion port, more precisely than in ticks: for the backend of the port, and the
//! poller's.
//!
//! `GetQueuedCompletionStatusEx` takes milliseconds, and wakes at ticks of the system's clock, every 15.6 ms
//! unless a program has asked for more. So a time-out is a high-resolution waitable timer (Windows 10, 1803)
//! whose expiry is a packet at the completion port: `NtAssociateWaitCompletionPacket` (Windows 8) makes it one.
//! Where either is missing the call's own time-out is used, rounded up.
//!
//! The timer stays armed from wait to wait: a wait that needs the same or a later time leaves it alone, and is
//! woken early at worst, which both expect.

use crate::explain::Feature;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{GENERIC_ALL, HANDLE, NTSTATUS, STATUS_SUCCESS, WAIT_TIMEOUT};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateWaitableTimerExW, INFINITE, SetWaitableTimer, TIMER_ALL_ACCESS,
};
use windows_sys::{core::s, core::w};

/// The key of the timer's packet.
const TIMER: usize = 2;

type Create = unsafe extern "system" fn(*mut HANDLE, u32, *const c_void) -> NTSTATUS;
type Associate = unsafe extern "system" fn(
    HANDLE,
    HANDLE,
    HANDLE,
    *const c_void,
    *const c_void,
    NTSTATUS,
    usize,
    *mut u8,
) -> NTSTATUS;
type Cancel = unsafe extern "system" fn(HANDLE, u8) -> NTSTATUS;

/// The timer, and what makes a packet of its expiry.
struct Precise {
    timer: OwnedHandle,
    packet: OwnedHandle,
    associate: Associate,
    cancel: Cancel,
    /// The time that the packet was associated for, while it was not taken.
    armed: Option<Instant>,
}

/// Time-outs of the waiting call.
pub(crate) struct Sleep {
    precise: Option<Precise>,
}

/// True when the waiting call says that the time is up.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WAIT_TIMEOUT as i32)
}

impl Sleep {
    pub(crate) fn new() -> Sleep {
        Sleep { precise: Precise::new() }
    }

    /// Arranges that the wait ends at the latest after `timeout`; returns what to give the call.
    pub(crate) fn prepare(&mut self, port: BorrowedHandle<'_>, timeout: Option<Duration>) -> u32 {
        let time = match timeout {
            None => return INFINITE,
            Some(Duration::ZERO) => return 0,
            Some(time) => time,
        };
        if let Some(precise) = &mut self.precise
            && precise.arm(port, time)
        {
            return INFINITE;
        }
        // INFINITE is the largest number; a time that long is waited for in parts.
        time.as_nanos().div_ceil(1_000_000).min(u128::from(INFINITE - 1)) as u32
    }

    /// A packet without an address has come.
    pub(crate) fn packet(&mut self, key: usize) {
        if key == TIMER
            && let Some(precise) = &mut self.precise
        {
            precise.armed = None;
        }
    }

    pub(crate) fn features(&self) -> Vec<Feature> {
        let note = "else time-outs are as coarse as the system's clock tick (Windows 10, 1803)";
        vec![Feature::new("high-resolution timer", self.precise.is_some(), note)]
    }
}

impl Precise {
    fn new() -> Option<Precise> {
        // SAFETY: the library is loaded in every process, and stays; the functions have these types (they are
        // documented, without a header). The handles are made here, and nobody else has them.
        unsafe {
            let ntdll = GetModuleHandleW(w!("ntdll.dll"));
            let create = GetProcAddress(ntdll, s!("NtCreateWaitCompletionPacket"))?;
            let associate = GetProcAddress(ntdll, s!("NtAssociateWaitCompletionPacket"))?;
            let cancel = GetProcAddress(ntdll, s!("NtCancelWaitCompletionPacket"))?;
            let create = std::mem::transmute::<unsafe extern "system" fn() -> isize, Create>(create);
            let high = CREATE_WAITABLE_TIMER_HIGH_RESOLUTION;
            let timer = CreateWaitableTimerExW(ptr::null(), ptr::null(), high, TIMER_ALL_ACCESS);
            if timer.is_null() {
                return None;
            }
            let timer = OwnedHandle::from_raw_handle(timer);
            let mut packet = ptr::null_mut();
            if create(&mut packet, GENERIC_ALL, ptr::null()) != STATUS_SUCCESS {
                return None;
            }
            Some(Precise {
                timer,
                packet: OwnedHandle::from_raw_handle(packet),
                associate: std::mem::transmute::<unsafe extern "system" fn() -> isize, Associate>(associate),
                cancel: std::mem::transmute::<unsafe extern "system" fn() -> isize, Cancel>(cancel),
                armed: None,
            })
        }
    }

    /// Has a packet queued at the port after `time` at the latest; false: that could not be arranged.
    fn arm(&mut self, port: BorrowedHandle<'_>, time: Duration) -> bool {
        let Some(end) = Instant::now().checked_add(time) else { return false };
        // A packet that comes at most 50 us early is as good: less than setting the timer takes and risks.
        if self.armed.is_some_and(|armed| armed <= end && end - armed < Duration::from_micros(50)) {
            return true;
        }
        // Negative: from now on, in units of 100 ns.
        let due = -i64::try_from(time.as_nanos().div_ceil(100)).unwrap_or(i64::MAX);
        // SAFETY: the handles are this value's own, and the port's is open; the due time is read by the call.
        unsafe {
            if self.armed.take().is_some() {
                // With "remove": neither waiting nor queued from here on, so it can be associated again.
                (self.cancel)(self.packet.as_raw_handle(), 1);
            }
            if SetWaitableTimer(self.timer.as_raw_handle(), &due, 0, None, ptr::null(), 0) == 0 {
                return false;
            }
            let (packet, port, timer) = (self.packet.as_raw_handle(), port.as_raw_handle(), self.timer.as_raw_handle());
            let key = ptr::without_provenance(TIMER);
            let status = (self.associate)(packet, port, timer, key, ptr::null(), 0, 0, ptr::null_mut());
            if status != STATUS_SUCCESS {
                return false;
            }
        }
        self.armed = Some(end);
        true
    }
}
