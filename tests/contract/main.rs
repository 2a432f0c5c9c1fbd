//! The contract suite: the promises C1 to C12, each in its file, run unchanged on every backend of this machine.
//! `cargo test --test contract -- epoll::c04` runs a part of it. How to add a test: see README.md beside this file.

#[cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))] // what tests of Linux' own use
mod support;

/// Declares the files of tests, and lists what they export under their short names.
macro_rules! promises {
    ($($short:literal $file:ident),+ $(,)?) => {
        $(mod $file;)+
        fn promises() -> Vec<(&'static str, Vec<support::Case>)> {
            vec![$(($short, $file::tests())),+]
        }
    };
}

#[cfg(target_os = "linux")]
promises! {
    "instruments" instruments,
    "c01" c01_exactly_one_completion,
    "c02" c02_lent_buffers,
    "c03" c03_cancel,
    "c04" c04_close,
    "c05" c05_order,
    "c06" c06_end_of_stream,
    "c07" c07_error_kinds,
    "c08" c08_timers,
    "c09" c09_posts,
    "c10" c10_fairness,
    "c11" c11_costs,
    "c12" c12_descriptors_and_signals,
    "refusal" refusal,
    "traps" traps,
    "oracle" oracle,
    "soak" soak,
}

// What is left out here is about Linux' own tools: `instruments`, `refusal`.
#[cfg(all(unix, not(target_os = "linux")))]
promises! {
    "c01" c01_exactly_one_completion,
    "c02" c02_lent_buffers,
    "c03" c03_cancel,
    "c04" c04_close,
    "c05" c05_order,
    "c06" c06_end_of_stream,
    "c07" c07_error_kinds,
    "c08" c08_timers,
    "c09" c09_posts,
    "c10" c10_fairness,
    "c11" c11_costs,
    "c12" c12_descriptors_and_signals,
    "traps" traps,
    "oracle" oracle,
    "soak" soak,
}

// What is left out here is about Linux' own: `instruments`, `refusal`, system calls (`c11`), signals (`c12`).
#[cfg(windows)]
promises! {
    "c01" c01_exactly_one_completion,
    "c02" c02_lent_buffers,
    "c03" c03_cancel,
    "c04" c04_close,
    "c05" c05_order,
    "c06" c06_end_of_stream,
    "c08" c08_timers,
    "c09" c09_posts,
    "c10" c10_fairness,
    "c07" iocp_kinds,
    "traps" iocp_traps,
    "wine" wine_lacks,
    "oracle" oracle,
    "soak" soak,
}

fn main() -> std::process::ExitCode {
    if let Some(code) = support::run_if_tracer() {
        return code;
    }
    let backends = support::Backends { all: anyport::Backend::ALL, check: anyport::Backend::check };
    support::run(&promises(), backends)
}
