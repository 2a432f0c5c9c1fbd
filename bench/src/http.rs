//! Files over HTTP: `anyport serve` on each backend and nginx, one worker each, under wrk(1); a large file under
//! [`download`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyport::Backend;
use measure::affinity::{Cores, on_core, pin};
use measure::clock::CpuClock;
use measure::contest::{Contest, Contestant, Number, Sample};
use measure::plan::Plan;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::download::download;

/// The files, their sizes, and how many connections ask for them.
const FILES: [(&str, &str, usize, usize); 2] = [("small", "4 KiB", 4096, 64), ("large", "100 MB", 100_000_000, 4)];

/// From this size on wrk is slower than a server.
const LARGE: usize = 1_000_000;

/// Both files. The programs are started for each turn.
pub(crate) fn contests(plan: &Plan) -> io::Result<Vec<(Contest<'_>, Number)>> {
    let site = std::rc::Rc::new(site()?);
    let anyport = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/anyport");
    let mut contests = Vec::new();
    for (file, size, length, connections) in FILES {
        let turn = |name: &str, backend: Option<Backend>, here: Result<(), String>| {
            let (site, anyport, cores, quick) = (site.clone(), anyport.clone(), plan.cores, plan.quick);
            let here = if length < LARGE { here.and_then(|()| wrk()) } else { here };
            Contestant::new(name, backend, here, move || {
                let program = match backend {
                    Some(backend) => Program::Anyport(&anyport, backend),
                    None => Program::Nginx,
                };
                turn(&program, site.path(), (file, length), connections, cores, quick)
            })
        };
        let mut contestants = vec![turn("nginx", None, there("nginx", "-v", "nginx-light"))];
        for candidate in &plan.backends {
            let backend = candidate.backend;
            contestants.push(turn(&format!("anyport, {backend}"), Some(backend), candidate.here.clone()));
        }
        let work = format!("a file of {size}, {connections} connections");
        let rounds = plan.rounds;
        contests.push((Contest { benchmark: "http", work, unit: "request", rounds, contestants }, Number::Cpu));
    }
    Ok(contests)
}

/// Builds the program that serves, if it is not up to date.
pub(crate) fn build_program() -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--package", "anyport-cli"]);
    let status =
        build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).env_remove("CARGO_TARGET_DIR").status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("anyport could not be built; cargo said why")) }
}

fn wrk() -> Result<(), String> {
    there("wrk", "-v", "wrk")
}

/// Whether a program can be run; else which package has it.
fn there(program: &str, flag: &str, package: &str) -> Result<(), String> {
    match Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{program}: {error}; install the package {package}")),
    }
}

/// A folder with the files, and room for what nginx writes.
fn site() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, _, size, _) in FILES {
        let mut file = File::create(folder.path().join(name))?;
        let block: Vec<u8> = (0..1_000_000).map(|_| fastrand::u8(b' '..b'~')).collect();
        let mut left = size;
        while left > 0 {
            let length = left.min(block.len());
            file.write_all(&block[..length])?;
            left -= length;
        }
    }
    Ok(folder)
}

enum Program<'a> {
    Nginx,
    Anyport(&'a Path, Backend),
}

fn turn(
    program: &Program<'_>,
    site: &Path,
    (file, size): (&str, usize),
    connections: usize,
    cores: Cores,
    quick: bool,
) -> io::Result<Sample> {
    // A process and all that it starts stay on the core of the thread that started it.
    thread::scope(|scope| {
        let (send, server) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let host = scope.spawn(move || -> io::Result<()> {
            pin(cores.server)?;
            let server = Server::start(program, site);
            let told = server.as_ref().map(|server| (server.addr, server.worker)).map_err(ToString::to_string);
            let _ = send.send(told);
            let _ = stopped.recv();
            Ok(())
        });
        let started = server.recv().map_err(io::Error::other)?.map_err(io::Error::other);
        let sample = started.and_then(|(addr, worker)| {
            on_core(cores.load, || {
                let clock = CpuClock::of_process(worker)?;
                if size >= LARGE {
                    return downloads(addr, file, size, connections, quick, &clock);
                }
                let url = format!("http://{addr}/{file}");
                ask(&url, connections, Duration::from_secs(1))?;
                let (start, before) = (Instant::now(), clock.read()?);
                let mut told = ask(&url, connections, Duration::from_secs(1))?;
                let (wall, cpu) = (start.elapsed(), clock.read()? - before);
                if told.requests == 0 {
                    return Err(io::Error::other("no request was answered"));
                }
                let mut sample = Sample::of(told.requests, wall, cpu);
                sample.rate = told.rate;
                sample.also = vec![busy(cpu, wall)];
                sample.also.append(&mut told.latencies);
                Ok(sample)
            })
        });
        drop(stop);
        host.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        sample
    })
}

/// A large file, again and again.
fn downloads(
    addr: SocketAddr,
    file: &str,
    size: usize,
    connections: usize,
    quick: bool,
    clock: &CpuClock,
) -> io::Result<Sample> {
    let window = Duration::from_secs(if quick { 1 } else { 2 });
    let told = download(addr, file, size, connections, (window / 2, window), || clock.read())?;
    let cpu = told.usage.1 - told.usage.0;
    let seconds = told.wall.as_secs_f64();
    let micros = |quantile| told.latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Sample {
        rate: told.files / seconds,
        cpu_ns: cpu.as_secs_f64() * 1e9 / told.files,
        also: vec![busy(cpu, told.wall), ("p50 µs", micros(0.5)), ("p99 µs", micros(0.99))],
    })
}

