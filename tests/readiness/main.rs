//! The readiness suite: the promises R1 to R12 of docs/READINESS.md, each in its file, run unchanged on every backend that
//! a poller has here. `cargo test --test readiness -- poll::r04` runs a part of it. The harness is the contract suite's.

#[path = "../contract/support/mod.rs"]
#[allow(dead_code, unused_imports)] // each suite uses its part of it
mod support;
mod watch;

/// Declares the files of tests, and lists what they export under their short names.
macro_rules! promises {
    ($($(#[$only:meta])? $short:literal $file:ident),+ $(,)?) => {
        $($(#[$only])? mod $file;)+
        #[allow(clippy::vec_init_then_push)] // `cfg` picks statements
        fn promises() -> Vec<(&'static str, Vec<support::Case>)> {
            let mut promises = Vec::new();
            $($(#[$only])? promises.push(($short, $file::tests()));)+
            promises
        }
    };
}

promises! {
    "r01" r01_what_is_ready,
    "r02" r02_level,
    "r03" r03_oneshot,
    "r04" r04_edge,
    "r05" r05_what_events_tell,
    "r06" r06_modify,
    "r07" r07_close,
    "r08" r08_delete,
    "r09" r09_wait,
    "r10" r10_notify,
    "r11" r11_threads,
    "two_loops" two_loops,
    "r12" r12_costs,
    #[cfg(unix)]
    "descriptors" descriptors,
    #[cfg(unix)]
    "one_loop" one_loop,
    #[cfg(windows)]
    "handles" handles,
    #[cfg(all(unix, any(not(target_os = "linux"), anyport_libkqueue)))]
    "filters" processes_and_signals,
}

fn main() -> std::process::ExitCode {
    if let Some(code) = support::run_if_instrument() {
        return code;
    }
    let check = |backend| watch::open(backend).map(drop).map_err(|error| error.to_string());
    support::run(&promises(), support::Backends { all: anyport::Poller::BACKENDS, check })
}
