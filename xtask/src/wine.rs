//! Windows' backend, run under Wine: the contract suite, the oracle's traces beside Linux', and the program.
//!
//! It builds for Windows 7, whose C library Wine has; everything newer is looked for at run time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{nightly_with_source, output, target_folder};

const TARGET: &str = "x86_64-win7-windows-gnu";

/// How many of the oracle's scripts are run on both systems.
const SCRIPTS: &str = "100";

/// The promises that are held to there; what is skipped says why. The soak is a fifth of Linux': Wine is slow.
pub(crate) fn contract() -> Outcome {
    suite(&["--test", "contract"])?.env("ANYPORT_SOAK_OPERATIONS", "20000").run_tests()
}

/// The promises of readiness.
pub(crate) fn readiness() -> Outcome {
    suite(&["--test", "readiness"])?.run_tests()
}

/// The poller's clients, which are a workspace of their own.
pub(crate) fn clients() -> Outcome {
    let wine = wine()?;
    tools()?;
    let tests = ["+nightly", "test", BUILD_STD, "--target", TARGET, "--manifest-path", "tests/adapter/Cargo.toml"];
    under_wine(built(cargo(tests))).env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUNNER", wine).run_tests()
}

/// The same scripts, with what Wine can do, on both systems: the traces are the same.
pub(crate) fn traces() -> Outcome {
    let folder = root().join(target_folder("traces"));
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let (there, here) = (folder.join("wine"), folder.join("linux"));
    let oracle = ["--test", "contract", "--", "oracle"];
    for (file, run) in [
        // Wine shows the whole file system as drive Z.
        (&there, suite(&oracle)?.env("ANYPORT_ORACLE_TRACES", format!("Z:{}", there.display()))),
        (&here, cargo(["test"]).args(oracle).env("ANYPORT_ORACLE_AS", "wine").env("ANYPORT_ORACLE_TRACES", &here)),
    ] {
        let _ = std::fs::remove_file(file);
        run.env("ANYPORT_ORACLE_CASES", SCRIPTS).run_tests()?;
    }
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| failed(path, error));
    let (there, here) = (read(&there)?, read(&here)?);
    let differs = there.lines().zip(here.lines()).find(|(there, here)| there != here);
    match differs {
        Some((there, here)) => Err(Stop::Failed(format!("under Wine: {there:?}; on Linux: {here:?}"))),
        None if there.lines().count() != here.lines().count() => Err(Stop::Failed("one trace is longer".to_owned())),
        None if here.is_empty() => Err(Stop::Failed("there is no trace".to_owned())),
        None => Ok(format!("{} lines are the same", here.lines().count())),
    }
}

/// The program's own tests, and those of what measures for it.
pub(crate) fn program_tests() -> Outcome {
    let wine = wine()?;
    tools()?;
    let packages = ["--package", "anyport-cli", "--package", "measure"];
    let tests = cargo(["+nightly", "test", BUILD_STD, "--target", TARGET]).args(packages).args(["--no-fail-fast"]);
    under_wine(built(tests)).env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUNNER", wine).run_tests()
}

/// The program: it tells about itself, takes the tour, measures readiness (its tests run the other benchmarks), echoes
/// what a client from outside says until Ctrl-C, and serves files to one.
pub(crate) fn program() -> Outcome {
    let wine = wine()?;
    tools()?;
    built(cargo(["+nightly", "build", BUILD_STD, "--target", TARGET, "--package", "anyport-cli"])).run()?;
    let program = root().join(target_folder("wine")).join(TARGET).join("debug/anyport.exe");
    for command in [&["info"][..], &["tour"], &["bench", "ready", "--quick", "--rounds", "1"]] {
        under_wine(Cmd::new(wine.to_str().unwrap_or("wine64")).args([&program]).args(command)).run()?;
    }
    let server = Server::start(&wine, &program, &["echo", "127.0.0.1:0"])?;
    is_echoed(server.address)?;
    server.stop()?;
    let served = root().join("docs");
    let folder = format!("Z:{}", served.display());
    let server = Server::start(&wine, &program, &["serve", &folder, "--addr", "127.0.0.1:0"])?;
    let files = fetch_each(&served, &format!("http://{}/", server.address))?;
    server.stop()?;
    Ok(files)
}

