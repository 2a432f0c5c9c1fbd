//! On smol, with its executor for one thread: a task for each connection.

use std::io;
use std::net;

use measure::work::Work;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

pub(super) fn tcp(listener: net::TcpListener, work: &Work) -> io::Result<()> {
    let size = work.buffer();
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = Async::new(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            executor.spawn(echo(socket, size)).detach();
        }
    }))
}

async fn echo(mut socket: Async<net::TcpStream>, size: usize) -> io::Result<()> {
    socket.get_ref().set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match socket.read(&mut buffer).await? {
            0 => return Ok(()),
            received => socket.write_all(&buffer[..received]).await?,
        }
    }
}

pub(super) fn udp(socket: net::UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    smol::block_on(async {
        let socket = Async::new(socket)?;
        let mut buffer = vec![0; length];
        loop {
            let (received, from) = socket.recv_from(&mut buffer).await?;
            if reply {
                socket.send_to(&buffer[..received], from).await?;
            }
        }
    })
}
