//! Registered files, as the kernel calls them, sockets or whatever they are: an entry names one by its place in the ring's table, and
//! the kernel need not look a descriptor up and count who uses it (`IORING_REGISTER_FILES2`, `IORING_REGISTER_FILES_UPDATE`).
//!
//! The table refers to a file as a descriptor does, so a file leaves it before its descriptor is closed or handed back, and
//! the table goes before the ring does, whose end the kernel works on later. Before Linux 6.13 what had left was let go only when all
//! that was in flight on any registered file had come back, which can be never; so there is no table there.

use super::{FORGETS, Uring};
use crate::handle::Entry;
use crate::sys::NO_OBJECT;
use io_uring::opcode;
use io_uring::squeue::Flags;
use rustix::process::{Resource, getrlimit};
use std::os::fd::RawFd;
use std::time::Duration;

/// Operations after which a file is registered. To register and to forget it took 0.55 us on a Zen 5 (two calls of io_uring_register(2) in
/// a loop); a receive or send of 16 KiB gains some 0.07 us, and a cached read of 4 KiB as much (docs/BACKENDS.md). A connection that
/// serves a single request never is.
const OPERATIONS: u8 = 16;

/// Places of the table at most: 8 bytes each of the kernel's memory. What has a higher number goes by its descriptor.
const PLACES: u64 = 1 << 14;

/// What is registered at a place that is to be empty.
static NOTHING: [RawFd; 1] = [NO_OBJECT];

/// How an entry names its object: by a descriptor, or by a place in the table.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) number: i32,
    pub(super) flags: Flags,
}

impl Target {
    pub(super) const NONE: Target = Target::descriptor(NO_OBJECT);

    pub(super) const fn descriptor(fd: RawFd) -> Target {
        Target { number: fd, flags: Flags::empty() }
    }

    fn place(index: u32) -> Target {
        Target { number: index as i32, flags: Flags::FIXED_FILE }
    }
}

impl Uring {
    /// What an entry is to name the object of a handle by; registers one that is used often.
    #[inline(always)]
    pub(super) fn target(&mut self, index: u32, object: &mut Entry) -> Target {
        if object.notes.usage.registered {
            return Target::place(index);
        }
        if object.notes.usage.operations < OPERATIONS {
            object.notes.usage.operations += 1;
            if object.notes.usage.operations == OPERATIONS {
                self.register(index, object);
            }
        }
        Target::descriptor(object.raw())
    }

    /// Registers a file, if that is possible; else it goes on by its descriptor. From the next operation on.
    #[cold]
    fn register(&mut self, index: u32, object: &mut Entry) {
        if self.places == 0 && self.probe.registered_files {
            self.make_table();
        }
        if index < self.places {
            let put = self.ring.submitter().register_files_update(index, &[object.raw()]);
            object.notes.usage.registered = put.is_ok();
        }
    }

    /// Makes the table, which may have as many places as the process may have descriptors (io_uring_register(2), `EMFILE`).
    fn make_table(&mut self) {
        let places = getrlimit(Resource::Nofile).current.unwrap_or(PLACES).min(PLACES) as u32;
        match self.ring.submitter().register_files_sparse(places) {
            Ok(()) => self.places = places,
            Err(_) => self.probe.registered_files = false,
        }
    }

    /// Takes a file out of the table.
    pub(super) fn forget(&mut self, index: u32, object: &mut Entry) {
        if std::mem::take(&mut object.notes.usage).registered
            && self.ring.submitter().register_files_update(index, &NOTHING).is_err()
        {
            self.forget_by_entry(index);
        }
    }

    /// The same by an entry that is handed over at once: a program may have forbidden itself io_uring_register(2) since.
    #[cold]
    fn forget_by_entry(&mut self, index: u32) {
        let update = opcode::FilesUpdate::new(NOTHING.as_ptr(), 1).offset(index as i32).build();
        self.push(update.flags(Flags::SKIP_SUCCESS).user_data(FORGETS));
        // An error leaves it to the next wait.
        let _ = self.enter(Some(Duration::ZERO), false);
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.places > 0 {
            // Where it is forbidden the kernel does it, later.
            let _ = self.ring.submitter().unregister_files();
        }
    }
}
