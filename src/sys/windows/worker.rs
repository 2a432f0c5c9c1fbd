//! A thread of the blocking pool, before its first job.

/// There are no signals to be kept from it.
pub(crate) fn prepare_worker() {}
