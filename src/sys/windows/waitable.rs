//! Waits for an object's handle (a process, an event, a timer) whose end is a packet of a completion port: a thread of the
//! system's pool waits for up to 63 of them and posts it.
//!
//! Called by the poller. Invariant: the context of a wait lives until the wait is unregistered, which waits for its
//! callback.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::PostQueuedCompletionStatus;
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
    WaitForSingleObject,
};

/// Where the packet goes.
struct Context {
    port: HANDLE,
    key: usize,
    address: usize,
}

/// An object that can be waited for, once at a time.
pub(crate) struct Waitable {
    /// A duplicate: the object is there for as long as anybody waits for it.
    object: OwnedHandle,
    wait: Option<(HANDLE, Box<Context>)>,
}

// SAFETY: the handles are the process', whichever thread uses them, and the context is only read.
unsafe impl Send for Waitable {}

impl Waitable {
    /// # Errors
    /// The system's, from `DuplicateHandle`.
    pub(crate) fn new(object: BorrowedHandle<'_>) -> io::Result<Waitable> {
        Ok(Waitable { object: object.try_clone_to_owned()?, wait: None })
    }

    /// Has a packet with this key and address posted once the object is signalled; at once if it is. No wait goes on.
    /// The port outlives this value.
    ///
    /// # Errors
    /// The system's: the object cannot be waited for.
    pub(crate) fn start(&mut self, port: BorrowedHandle<'_>, key: usize, address: usize) -> io::Result<()> {
        self.stop();
        let context = Box::new(Context { port: port.as_raw_handle(), key, address });
        let object = self.object.as_raw_handle();
        // SAFETY: a call without pointers on an open handle.
        match unsafe { WaitForSingleObject(object, 0) } {
            WAIT_OBJECT_0 => {
                post(&context);
                return Ok(());
            }
            WAIT_TIMEOUT => {}
            _ => return Err(io::Error::last_os_error()),
        }
        let mut wait = ptr::null_mut();
        let flags = WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD;
        // SAFETY: the handle is open until this value is gone, and so is the context's box: `stop` is called before.
        let registered = unsafe {
            let context: *const Context = &*context;
            RegisterWaitForSingleObject(&mut wait, object, Some(signalled), context.cast(), INFINITE, flags)
        };
        if registered == 0 {
            return Err(io::Error::last_os_error());
        }
        self.wait = Some((wait, context));
        Ok(())
    }

    /// Ends the wait that goes on, if one does. Its packet may be there already.
    pub(crate) fn stop(&mut self) {
        if let Some((wait, context)) = self.wait.take() {
            // SAFETY: the wait was registered and not unregistered. The call returns when its callback has.
            if unsafe { UnregisterWaitEx(wait, INVALID_HANDLE_VALUE) } == 0 {
                // Somebody may still read it.
                std::mem::forget(context);
            }
        }
    }
}

impl Drop for Waitable {
    fn drop(&mut self) {
        self.stop();
    }
}

unsafe extern "system" fn signalled(context: *mut c_void, _timed_out: bool) {
    // SAFETY: the context that the wait was registered with, which lives until the wait is unregistered.
    post(unsafe { &*context.cast::<Context>() });
}

fn post(context: &Context) {
    // Fails only when the kernel has no memory for a packet; the next `start` finds the object signalled.
    // SAFETY: the port is open; the address is a number that nobody follows.
    unsafe { PostQueuedCompletionStatus(context.port, 0, context.key, ptr::without_provenance(context.address)) };
}
