//! Opens the best ring that this kernel has, and finds out what it can do.
//!
//! Set-up features are asked for all together; as long as the kernel refuses, the newest that is left
//! is given up, down to a plain ring. Operations are asked for by `IORING_REGISTER_PROBE`; what no
//! probe tells is known from something of the same kernel version, named below.

use crate::explain::Feature;
use io_uring::{Builder, IoUring, opcode};
use std::io;

/// A feature: its name, what it is for, and how the set-up asks for it.
struct SetUp {
    name: &'static str,
    note: &'static str,
    ask: fn(&mut Builder),
}

/// From the newest to the oldest.
static SET_UP: &[SetUp] = &[
    SetUp {
        name: "no sq array",
        note: "one indirection less per submission (6.6)",
        ask: |builder| {
            builder.setup_no_sqarray();
        },
    },
    SetUp {
        name: "defer taskrun",
        note: "completions are worked on when the port waits, not by interrupting it (6.1)",
        ask: |builder| {
            builder.setup_defer_taskrun();
        },
    },
    SetUp {
        name: "single issuer",
        note: "one thread submits, so the kernel locks less (6.0)",
        ask: |builder| {
            builder.setup_single_issuer();
        },
    },
    SetUp {
        name: "taskrun flag",
        note: "tells whether a look without waiting needs a call at all (5.19)",
        ask: |builder| {
            builder.setup_coop_taskrun().setup_taskrun_flag();
        },
    },
    SetUp {
        name: "submit all",
        note: "one bad submission does not hold up those behind it (5.18)",
        ask: |builder| {
            builder.setup_submit_all();
        },
    },
];

/// What was found.
#[derive(Default, Clone)]
pub(super) struct Probe {
    set_up: Vec<(&'static str, &'static str, bool)>,
    pub(super) taskrun_flag: bool,
    /// Work waits for the port's next enter.
    pub(super) defers_work: bool,
    pub(super) no_iowait: bool,
    pub(super) registered_files: bool,
    pub(super) multishot_poll: bool,
    pub(super) multishot_accept: bool,
    pub(super) multishot_recv: bool,
    pub(super) multishot_recvmsg: bool,
    pub(super) buffer_ring: bool,
    pub(super) write_without_signal: bool,
    pub(super) accept: bool,
    pub(super) connect: bool,
    pub(super) recv: bool,
    pub(super) recvmsg: bool,
    pub(super) send: bool,
    pub(super) sendmsg: bool,
    pub(super) read: bool,
    pub(super) readv: bool,
    pub(super) write: bool,
    pub(super) writev: bool,
    /// The process has a limit of a file's size. A write beyond it that the ring carries out in the port's thread (of direct
    /// I/O, on some file systems any) would raise SIGXFSZ there, which threads of the blocking pool have blocked.
    pub(super) file_size_limited: bool,
    pub(super) shutdown: bool,
    pub(super) close: bool,
    pub(super) open: bool,
    pub(super) statx: bool,
    pub(super) fsync: bool,
}

/// Where an answer is kept.
type Answer = fn(&mut Probe) -> &mut bool;

/// What is probed beside the set-up: name, note, and where the answer is kept.
type Row = (&'static str, &'static str, Answer);

