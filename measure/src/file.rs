//! Files: random reads of blocks, from the page cache or past it.

#[cfg_attr(target_os = "linux", path = "file/linux.rs")]
#[cfg_attr(windows, path = "file/windows.rs")]
mod here;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::affinity::on_core;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw::block::{BLOCK, Block};
pub use here::{Blocks, open};

const BLOCKS: u64 = 16 * 1024;

/// How random blocks are read.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Past the page cache (`O_DIRECT`, `FILE_FLAG_NO_BUFFERING`): a disk is measured with the queue.
    pub direct: bool,
    /// Reads in flight.
    pub depth: usize,
}

/// Reads from the page cache, so that the queue is measured and not a disk.
pub fn contests(plan: &Plan) -> io::Result<Vec<Contest<'_>>> {
    Ok(vec![reads(plan, Reads { direct: false, depth: 64 }, &Rc::new(create()?))])
}

/// The bare queue, plain calls that wait, and each backend. `file` is from [`create`].
pub fn reads<'a>(plan: &'a Plan, reads: Reads, file: &Rc<Blocks>) -> Contest<'a> {
    let Reads { direct, depth } = reads;
    let opens = open(file, direct).map(drop).map_err(|error| format!("direct I/O on this file system: {error}"));
    let mut contestants: Vec<_> = here::BY_HAND
        .into_iter()
        .map(|(name, turn)| {
            let file = file.clone();
            Contestant::new(name, None, opens.clone(), move || turn(plan, &file, direct, depth))
        })
        .collect();
    for candidate in &plan.backends {
        let file = file.clone();
        let (place, goal) = match candidate.backend {
            Backend::Uring => (0, Some(Goal::RatioAtLeast(0.97))),
            Backend::Iocp => (0, None),
            _ => (1, None), // Its threads do what pread does.
        };
        let against = Against { place, number: Number::Rate };
        let mut contestant = candidate.contestant(Some(against), goal, move |backend| {
            let file = open(&file, direct)?;
            let turn = || {
                let port = Port::builder().backend(backend).build()?;
                timed(plan, depth, |blocks| by_port(port, file, depth, blocks))
            };
            match backend {
                Backend::Uring | Backend::Iocp => pinned(plan, turn),
                _ => turn(), // The threads of the pool would inherit the pinning.
            }
        });
        if let Err(why) = &opens {
            contestant.turn = Err(why.clone());
        }
        contestants.push(contestant);
    }
    let from = if direct { "past the page cache" } else { "from the page cache" };
    Contest {
        benchmark: "file",
        work: format!("random reads of {BLOCK} B {from}, {depth} in flight"),
        unit: "read",
        rounds: plan.many_rounds(),
        contestants,
    }
}

/// Runs `turn` on the calling thread's behalf, on the server's core.
pub fn pinned(plan: &Plan, turn: impl FnOnce() -> io::Result<Sample> + Send) -> io::Result<Sample> {
    on_core(plan.cores.server, turn)
}

/// A file that is gone with the value. Each block begins with its number.
pub fn create() -> io::Result<Blocks> {
    let mut blocks = here::empty()?;
    let mut block = vec![0; BLOCK];
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_le_bytes());
        blocks.write_all(&block)?;
    }
    here::file(&blocks).sync_all()?;
    Ok(blocks)
}

/// Whether `bytes` are those of the block.
pub fn check(block: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() != BLOCK || bytes[..8] != block.to_le_bytes() {
        return Err(io::Error::other("a read brought something else than the block"));
    }
    Ok(())
}

/// Gives `work` random blocks until the window is over.
pub fn timed(
    plan: &Plan,
    depth: usize,
    work: impl FnOnce(&mut dyn Iterator<Item = u64>) -> io::Result<()>,
) -> io::Result<Sample> {
    let (start, cpu, read): (Instant, Duration, _) = (Instant::now(), process_cpu(), Cell::new(0));
    let mut blocks = (0_usize..)
        .take_while(|count| {
            read.set(*count);
            // Not at every read: the clock costs, too.
            count % depth.max(16) != 0 || start.elapsed() < plan.window()
        })
        .map(|_| fastrand::u64(..BLOCKS))
        .fuse();
    work(&mut blocks)?;
    Ok(Sample::of(read.get(), start.elapsed(), process_cpu() - cpu))
}

fn by_port(mut port: Port, file: File, depth: usize, blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let file = port.attach(file)?;
    let offset = |block| block * BLOCK as u64;
    let mut busy = 0;
    for block in (&mut *blocks).take(depth) {
        let buffer = Block::new();
        port.submit(op::ReadAt::new(file, buffer, offset(block)), Token(block));
        busy += 1;
    }
    while busy > 0 {
        port.wait(None)?;
        while let Some(done) = port.next() {
            let block = done.token().0;
            let (read, buffer) = done.unpack::<op::ReadAt<Block>>();
            check(block, &buffer.bytes()[..read?])?;
            let Some(block) = blocks.next() else {
                busy -= 1;
                continue;
            };
            port.submit(op::ReadAt::new(file, buffer, offset(block)), Token(block));
        }
    }
    Ok(())
}
