//! `anyport echo` from outside, on each backend.

#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(windows, path = "system/windows.rs")]
mod system;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyport::Backend;
/// How long anything may take before a test calls it hung.
const HUNG: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    address: SocketAddr,
    /// The lines of its standard error.
    said: Receiver<String>,
}

impl Server {
    fn start(mut command: Command, backend: Backend) -> Server {
        command.args(["echo", "127.0.0.1:0", "--backend", backend.name()]).env_remove("ANYPORT_BACKEND");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(' '));
        let (address, name) = address.unwrap_or_else(|| panic!("{line:?}"));
        assert_eq!(name, format!("({backend})\n"));
        let (say, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Server { child, address: address.parse().unwrap(), said }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HUNG)).unwrap();
        stream
    }

    /// The next line that it says on standard error.
    fn says(&self) -> String {
        self.said.recv_timeout(HUNG).expect("a line on standard error")
    }

    /// Ends it by Ctrl-C and returns what else it said; `None` where nobody can.
    fn stop(mut self) -> Option<Vec<String>> {
        if !system::interrupt(&self.child) {
            return None;
        }
        let said = self.said.iter().collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said:?}");
        Some(said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn here() -> impl Iterator<Item = Backend> {
    Backend::ALL.iter().copied().filter(|backend| match backend.check() {
        Ok(()) => true,
        Err(why) => {
            println!("skipped: {backend}: {why}");
            false
        }
    })
}

fn is_echoed(mut stream: &TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut echoed = vec![0; text.len()];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, text);
}

#[test]
fn everything_comes_back_in_order_and_then_the_end() {
    for backend in here() {
        let server = Server::start(system::program(), backend);
        let stream = server.connect();
        let sent: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
        let echoed = thread::scope(|scope| {
            scope.spawn(|| {
                (&stream).write_all(&sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            let mut echoed = Vec::new();
            (&stream).read_to_end(&mut echoed).unwrap();
            echoed
        });
        assert!(echoed == sent, "{backend}: {} of {} bytes", echoed.len(), sent.len());
        let Some(said) = server.stop() else { continue };
        // Its close may not have been taken up when the signal came.
        assert!(said.len() == 1 && said[0].ends_with("peers have come and gone"), "{said:?}");
    }
}

#[test]
fn peers_beyond_the_limit_of_descriptors_wait_and_are_served() {
    for backend in here() {
        let Some(command) = system::program_with_descriptors(24) else { return };
        let server = Server::start(command, backend);
        let peers: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
        let said = server.says();
        assert!(said.contains("cannot accept") && said.contains("trying again"), "{said}");
        for peer in &peers[..5] {
            is_echoed(peer, b"first");
        }
        let late = &peers[30..];
        late.iter().for_each(|mut peer| peer.write_all(b"late").unwrap());
        peers[..30].iter().for_each(|peer| peer.shutdown(Shutdown::Both).unwrap());
        for mut peer in late {
            let mut echoed = [0; 4];
            peer.read_exact(&mut echoed).unwrap();
            assert_eq!(&echoed, b"late");
        }
        let said = server.stop().expect("a signal");
        assert!(said.len() < 20, "it says so once each time, and not with each try");
    }
}

#[test]
fn bad_input_is_one_line_that_says_what_to_do_and_status_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, says) in [
        (&[][..], "<ADDR>"),
        (&["nonsense"], "'nonsense': an address looks like 127.0.0.1:8080"),
        (&["127.0.0.1:65536"], "an address looks like"),
        (&[&*taken], "another program listens there; give another port as ADDR"),
        (&["192.0.2.1:0"], "give another as ADDR"),
        (&["127.0.0.1:0", "--backend", "iocq"], "iocq"),
        (&["127.0.0.1:0", "more"], "more"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_anyport")).arg("echo").args(args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(output.stdout.is_empty());
        assert!(stderr.starts_with("anyport: ") && stderr.lines().count() == 1 && stderr.contains(says), "{stderr}");
    }
}
