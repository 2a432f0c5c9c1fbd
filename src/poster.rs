//! Posts: values sent to a port from any thread, and the inbox that they, and the results of the
//! blocking pool, arrive in.
//!
//! Wake-up protocol: whoever puts mail into an empty box says so and then looks whether the port sleeps; the port says
//! that it will sleep and then looks whether there is mail. Both use sequentially consistent accesses, so at least one
//! of them sees the other: no wake-up is lost, and a busy port is woken with no system call. Who adds to mail that lies
//! there has nothing to say, for the port takes all of it at once; it only looks, lest its mail wait until the first
//! sender is scheduled again.

use crate::completion::{Completion, Means, Part};
use crate::op::Post;
use crate::op::front::table;
use crate::outcome::Outcome;
use crate::payload::{Room, VTable, put};
use crate::slot::NONE;
use crate::sys::Waker;
use crate::{OpId, Token};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A posted value with its type erased; owns it.
pub(crate) struct Parcel {
    token: Token,
    vtable: &'static VTable,
    room: Room,
}

// SAFETY: made only by `Poster::post`, whose value is Send.
unsafe impl Send for Parcel {}

impl Parcel {
    /// The completion that the user takes the value from.
    pub(crate) fn into_completion(self) -> Completion {
        let this = ManuallyDrop::new(self);
        Completion {
            token: this.token,
            id: OpId::new(NONE, 0),
            part: Part::Last,
            before: 0,
            vtable: this.vtable,
            room: this.room,
            outcome: Outcome::done(0),
            means: Means::Count,
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // SAFETY: the room holds the value that `post` put there; `into_completion` forgets self.
        unsafe { self.vtable.drop(&mut self.room) }
    }
}

/// What can arrive from another thread.
pub(crate) enum Mail {
    Post(Parcel),
    /// The blocking pool has carried an operation out.
    Finished {
        slot: u32,
        outcome: Outcome,
    },
}

struct Mailbox {
    mail: VecDeque<Mail>,
    /// The port is gone.
    closed: bool,
}

/// What the port sleeps in, as [`Inbox::fall_asleep`] is told.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Sleep {
    /// A wait of its own: the waker ends it.
    Here = 1,
    /// Its user's loop, on the descriptor that the port has for that: the bell ends it, if there is one.
    Elsewhere = ELSEWHERE,
}

const ELSEWHERE: u8 = 2;
/// No [`Sleep`].
const AWAKE: u8 = 0;

