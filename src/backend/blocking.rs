//! The blocking pool: threads for what the system cannot do asynchronously.
//!
//! Started at the first job, one at a time up to a bound, and kept; a full pool queues, it never
//! blocks the port's thread. A job points into its operation's slot, which the port keeps in place
//! until the result has come back through the inbox; so dropping the pool joins its threads.
//!
//! A job that has begun is interrupted where the system can do that to another thread's call (`sys/*/worker.rs`). There
//! the call may not have been reached yet, so [`Blocking::interrupt`] is repeated until it has told, or the job is over.

use crate::op::raw::RawOp;
use crate::poster::{Inbox, Mail};
use crate::sys::{Raw, Told, Worker, perform_blocking};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

struct Job {
    slot: u32,
    /// Its number among all of the pool.
    number: u64,
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
    /// The threads, each by what it carries out.
    workers: Mutex<Vec<Arc<Worker>>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Jobs run outside the lock, so nothing panics while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool of one port.
pub(crate) struct Blocking {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    max: usize,
    /// How many jobs there were.
    submitted: u64,
    /// The numbers of jobs that were given up after they had begun, and were not told yet.
    given_up: Vec<u64>,
}

impl Blocking {
    pub(crate) fn new(max: usize, inbox: &Arc<Inbox>) -> Blocking {
        let (queue, workers) = (Mutex::default(), Mutex::default());
        let shared = Shared { queue, work: Condvar::new(), inbox: inbox.clone(), workers };
        let (max, threads, given_up) = (max.max(1), Vec::new(), Vec::new());
        Blocking { shared: Arc::new(shared), threads, max, submitted: 0, given_up }
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
        self.submitted += 1;
        queue.jobs.push_back(Job { slot, number: self.submitted, raw, object });
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Takes a job back that no thread has begun; false: it runs, its result will come, and where that is possible it
    /// is interrupted.
    pub(crate) fn cancel(&mut self, slot: u32) -> bool {
        let mut queue = self.shared.lock();
        if let Some(place) = queue.jobs.iter().position(|job| job.slot == slot) {
            queue.jobs.remove(place);
            return true;
        }
        drop(queue);
        // Taken out of the queue, a job is carried by its thread already, or over.
        self.given_up.extend(self.shared.workers().iter().find_map(|worker| worker.carries(slot)));
        self.interrupt();
        false
    }

    /// Tells threads that their jobs were given up. True: one has not reached its call yet; try again soon.
    pub(crate) fn interrupt(&mut self) -> bool {
        if !self.given_up.is_empty() {
            let workers = self.shared.workers();
            self.given_up.retain(|&job| workers.iter().any(|worker| worker.interrupt(job) == Told::NotYet));
        }
        !self.given_up.is_empty()
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
    let worker = Arc::new(Worker::of_this_thread());
    shared.workers().push(worker.clone());
    let mut queue = shared.lock();
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            worker.begin(job.slot, job.number, &job.raw);
            drop(queue);
            // SAFETY: the port keeps the payload in place until it has the result (module header).
            let outcome = unsafe { perform_blocking(&job.raw, job.object) };
            worker.end();
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
