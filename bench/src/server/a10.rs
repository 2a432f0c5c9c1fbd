//! On a10, which leaves the executor to its user: here the one of smol for one thread. Receives take a buffer from a pool in the
//! kernel when data is there, and sends give it back.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use a10::io::ReadBufPool;
use a10::{AsyncFd, Extract, Ring, SubmissionQueue};
use measure::work::Work;
use smol::LocalExecutor;

/// Lets every task go as far as it can, then waits for completions, which wake tasks.
fn run(mut ring: Ring, executor: &LocalExecutor<'_>) -> io::Result<()> {
    loop {
        while executor.try_tick() {}
        ring.poll(None)?;
    }
}

fn ring(entries: u32) -> io::Result<Ring> {
    Ring::config().single_issuer().defer_task_run().with_submission_queue_size(entries).build()
}

pub(super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
    let ring = ring(work.entries(1))?;
    let pool = ReadBufPool::new(ring.sq(), work.buffers(), work.buffer() as u32)?;
    let listener = AsyncFd::new(OwnedFd::from(listener), ring.sq());
    // The tasks spawn tasks, for as long as the process lives.
    let executor: &LocalExecutor<'_> = Box::leak(Box::new(LocalExecutor::new()));
    let accept = async move {
        while let Ok((socket, _)) = listener.accept::<SocketAddr>().await {
            executor.spawn(echo(socket, pool.clone())).detach();
        }
    };
    executor.spawn(accept).detach();
    run(ring, executor)
}

async fn echo(socket: AsyncFd, pool: ReadBufPool) -> io::Result<()> {
    if let Some(descriptor) = socket.as_fd() {
        rustix::net::sockopt::set_tcp_nodelay(descriptor, true)?;
    }
    let mut buffer = pool.get();
    loop {
        match socket.recv(buffer).await {
            Ok(received) if received.is_empty() => return Ok(()),
            Ok(received) => {
                // Dropped after that, it is the pool's again: idle peers hold none.
                socket.send_all(received).await?;
                buffer = pool.get();
            }
            // The others have all buffers.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                smol::future::yield_now().await;
                buffer = pool.get();
            }
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn udp(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    let ring = ring(64)?;
    let sq: SubmissionQueue = ring.sq();
    let socket = AsyncFd::new(OwnedFd::from(socket), sq);
    let executor = LocalExecutor::new();
    let serve = async move {
        let mut buffer = Vec::with_capacity(length);
        loop {
            let (mut received, from, _) = socket.recv_from::<_, SocketAddr>(buffer).await?;
            if reply {
                (received, _) = socket.send_to(received, from).extract().await?;
            }
            buffer = received;
            buffer.clear();
        }
    };
    executor.spawn::<io::Result<()>>(serve).detach();
    run(ring, &executor)
}
