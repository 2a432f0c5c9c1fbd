//! What a port can tell about itself: which backend runs, why the others do not, and how each
//! operation is carried.

use crate::backend::{Backend, Engine};
use crate::op::raw::{Direction, RawOp};
use crate::sys::{NO_OBJECT, OpenHow};
use std::fmt;
use std::net::Shutdown;
use std::ptr;

/// How an operation is carried.
///
/// ```
/// # use anyport::{Carrier, Port};
/// # fn main() -> std::io::Result<()> {
/// let explanation = Port::new()?.explain();
/// let row = explanation.operations.iter().find(|row| row.name == "blocking closure").unwrap();
/// assert_eq!(row.carrier, Carrier::Pool);
/// assert_eq!(row.carrier.to_string(), "blocking pool");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Carrier {
    /// By the system's own completion queue.
    Native,
    /// Tried, and tried again when the system reports readiness.
    Reactor,
    /// By a thread of the blocking pool.
    Pool,
    /// By a plain system call at once: it does not block.
    Direct,
    /// By the port itself, without the system.
    Port,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Carrier::Native => "native",
            Carrier::Reactor => "readiness",
            Carrier::Pool => "blocking pool",
            Carrier::Direct => "direct call",
            Carrier::Port => "the port",
        })
    }
}

/// Something that was probed when the backend was set up.
///
/// ```
/// # use anyport::Port;
/// # fn main() -> std::io::Result<()> {
/// for feature in Port::new()?.explain().features {
///     println!("{}: {} ({})", feature.name, feature.used, feature.note);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Feature {
    /// Its name, as [`Builder::without`](crate::Builder::without) takes it.
    pub name: &'static str,
    /// It is there and used.
    pub used: bool,
    /// What it does, or what is done without it.
    pub note: &'static str,
}

impl Feature {
    pub(crate) fn new(name: &'static str, used: bool, note: &'static str) -> Feature {
        Feature { name, used, note }
    }
}

/// Whether a backend is in use here.
///
/// ```
/// # use anyport::{Port, Verdict};
/// # fn main() -> std::io::Result<()> {
/// let explanation = Port::new()?.explain();
/// let chosen = explanation.candidates.iter().find(|candidate| candidate.verdict == Verdict::Chosen);
/// assert_eq!(chosen.unwrap().backend, explanation.backend);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// This port runs on it.
    Chosen,
    /// It would work.
    Works,
    /// It does not work: why, and what to change.
    Refused(String),
}

/// A backend and its verdict.
///
/// ```
/// # use anyport::{Backend, Port};
/// # fn main() -> std::io::Result<()> {
/// let candidates = Port::new()?.explain().candidates;
/// assert_eq!(candidates.len(), Backend::ALL.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The backend.
    pub backend: Backend,
    /// Whether it is used.
    pub verdict: Verdict,
}

/// An operation and its carrier.
///
/// ```
/// # use anyport::Port;
/// # fn main() -> std::io::Result<()> {
/// for row in Port::new()?.explain().operations {
///     println!("{}: {}", row.name, row.carrier);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OperationRow {
    /// The operation's name.
    pub name: &'static str,
    /// How it is carried on the port's backend.
    pub carrier: Carrier,
}

/// The account that [`Port::explain`](crate::Port::explain) gives. Its `Display` is a table in plain
/// words.
///
/// ```
/// use anyport::{Port, Verdict};
/// # fn main() -> std::io::Result<()> {
/// let port = Port::new()?;
/// let explanation = port.explain();
/// println!("{explanation}");
/// for candidate in &explanation.candidates {
///     match &candidate.verdict {
///         Verdict::Chosen => assert_eq!(candidate.backend, port.backend()),
///         Verdict::Works => {}
///         Verdict::Refused(why) => println!("{}: {why}", candidate.backend),
///     }
/// }
/// let recv = explanation.operations.iter().find(|row| row.name == "recv").unwrap();
/// println!("recv is carried by: {}", recv.carrier);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The backend that runs.
    pub backend: Backend,
    /// Every backend of this system.
    pub candidates: Vec<Candidate>,
    /// What was probed for the one that runs.
    pub features: Vec<Feature>,
    /// Every operation.
    pub operations: Vec<OperationRow>,
}

/// One of each operation, as a backend is asked about it.
fn samples() -> [(&'static str, RawOp); 27] {
    let (buf, scratch) = (ptr::null_mut(), ptr::null_mut());
    [
        ("nop", RawOp::Nop),
        ("timer", RawOp::Timer { overruled: false }),
        ("accept", RawOp::Accept { multi: false }),
        ("accept, multishot", RawOp::Accept { multi: true }),
        ("connect", RawOp::Connect { scratch, begun: false }),
        ("recv", RawOp::Recv { buf, len: 1 }),
        ("recv, vectored", RawOp::RecvMsg { scratch }),
        ("recv-from", RawOp::RecvMsg { scratch }),
        ("recv, pooled", RawOp::RecvPooled { multi: false }),
        ("recv, pooled multishot", RawOp::RecvPooled { multi: true }),
        ("recv-from, pooled", RawOp::RecvFromPooled { scratch }),
        ("recv-from, pooled multishot", RawOp::RecvFromPooledMulti),
        ("send", RawOp::Send { buf, len: 1, all: false }),
        ("send-all", RawOp::Send { buf, len: 1, all: true }),
        ("send, vectored", RawOp::SendMsg { scratch }),
        ("send-to", RawOp::SendMsg { scratch }),
        ("send-file", RawOp::SendFile { scratch }),
        ("shutdown", RawOp::Shutdown { how: Shutdown::Write }),
        ("ready", RawOp::Ready { direction: Direction::Read }),
        ("open", RawOp::Open { path: ptr::null(), how: OpenHow::default() }),
        ("read-at", RawOp::ReadAt { buf, len: 1, offset: 0 }),
        ("write-at", RawOp::WriteAt { buf, len: 1, offset: 0 }),
        ("fsync", RawOp::Sync { data: false }),
        ("metadata", RawOp::Stat { path: ptr::null(), scratch }),
        ("close", RawOp::Close { object: NO_OBJECT }),
        ("blocking closure", RawOp::Call { run: |_| (), payload: ptr::null_mut() }),
        ("post", RawOp::Timer { overruled: false }),
    ]
}

pub(crate) fn explain(engine: &Engine) -> Explanation {
    let verdict = |backend: Backend| match backend {
        _ if backend == engine.backend() => Verdict::Chosen,
        _ => backend.check().map_or_else(Verdict::Refused, |()| Verdict::Works),
    };
    Explanation {
        backend: engine.backend(),
        candidates: Backend::ALL.iter().map(|&backend| Candidate { backend, verdict: verdict(backend) }).collect(),
        features: engine.features(),
        operations: samples().iter().map(|(name, raw)| OperationRow { name, carrier: engine.carrier(raw) }).collect(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "backend: {}", self.backend)?;
        for Candidate { backend, verdict } in &self.candidates {
            match verdict {
                Verdict::Chosen => writeln!(f, "  {backend:<10} in use")?,
                Verdict::Works => writeln!(f, "  {backend:<10} works here too")?,
                Verdict::Refused(why) => writeln!(f, "  {backend:<10} refused: {why}")?,
            }
        }
        writeln!(f, "features:")?;
        for Feature { name, used, note } in &self.features {
            writeln!(f, "  {name:<28} {:<4} {note}", if *used { "yes" } else { "no" })?;
        }
        writeln!(f, "operations:")?;
        for OperationRow { name, carrier } in &self.operations {
            writeln!(f, "  {name:<28} {carrier}")?;
        }
        Ok(())
    }
}