/// Shared between a port, its posters and its blocking pool. All of it moves between their cores together, so it is one
/// cache line wherever the allocator puts it.
#[repr(align(64))]
pub(crate) struct Inbox {
    mailbox: Mutex<Mailbox>,
    /// Written under the lock only: there is mail.
    has_mail: AtomicBool,
    /// `AWAKE`, or a [`Sleep`].
    sleep: AtomicU8,
    waker: Waker,
    /// See [`Inbox::bell`].
    bell: OnceLock<Waker>,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Arc<Inbox>> {
        Ok(Arc::new(Inbox {
            mailbox: Mutex::new(Mailbox { mail: VecDeque::new(), closed: false }),
            has_mail: AtomicBool::new(false),
            sleep: AtomicU8::new(AWAKE),
            waker: Waker::new()?,
            bell: OnceLock::new(),
        }))
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// What wakes a port that sleeps elsewhere. Empty, unless its backend has put something here because the waker would not
    /// wake it, or late.
    #[cfg(target_os = "linux")]
    pub(crate) fn bell(&self) -> &OnceLock<Waker> {
        &self.bell
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        // Nothing panics while the lock is held, so a poisoned box is as good as any.
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts mail in and wakes the port if it sleeps; gives the mail back if the port is gone.
    pub(crate) fn send(&self, mail: Mail) -> Result<(), Mail> {
        let mut mailbox = self.lock();
        if mailbox.closed && matches!(mail, Mail::Post(_)) {
            return Err(mail);
        }
        mailbox.mail.push_back(mail);
        // Exact, under the lock; a locked store for each post would cost as much as the rest of it.
        if !self.has_mail.load(Relaxed) {
            self.has_mail.store(true, SeqCst);
        }
        drop(mailbox);
        if self.sleep.load(SeqCst) != AWAKE {
            self.end_sleep();
        }
        Ok(())
    }

    /// Wakes the port, unless somebody else has just done so.
    fn end_sleep(&self) {
        match self.sleep.swap(AWAKE, SeqCst) {
            AWAKE => {}
            ELSEWHERE => self.bell.get().unwrap_or(&self.waker).wake(),
            _ => self.waker.wake(),
        }
    }

    /// Moves all mail into `into` once that is empty (mail keeps its order); both keep their memory.
    pub(crate) fn collect_if_empty(&self, into: &mut VecDeque<Mail>) {
        if into.is_empty() && self.has_mail.load(SeqCst) {
            let mut mailbox = self.lock();
            self.has_mail.store(false, SeqCst);
            std::mem::swap(&mut mailbox.mail, into);
        }
    }

    /// Announces that the port is about to sleep; false: there is mail, so it must not.
    pub(crate) fn fall_asleep(&self, sleep: Sleep) -> bool {
        self.sleep.store(sleep as u8, SeqCst);
        !self.has_mail.load(SeqCst)
    }

    pub(crate) fn wake_up(&self) {
        // Who sees it late calls for nothing; and `fall_asleep`, which is behind it in the same place, cannot be undone by it.
        self.sleep.store(AWAKE, Relaxed);
    }

    /// From now on nothing can be posted; returns the posts that are here. (Results of the blocking pool still
    /// arrive.)
    pub(crate) fn close(&self) -> VecDeque<Mail> {
        let mut mailbox = self.lock();
        mailbox.closed = true;
        let (posts, results) = mailbox.mail.drain(..).partition(|mail| matches!(mail, Mail::Post(_)));
        mailbox.mail = results;
        posts
    }
}

/// Sends values to a port from any thread, from [`Port::poster`](crate::Port::poster).
///
/// A post is a completion with the given token: it wakes the port if it waits, is never lost, and
/// posts of one thread keep their order. Values of at most 48 bytes are carried without an allocation.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let poster = port.poster();
/// std::thread::spawn(move || poster.post(Token(1), String::from("hello")));
/// port.wait(None)?;
/// let text = port.next().unwrap().unpack::<op::Post<String>>();
/// assert_eq!(text, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Poster {
    pub(crate) inbox: Arc<Inbox>,
}

impl Poster {
    /// Posts `value`. Never blocks; costs a system call (a write to an eventfd or pipe) only when the
    /// port sleeps.
    ///
    /// # Errors
    /// [`PostError`] with the value when the port is gone.
    pub fn post<T: Send + 'static>(&self, token: Token, value: T) -> Result<(), PostError<T>> {
        let mut room = Room::new();
        // SAFETY: a fresh room; values stored inline may be moved with it until the system knows
        // their address, and the system never hears of a post.
        unsafe { put(&mut room, value) };
        let parcel = Parcel { token, vtable: table::<Post<T>>(), room };
        match self.inbox.send(Mail::Post(parcel)) {
            Ok(()) => Ok(()),
            Err(Mail::Post(parcel)) => Err(PostError(parcel.into_completion().unpack::<Post<T>>())),
            Err(Mail::Finished { .. }) => unreachable!("the mail that was sent comes back"),
        }
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster")
    }
}

/// The port is gone; here is the value that was to be posted.
///
/// ```
/// # use anyport::{Port, PostError, Token};
/// # fn main() -> std::io::Result<()> {
/// let poster = Port::new()?.poster(); // whose port is dropped right here
/// assert_eq!(poster.post(Token(1), "too late"), Err(PostError("too late")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PostError<T>(pub T);

impl<T> fmt::Debug for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostError(..)")
    }
}

impl<T> fmt::Display for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the port was dropped; nobody will take the post")
    }
}

impl<T> std::error::Error for PostError<T> {}
