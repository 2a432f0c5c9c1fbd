//! The blocking pool: threads for what the system cannot do asynchronously.
//!
//! Started at the first job, one at a time up to a bound, and kept; a full pool queues, it never
//! blocks the port's thread. A job points into its operation's slot, which the port keeps in place
//! until the result has come back through the inbox; so dropping the pool joins its threads.

use crate::op::raw::RawOp;
use crate::poster::{Inbox, Mail};
use crate::sys::{Raw, perform_blocking, prepare_worker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

struct Job {
    slot: u32,
    raw: RawOp,
    object: Raw,
}

// SAFETY: the pointers in `raw` lead into the operation's payload, which nobody but the thread that
// carries the job out touches until its result was sent; what a closure owns is Send by its type.
unsafe impl Send for Job {}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    stop: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    inbox: Arc<Inbox>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Jobs run outside the lock, so nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool of one port.
pub(crate) struct Blocking {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    max: usize,
}

impl Blocking {
    pub(crate) fn new(max: usize, inbox: &Arc<Inbox>) -> Blocking {
        let shared = Shared { queue: Mutex::default(), work: Condvar::new(), inbox: inbox.clone() };
        Blocking { shared: Arc::new(shared), threads: Vec::new(), max: max.max(1) }
    }

    /// Queues an operation; its result comes as [`Mail::Finished`].
    ///
    /// # Errors
    /// When no thread could be started and there is none.
    pub(crate) fn submit(&mut self, slot: u32, raw: RawOp, object: Raw) -> io::Result<()> {
        let mut queue = self.shared.lock();
        let short = queue.jobs.len() >= queue.idle;
        if short && self.threads.len() < self.max {
            let shared = self.shared.clone();
            let thread = thread::Builder::new().name("anyport-blocking".into()).spawn(move || work(&shared));
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(error) if self.threads.is_empty() => return Err(error),
                Err(_) => {} // the threads that there are will get to it
            }
        }
        queue.jobs.push_back(Job { slot, raw, object });
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Takes a job back that no thread has begun; false: it runs, and its result will come.
    pub(crate) fn cancel(&mut self, slot: u32) -> bool {
        let mut queue = self.shared.lock();
        let place = queue.jobs.iter().position(|job| job.slot == slot);
        place.map(|at| queue.jobs.remove(at)).is_some()
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thread's life.
fn work(shared: &Shared) {
    prepare_worker();
    let mut queue = shared.lock();
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            // SAFETY: the port keeps the payload in place until it has the result (module header).
            let outcome = unsafe { perform_blocking(&job.raw, job.object) };
            // The port takes its results before it closes the inbox, so this is not refused.
            let _ = shared.inbox.send(Mail::Finished { slot: job.slot, outcome });
            queue = shared.lock();
        } else if queue.stop {
            return;
        } else {
            queue.idle += 1;
            queue = shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}
