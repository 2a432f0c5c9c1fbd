//! The contract suite: the promises C1 to C12, each in its file, run unchanged on every backend of this machine.
//! `cargo test --test contract -- epoll::c04` runs a part of it. How to add a test: see README.md beside this file.

#[cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))] // what tests of Linux' own use
mod support;

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
    "c01" c01_exactly_one_completion,
    "c02" c02_lent_buffers,
    "c03" c03_cancel,
    "c04" c04_close,
    "c05" c05_order,
    "c06" c06_end_of_stream,
    "c07" c07_error_kinds,
    #[cfg(unix)]
    "c07" c07_unix_kinds,
    "c08" c08_timers,
    "c09" c09_posts,
    "c10" c10_fairness,
    "c11" c11_costs,
    "c12" c12_descriptors_and_signals,
    "send-file" send_file,
    "recv-from-pooled" recv_from_pooled,
    #[cfg(unix)]
    "recv-from-pooled" recv_from_pooled_unix,
    "often-used" often_used,
    "traps" traps,
    #[cfg(target_os = "linux")]
    "traps" uring_traps,
    #[cfg(windows)]
    "traps" iocp_traps,
    "oracle" oracle,
    "soak" soak,
    #[cfg(any(target_os = "linux", windows))]
    "instruments" instruments,
    #[cfg(target_os = "linux")]
    "instruments" interrupted_calls,
    // Of one system.
    #[cfg(unix)]
    "fifos" fifos,
    #[cfg(target_os = "linux")]
    "file-size" file_size,
    #[cfg(target_os = "linux")]
    "refusal" refusal,
    #[cfg(windows)]
    "pool" iocp_pool,
    #[cfg(windows)]
    "wine" wine_lacks,
}

fn main() -> std::process::ExitCode {
    if let Some(code) = support::run_if_instrument() {
        return code;
    }
    let backends = support::Backends { all: anyport::Backend::ALL, check: anyport::Backend::check };
    support::run(&promises(), backends)
}
