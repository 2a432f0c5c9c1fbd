//! A thread of the blocking pool, before its first job.

/// Blocks all signals in this thread: they are for the user's threads, and a write to a broken pipe must
/// not raise one.
pub(crate) fn prepare_worker() {
    // SAFETY: a set of this frame, filled before its use.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
