//! A child process and its pipes, on `smol`: on Linux its end is an event of a pidfd.
#![cfg(unix)]

use futures_lite::{AsyncReadExt, AsyncWriteExt, io};
use smol::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_child_echoes_and_ends() -> io::Result<()> {
    smol::block_on(async {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("piped");
        let writer = smol::spawn(async move {
            // More than a pipe holds, so that each side waits for the other.
            for _ in 0..100 {
                stdin.write_all(&[7; 4096]).await?;
            }
            io::Result::Ok(())
        });
        let mut echoed = Vec::new();
        child.stdout.take().expect("piped").read_to_end(&mut echoed).await?;
        writer.await?;
        assert_eq!(echoed, vec![7; 409_600]);
        assert!(child.status().await?.success());
        Ok(())
    })
}

#[test]
fn the_status_of_a_child() -> io::Result<()> {
    smol::block_on(async {
        let status = Command::new("sh").args(["-c", "exit 3"]).status().await?;
        assert_eq!(status.code(), Some(3));
        Ok(())
    })
}

#[test]
fn the_end_of_a_child_is_waited_for() -> io::Result<()> {
    smol::block_on(async {
        let mut child = Command::new("sleep").arg("1000").spawn()?;
        assert!(child.try_status()?.is_none());
        let killed = async {
            smol::Timer::after(Duration::from_millis(5)).await;
        };
        killed.await;
        child.kill()?;
        assert!(!child.status().await?.success());
        Ok(())
    })
}

#[test]
fn a_pair_of_unix_sockets() -> io::Result<()> {
    smol::block_on(async {
        let (mut near, mut far) = smol::net::unix::UnixStream::pair()?;
        let sender = smol::spawn(async move {
            near.write_all(&[1; 1 << 20]).await?;
            near.close().await
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received).await?;
        sender.await?;
        assert_eq!(received.len(), 1 << 20);
        Ok(())
    })
}
