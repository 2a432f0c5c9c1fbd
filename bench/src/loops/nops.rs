//! Nops: what has nothing to do goes through the queue once. A runtime's nop is a task that yields.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use measure::affinity::on_core;
use measure::contest::{Contest, Sample};
use measure::nop::{BATCH, batches, timed};
use measure::plan::Plan;

use super::{compio, on_ring, peer, tokio};

pub(super) fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let mut contests = measure::nop::contests(plan);
    for contest in &mut contests {
        let turn =
            move |turn: fn(usize) -> io::Result<Sample>| move || on_core(plan.cores.server, || turn(batches(plan)));
        contest.contestants.push(peer("tokio, tasks that yield", turn(by_tokio)));
        contest.contestants.push(on_ring("compio, tasks that yield", turn(by_compio)));
        contest.contestants.push(peer("smol, tasks that yield", turn(by_smol)));
    }
    contests
}

/// A task that yields so many times, and counts that.
async fn yields(times: usize, count: Rc<Cell<usize>>) {
    for _ in 0..times {
        smol::future::yield_now().await;
        count.set(count.get() + 1);
    }
}

fn all_came_back(count: &Cell<usize>, batches: usize) -> io::Result<()> {
    if count.get() == batches * BATCH { Ok(()) } else { Err(io::Error::other("not every nop came back once")) }
}

fn by_tokio(batches: usize) -> io::Result<Sample> {
    let (runtime, local, count) = (tokio()?, ::tokio::task::LocalSet::new(), Rc::new(Cell::new(0)));
    timed(batches, || {
        local.block_on(&runtime, async {
            let tasks: Vec<_> =
                (0..BATCH).map(|_| ::tokio::task::spawn_local(yields(batches, count.clone()))).collect();
            for task in tasks {
                task.await.map_err(io::Error::other)?;
            }
            all_came_back(&count, batches)
        })
    })
}

fn by_compio(batches: usize) -> io::Result<Sample> {
    let (runtime, count) = (compio()?, Rc::new(Cell::new(0)));
    timed(batches, || {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..BATCH).map(|_| ::compio::runtime::spawn(yields(batches, count.clone()))).collect();
            for task in tasks {
                task.await.map_err(|_| io::Error::other("a task panicked"))?;
            }
            all_came_back(&count, batches)
        })
    })
}

fn by_smol(batches: usize) -> io::Result<Sample> {
    let (executor, count) = (smol::LocalExecutor::new(), Rc::new(Cell::new(0)));
    timed(batches, || {
        smol::block_on(executor.run(async {
            let tasks: Vec<_> = (0..BATCH).map(|_| executor.spawn(yields(batches, count.clone()))).collect();
            for task in tasks {
                task.await;
            }
            all_came_back(&count, batches)
        }))
    })
}
