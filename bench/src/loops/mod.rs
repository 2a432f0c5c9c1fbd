//! The rest of a loop: nops, timers, posts, files, readiness. The contests are those of `anyport bench`, with the hand-written loops
//! and the backends of Anyport in them; here come tokio, compio, smol and libuv.

mod files;
#[cfg(libuv)]
mod libuv;
mod nops;
mod posts;
mod timers;

use std::io;

use measure::contest::{Contest, Contestant, Number, Sample};
use measure::plan::Plan;

/// All of them, and by which number each is judged.
pub(crate) fn contests(plan: &Plan) -> io::Result<Vec<(Contest<'_>, Number)>> {
    let [by_length, by_deadline, fire] = timers::contests(plan);
    let mut all: Vec<_> = nops::contests(plan).into_iter().map(|contest| (contest, Number::Rate)).collect();
    // Timers fire at their time: how many a second is given.
    all.extend([(by_length, Number::Rate), (by_deadline, Number::Rate), (fire, Number::Cpu)]);
    let rest = [posts::contests(plan), files::contests(plan)?, measure::ready::contests(plan)];
    all.extend(rest.into_iter().flatten().map(|contest| (contest, Number::Rate)));
    Ok(all)
}

/// A contestant that is a peer.
fn peer<'a>(name: &str, turn: impl FnMut() -> io::Result<Sample> + 'a) -> Contestant<'a> {
    Contestant::new(name, None, Ok(()), turn)
}

/// A contestant on io_uring, where that is not refused.
fn on_ring<'a>(name: &str, turn: impl FnMut() -> io::Result<Sample> + 'a) -> Contestant<'a> {
    Contestant::new(name, None, anyport::Backend::Uring.check(), turn)
}

/// libuv, or the word that it is not there.
#[cfg(not(libuv))]
fn libuv_absent<'a>() -> Contestant<'a> {
    Contestant::new("libuv", None, crate::server::libuv::here(), || unreachable!("what is not here has no turn"))
}

/// compio's runtime, with its ring set up for one thread.
fn compio() -> io::Result<compio::runtime::Runtime> {
    let mut driver = compio::driver::ProactorBuilder::new();
    driver.single_issuer(true).defer_taskrun(true);
    compio::runtime::RuntimeBuilder::new().with_proactor(driver).build()
}

/// tokio's runtime for one thread.
fn tokio() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
