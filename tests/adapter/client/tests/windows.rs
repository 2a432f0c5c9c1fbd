//! A child process and a waitable handle on `smol` and `async-io`.
#![cfg(windows)]

use async_io::os::windows::Waitable;
use futures_lite::{AsyncReadExt, future, io};
use smol::process::{Command, Stdio};

#[test]
fn the_status_and_the_output_of_a_child() -> io::Result<()> {
    smol::block_on(async {
        let mut child = Command::new("cmd").args(["/C", "echo hello& exit 3"]).stdout(Stdio::piped()).spawn()?;
        let mut text = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut text).await?;
        assert_eq!(text.trim_end(), "hello");
        assert_eq!(child.status().await?.code(), Some(3));
        Ok(())
    })
}

/// The poller watches the process' handle.
#[test]
fn the_end_of_a_process_is_waited_for() -> io::Result<()> {
    smol::block_on(async {
        let child = std::process::Command::new("cmd").args(["/C", "exit 4"]).spawn()?;
        let mut child = Waitable::new(child)?;
        child.ready().await?;
        // SAFETY: the child is not moved out of the handle that is watched.
        let status = unsafe { child.get_mut() }.try_wait()?.expect("it has ended");
        assert_eq!(status.code(), Some(4));
        future::ready(Ok(())).await
    })
}
