//! What the backends of a Unix note about a handle.

use crate::op::raw::Needs;

/// Beside its descriptor.
#[derive(Clone, Copy, Default)]
pub(crate) struct Notes {
    pub(crate) readiness: Readiness,
    #[cfg(target_os = "linux")]
    pub(crate) usage: Usage,
    /// `O_NONBLOCK` was changed by attach, and detach changes it back.
    pub(crate) flag_changed: bool,
    /// Reads may be tried in the page cache: it is a file, not open for direct I/O, on a file system that can tell.
    pub(crate) is_cached: bool,
}

/// What a reactor knows about the readiness of a handle.
#[derive(Clone, Copy, Default)]
pub(crate) struct Readiness {
    /// The selector knows the descriptor.
    pub(crate) registered: bool,
    /// The last call said that no more of these is there: wait for an edge, don't try.
    pub(crate) exhausted: Needs,
    /// A hang-up, error or urgent data came with an edge: a short read no longer means "drained".
    pub(crate) distrust_short_reads: bool,
    /// A bit for each lane that is to be served because of an edge: it waits for its turn, unless there is none.
    pub(crate) lanes: u8,
    /// Completions in a row of a multishot operation.
    pub(crate) turns: u8,
}

/// What a ring knows about the use of a handle.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Operations that were started, up to those after which it is registered.
    pub(crate) operations: u8,
    /// The ring's table has the object at the handle's place.
    pub(crate) registered: bool,
}