static ROWS: &[Row] = &[
    ("no iowait", "an idle ring does not count as waiting for a disk (6.15)", |p| &mut p.no_iowait),
    ("registered files", "the kernel need not look up descriptors that are used often (6.15)", |p| {
        &mut p.registered_files
    }),
    ("multishot poll", "the waker stays armed (5.13)", |p| &mut p.multishot_poll),
    ("multishot accept", "else accepts are submitted one by one (5.19)", |p| &mut p.multishot_accept),
    ("multishot recv", "else receives are submitted one by one (6.0)", |p| &mut p.multishot_recv),
    ("multishot recvmsg", "else datagrams with their senders are polled for, then received (6.0)", |p| {
        &mut p.multishot_recvmsg
    }),
    ("buffer ring", "the kernel picks pool buffers; else polled, then received (5.19)", |p| &mut p.buffer_ring),
    ("write without signal", "else writes to pipes are polled, then made (6.18)", |p| &mut p.write_without_signal),
    ("accept", "else polled, then accepted (5.5)", |p| &mut p.accept),
    ("connect", "else begun, then polled (5.5)", |p| &mut p.connect),
    ("recv", "else polled, then received (5.6)", |p| &mut p.recv),
    ("recvmsg", "else polled, then received (5.3)", |p| &mut p.recvmsg),
    ("send", "else polled, then sent (5.6)", |p| &mut p.send),
    ("sendmsg", "else polled, then sent (5.3)", |p| &mut p.sendmsg),
    ("read", "else polled or on the blocking pool (5.6)", |p| &mut p.read),
    ("readv", "else polled or on the blocking pool (5.1)", |p| &mut p.readv),
    ("write", "else polled or on the blocking pool (5.6)", |p| &mut p.write),
    ("writev", "else polled or on the blocking pool (5.1)", |p| &mut p.writev),
    ("shutdown", "else called directly (5.11)", |p| &mut p.shutdown),
    ("close", "else called directly (5.6)", |p| &mut p.close),
    ("open", "else on the blocking pool (5.6)", |p| &mut p.open),
    ("statx", "else on the blocking pool (5.6)", |p| &mut p.statx),
    ("fsync", "else on the blocking pool (5.1)", |p| &mut p.fsync),
];

impl Probe {
    pub(super) fn features(&self) -> Vec<Feature> {
        let mut copy = self.clone();
        let set_up = self.set_up.iter().map(|&(name, note, used)| Feature::new(name, used, note));
        let rows: Vec<Feature> = ROWS.iter().map(|(name, note, at)| Feature::new(name, *at(&mut copy), note)).collect();
        set_up.chain(rows).collect()
    }
}

