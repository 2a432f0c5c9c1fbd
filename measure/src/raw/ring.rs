//! The bare ring under the hand-written io_uring loops.

use std::io;

use io_uring::{Builder, IoUring, squeue};

/// A ring in the fastest mode that a single thread can have: one issuer, task work deferred to its own waits and, where
/// the kernel has it (6.6), no indirection between queue and entries.
pub fn bare(entries: u32) -> io::Result<IoUring> {
    let mut builder: Builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    let direct = builder.clone().setup_no_sqarray().build(entries);
    let ring = direct.or_else(|_| builder.build(entries))?;
    ring.submitter().register_ring_fd()?;
    Ok(ring)
}

/// Submits what is queued and waits until at least `completions` are there.
pub fn enter(ring: &IoUring, completions: usize) -> io::Result<()> {
    loop {
        match ring.submit_and_wait(completions) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// Queues an entry.
///
/// # Safety
///
/// What the entry points to stays valid, and untouched, until its completion.
// Inlined, so that an entry is written where it is to be: read back as a whole it would wait for its parts.
#[inline(always)]
pub unsafe fn push(queue: &mut squeue::SubmissionQueue<'_>, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: promised by the caller.
    unsafe { queue.push(entry) }.map_err(|_| io::Error::other("the submission queue is full"))
}

/// Queues entries, and hands them to the kernel when the queue is full.
///
/// # Safety
///
/// As for [`push`].
pub unsafe fn push_all(ring: &mut IoUring, entries: &[squeue::Entry]) -> io::Result<()> {
    for entry in entries {
        // SAFETY: promised by the caller.
        while unsafe { ring.submission().push(entry) }.is_err() {
            ring.submit()?;
        }
    }
    Ok(())
}

/// The result of a completion as the system call would have given it.
pub fn result(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
