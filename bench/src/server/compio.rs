//! On compio, whose ring is set up for the one thread that it has here: a task for each connection.

use std::io;
use std::net;

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::ProactorBuilder;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream, UdpSocket};
use compio::runtime::RuntimeBuilder;
use measure::work::Work;

fn block_on(entries: u32, future: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut driver = ProactorBuilder::new();
    driver.capacity(entries.max(1024)).single_issuer(true).defer_taskrun(true);
    RuntimeBuilder::new().with_proactor(driver).build()?.block_on(future)
}

pub(super) fn tcp(listener: net::TcpListener, work: &Work) -> io::Result<()> {
    let size = work.buffer();
    block_on(work.entries(1), async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            compio::runtime::spawn(echo(socket, size)).detach();
        }
    })
}

async fn echo(mut socket: TcpStream, size: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(size);
    loop {
        let BufResult(received, filled) = socket.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let BufResult(sent, filled) = socket.write_all(filled).await;
        sent?;
        buffer = filled;
        buffer.clear();
    }
}

pub(super) fn udp(socket: net::UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    block_on(0, async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = Vec::with_capacity(length);
        loop {
            let BufResult(received, filled) = socket.recv_from(buffer).await;
            let (length, from) = received?;
            buffer = if reply {
                let BufResult(sent, filled) = socket.send_to(filled.slice(..length), from).await;
                sent?;
                filled.into_inner()
            } else {
                filled
            };
            buffer.clear();
        }
    })
}
