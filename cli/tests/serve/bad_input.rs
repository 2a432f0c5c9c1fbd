//! A command line that cannot be obeyed: one line on stderr that says what to do, nothing on
//! stdout, exit status 2.

use std::net::TcpListener;
use std::process::Output;

use crate::server::program;

fn serve(args: &[&str]) -> Output {
    program().arg("serve").args(args).output().unwrap()
}

fn refused(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(output.stdout, b"");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("anyport: "), "{stderr}");
    stderr
}

#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refused(&serve(&["--addr", &address]));
    assert!(line.contains(&address) && line.contains("--addr"), "{line}");
}

#[test]
fn an_address_that_is_malformed() {
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "300.0.0.1:80", ":", "[::1:80"] {
        let line = refused(&serve(&["--addr", address]));
        assert!(line.contains(&format!("'{address}'")) && line.contains("127.0.0.1:8080"), "{line}");
    }
}

#[test]
fn an_address_that_this_machine_does_not_have() {
    let line = refused(&serve(&["--addr", "192.0.2.1:0"]));
    assert!(line.contains("192.0.2.1:0"), "{line}");
}

#[test]
fn a_folder_that_is_missing_or_none() {
    let temp = tempfile::tempdir().unwrap();
    let missing = temp.path().join("missing");
    let line = refused(&serve(&[missing.to_str().unwrap(), "--addr", "127.0.0.1:0"]));
    assert!(line.contains("there is no folder") && line.contains(missing.to_str().unwrap()), "{line}");

    let file = temp.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let line = refused(&serve(&[file.to_str().unwrap(), "--addr", "127.0.0.1:0"]));
    assert!(line.contains("is not a folder"), "{line}");
}

#[test]
fn a_backend_that_does_not_exist() {
    let line = refused(&serve(&["--backend", "iocq", "--addr", "127.0.0.1:0"]));
    for backend in anyport::Backend::ALL {
        assert!(line.contains(&backend.to_string()), "{line}");
    }
    let output = program().args(["serve", "--addr", "127.0.0.1:0"]).env("ANYPORT_BACKEND", "iocq").output().unwrap();
    assert!(refused(&output).contains("iocq"));
}

#[test]
fn numbers_and_times_that_make_no_sense() {
    for args in [
        ["--workers", "0"],
        ["--workers", "-1"],
        ["--workers", "many"],
        ["--max-connections", "0"],
        ["--idle-timeout", "soon"],
        ["--send-timeout", "0s"],
    ] {
        let line = refused(&serve(&[&args[..], &["--addr", "127.0.0.1:0"]].concat()));
        assert!(line.contains(args[0]), "{line}");
    }
}

#[test]
fn a_command_or_option_that_does_not_exist() {
    for args in [
        &["--nonsense"][..],
        &["frobnicate"],
        &[],
        &["serve", "--nonsense"],
        &["serve", "--workers"],
        &["serve", "a", "b"],
    ] {
        let output = program().args(args).output().unwrap();
        assert!(refused(&output).contains("anyport --help") || args.is_empty(), "{args:?}");
    }
}

#[test]
fn help_is_no_failure() {
    for args in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let output = program().args(args).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty());
    }
}
