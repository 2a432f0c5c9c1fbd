//! Timers: armed and cancelled while many are standing, and a great many that fire.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use measure::affinity::on_core;
use measure::clock::process_cpu;
use measure::contest::{Contest, Sample};
use measure::plan::Plan;
use measure::timer::{STANDING, TURN, deadlines, ends, firing, lateness, times};

use super::{compio, on_ring, peer, tokio};

pub(super) fn contests(plan: &Plan) -> [Contest<'_>; 3] {
    let mut contests = measure::timer::contests(plan);
    let [by_length, by_deadline, fire] = &mut contests;
    let server = plan.cores.server;
    let (times, (count, over)) = (times(plan), firing(plan));
    // Their timers by length are those by deadline, from a look at the clock.
    for (arm, turn) in [(&mut *by_length, 1), (&mut *by_deadline, TURN)] {
        arm.contestants.push(peer("tokio", move || {
            let mut end = ends(turn);
            on_core(server, || tokio()?.block_on(arm_and_cancel(times, || ::tokio::time::sleep_until(end().into()))))
        }));
        arm.contestants.push(on_ring("compio", move || {
            let mut end = ends(turn);
            on_core(server, || compio()?.block_on(arm_and_cancel(times, || ::compio::time::sleep_until(end()))))
        }));
        arm.contestants.push(peer("smol", move || {
            let mut end = ends(turn);
            on_core(server, || smol::block_on(arm_and_cancel(times, || smol::Timer::at(end()))))
        }));
        // By its length, but from a time that the loop remembers.
        #[cfg(libuv)]
        arm.contestants.push(peer("libuv", move || on_core(server, || super::libuv::arm_and_cancel(times))));
    }
    fire.contestants.push(peer("tokio", move || on_core(server, || by_tokio(count, over))));
    fire.contestants.push(on_ring("compio", move || on_core(server, || by_compio(count, over))));
    fire.contestants.push(peer("smol", move || on_core(server, || by_smol(count, over))));
    #[cfg(libuv)]
    fire.contestants.push(peer("libuv", move || on_core(server, || super::libuv::fire(count, over))));
    #[cfg(not(libuv))]
    [by_length, by_deadline, fire].into_iter().for_each(|contest| contest.contestants.push(super::libuv_absent()));
    contests
}

/// A future is armed by its first poll and cancelled by its end.
async fn arm_and_cancel<F: Future>(times: usize, mut sleep: impl FnMut() -> F) -> io::Result<Sample> {
    let mut standing: Vec<Pin<Box<F>>> = (0..STANDING).map(|_| Box::pin(sleep())).collect();
    for timer in &mut standing {
        armed(timer.as_mut()).await?;
    }
    let (start, cpu) = (Instant::now(), process_cpu());
    for _ in 0..times {
        armed(pin!(sleep())).await?;
    }
    Ok(Sample::of(times, start.elapsed(), process_cpu() - cpu))
}

async fn armed<F: Future>(mut timer: Pin<&mut F>) -> io::Result<()> {
    poll_fn(|context| match timer.as_mut().poll(context) {
        Poll::Pending => Poll::Ready(Ok(())),
        Poll::Ready(_) => Poll::Ready(Err(io::Error::other("a timer fired long before its time"))),
    })
    .await
}

/// How late timers were, in nanoseconds.
type Late = Rc<RefCell<Vec<u64>>>;

/// A task that waits for its deadline.
async fn fire<F: Future>(deadline: Instant, sleep: F, late: Late) {
    sleep.await;
    late.borrow_mut().push(deadline.elapsed().as_nanos() as u64);
}

fn all_fired(count: usize, late: &Late, start: Instant, cpu: Duration) -> io::Result<Sample> {
    let late = late.take();
    if late.len() == count {
        Ok(lateness(late, start, cpu))
    } else {
        Err(io::Error::other("not every timer fired once"))
    }
}

fn by_tokio(count: usize, over: Duration) -> io::Result<Sample> {
    let (runtime, local, late) = (tokio()?, ::tokio::task::LocalSet::new(), Late::default());
    let cpu = process_cpu();
    let (start, deadlines) = deadlines(count, over);
    local.block_on(&runtime, async {
        let task = |deadline: Instant| {
            let sleep = ::tokio::time::sleep_until(deadline.into());
            ::tokio::task::spawn_local(fire(deadline, sleep, late.clone()))
        };
        let tasks: Vec<_> = deadlines.into_iter().map(task).collect();
        for task in tasks {
            task.await.map_err(io::Error::other)?;
        }
        io::Result::Ok(())
    })?;
    all_fired(count, &late, start, cpu)
}

fn by_compio(count: usize, over: Duration) -> io::Result<Sample> {
    let (runtime, late) = (compio()?, Late::default());
    let cpu = process_cpu();
    let (start, deadlines) = deadlines(count, over);
    runtime.block_on(async {
        let task = |deadline: Instant| {
            ::compio::runtime::spawn(fire(deadline, ::compio::time::sleep_until(deadline), late.clone()))
        };
        let tasks: Vec<_> = deadlines.into_iter().map(task).collect();
        for task in tasks {
            task.await.map_err(|_| io::Error::other("a task panicked"))?;
        }
        io::Result::Ok(())
    })?;
    all_fired(count, &late, start, cpu)
}

fn by_smol(count: usize, over: Duration) -> io::Result<Sample> {
    let (executor, late) = (smol::LocalExecutor::new(), Late::default());
    let cpu = process_cpu();
    let (start, deadlines) = deadlines(count, over);
    smol::block_on(executor.run(async {
        let task = |deadline: Instant| executor.spawn(fire(deadline, smol::Timer::at(deadline), late.clone()));
        let tasks: Vec<_> = deadlines.into_iter().map(task).collect();
        for task in tasks {
            task.await;
        }
    }));
    all_fired(count, &late, start, cpu)
}
