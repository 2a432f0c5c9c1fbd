//! A running `anyport serve` and the folder that it serves.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::system;

/// How long anything may take before a test calls it hung.
pub(crate) const HUNG: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// `None` once nobody reads it.
    log: Option<Receiver<String>>,
    stderr: Option<ChildStderr>,
    temp: TempDir,
}

impl Server {
    /// Serves a new folder with `args`.
    pub(crate) fn start(backend: &str, args: &[&str]) -> Self {
        Self::start_as(program(), backend, args)
    }

    /// The same with at most so many descriptors, where there is a limit for them.
    pub(crate) fn start_with_descriptors(limit: u32, backend: &str, args: &[&str]) -> Option<Self> {
        Some(Self::start_as(system::program_with_descriptors(limit)?, backend, args))
    }

    fn start_as(mut command: Command, backend: &str, args: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("site");
        std::fs::create_dir(&root).unwrap();
        command.env_remove("ANYPORT_BACKEND").stdin(Stdio::null()).arg("serve").arg(&root);
        command.args(["--addr", "127.0.0.1:0", "--backend", backend]).args(args);
        if !args.contains(&"--workers") {
            command.args(["--workers", "2"]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let address = ready.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {ready:?}")).parse().unwrap();
        assert!(ready.contains(&format!("({backend}, ")), "{ready:?}");

        let (line, log) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        let stderr = child.stderr.take();
        Server { child, address, log: Some(log), stderr, temp }
    }

    /// The served folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("site")
    }

    /// The folder that the served folder is in.
    pub(crate) fn above(&self) -> &Path {
        self.temp.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The next line of the access log.
    pub(crate) fn log_line(&self) -> String {
        let log = self.log.as_ref().expect("a log that is read");
        log.recv_timeout(HUNG).expect("a line in the log")
    }

    /// The lines of the log that have not been taken, up to the end of the server.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        self.log.iter().flatten().collect()
    }

    /// Closes the reading end of the log, as `| head` does: one more line is read.
    pub(crate) fn close_log(&mut self) {
        self.log = None;
    }

    /// How many descriptors the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        system::descriptors(&self.child)
    }

    /// Stops it as Ctrl-C does. False, which is reported: nobody can here.
    #[must_use]
    pub(crate) fn interrupt(&self) -> bool {
        system::interrupt(&self.child)
    }

    /// Stops it as whoever ends all programs does. False, as above.
    #[must_use]
    pub(crate) fn terminate(&self) -> bool {
        system::terminate(&self.child)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let hung = Instant::now() + HUNG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < hung, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server, checks that it ends well (where it can be told to), and returns what it wrote to stderr.
    pub(crate) fn stop(mut self) -> String {
        if self.terminate() {
            assert_eq!(self.ended().code(), Some(0));
        } else {
            self.child.kill().unwrap();
        }
        let mut text = String::new();
        self.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test, with no backend chosen from outside.
pub(crate) fn program() -> Command {
    let mut command = system::program();
    command.env_remove("ANYPORT_BACKEND").stdin(Stdio::null());
    command
}
