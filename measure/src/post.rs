//! Posts: values that one thread hands to another, which sleeps in its queue when there are none.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyport::{Port, Token, op};

use super::affinity::pin;
use super::clock::ThreadClock;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw::channel;

/// The first contestant is the reference.
const BY_HAND: Against = Against { place: 0, number: Number::Rate };

/// A channel with an eventfd, and each backend.
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let posts = plan.scaled(1_000_000) as u64;
    let mut contestants = vec![Contestant::by_hand("by hand, mpsc + eventfd", move || {
        let open = || {
            let (outbox, inbox) = channel::inbox()?;
            Ok((move |value| outbox.post(value), inbox))
        };
        turn(plan, posts, open, |inbox| {
            let mut expected = InOrder::default();
            inbox.receive(|value| expected.take(value) == posts)?;
            expected.all_of(posts)
        })
    })];
    contestants.extend(plan.backends.iter().map(|candidate| {
        let goal = Goal::RateAtLeast(6e6);
        candidate.contestant(Some(BY_HAND), Some(goal), move |backend| {
            let open = || {
                let port = Port::builder().backend(backend).build()?;
                let poster = port.poster();
                let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                Ok((move |value: u64| poster.post(Token(0), value).map_err(gone), port))
            };
            turn(plan, posts, open, |port| by_port(port, posts))
        })
    }));
    vec![Contest {
        benchmark: "post",
        work: "values that one thread posts to another".to_owned(),
        unit: "post",
        rounds: plan.rounds(),
        contestants,
    }]
}

fn by_port(mut port: Port, posts: u64) -> io::Result<()> {
    let mut expected = InOrder::default();
    while expected.next < posts {
        port.wait(None)?;
        while let Some(done) = port.next() {
            expected.take(done.unpack::<op::Post<u64>>());
        }
    }
    expected.all_of(posts)
}

/// Counts values that should come as 0, 1, 2 ...
#[derive(Default)]
struct InOrder {
    next: u64,
    disorder: bool,
}

impl InOrder {
    /// Takes note of a value; returns how many there were.
    fn take(&mut self, value: u64) -> u64 {
        self.disorder |= value != self.next;
        self.next += 1;
        self.next
    }

    fn all_of(self, posts: u64) -> io::Result<()> {
        if self.disorder || self.next != posts {
            return Err(io::Error::other("posts were lost or came out of order"));
        }
        Ok(())
    }
}

/// Runs a sender on one core, and on the other a receiver that opens an inbox and takes what comes.
fn turn<Post, Inbox>(
    plan: &Plan,
    posts: u64,
    open: impl FnOnce() -> io::Result<(Post, Inbox)> + Send,
    receive: impl FnOnce(Inbox) -> io::Result<()> + Send,
) -> io::Result<Sample>
where
    Post: FnMut(u64) -> io::Result<()> + Send,
{
    let (give, take) = mpsc::channel::<Post>();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            pin(plan.cores.load)?;
            let mut post = take.recv().map_err(io::Error::other)?;
            (0..posts).try_for_each(&mut post)
        });
        let receiver = scope.spawn(move || -> io::Result<Sample> {
            pin(plan.cores.server)?;
            let (post, inbox) = open()?;
            let (start, cpu) = (Instant::now(), ThreadClock::of_this_thread()?);
            let before = cpu.read()?;
            give.send(post).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            receive(inbox)?;
            Ok(Sample::of(posts as usize, start.elapsed(), cpu.read()? - before))
        });
        let received = receiver.join();
        let sent = sender.join();
        // A receiver that failed is why the sender did.
        let sample = received.unwrap_or_else(|panic| resume_unwind(panic))?;
        sent.unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(sample)
    })
}
