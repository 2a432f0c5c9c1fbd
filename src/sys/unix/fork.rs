//! Notices a fork.
//!
//! A child process inherits the port's memory, but not its thread's place in it: the ring is not
//! mapped there, and the selector is the parent's, too. So a port refuses to work in the child. The
//! test must cost no system call: a page that the kernel wipes on fork (`MADV_WIPEONFORK`, Linux 4.14)
//! tells; elsewhere a counter that pthread_atfork(3) has each child count.

#[cfg(target_os = "linux")]
mod imp {
    use crate::sys::Mapping;
    use std::io;

    /// One page: 1 in the process that made it, 0 in its children.
    pub(crate) struct ForkGuard(Mapping);

    impl ForkGuard {
        pub(crate) fn new() -> io::Result<ForkGuard> {
            let page = Mapping::anonymous(1)?;
            // SAFETY: the mapping is this value's own, at least a page, and writable.
            unsafe {
                rustix::mm::madvise(page.as_ptr().cast(), 1, rustix::mm::Advice::LinuxWipeOnFork)?;
                page.as_ptr().write(1);
            }
            Ok(ForkGuard(page))
        }

        #[inline]
        pub(crate) fn is_child(&self) -> bool {
            // SAFETY: the mapping lives as long as this value.
            unsafe { self.0.as_ptr().read_volatile() == 0 }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// Forks between the program's start and this process.
    static FORKS: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count() {
        FORKS.fetch_add(1, Relaxed);
    }

    /// The forks before the process that made it.
    pub(crate) struct ForkGuard(u32);

    impl ForkGuard {
        pub(crate) fn new() -> io::Result<ForkGuard> {
            static COUNTED: OnceLock<i32> = OnceLock::new();
            // SAFETY: the handler only counts, which is allowed between a fork and an exec.
            let error = *COUNTED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count)) });
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            Ok(ForkGuard(FORKS.load(Relaxed)))
        }

        #[inline]
        pub(crate) fn is_child(&self) -> bool {
            FORKS.load(Relaxed) != self.0
        }
    }
}

pub(crate) use imp::ForkGuard;
