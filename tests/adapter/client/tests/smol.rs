//! Programs as the users of `smol` and `async-io` write them. Each of them runs on Anyport's poller, on the backend that
//! `ANYPORT_BACKEND` names.

use async_io::{Async, Timer};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future, io};
use smol::io::BufReader;
use smol::net::{TcpListener, TcpStream, UdpSocket};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without the patch this does not compile; without the backend that was asked for it fails.
#[test]
fn the_clients_run_on_anyport() {
    let poller = polling::Poller::new().expect("open a poller");
    let backend = poller.anyport().backend();
    println!("on {backend}");
    if let Ok(name) = std::env::var("ANYPORT_BACKEND") {
        assert_eq!(backend.name(), name);
    }
}

/// Bytes that show loss and reordering.
fn message(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8 ^ seed as u8).collect()
}

async fn echo_server() -> io::Result<(SocketAddr, smol::Task<io::Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = smol::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            smol::spawn(async move { io::copy(stream.clone(), stream).await }).detach();
        }
    });
    Ok((address, server))
}

#[test]
fn tcp_echo() -> io::Result<()> {
    smol::block_on(async {
        let (address, _server) = echo_server().await?;
        let clients: Vec<_> = (0..32)
            .map(|seed| {
                smol::spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    let sent = Arc::new(message(seed, 300_000));
                    let writer = {
                        let (mut stream, sent) = (stream.clone(), sent.clone());
                        smol::spawn(async move {
                            stream.write_all(&sent).await?;
                            stream.shutdown(Shutdown::Write)
                        })
                    };
                    let mut received = Vec::new();
                    stream.read_to_end(&mut received).await?;
                    writer.await?;
                    assert!(received == *sent, "client {seed}: what came back differs");
                    io::Result::Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await?;
        }
        Ok(())
    })
}

#[test]
fn ping_pong() -> io::Result<()> {
    smol::block_on(async {
        let (address, _server) = echo_server().await?;
        let mut stream = TcpStream::connect(address).await?;
        for round in 0..2_000u32 {
            stream.write_all(&round.to_be_bytes()).await?;
            let mut back = [0; 4];
            stream.read_exact(&mut back).await?;
            assert_eq!(u32::from_be_bytes(back), round);
        }
        Ok(())
    })
}

/// One HTTP/1.1 exchange after the other on a connection.
async fn serve_http(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.clone());
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).await? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        let answer = format!("{}: {} bytes", request.trim_end(), body.len());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(answer.as_bytes()).await?;
    }
}

/// The client makes blocking calls on a thread of the pool; the two sides share nothing but the wire.
#[test]
fn http_exchange() -> io::Result<()> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = smol::spawn(async move {
            let (stream, _) = listener.accept().await?;
            serve_http(stream).await
        });
        smol::unblock(move || {
            use std::io::{BufRead, BufReader, Read, Write};
            let stream = std::net::TcpStream::connect(address)?;
            let mut reader = BufReader::new(stream.try_clone()?);
            for (path, body) in [("/a", ""), ("/b", "hello"), ("/c", "a longer body")] {
                write!(&stream, "POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
                let mut status = String::new();
                reader.read_line(&mut status)?;
                assert_eq!(status, "HTTP/1.1 200 OK\r\n");
                let mut head = String::new();
                reader.read_line(&mut head)?;
                let length =
                    head.trim_end().strip_prefix("Content-Length: ").expect("a length").parse().expect("a number");
                reader.read_line(&mut String::new())?;
                let mut answer = vec![0; length];
                reader.read_exact(&mut answer)?;
                assert_eq!(answer, format!("POST {path} HTTP/1.1: {} bytes", body.len()).into_bytes());
            }
            io::Result::Ok(())
        })
        .await?;
        server.await
    })
}

#[test]
fn timers_fire_in_order_and_not_early() {
    smol::block_on(async {
        let start = Instant::now();
        let (send, receive) = smol::channel::unbounded();
        for millis in [30, 10, 20, 0] {
            let send = send.clone();
            smol::spawn(async move {
                Timer::after(Duration::from_millis(millis)).await;
                assert!(start.elapsed() >= Duration::from_millis(millis));
                send.send(millis).await.expect("the receiver is there");
            })
            .detach();
        }
        drop(send);
        assert_eq!(receive.collect::<Vec<_>>().await, [0, 10, 20, 30]);
        let mut ticks = Timer::interval(Duration::from_millis(2));
        let start = Instant::now();
        for tick in 1..=5 {
            ticks.next().await;
            assert!(start.elapsed() >= Duration::from_millis(2 * tick) - Duration::from_millis(2));
        }
    });
}

/// A read that never ends loses against a timer, and its descriptor can be used again.
#[test]
fn a_timeout_on_a_read() -> io::Result<()> {
    smol::block_on(async {
        let (address, _server) = echo_server().await?;
        let mut stream = TcpStream::connect(address).await?;
        let mut buf = [0; 1];
        let timeout = async {
            Timer::after(Duration::from_millis(5)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let result = stream.read(&mut buf).or(timeout).await;
        assert_eq!(result.expect_err("nobody sends").kind(), io::ErrorKind::TimedOut);
        stream.write_all(b"x").await?;
        stream.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"x");
        Ok(())
    })
}

#[test]
fn datagrams() -> io::Result<()> {
    smol::block_on(async {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        let address = far.local_addr()?;
        let echo = smol::spawn(async move {
            let mut buf = [0; 2048];
            loop {
                let (n, from) = far.recv_from(&mut buf).await?;
                far.send_to(&buf[..n], from).await?;
                if n == 0 {
                    return io::Result::Ok(());
                }
            }
        });
        for len in (0..100).rev() {
            near.send_to(&message(len, len), address).await?;
            let mut buf = [0; 2048];
            let (n, from) = near.recv_from(&mut buf).await?;
            assert_eq!((&buf[..n], from), (&message(len, len)[..], address));
        }
        echo.await
    })
}

/// Work on other threads wakes the loop: each answer needs a notification of the poller.
#[test]
fn other_threads_wake_the_loop() {
    smol::block_on(async {
        for round in 0..500 {
            assert_eq!(smol::unblock(move || round * 2).await, round * 2);
        }
    });
}

#[test]
fn a_refused_connect_is_an_error() {
    smol::block_on(async {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("listen").local_addr().expect("its address");
        let error = Async::<std::net::TcpStream>::connect(nobody).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// Many sources come and go while others are busy.
#[test]
fn connections_come_and_go() -> io::Result<()> {
    smol::block_on(async {
        let (address, _server) = echo_server().await?;
        for _ in 0..20 {
            let exchanges = (0..20).map(|seed| {
                smol::spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    let sent = message(seed, 1000);
                    stream.write_all(&sent).await?;
                    let mut back = vec![0; sent.len()];
                    stream.read_exact(&mut back).await?;
                    assert_eq!(back, sent);
                    io::Result::Ok(())
                })
            });
            for exchange in exchanges.collect::<Vec<_>>() {
                exchange.await?;
            }
        }
        future::ready(Ok(())).await
    })
}
