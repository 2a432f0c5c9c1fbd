//! The counting allocator: the system's, with a tally per thread, so that a test can say "no heap allocation" and
//! mean its own thread only, whatever the trials beside it do.
//!
//! Invariant: counting never allocates and never panics (the tally is plain thread-local cells without a destructor),
//! so the allocator may be called from anywhere, also while a thread starts or ends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

/// What a thread, or the process, has asked of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// Calls that obtained memory; a reallocation counts as one.
    pub allocations: u64,
    /// Bytes obtained minus bytes given back. Of a thread: memory that goes to another thread makes it negative there.
    pub live: i64,
}

impl Sub for Heap {
    type Output = Heap;

    fn sub(self, before: Heap) -> Heap {
        Heap { allocations: self.allocations - before.allocations, live: self.live - before.live }
    }
}

thread_local! {
    static TALLY: Cell<Heap> = const { Cell::new(Heap { allocations: 0, live: 0 }) };
}

/// The same of all threads together.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.fetch_add(allocations, Relaxed);
    LIVE.fetch_add(bytes, Relaxed);
    TALLY.with(|tally| {
        let Heap { allocations: a, live } = tally.get();
        tally.set(Heap { allocations: a + allocations, live: live + bytes });
    });
}

fn signed(size: usize) -> i64 {
    // A layout's size never exceeds isize::MAX.
    size as i64
}

// SAFETY: every call is handed to the system's allocator unchanged; the counting beside it touches no memory of ours
// but two cells and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: `pointer` came from `System` with this layout, because all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: `pointer` came from `System` with this layout, because all of ours do; `size` is the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The tally of the calling thread since it started.
fn heap() -> Heap {
    TALLY.with(Cell::get)
}

/// Runs `body` and returns what it took from the heap in the calling thread, and its result.
pub(crate) fn counted<T>(body: impl FnOnce() -> T) -> (Heap, T) {
    let before = heap();
    let result = body();
    (heap() - before, result)
}

/// The tally of the whole process: for isolated trials, where an operation may allocate in a thread of the pool.
pub(crate) fn process_heap() -> Heap {
    Heap { allocations: ALLOCATIONS.load(Relaxed), live: LIVE.load(Relaxed) }
}
