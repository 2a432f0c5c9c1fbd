//! Files: random reads of a file that is in the page cache, so that the queue is measured and not a disk.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::affinity::on_core;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 16 * 1024;
/// Reads in flight.
const DEPTH: usize = 64;

/// The bare ring, plain `pread`, and each backend.
pub fn contests(plan: &Plan) -> io::Result<Vec<Contest<'_>>> {
    let file = create()?;
    let (for_ring, for_pread) = (file.try_clone()?, file.try_clone()?);
    let mut contestants = vec![
        Contestant::by_hand("by hand, io_uring", move || {
            on_core(plan.cores.server, || {
                let mut ring = raw::ring::bare(DEPTH as u32)?;
                let buffers = (0..DEPTH).map(|_| vec![0; BLOCK].into()).collect();
                timed(plan, |blocks| raw::read::ring(&mut ring, &for_ring, buffers, blocks, check))
            })
        }),
        Contestant::by_hand("by hand, pread one by one", move || {
            on_core(plan.cores.server, || {
                timed(plan, |blocks| raw::read::pread(&for_pread, vec![0; BLOCK].into(), blocks, check))
            })
        }),
    ];
    for candidate in &plan.backends {
        let file = file.try_clone()?;
        let (place, goal) = match candidate.backend {
            Backend::Uring => (0, Some(Goal::RatioAtLeast(0.97))),
            _ => (1, None), // Its threads do what pread does.
        };
        let against = Against { place, number: Number::Rate };
        contestants.push(candidate.contestant(Some(against), goal, move |backend| {
            let turn = || {
                let port = Port::builder().backend(backend).build()?;
                timed(plan, |blocks| by_port(port, &file, blocks))
            };
            match backend {
                Backend::Uring => on_core(plan.cores.server, turn),
                _ => turn(), // The threads of the pool would inherit the pinning.
            }
        }));
    }
    Ok(vec![Contest {
        benchmark: "file",
        work: format!("random reads of {BLOCK} B from a cached file, {DEPTH} in flight"),
        unit: "read",
        rounds: plan.rounds(),
        contestants,
    }])
}

/// A file that has no name and is gone with the last descriptor. Each block begins with its number.
fn create() -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let mut block = vec![0; BLOCK];
    for number in 0..BLOCKS {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block)?;
    }
    Ok(file)
}

fn check(block: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() != BLOCK || bytes[..8] != block.to_le_bytes() {
        return Err(io::Error::other("a read brought something else than the block"));
    }
    Ok(())
}

/// Gives `work` random blocks until the window is over.
fn timed(plan: &Plan, work: impl FnOnce(&mut dyn Iterator<Item = u64>) -> io::Result<()>) -> io::Result<Sample> {
    let (start, cpu, read): (Instant, Duration, _) = (Instant::now(), process_cpu(), Cell::new(0));
    let mut blocks = (0_usize..)
        .take_while(|count| {
            read.set(*count);
            // Not at every read: the clock costs, too.
            count % DEPTH != 0 || start.elapsed() < plan.window()
        })
        .map(|_| fastrand::u64(..BLOCKS))
        .fuse();
    work(&mut blocks)?;
    Ok(Sample::of(read.get(), start.elapsed(), process_cpu() - cpu))
}

fn by_port(mut port: Port, file: &File, blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let file = port.attach(file.try_clone()?)?;
    let offset = |block| block * BLOCK as u64;
    let mut busy = 0;
    for block in (&mut *blocks).take(DEPTH) {
        let buffer = Vec::<u8>::with_capacity(BLOCK);
        port.submit(op::ReadAt::new(file, buffer, offset(block)), Token(block));
        busy += 1;
    }
    while busy > 0 {
        port.wait(None)?;
        while let Some(done) = port.next() {
            let block = done.token().0;
            let (read, buffer) = done.unpack::<op::ReadAt<Vec<u8>>>();
            check(block, &buffer[..read?])?;
            let Some(block) = blocks.next() else {
                busy -= 1;
                continue;
            };
            port.submit(op::ReadAt::new(file, buffer, offset(block)), Token(block));
        }
    }
    Ok(())
}
