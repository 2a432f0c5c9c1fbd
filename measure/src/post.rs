//! Posts: values that one thread hands to another, which sleeps in its queue when there are none.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::affinity::pin;
use super::clock::CpuClock;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw::channel;
use super::stats::percentile;

/// The first contestant is the reference.
const BY_HAND: Against = Against { place: 0, number: Number::Rate };

/// A way to post: how an inbox is opened, by the thread that receives, and how it is received from.
pub trait Way: Copy + Send {
    /// The receiving end.
    type Inbox;
    /// What the sender calls.
    type Post: FnMut(u64) -> io::Result<()> + Send + 'static;
    /// A new pair.
    fn open(self) -> io::Result<(Self::Post, Self::Inbox)>;
    /// Takes what comes, sleeping when there is nothing, until `take` says that it was the last.
    fn receive(self, inbox: Self::Inbox, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()>;
}

/// A channel, and what wakes its receiver.
#[derive(Clone, Copy)]
struct ByHand;

impl Way for ByHand {
    type Inbox = channel::Inbox;
    type Post = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

    fn open(self) -> io::Result<(Self::Post, channel::Inbox)> {
        let (outbox, inbox) = channel::inbox()?;
        Ok((Box::new(move |value| outbox.post(value)), inbox))
    }

    fn receive(self, inbox: channel::Inbox, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        inbox.receive(take)
    }
}

/// A port and its poster.
#[derive(Clone, Copy)]
struct ByPort(Backend);

impl Way for ByPort {
    type Inbox = Port;
    type Post = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

    fn open(self) -> io::Result<(Self::Post, Port)> {
        let port = Port::builder().backend(self.0).build()?;
        let poster = port.poster();
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        Ok((Box::new(move |value: u64| poster.post(Token(0), value).map_err(gone)), port))
    }

    fn receive(self, mut port: Port, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        loop {
            port.wait(None)?;
            while let Some(done) = port.next() {
                if take(done.unpack::<op::Post<u64>>()) {
                    return Ok(());
                }
            }
        }
    }
}

/// Posts without a pause, and how long one takes to wake a receiver: by hand, and by each backend.
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    [flood, wake].map(|kind: Kind| kind(plan)).into()
}

type Kind = for<'a> fn(&'a Plan) -> Contest<'a>;

fn flood(plan: &Plan) -> Contest<'_> {
    let mut contestants = vec![Contestant::by_hand(channel::NAME, move || flood_turn(plan, ByHand))];
    contestants.extend(plan.backends.iter().map(|candidate| {
        let goal = Goal::RateAtLeast(6e6);
        candidate.contestant(Some(BY_HAND), Some(goal), move |backend| flood_turn(plan, ByPort(backend)))
    }));
    Contest {
        benchmark: "post",
        work: "values that one thread posts to another".to_owned(),
        unit: "post",
        rounds: plan.rounds,
        contestants,
    }
}

/// Posts without a pause: as many as the plan says, for a tenth of a second or so, in which how often the receiver catches up
/// with the sender and falls asleep evens out.
pub fn flood_turn(plan: &Plan, way: impl Way) -> io::Result<Sample> {
    let posts = plan.whole(4_000_000) as u64;
    let sender = move |post: &mut dyn FnMut(u64) -> io::Result<()>| (0..posts).try_for_each(post);
    turn(plan, posts, way, sender, |receive| {
        let mut expected = InOrder::default();
        receive(&mut |value| expected.take(value) == posts)?;
        expected.all_of(posts)
    })
}

fn wake(plan: &Plan) -> Contest<'_> {
    let mut contestants = vec![Contestant::by_hand(channel::NAME, move || wake_turn(plan, ByHand))];
    contestants.extend(
        plan.backends.iter().map(|candidate| {
            candidate.contestant(Some(BY_HAND), None, move |backend| wake_turn(plan, ByPort(backend)))
        }),
    );
    Contest {
        benchmark: "post",
        work: "a value for a thread that sleeps, every 100 µs; from the post to its arrival".to_owned(),
        unit: "post",
        rounds: plan.rounds,
        contestants,
    }
}

/// Posts with pauses in which the receiver falls asleep. The numbers are those of the way from the post to its arrival; the
/// rate is that of the median, which a receiver that the scheduler keeps from its core for a while does not move.
pub fn wake_turn(plan: &Plan, way: impl Way) -> io::Result<Sample> {
    const PAUSE: Duration = Duration::from_micros(100);
    let posts = plan.whole(3000) as u64;
    let base = Instant::now();
    let sender = move |post: &mut dyn FnMut(u64) -> io::Result<()>| {
        for _ in 0..posts {
            let start = Instant::now();
            while start.elapsed() < PAUSE {
                std::hint::spin_loop();
            }
            post(base.elapsed().as_nanos() as u64)?;
        }
        Ok(())
    };
    let mut latencies = Vec::with_capacity(posts as usize);
    let mut sample = turn(plan, posts, way, sender, |receive| {
        receive(&mut |sent| {
            latencies.push((base.elapsed().as_nanos() as u64).saturating_sub(sent));
            latencies.len() as u64 == posts
        })
    })?;
    latencies.sort_unstable();
    let micros = |percent| percentile(&latencies, percent) as f64 / 1e3;
    sample.also = vec![("p50", micros(50.0)), ("p99", micros(99.0)), ("p99.9", micros(99.9)), ("max", micros(100.0))];
    // What one takes, not how often they were sent.
    sample.rate = 1e9 / percentile(&latencies, 50.0).max(1) as f64;
    Ok(sample)
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

/// Takes what an inbox brings.
type Receive<'a> = &'a mut dyn FnMut(&mut dyn FnMut(u64) -> bool) -> io::Result<()>;

/// Runs a sender on one core, and on the other a receiver that opens an inbox and takes what comes.
fn turn<W: Way>(
    plan: &Plan,
    posts: u64,
    way: W,
    send: impl FnOnce(&mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<()> + Send,
    take: impl FnOnce(Receive<'_>) -> io::Result<()> + Send,
) -> io::Result<Sample> {
    let (give, post) = mpsc::channel::<W::Post>();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            pin(plan.cores.load)?;
            let mut post = post.recv().map_err(io::Error::other)?;
            send(&mut post)
        });
        let receiver = scope.spawn(move || -> io::Result<Sample> {
            pin(plan.cores.server)?;
            let (post, inbox) = way.open()?;
            let (start, cpu) = (Instant::now(), CpuClock::of_this_thread()?);
            let before = cpu.read()?;
            give.send(post).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            let mut inbox = Some(inbox);
            take(&mut |each| way.receive(inbox.take().expect("received from once"), each))?;
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
