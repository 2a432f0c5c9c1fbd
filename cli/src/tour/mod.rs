//! `anyport tour`: the five steps of an event queue on each backend of this machine, on a real socket, with the system
//! calls that were really made.
//!
//! The steps (`steps`) are ordinary code on the port. They are played twice: here, undisturbed, for their own times
//! (`own`), and once more under an observer for their system calls (`watch`, which has a file per way of observing).
//! What is known about a backend is an `Account`; `story` has the words for it and `tell` puts all on `paper`.

mod account;
mod own;
mod paper;
mod peer;
mod steps;
mod story;
mod tell;
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), path = "watch/absent.rs")]
mod watch;

use anyport::Backend;

use account::Account;
use paper::Paper;

use crate::args;
use crate::failure::Failure;

/// How often the steps are played undisturbed, and how often under the observer.
const ROUNDS: usize = 21;

/// See the five steps of an event queue on each backend, with the system calls they make
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Tour {
    /// Only this backend (anyport info lists them) [default: each that works here]
    #[arg(long, value_name = "NAME", value_parser = args::backend)]
    backend: Option<Backend>,

    /// Play the steps this often for whoever traces this process
    #[arg(long, hide = true, requires = "backend")]
    play: Option<usize>,
}

const AFTER_HELP: &str = "On each backend of this machine a port receives what the other end of a TCP connection says: create \
    the queue, let the socket join, lend a buffer, wait, get the buffer back. It takes a second.";

pub(crate) fn run(options: Tour) -> Result<(), Failure> {
    if let (Some(rounds), Some(backend)) = (options.play, options.backend) {
        return watch::play_watched(backend, rounds);
    }
    let backends = options.backend.map_or_else(|| Backend::ALL.to_vec(), |backend| vec![backend]);
    let mut paper = Paper::stdout();
    tell::opening(&mut paper);
    let mut accounts = Vec::new();
    for backend in backends {
        match backend.check() {
            Ok(()) => {
                let account = explore(backend)?;
                tell::account(&mut paper, &account);
                accounts.push(account);
            }
            Err(why) => tell::refusal(&mut paper, backend, &why),
        }
    }
    if accounts.is_empty() {
        return Err(Failure::input("no backend works here; see above what would have to change"));
    }
    tell::closing(&mut paper, &accounts);
    paper.finish()
}

fn explore(backend: Backend) -> Result<Account, Failure> {
    let failed = |error| Failure::Runtime(format!("the steps failed on {backend}: {error}"));
    let (own, woken) = own::times(backend, ROUNDS).map_err(failed)?;
    Ok(Account { backend, own, woken, calls: watch::watch(backend, ROUNDS) })
}
