//! Files: random blocks, from the page cache and past it, at several depths; and a journal: a block at the end, then its way to the
//! disk, and only then the next.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};
use compio::buf::{BufResult, IoBuf, IoBufMut, SetLen};
use compio::io::{AsyncReadAt, AsyncWriteAtExt};
use io_uring::{opcode, squeue, types};
use measure::clock::process_cpu;
use measure::contest::{Contest, Contestant, Sample};
use measure::file::{Reads, check, create, open, pinned, reads, timed};
use measure::plan::Plan;
use measure::raw::block::{BLOCK, Block};
use measure::raw::channel::inbox;
use measure::raw::ring;
use std::cell::RefCell;

use super::{compio, on_ring, peer, tokio};

pub(super) fn contests(plan: &Plan) -> io::Result<Vec<Contest<'_>>> {
    let file = Rc::new(create()?);
    let mut contests = Vec::new();
    for direct in [false, true] {
        let opened = open(&file, direct);
        for depth in [1, 64, 256] {
            let mut contest = reads(plan, Reads { direct, depth }, &file);
            // Where the hand-written loops cannot read, nobody can.
            if let Ok(opened) = &opened {
                add_readers(&mut contest, plan, opened, depth)?;
            }
            contests.push(contest);
        }
    }
    contests.push(journal(plan));
    Ok(contests)
}

fn add_readers<'a>(contest: &mut Contest<'a>, plan: &'a Plan, file: &File, depth: usize) -> io::Result<()> {
    let file = Arc::new(file.try_clone()?);
    let own = file.clone();
    contest.contestants.push(peer("tokio, spawn_blocking", move || {
        timed(plan, depth, |blocks| tokio()?.block_on(with_tokio(&own, depth, blocks)))
    }));
    let own = file.clone();
    contest.contestants.push(on_ring("compio", move || {
        pinned(plan, || timed(plan, depth, |blocks| with_compio(own.try_clone()?, depth, blocks)))
    }));
    #[cfg(libuv)]
    contest
        .contestants
        .push(peer("libuv", move || timed(plan, depth, |blocks| super::libuv::reads(&file, depth, blocks))));
    #[cfg(not(libuv))]
    contest.contestants.push(super::libuv_absent());
    Ok(())
}

/// As tokio's documentation has it for positional reads: on its pool of threads.
async fn with_tokio(file: &Arc<File>, depth: usize, blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let mut reads = ::tokio::task::JoinSet::new();
    let read = |file: Arc<File>, number: u64, mut block: Block| {
        move || {
            let length = file.read_at(block.bytes_mut(), number * BLOCK as u64)?;
            check(number, &block.bytes()[..length])?;
            io::Result::Ok(block)
        }
    };
    for number in blocks.take(depth) {
        reads.spawn_blocking(read(file.clone(), number, Block::new()));
    }
    while let Some(done) = reads.join_next().await {
        let block = done.map_err(io::Error::other)??;
        if let Some(number) = blocks.next() {
            reads.spawn_blocking(read(file.clone(), number, block));
        }
    }
    Ok(())
}

/// A block that compio lends to the system.
struct Lent(Block);

impl IoBuf for Lent {
    fn as_init(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl SetLen for Lent {
    /// All of it is initialised, always.
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Lent {
    fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        let bytes = self.0.bytes_mut();
        // SAFETY: initialised memory may be seen as memory that need not be; compio and the kernel write bytes to it only.
        unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [std::mem::MaybeUninit<u8>]) }
    }
}

fn lent(file: File) -> ::compio::fs::File {
    // SAFETY: the descriptor was this file's alone and is now that one's.
    unsafe { ::compio::fs::File::from_raw_fd(file.into_raw_fd()) }
}

fn with_compio(file: File, depth: usize, blocks: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    compio()?.block_on(async {
        let file = lent(file);
        let blocks = RefCell::new(blocks);
        let reader = || async {
            let mut buffer = Lent(Block::new());
            loop {
                let Some(number) = blocks.borrow_mut().next() else { return io::Result::Ok(()) };
                let BufResult(length, filled) = file.read_at(buffer, number * BLOCK as u64).await;
                check(number, &filled.0.bytes()[..length?])?;
                buffer = filled;
            }
        };
        let readers = (0..depth).map(|_| reader());
        futures_util::future::try_join_all(readers).await.map(drop)
    })
}