/// Says something to the echo server, and hears it again and then the end.
fn is_echoed(address: SocketAddr) -> Result<(), Stop> {
    let sent: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let exchange = || -> io::Result<Vec<u8>> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (&stream).write_all(&sent).and_then(|()| stream.shutdown(Shutdown::Write)));
            let mut heard = Vec::new();
            (&stream).read_to_end(&mut heard)?;
            writer.join().unwrap_or(Ok(()))?;
            Ok(heard)
        })
    };
    match exchange() {
        Ok(heard) if heard == sent => Ok(()),
        Ok(heard) => Err(Stop::Failed(format!("echo: {} of {} bytes came back", heard.len(), sent.len()))),
        Err(error) => Err(Stop::Failed(format!("echo: {error}"))),
    }
}

/// Fetches each file of `folder` with curl, and compares.
fn fetch_each(folder: &Path, url: &str) -> Outcome {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))?.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let got =
            Command::new("curl").args(["--silent", "--fail", "--max-time", "20"]).arg(format!("{url}{name}")).output();
        let got = got.map_err(|error| Stop::Missing { tool: "wine", why: format!("curl: {error}") })?;
        let wanted = std::fs::read(entry.path()).map_err(|error| failed(&entry.path(), error))?;
        if !got.status.success() || got.stdout != wanted {
            return Err(Stop::Failed(format!("{url}{name}: {}, {} bytes", got.status, got.stdout.len())));
        }
        files += 1;
    }
    if files == 0 { Err(Stop::Failed("nothing was served".to_owned())) } else { Ok(format!("{files} files")) }
}

/// A server of the program, under Wine.
struct Server {
    process: Child,
    address: SocketAddr,
    /// Kept, so that the log has somewhere to go.
    _log: BufReader<ChildStdout>,
}

impl Server {
    fn start(wine: &Path, program: &Path, arguments: &[&str]) -> Result<Server, Stop> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "--preserve-status", "120"]).arg(wine).arg(program).args(arguments);
        command.env("WINEPREFIX", prefix()).env("WINEDEBUG", "-all");
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = process.map_err(|error| Stop::Failed(format!("timeout: {error}")))?;
        let mut said = BufReader::new(process.stdout.take().expect("it is piped"));
        // Its first line has the address somewhere.
        let mut line = String::new();
        let _ = said.read_line(&mut line);
        let address = line.split([' ', '/']).find_map(|word| word.trim().parse().ok());
        match address {
            Some(address) => Ok(Server { address, process, _log: said }),
            None => {
                let _ = process.kill();
                Err(Stop::Failed(format!("the server does not say where it listens: {line}")))
            }
        }
    }

    /// Ends it as Ctrl-C does, which Wine makes of the signal that timeout(1) hands on. It ends well.
    fn stop(mut self) -> Result<(), Stop> {
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Stop::Failed(format!("the server ended with {status}"))),
            Err(error) => Err(Stop::Failed(format!("the server: {error}"))),
        }
    }
}

const BUILD_STD: &str = "-Zbuild-std=std,panic_unwind,panic_abort,test";

/// The library's tests, for Windows, under Wine.
fn suite(arguments: &[&str]) -> Result<Cmd, Stop> {
    let wine = wine()?;
    tools()?;
    let tests = cargo(["+nightly", "test", BUILD_STD, "--target", TARGET, "--package", "anyport"]).args(arguments);
    Ok(under_wine(built(tests)).env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUNNER", wine))
}

/// Nobody debugs what is built here.
fn built(cargo: Cmd) -> Cmd {
    cargo.env("CARGO_TARGET_DIR", target_folder("wine")).env("CARGO_PROFILE_DEV_DEBUG", "0")
}

/// With a configuration of Wine of its own.
fn under_wine(command: Cmd) -> Cmd {
    command.env("WINEPREFIX", prefix()).env("WINEDEBUG", "-all")
}

fn prefix() -> PathBuf {
    root().join(target_folder("wine-prefix"))
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

fn failed(path: &Path, error: std::io::Error) -> Stop {
    Stop::Failed(format!("{}: {error}", path.display()))
}

/// Where Wine's loader for 64 bits is: Debian keeps it off the PATH.
fn wine() -> Result<PathBuf, Stop> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&on_path).chain(["/usr/lib/wine".into()]);
    let found = folders.map(|folder| folder.join("wine64")).find(|path| path.exists());
    found.ok_or_else(|| Stop::Missing { tool: "wine", why: "no wine64 (apt-get install wine64)".to_owned() })
}

/// A nightly that builds `std`, and a linker.
fn tools() -> Result<(), Stop> {
    nightly_with_source()?;
    if output("x86_64-w64-mingw32-gcc", &["--version"]).is_none() {
        let why = "no linker for Windows (apt-get install gcc-mingw-w64-x86-64)".to_owned();
        return Err(Stop::Missing { tool: "wine", why });
    }
    Ok(())
}
