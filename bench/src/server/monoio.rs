//! On monoio's io_uring driver, whose ring is set up for the one thread that it has: a task for each connection.

use std::io;
use std::net;

use measure::work::Work;
use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::udp::UdpSocket;
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};

fn block_on(entries: u32, future: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut ring = monoio_io_uring::IoUring::builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    let builder = RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring).with_entries(entries.max(1024));
    builder.build()?.block_on(future)
}

pub(super) fn tcp(listener: net::TcpListener, work: &Work) -> io::Result<()> {
    let size = work.buffer();
    block_on(work.entries(1), async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            monoio::spawn(echo(socket, size));
        }
    })
}

async fn echo(mut socket: TcpStream, size: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(size);
    loop {
        let (received, filled) = socket.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, filled) = socket.write_all(filled).await;
        sent?;
        buffer = filled;
        buffer.clear();
    }
}

pub(super) fn udp(socket: net::UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    block_on(0, async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer: Vec<u8> = Vec::with_capacity(length);
        loop {
            let (received, filled) = socket.recv_from(buffer).await;
            let (length, from) = received?;
            buffer = if reply {
                let (sent, filled) = socket.send_to(filled.slice(..length), from).await;
                sent?;
                filled.into_inner()
            } else {
                filled
            };
            buffer.clear();
        }
    })
}
