//! A server in a process of its own, on a core of its own: this program again, with a hidden subcommand. So its CPU time, its
//! memory and its system calls are those of the kernel's accounts for that process.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use measure::affinity::pin;
use measure::clock::CpuClock;
use measure::work::Work;
use socket2::{Domain, Socket, Type};

use super::named;

/// What a server is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Echo what connections bring.
    Tcp,
    /// Send datagrams back.
    Udp,
    /// Take datagrams.
    Sink,
}

/// A server that runs.
pub struct Process {
    child: Child,
    /// Where it is to be reached.
    pub addr: SocketAddr,
    clock: CpuClock,
}

/// What the kernel's accounts say about a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time, to the nanosecond.
    pub cpu: Duration,
    /// Ticks of the clock that found it in user mode.
    pub user_ticks: u64,
    /// Ticks of the clock that found it in the kernel.
    pub system_ticks: u64,
}

impl Process {
    /// Starts the server `name` on `core` and waits until it listens. `program` is this one.
    pub fn start(program: &Path, name: &str, kind: Kind, work: &Work, core: usize) -> io::Result<Process> {
        let kind = kind.to_possible_value().expect("no kind is skipped");
        let mut child = Command::new(program)
            .args(["server", kind.get_name(), name, &serde_json::to_string(work)?, &core.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        let read = BufReader::new(output).read_line(&mut line);
        let answer = read.and_then(|_| line.trim().parse().map_err(|_| io::Error::other("it did not start")));
        match answer.and_then(|addr| Ok((addr, CpuClock::of_process(child.id())?))) {
            Ok((addr, clock)) => Ok(Process { child, addr, clock }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far.
    pub fn usage(&self) -> io::Result<Usage> {
        let stat = fs::read_to_string(self.file("stat"))?;
        // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |place: usize| fields.get(place).and_then(|field| field.parse().ok());
        let (Some(user_ticks), Some(system_ticks)) = (field(11), field(12)) else {
            return Err(io::Error::other("/proc/PID/stat looks different here"));
        };
        Ok(Usage { cpu: self.clock.read()?, user_ticks, system_ticks })
    }

    /// Bytes of memory that it has resident.
    pub fn memory(&self) -> io::Result<u64> {
        let statm = fs::read_to_string(self.file("statm"))?;
        let pages: Option<u64> = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
        Ok(pages.unwrap_or(0) * rustix::param::page_size() as u64)
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side: what the hidden subcommand runs.
pub fn serve(kind: Kind, name: &str, work: &Work, core: usize) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Longer than all turns of a cell: a client whose server hangs learns of it.
    // SAFETY: the signal's default is to end this process.
    unsafe { libc::alarm(180) };
    pin(core)?;
    let server = named(name).ok_or_else(|| io::Error::other(format!("there is no server '{name}'")))?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    if kind == Kind::Tcp {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&any.into())?;
        socket.listen(4096)?;
        let listener = TcpListener::from(socket);
        println!("{}", listener.local_addr()?);
        (server.tcp)(listener, work)
    } else {
        let socket = UdpSocket::bind(any)?;
        println!("{}", socket.local_addr()?);
        (server.udp)(socket, kind == Kind::Udp, work.message.max(2048))
    }
}
