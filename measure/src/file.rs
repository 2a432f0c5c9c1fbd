//! Files: random reads of blocks, from the page cache or past it.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::affinity::on_core;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw;
use super::raw::block::{BLOCK, Block};

const BLOCKS: u64 = 16 * 1024;

/// How random blocks are read.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Past the page cache (`O_DIRECT`): a disk is measured with the queue.
    pub direct: bool,
    /// Reads in flight.
    pub depth: usize,
}

/// Reads from the page cache, so that the queue is measured and not a disk.
pub fn contests(plan: &Plan) -> io::Result<Vec<Contest<'_>>> {
    Ok(vec![reads(plan, Reads { direct: false, depth: 64 }, &Rc::new(create()?))])
}

/// The bare ring, plain `pread`, and each backend. `file` is from [`create`].
pub fn reads<'a>(plan: &'a Plan, reads: Reads, file: &Rc<File>) -> Contest<'a> {
    let Reads { direct, depth } = reads;
    let opened = open(file, direct).map(Rc::new).map_err(|error| format!("direct I/O on this file system: {error}"));
    let contestant = |name: &str, turn: fn(&Plan, &File, usize) -> io::Result<Sample>| {
        let (file, here) = (opened.clone(), opened.clone().map(drop));
        Contestant::new(name, None, here, move || turn(plan, file.as_ref().expect("it is open here"), depth))
    };
    let mut contestants =
        vec![contestant("by hand, io_uring", ring_turn), contestant("by hand, pread one by one", pread_turn)];
    for candidate in &plan.backends {
        let file = opened.clone();
        let (place, goal) = match candidate.backend {
            Backend::Uring => (0, Some(Goal::RatioAtLeast(0.97))),
            _ => (1, None), // Its threads do what pread does.
        };
        let against = Against { place, number: Number::Rate };
        let mut contestant = candidate.contestant(Some(against), goal, move |backend| {
            let file: &File = file.as_ref().expect("it is open here");
            let turn = || {
                let port = Port::builder().backend(backend).build()?;
                timed(plan, depth, |blocks| by_port(port, file, depth, blocks))
            };
            match backend {
                Backend::Uring => pinned(plan, turn),
                _ => turn(), // The threads of the pool would inherit the pinning.
            }
        });
        if let Err(why) = &opened {
            contestant.turn = Err(why.clone());
        }
        contestants.push(contestant);
    }
    let from = if direct { "past the page cache" } else { "from the page cache" };
    Contest {
        benchmark: "file",
        work: format!("random reads of {BLOCK} B {from}, {depth} in flight"),
        unit: "read",
        rounds: plan.rounds(),
        contestants,
    }
}

fn ring_turn(plan: &Plan, file: &File, depth: usize) -> io::Result<Sample> {
    pinned(plan, || {
        let mut ring = raw::ring::bare(depth as u32)?;
        timed(plan, depth, |blocks| raw::read::ring(&mut ring, file, vec![Block::new(); depth], blocks, check))
    })
}

fn pread_turn(plan: &Plan, file: &File, _: usize) -> io::Result<Sample> {
    pinned(plan, || timed(plan, 1, |blocks| raw::read::pread(file, Block::new(), blocks, check)))
}

/// Runs `turn` on the calling thread's behalf, on the server's core.
pub fn pinned(plan: &Plan, turn: impl FnOnce() -> io::Result<Sample> + Send) -> io::Result<Sample> {
    on_core(plan.cores.server, turn)
}

/// A file that has no name and is gone with the last descriptor. Each block begins with its number.
pub fn create() -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let mut block = vec![0; BLOCK];
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Opens the file anew, past the page cache if that is asked for.
pub fn open(file: &File, direct: bool) -> io::Result<File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new().read(true).custom_flags(flags).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
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

fn by_port(mut port: Port, file: &File, depth: usize, blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let file = port.attach(file.try_clone()?)?;
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
