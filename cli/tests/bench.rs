//! `anyport bench` as a user runs it: every benchmark on every backend brings numbers that can be numbers. How large they
//! are is nobody's business here.
#![cfg(any(target_os = "linux", windows))]

#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(windows, path = "system/windows.rs")]
#[allow(dead_code, reason = "most of it is for servers")]
mod system;

use std::process::{Command, Output};

use anyport::Backend;
use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyport"));
    let output = command.arg("bench").args(args).output();
    output.expect("the program can be started")
}

/// The report of `anyport bench BENCHMARK --quick --rounds 1 --json --backend BACKEND`.
fn report(benchmark: &str, backend: Backend) -> Value {
    let backend = backend.to_string();
    let output = bench(&[benchmark, "--quick", "--rounds", "1", "--json", "--backend", &backend]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{benchmark} on {backend}: {stderr}");
    assert_eq!(stderr, "", "the progress bar is for terminals");
    serde_json::from_slice(&output.stdout).expect("JSON on standard output, and nothing else")
}

/// Runs `benchmark` on each backend of this machine and gives `check` the rows that measured it.
fn on_each_backend(benchmark: &str, cells: usize, check: impl Fn(&Value)) {
    for &backend in Backend::ALL {
        if let Err(why) = backend.check() {
            println!("skipped: {backend}: {why}");
            continue;
        }
        let report = report(benchmark, backend);
        assert_eq!(report["quick"], true);
        let kernel = report["machine"]["kernel"].as_str();
        assert!(kernel.is_some_and(|kernel| !kernel.is_empty()));
        let found = report["cells"].as_array().expect("cells");
        assert_eq!(found.len(), cells, "{benchmark} has as many cells");
        for cell in found {
            assert_eq!(cell["benchmark"], benchmark);
            let rows = cell["rows"].as_array().expect("rows");
            let (own, others): (Vec<&Value>, Vec<&Value>) =
                rows.iter().partition(|row| row["backend"] == backend.to_string());
            assert_eq!(own.len(), 1, "the backend that was asked for, once: {cell}");
            assert!(others.iter().all(|row| row["backend"].is_null()), "and no other: {cell}");
            let measured = &own[0]["measured"];
            for number in ["rate", "cpu_ns"] {
                let of = |what: &str| measured[number][what].as_f64().expect("a number");
                // Where CPU time is counted in coarse steps, a turn may have used less than one.
                let may_be_zero = number == "cpu_ns" && cfg!(windows);
                assert!(0.0 < of("low") || may_be_zero && of("low") == 0.0, "{number}: {measured}");
                assert!(of("low") <= of("median") && of("median") <= of("high"), "{measured}");
            }
            check(own[0]);
        }
    }
}

/// The row's ratio to the loop by hand is there and formed of `number`.
fn is_compared_by(row: &Value, number: &str) {
    let ratio = &row["measured"]["ratio"];
    assert_eq!(ratio["of"], number, "{row}");
    let against = ratio["against"].as_str();
    assert!(against.is_some_and(|name| name.starts_with("by hand")), "{row}");
    assert!(ratio["median"].as_f64().is_some_and(|median| median > 0.0), "{row}");
}

#[test]
fn echo_is_compared_by_cpu_time_on_each_backend() {
    on_each_backend("echo", 3, |row| is_compared_by(row, "cpu"));
}

#[test]
fn nops_run_on_each_backend_and_are_compared_on_io_uring() {
    on_each_backend("nop", 1, |row| {
        if row["backend"] == "io_uring" {
            is_compared_by(row, "rate");
        }
    });
}

#[test]
fn timers_are_armed_and_fire_on_each_backend() {
    // A turn fails, and with it the program, when a timer is early, missing or fires twice.
    on_each_backend("timer", 3, |row| {
        let lateness = row["measured"]["also"].as_object().expect("further numbers");
        assert!(lateness.values().all(|micros| micros["low"].as_f64() >= Some(0.0)), "{row}");
    });
}

#[test]
fn posts_arrive_on_each_backend() {
    on_each_backend("post", 2, |row| is_compared_by(row, "rate"));
}

#[test]
fn file_reads_are_compared_on_each_backend() {
    on_each_backend("file", 1, |row| is_compared_by(row, "rate"));
}

#[test]
fn the_table_names_the_machine_and_each_contestant() {
    let output = bench(&["nop", "--quick", "--rounds", "1"]);
    let table = String::from_utf8(output.stdout).expect("text");
    let system = if cfg!(windows) { "Windows " } else { "Linux " };
    assert!(table.contains(system), "{table}");
    assert!(table.contains("\n by hand, "), "{table}");
    for backend in Backend::ALL {
        assert!(table.contains(&format!("anyport, {backend}")), "{backend} in {table}");
    }
}

#[test]
fn too_few_descriptors_are_reported_for_what_needs_more() {
    let Some(mut command) = system::program_with_descriptors(1500) else { return };
    let output = command.args(["bench", "echo", "--quick", "--rounds", "1", "--json", "--backend", "poll"]).output();
    let output = output.expect("the program can be started");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for cell in report["cells"].as_array().expect("cells") {
        let row = &cell["rows"].as_array().and_then(|rows| rows.last()).expect("the one of the backend");
        if cell["work"].as_str().is_some_and(|work| work.starts_with("1000 ")) {
            let why = row["failed"].as_str().expect("a reason");
            assert!(why.contains("open files"), "{why}");
        } else {
            assert!(row["measured"].is_object(), "{row}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name_with_status_2() {
    for (option, value, named) in [("--backend", "carrier-pigeon", "carrier-pigeon"), ("--rounds", "0", "1..")] {
        let output = bench(&["nop", option, value]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(option) && stderr.contains(named), "{stderr}");
    }
}
