//! `anyport info` from outside.

use std::process::{Command, Output};

use anyport::Backend;
use serde_json::Value;

fn info(args: &[&str], backend: Option<Backend>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyport"));
    command.arg("info").args(args).env_remove("ANYPORT_BACKEND");
    command
        .envs(backend.map(|backend| ("ANYPORT_BACKEND", backend.name())))
        .output()
        .expect("the program can be started")
}

fn text(output: Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_tables_have_every_backend_and_every_operation() {
    let text = text(info(&[], None));
    for backend in Backend::ALL {
        let row = text.lines().find(|line| line.trim_start().starts_with(backend.name())).expect("a row");
        let verdict = if backend.check().is_ok() { ["in use", "works here too"] } else { ["refused: "; 2] };
        assert!(verdict.iter().any(|verdict| row.contains(verdict)), "{row}");
    }
    let port = anyport::Port::new().unwrap();
    for operation in port.explain().operations {
        let row = text.lines().find(|line| line.trim_start().starts_with(operation.name));
        assert!(row.is_some(), "{} in {text}", operation.name);
    }
}

#[test]
fn json_says_the_same_and_which_backend_was_chosen() {
    for &backend in Backend::ALL.iter().filter(|backend| backend.check().is_ok()) {
        let json: Value = serde_json::from_str(&text(info(&["--json"], Some(backend)))).expect("JSON");
        assert_eq!(json["chosen"], backend.name());
        let backends = json["backends"].as_array().expect("backends");
        assert_eq!(backends.len(), Backend::ALL.len());
        for entry in backends {
            assert_eq!(entry["chosen"], entry["name"] == backend.name());
            let works = entry["name"].as_str().unwrap().parse::<Backend>().unwrap().check().is_ok();
            assert_eq!(entry["works"], works);
            assert_eq!(entry["operations"].is_object(), works, "{entry}");
            assert_eq!(entry["refused"].is_null(), works, "{entry}");
        }
    }
}

#[test]
fn an_environment_that_names_no_backend_is_one_line_and_status_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyport"));
    let output = command.arg("info").env("ANYPORT_BACKEND", "carrier-pigeon").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    for part in ["ANYPORT_BACKEND", "carrier-pigeon", Backend::ALL[0].name()] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// Where writing always fails for want of room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_and_no_panic() {
    for args in [&["info"][..], &["info", "--json"], &["bench", "nop", "--quick"], &["tour"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_anyport")).args(args).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(
            stderr.starts_with("anyport: cannot write to standard output") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}
