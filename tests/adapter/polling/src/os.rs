//! What only some systems have.

/// Waitable handles. (Packets of one's own at the poller's completion port, which `polling` has too, are not here.)
#[cfg(windows)]
pub mod iocp {
    use crate::{Event, PollMode, Poller};
    use anyport::os::windows::PollerExt;
    use std::io;
    use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};

    pub trait AsRawWaitable {
        fn as_raw_handle(&self) -> RawHandle;
    }

    impl AsRawWaitable for RawHandle {
        fn as_raw_handle(&self) -> RawHandle {
            *self
        }
    }

    impl<T: AsRawHandle + ?Sized> AsRawWaitable for &T {
        fn as_raw_handle(&self) -> RawHandle {
            AsRawHandle::as_raw_handle(*self)
        }
    }

    pub trait AsWaitable: AsHandle {
        fn as_waitable(&self) -> BorrowedHandle<'_> {
            self.as_handle()
        }
    }

    impl<T: AsHandle + ?Sized> AsWaitable for T {}

    pub trait PollerIocpExt {
        /// # Safety
        /// The handle is open.
        unsafe fn add_waitable(&self, handle: impl AsRawWaitable, interest: Event, mode: PollMode) -> io::Result<()>;
        fn modify_waitable(&self, handle: impl AsWaitable, interest: Event, mode: PollMode) -> io::Result<()>;
        fn remove_waitable(&self, handle: impl AsWaitable) -> io::Result<()>;
    }

    impl PollerIocpExt for Poller {
        unsafe fn add_waitable(&self, handle: impl AsRawWaitable, interest: Event, mode: PollMode) -> io::Result<()> {
            // SAFETY: the caller's.
            let handle = unsafe { BorrowedHandle::borrow_raw(handle.as_raw_handle()) };
            self.anyport().add_waitable(handle, interest.key, interest.interest(), mode.into())
        }

        fn modify_waitable(&self, handle: impl AsWaitable, interest: Event, mode: PollMode) -> io::Result<()> {
            self.anyport().modify_waitable(handle.as_waitable(), interest.key, interest.interest(), mode.into())
        }

        fn remove_waitable(&self, handle: impl AsWaitable) -> io::Result<()> {
            self.anyport().delete_waitable(handle.as_waitable())
        }
    }
}

/// Processes and signals.
#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
))]
pub mod kqueue {
    use crate::{PollMode, Poller};
    use anyport::os::kqueue::PollerExt;
    use std::io;
    use std::marker::PhantomData;
    use std::num::NonZeroI32;
    use std::process::Child;

    /// What can be watched, as Anyport names it.
    pub trait Filter {
        fn filter(&self) -> anyport::os::kqueue::Filter;
    }

    #[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Signal(pub std::os::raw::c_int);

    impl Filter for Signal {
        fn filter(&self) -> anyport::os::kqueue::Filter {
            anyport::os::kqueue::Filter::Signal(self.0)
        }
    }

    /// Anyport watches the end of a process alone.
    #[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum ProcessOps {
        Exit,
    }

    #[derive(Debug)]
    pub struct Process<'a>(u32, PhantomData<&'a Child>);

    impl<'a> Process<'a> {
        /// # Safety
        /// The child is not waited for before the filter is deleted. (Anyport does not need that.)
        pub unsafe fn new(child: &'a Child, _: ProcessOps) -> Process<'a> {
            Process(child.id(), PhantomData)
        }

        /// # Safety
        /// As [`Process::new`].
        pub unsafe fn from_pid(pid: NonZeroI32, _: ProcessOps) -> Process<'a> {
            Process(pid.get().cast_unsigned(), PhantomData)
        }
    }

    impl Filter for Process<'_> {
        fn filter(&self) -> anyport::os::kqueue::Filter {
            anyport::os::kqueue::Filter::Exit(self.0)
        }
    }

    pub trait PollerKqueueExt<F: Filter> {
        fn add_filter(&self, filter: F, key: usize, mode: PollMode) -> io::Result<()>;
        fn modify_filter(&self, filter: F, key: usize, mode: PollMode) -> io::Result<()>;
        fn delete_filter(&self, filter: F) -> io::Result<()>;
    }

    impl<F: Filter> PollerKqueueExt<F> for Poller {
        fn add_filter(&self, filter: F, key: usize, mode: PollMode) -> io::Result<()> {
            self.anyport().add_filter(filter.filter(), key, mode.into())
        }

        fn modify_filter(&self, filter: F, key: usize, mode: PollMode) -> io::Result<()> {
            self.anyport().modify_filter(filter.filter(), key, mode.into())
        }

        fn delete_filter(&self, filter: F) -> io::Result<()> {
            self.anyport().delete_filter(filter.filter())
        }
    }
}