/// Opens a ring of `entries`, leaving out the features named in `without`.
pub(super) fn open(entries: u32, without: &[String]) -> io::Result<(IoUring, Probe)> {
    let known = |name: &str| SET_UP.iter().any(|s| s.name == name) || ROWS.iter().any(|row| row.0 == name);
    if let Some(name) = without.iter().find(|name| !known(name)) {
        let names: Vec<&str> = SET_UP.iter().map(|s| s.name).chain(ROWS.iter().map(|row| row.0)).collect();
        let text = format!("io_uring has no feature '{name}' to leave out; there are: {}", names.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let wanted = |name: &str| !without.iter().any(|other| other == name);
    let mut asked: Vec<&SetUp> = SET_UP.iter().filter(|set_up| wanted(set_up.name)).collect();
    let ring = loop {
        // Deferred task work needs a single issuer (io_uring_setup(2)).
        if !asked.iter().any(|set_up| set_up.name == "single issuer") {
            asked.retain(|set_up| set_up.name != "defer taskrun");
        }
        let mut builder = IoUring::builder();
        // The completion queue is twice as long, the kernel's default: a longer one only takes more of the cache, since a
        // wait brings few completions more than were submitted, and what does not fit is kept by the kernel.
        builder.setup_clamp().dontfork();
        asked.iter().for_each(|set_up| (set_up.ask)(&mut builder));
        match builder.build(entries) {
            Ok(ring) => break ring,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !asked.is_empty() => drop(asked.remove(0)),
            Err(error) => return Err(refusal(error, "io_uring_setup")),
        }
    };
    let params = ring.params();
    if !(params.is_feature_nodrop() && params.is_feature_ext_arg() && params.is_feature_fast_poll()) {
        let text = "this kernel's io_uring is older than Linux 5.11 and would lose completions or cannot wait with a time-out; use a newer kernel";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let used = |name: &str| asked.iter().any(|set_up| set_up.name == name);
    let mut probe =
        Probe { set_up: SET_UP.iter().map(|s| (s.name, s.note, used(s.name))).collect(), ..Probe::default() };
    probe.taskrun_flag = used("taskrun flag");
    // The flag comes with `IORING_SETUP_COOP_TASKRUN`.
    probe.defers_work = used("defer taskrun") || used("taskrun flag");
    probe.no_iowait = params.is_feature_no_iowait();
    // What it needs came with Linux 6.13, of which nothing tells; the nearest thing came with 6.15.
    probe.registered_files = params.is_feature_no_iowait();
    // Came with resource tags.
    probe.multishot_poll = params.is_feature_resource_tagging();
    let mut ops = io_uring::Probe::new();
    ring.submitter().register_probe(&mut ops).map_err(|error| refusal(error, "io_uring_register"))?;
    // Came with the socket operation, and with zero-copy sends.
    let (v5_19, v6_0) = (ops.is_supported(opcode::Socket::CODE), ops.is_supported(opcode::SendZc::CODE));
    (probe.multishot_accept, probe.buffer_ring) = (v5_19, v5_19);
    (probe.multishot_recv, probe.multishot_recvmsg) = (v6_0, v6_0);
    probe.file_size_limited = rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some();
    // Only trying tells: the first write to a pipe does.
    probe.write_without_signal = true;
    let codes: [(Answer, u8); 15] = [
        (|p| &mut p.accept, opcode::Accept::CODE),
        (|p| &mut p.connect, opcode::Connect::CODE),
        (|p| &mut p.recv, opcode::Recv::CODE),
        (|p| &mut p.recvmsg, opcode::RecvMsg::CODE),
        (|p| &mut p.send, opcode::Send::CODE),
        (|p| &mut p.sendmsg, opcode::SendMsg::CODE),
        (|p| &mut p.read, opcode::Read::CODE),
        (|p| &mut p.readv, opcode::Readv::CODE),
        (|p| &mut p.write, opcode::Write::CODE),
        (|p| &mut p.writev, opcode::Writev::CODE),
        (|p| &mut p.shutdown, opcode::Shutdown::CODE),
        (|p| &mut p.close, opcode::Close::CODE),
        (|p| &mut p.open, opcode::OpenAt::CODE),
        (|p| &mut p.statx, opcode::Statx::CODE),
        (|p| &mut p.fsync, opcode::Fsync::CODE),
    ];
    for (at, code) in codes {
        *at(&mut probe) = ops.is_supported(code);
    }
    for (name, _, at) in ROWS {
        *at(&mut probe) &= wanted(name);
    }
    // The pool has one way of handing out: without all of its calls it is not the kernel's.
    probe.buffer_ring &= probe.recv && probe.read && probe.recvmsg;
    probe.multishot_recvmsg &= probe.buffer_ring;
    Ok((ring, probe))
}

/// Why a ring was refused, and what to change.
pub(super) fn refusal(error: io::Error, call: &str) -> io::Error {
    let text = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match sysctl().as_deref() {
            Some("2") => "io_uring is switched off for everybody: set the sysctl kernel.io_uring_disabled to 0".into(),
            Some("1") if call == "io_uring_setup" => {
                "io_uring is reserved: set the sysctl kernel.io_uring_disabled to 0, or add the user to the group in kernel.io_uring_group".into()
            }
            _ => format!("{call} is forbidden, probably by a seccomp filter (containers' default profiles do that): allow io_uring_setup, io_uring_enter and io_uring_register in it"),
        },
        Some(libc::ENOSYS) => {
            format!("{call} is not there: the kernel is older than Linux 5.1 or built without io_uring, or a seccomp filter hides it")
        }
        Some(libc::ENOMEM) => "there is no memory for io_uring's rings: raise the limit on locked memory, RLIMIT_MEMLOCK (ulimit -l), or ask for fewer entries".into(),
        // Nothing about io_uring: out of descriptors, for example.
        _ => return io::Error::new(error.kind(), format!("{call}: {error}")),
    };
    io::Error::new(io::ErrorKind::Unsupported, text)
}

fn sysctl() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok().map(|text| text.trim().to_owned())
}