fn busy(cpu: Duration, wall: Duration) -> (&'static str, f64) {
    ("busy %", 100.0 * cpu.as_secs_f64() / wall.as_secs_f64())
}

struct Server {
    child: Child,
    addr: SocketAddr,
    /// The process that does the work.
    worker: u32,
}

impl Server {
    /// Starts it on the core of the calling thread, with which it ends, and waits until it listens.
    fn start(program: &Program<'_>, site: &Path) -> io::Result<Server> {
        // Somebody else may take the port meanwhile; then this fails.
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = match program {
            Program::Nginx => {
                let file = site.join("nginx.conf");
                fs::write(&file, configuration(site, addr))?;
                let mut nginx = Command::new("nginx");
                nginx.arg("-p").arg(site).arg("-c").arg(file);
                nginx
            }
            Program::Anyport(path, backend) => {
                let mut anyport = Command::new(path);
                anyport.arg("serve").arg(site).args(["--addr", &addr.to_string(), "--workers", "1"]);
                anyport.args(["--backend", &backend.to_string()]);
                anyport
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Server { worker: child.id(), child, addr };
        for _ in 0..500 {
            if TcpStream::connect(addr).is_ok() {
                if let Program::Nginx = program {
                    server.worker = server.only_child()?;
                }
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("it ended at once: {status}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("it does not listen"))
    }

    /// nginx's master accepts nothing; its worker does.
    fn only_child(&self) -> io::Result<u32> {
        let process = self.child.id();
        for _ in 0..500 {
            let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
            if let Some(child) = children.split_whitespace().next().and_then(|child| child.parse().ok()) {
                return Ok(child);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("nginx has started no worker"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that a master takes its worker along.
        if let Some(process) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(process, Signal::TERM);
        }
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One worker that serves files as nginx's documentation recommends. Both servers write a log line a request, to nowhere.
fn configuration(site: &Path, addr: SocketAddr) -> String {
    let folder = site.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;\n\
         events {{ worker_connections 4096; use epoll; multi_accept on; }}\n\
         http {{\n\
           access_log /dev/null combined buffer=64k flush=1s; sendfile on; sendfile_max_chunk 2m; tcp_nopush on; tcp_nodelay on;\n\
           keepalive_requests 1000000000; open_file_cache max=100; open_file_cache_valid 60s;\n\
           client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n\
           uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n\
           server {{ listen {addr} backlog=4096; root {folder}; }}\n\
         }}\n"
    )
}

/// What wrk found.
#[derive(Debug, PartialEq)]
struct Told {
    requests: usize,
    rate: f64,
    latencies: Vec<(&'static str, f64)>,
}

/// Asks for `url` for a while.
fn ask(url: &str, connections: usize, time: Duration) -> io::Result<Told> {
    let seconds = format!("-d{}s", time.as_secs());
    let output = Command::new("wrk").args(["-t1", &format!("-c{connections}"), &seconds, "--latency", url]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(io::Error::other(format!("wrk met errors: {text}")));
    }
    parse(&text).ok_or_else(|| io::Error::other(format!("wrk printed something else: {text}")))
}

fn parse(text: &str) -> Option<Told> {
    let line = |part: &str| text.lines().map(str::trim).find(|line| line.contains(part));
    let requests = line(" requests in ")?.split_whitespace().next()?.parse().ok()?;
    let rate = line("Requests/sec:")?.split_whitespace().nth(1)?.parse().ok()?;
    let micros = |percent: &str| {
        let value = text.lines().map(str::trim).find(|line| line.starts_with(percent))?.split_whitespace().nth(1)?;
        let (number, factor) = match value {
            _ if value.ends_with("us") => (value.strip_suffix("us")?, 1.0),
            _ if value.ends_with("ms") => (value.strip_suffix("ms")?, 1e3),
            _ => (value.strip_suffix('s')?, 1e6),
        };
        Some(number.parse::<f64>().ok()? * factor)
    };
    let latencies = vec![("p50 µs", micros("50%")?), ("p99 µs", micros("99%")?)];
    Some(Told { requests, rate, latencies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_understood() {
        let text = "Running 1s test @ http://127.0.0.1:1/small\n  1 threads and 64 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.03ms  100.00us   3.00ms   90.00%\n  \
            Latency Distribution\n     50%  951.00us\n     75%    1.10ms\n     90%    1.20ms\n     99%    1.50s\n  \
            61500 requests in 1.01s, 250.00MB read\nRequests/sec:  60891.09\nTransfer/sec:    247.52MB\n";
        let told = parse(text).unwrap();
        assert_eq!((told.requests, told.rate), (61_500, 60_891.09));
        assert_eq!(told.latencies, [("p50 µs", 951.0), ("p99 µs", 1_500_000.0)]);
        assert_eq!(parse("unable to connect"), None);
    }

    #[test]
    fn nginx_serves_both_files_by_one_worker() {
        if let Err(why) = there("nginx", "-v", "nginx-light") {
            println!("skipped: {why}");
            return;
        }
        let site = site().unwrap();
        let server = Server::start(&Program::Nginx, site.path()).unwrap();
        assert_ne!(server.worker, server.child.id());
        for (name, _, size, _) in FILES {
            let mut peer = TcpStream::connect(server.addr).unwrap();
            write!(peer, "GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            io::Read::read_to_end(&mut peer, &mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{name}");
            assert!(answer.ends_with(&fs::read(site.path().join(name)).unwrap()) && answer.len() > size, "{name}");
        }
    }
}
