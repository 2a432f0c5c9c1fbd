//! Page-aligned anonymous memory, for the buffer pool: `VirtualAlloc`.

use std::io;
use std::ptr::{self, NonNull};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};

/// Anonymous memory, zeroed and page-aligned, given back on drop. The system takes a page's memory when it is
/// first touched.
pub(crate) struct Mapping {
    start: NonNull<u8>,
}

impl Mapping {
    pub(crate) fn anonymous(len: usize) -> io::Result<Mapping> {
        // SAFETY: fresh memory at an address of the system's choice overlaps nothing.
        let start = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
        NonNull::new(start.cast()).map(|start| Mapping { start }).ok_or_else(io::Error::last_os_error)
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own; whoever used it holds this value. (A length of 0 means all.)
        unsafe { VirtualFree(self.start.as_ptr().cast(), 0, MEM_RELEASE) };
    }
}
