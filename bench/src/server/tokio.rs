//! On tokio's current-thread runtime: a task for each connection.

use std::io;
use std::net;

use measure::work::Work;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;

pub(super) fn tcp(listener: net::TcpListener, work: &Work) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let size = work.buffer();
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(echo(socket, size));
        }
    })
}

async fn echo(mut socket: TcpStream, size: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match socket.read(&mut buffer).await? {
            0 => return Ok(()),
            received => socket.write_all(&buffer[..received]).await?,
        }
    }
}

pub(super) fn udp(socket: net::UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = vec![0; length];
        loop {
            let (received, from) = socket.recv_from(&mut buffer).await?;
            if reply {
                socket.send_to(&buffer[..received], from).await?;
            }
        }
    })
}