/// A block appended and made durable, one after the other.
fn journal(plan: &Plan) -> Contest<'_> {
    let mut contestants = vec![
        Contestant::by_hand("by hand, pwrite + fdatasync", move || {
            pinned(plan, || append(plan, |file, mut blocks| (&mut blocks).try_for_each(|at| write_and_sync(file, at))))
        }),
        // Its thread inherits the pinning, or may run anywhere, as those of a pool.
        Contestant::by_hand("by hand, on another thread of the core", move || pinned(plan, || append(plan, by_thread))),
        Contestant::by_hand("by hand, on another thread", move || append(plan, by_thread)),
        on_ring("by hand, io_uring", move || pinned(plan, || append(plan, by_ring))),
    ];
    contestants.push(peer("tokio", move || {
        append(plan, |file, blocks| {
            tokio()?.block_on(async {
                use ::tokio::io::AsyncWriteExt;
                let mut file = ::tokio::fs::File::from_std(file.try_clone()?);
                for _ in blocks {
                    file.write_all(&[1; BLOCK]).await?;
                    file.sync_data().await?;
                }
                Ok(())
            })
        })
    }));
    contestants.push(on_ring("compio", move || {
        pinned(plan, || {
            append(plan, |file, blocks| {
                compio()?.block_on(async {
                    let mut file = lent(file.try_clone()?);
                    let mut buffer = vec![1_u8; BLOCK];
                    for at in blocks {
                        let BufResult(written, back) = file.write_all_at(buffer, at).await;
                        written?;
                        buffer = back;
                        file.sync_data().await?;
                    }
                    Ok(())
                })
            })
        })
    }));
    #[cfg(libuv)]
    contestants.push(peer("libuv", move || append(plan, super::libuv::journal)));
    #[cfg(not(libuv))]
    contestants.push(super::libuv_absent());
    contestants.extend(plan.backends.iter().map(|candidate| {
        candidate.contestant(None, None, move |backend| {
            let turn = || append(plan, |file, blocks| by_port(backend, file, blocks));
            if backend == Backend::Uring { pinned(plan, turn) } else { turn() }
        })
    }));
    Contest {
        benchmark: "file",
        work: format!("append {BLOCK} B and sync, one after the other"),
        unit: "append",
        rounds: plan.many_rounds(),
        contestants,
    }
}

/// Gives `work` a new file and the offsets of the blocks to be appended, until the window is over.
fn append(
    plan: &Plan,
    work: impl FnOnce(&File, &mut dyn Iterator<Item = u64>) -> io::Result<()>,
) -> io::Result<Sample> {
    let file = tempfile::tempfile()?;
    let (start, cpu): (Instant, Duration) = (Instant::now(), process_cpu());
    let mut offsets = (0_u64..).take_while(|_| start.elapsed() < plan.window()).map(|block| block * BLOCK as u64);
    work(&file, &mut offsets)?;
    let (wall, cpu) = (start.elapsed(), process_cpu() - cpu);
    Ok(Sample::of(file.metadata()?.len() as usize / BLOCK, wall, cpu))
}

fn write_and_sync(file: &File, at: u64) -> io::Result<()> {
    file.write_all_at(&[1; BLOCK], at)?;
    file.sync_data()
}

/// As a loop does it that must not wait for a disk: each block is handed to a thread, and the answer rings a bell.
fn by_thread(file: &File, offsets: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let (send, receive) = mpsc::channel();
    let (answers, inbox) = inbox()?;
    thread::scope(move |scope| {
        scope.spawn(move || {
            receive.into_iter().try_for_each(|at| {
                let failed = write_and_sync(file, at).err();
                answers.post(failed.map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO) as u64))
            })
        });
        for at in offsets {
            send.send(at).map_err(io::Error::other)?;
            let mut error = 0;
            inbox.receive(|answer| {
                error = answer as i32;
                true
            })?;
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        Ok(())
    })
}

/// On a bare ring: a write and, when it is done, its sync, as on a port. The kernel hands the sync to a thread of its own.
fn by_ring(file: &File, offsets: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    /// At an address that lives longer than any ring.
    static ONES: [u8; BLOCK] = [1; BLOCK];
    let mut ring = ring::bare(1)?;
    let fd = types::Fd(file.as_raw_fd());
    let mut done = |entry: squeue::Entry| {
        // SAFETY: `ONES` is all that an entry points to; it is never written to and never gone.
        unsafe { ring::push(&mut ring.submission(), &entry)? };
        ring::enter(&ring, 1)?;
        let completion = ring.completion().next().ok_or(io::ErrorKind::UnexpectedEof)?;
        ring::result(completion.result())
    };
    for at in offsets {
        if done(opcode::Write::new(fd, ONES.as_ptr(), BLOCK as u32).offset(at).build())? != BLOCK {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done(opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build())?;
    }
    Ok(())
}

fn by_port(backend: Backend, file: &File, offsets: &mut dyn Iterator<Item = u64>) -> io::Result<()> {
    let mut port = Port::builder().backend(backend).build()?;
    let file = port.attach(file.try_clone()?)?;
    let mut block = Block::new();
    for at in offsets {
        port.submit(op::WriteAt::new(file, block, at), Token(0));
        let (written, back) = next(&mut port)?.unpack::<op::WriteAt<Block>>();
        if written? != BLOCK {
            return Err(io::ErrorKind::WriteZero.into());
        }
        block = back;
        port.submit(op::Fsync::data(file), Token(1));
        next(&mut port)?.unpack::<op::Fsync>()?;
    }
    Ok(())
}

fn next(port: &mut Port) -> io::Result<anyport::Completion> {
    loop {
        if let Some(done) = port.next() {
            return Ok(done);
        }
        port.wait(None)?;
    }
}
