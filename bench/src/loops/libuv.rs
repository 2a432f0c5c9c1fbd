//! libuv's part: `native/libuv_loops.c`.

use std::ffi::{c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use measure::clock::process_cpu;
use measure::contest::Sample;
use measure::file::check;
use measure::post::Way;
use measure::timer::{STANDING, deadlines, lateness, limit};

#[repr(C)]
pub(super) struct RawInbox([u8; 0]);
#[repr(C)]
struct RawTimers([u8; 0]);

unsafe extern "C" {
    fn anyport_bench_uv_inbox() -> *mut RawInbox;
    fn anyport_bench_uv_post(inbox: *mut RawInbox, value: u64) -> c_int;
    fn anyport_bench_uv_receive(
        inbox: *mut RawInbox,
        take: extern "C" fn(*mut c_void, u64) -> c_int,
        context: *mut c_void,
    ) -> c_int;
    fn anyport_bench_uv_inbox_free(inbox: *mut RawInbox);
    fn anyport_bench_uv_timers(count: usize) -> *mut RawTimers;
    fn anyport_bench_uv_timer_start(timers: *mut RawTimers, place: usize, after: u64) -> c_int;
    fn anyport_bench_uv_timer_stop(timers: *mut RawTimers, place: usize) -> c_int;
    fn anyport_bench_uv_timers_fire(timers: *mut RawTimers, deadlines: *const u64, late: *mut u64) -> usize;
    fn anyport_bench_uv_timers_free(timers: *mut RawTimers);
    fn anyport_bench_uv_reads(
        file: c_int,
        depth: usize,
        next: extern "C" fn(*mut c_void) -> i64,
        check: extern "C" fn(*mut c_void, u64, *const c_char, usize) -> c_int,
        context: *mut c_void,
    ) -> c_int;
    fn anyport_bench_uv_journal(file: c_int, next: extern "C" fn(*mut c_void) -> i64, context: *mut c_void) -> c_int;
}

fn result(status: c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
}

/// Both ends hold it; the last one frees it.
pub(super) struct Inbox(*mut RawInbox);

// SAFETY: posting is for any thread (the queue is locked, uv_async_send is thread-safe); receiving is done by the one thread
// that opened it, which `Way` promises.
unsafe impl Send for Inbox {}
// SAFETY: as above.
unsafe impl Sync for Inbox {}

impl Drop for Inbox {
    fn drop(&mut self) {
        // SAFETY: this is the last use of it.
        unsafe { anyport_bench_uv_inbox_free(self.0) };
    }
}

/// A uv_async_t and a locked queue.
#[derive(Clone, Copy)]
pub(super) struct Asyncs;

impl Way for Asyncs {
    type Inbox = std::sync::Arc<Inbox>;
    type Post = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

    fn open(self) -> io::Result<(Self::Post, Self::Inbox)> {
        // SAFETY: it has no conditions.
        let raw = unsafe { anyport_bench_uv_inbox() };
        if raw.is_null() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let inbox = std::sync::Arc::new(Inbox(raw));
        let outbox = inbox.clone();
        // SAFETY: the inbox lives as long as this end of it.
        Ok((Box::new(move |value| result(unsafe { anyport_bench_uv_post(outbox.0, value) })), inbox))
    }

    fn receive(self, inbox: Self::Inbox, mut take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        extern "C" fn each(context: *mut c_void, value: u64) -> c_int {
            // SAFETY: the context is the reference below, and its loop is run by nobody else.
            let take = unsafe { &mut *context.cast::<&mut dyn FnMut(u64) -> bool>() };
            take(value).into()
        }
        // SAFETY: the inbox and the context live longer than the call.
        result(unsafe { anyport_bench_uv_receive(inbox.0, each, (&raw mut take).cast()) })
    }
}

/// Timers of a loop of their own.
struct Timers(*mut RawTimers);

impl Timers {
    fn new(count: usize) -> Timers {
        // SAFETY: it has no conditions.
        Timers(unsafe { anyport_bench_uv_timers(count) })
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        // SAFETY: this is the last use of them.
        unsafe { anyport_bench_uv_timers_free(self.0) };
    }
}

pub(super) fn arm_and_cancel(times: usize) -> io::Result<Sample> {
    let timers = Timers::new(STANDING + 1);
    // SAFETY: there are so many timers.
    let start = |place| result(unsafe { anyport_bench_uv_timer_start(timers.0, place, limit().as_millis() as u64) });
    (0..STANDING).try_for_each(start)?;
    let (began, cpu) = (Instant::now(), process_cpu());
    for _ in 0..times {
        start(STANDING)?;
        // SAFETY: as above.
        result(unsafe { anyport_bench_uv_timer_stop(timers.0, STANDING) })?;
    }
    Ok(Sample::of(times, began.elapsed(), process_cpu() - cpu))
}

pub(super) fn fire(count: usize, over: Duration) -> io::Result<Sample> {
    let timers = Timers::new(count);
    let cpu = process_cpu();
    let (start, deadlines) = deadlines(count, over);
    // Of the clock that libuv uses.
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (now, here) = (Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32), Instant::now());
    let deadlines: Vec<u64> =
        deadlines.into_iter().map(|at| (now + at.saturating_duration_since(here)).as_nanos() as u64).collect();
    let mut late = vec![0; count];
    // SAFETY: both have a number for each timer.
    let fired = unsafe { anyport_bench_uv_timers_fire(timers.0, deadlines.as_ptr(), late.as_mut_ptr()) };
    if fired != count {
        return Err(io::Error::other("not every timer fired once"));
    }
    Ok(lateness(late, start, cpu))
}

/// The next number of an iterator, for C: -1 is the end.
extern "C" fn next(context: *mut c_void) -> i64 {
    // SAFETY: the context is a reference to the iterator; the loop calls this on the thread that runs it.
    let numbers = unsafe { &mut *context.cast::<&mut dyn Iterator<Item = u64>>() };
    numbers.next().map_or(-1, |number| number as i64)
}

pub(super) fn journal(file: &File, mut offsets: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    // SAFETY: the context lives longer than the call, and with it all requests.
    result(unsafe { anyport_bench_uv_journal(file.as_raw_fd(), next, (&raw mut offsets).cast()) })
}

pub(super) fn reads(file: &File, depth: usize, mut blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    extern "C" fn is_right(_: *mut c_void, block: u64, bytes: *const c_char, length: usize) -> c_int {
        // SAFETY: so many bytes were read there.
        check(block, unsafe { std::slice::from_raw_parts(bytes.cast(), length) }).is_ok().into()
    }
    // SAFETY: the context lives longer than the call, and with it all requests.
    result(unsafe { anyport_bench_uv_reads(file.as_raw_fd(), depth, next, is_right, (&raw mut blocks).cast()) })
}
