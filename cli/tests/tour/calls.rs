//! The system calls at each step, which are observed and not recited.

use std::os::unix::process::CommandExt;

use anyport::Backend;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::program::{steps, text, told, tour};

/// The system calls that the tour saw at each step, as `name(arguments) = result`. `None`, which is reported, where it
/// could not see them.
fn calls(backend: Backend) -> Option<Vec<Vec<String>>> {
    let text = told(backend)?;
    if text.contains("System calls cannot be shown") {
        println!("skipped: {backend}: ptrace is not allowed here");
        return None;
    }
    Some(steps(&text).iter().map(|lines| step_calls(lines)).collect())
}

/// Its entries begin at the sixth column; what belongs to one and is wrapped or explained is indented further.
fn step_calls(lines: &[&str]) -> Vec<String> {
    let entries = lines.iter().filter_map(|line| line.strip_prefix("      ")).filter(|line| !line.starts_with(' '));
    entries.filter(|line| line.contains('(') && line.contains('~')).map(|line| line.to_owned()).collect()
}

fn names(calls: &[String]) -> Vec<&str> {
    calls.iter().filter_map(|call| call.split('(').next()).collect()
}

#[test]
fn io_uring_is_handed_the_buffer_with_the_wait() {
    let Some(calls) = calls(Backend::Uring) else { return };
    let [create, join, lend, wait, back, again] = &calls[..] else { panic!("{calls:?}") };
    let position = |name: &str| names(create).iter().position(|other| *other == name);
    assert!(position("io_uring_setup") < position("io_uring_register"), "{create:?}");
    assert!(position("io_uring_setup").is_some(), "{create:?}");
    assert!(names(join).iter().all(|&name| ["fcntl", "fstat", "getsockopt"].contains(&name)), "{join:?}");
    assert_eq!((lend.len(), back.len()), (0, 0), "{calls:?}");
    assert_eq!(names(wait), ["io_uring_enter"], "{wait:?}");
    assert!(wait[0].contains("<io_uring>, submit 1, wait for 1"), "{wait:?}");
    assert_eq!(names(again), ["io_uring_enter"], "{again:?}");
    let told = told(Backend::Uring).expect("it works here");
    assert!(told.contains("hands over RECV") && told.contains("<socket> into a buffer of 4096"), "{told}");
}

#[test]
fn epoll_is_told_about_once_and_asked_before_each_receive() {
    let Some(calls) = calls(Backend::Epoll) else { return };
    let [create, join, lend, wait, back, again] = &calls[..] else { panic!("{calls:?}") };
    assert!(names(create).contains(&"epoll_create1"), "{create:?}");
    assert!(join.iter().any(|call| call.contains("F_SETFL") && call.contains("NONBLOCK")), "{join:?}");
    assert_eq!(lend.len(), 0, "{lend:?}");
    assert_eq!(names(&wait[..2]), ["recvfrom", "epoll_ctl"], "{wait:?}");
    assert!(wait[0].contains("4096 bytes, DONTWAIT) = EAGAIN"), "{wait:?}");
    assert!(wait[1].contains("<epoll>, ADD, ") && wait[1].contains("<socket>, IN|OUT|PRI|RDHUP|ET) = 0"), "{wait:?}");
    assert_fetched_after("epoll_pwait", wait);
    assert!(wait[wait.len() - 2].contains("IN"), "{wait:?}");
    assert_eq!(back.len(), 0, "{back:?}");
    assert_fetched_after("epoll_pwait", again);
    assert_eq!(again.len(), 2, "no epoll_ctl in steady state: {again:?}");
}

#[test]
fn poll_is_told_every_time() {
    let Some(calls) = calls(Backend::Poll) else { return };
    let [create, _, lend, wait, back, again] = &calls[..] else { panic!("{calls:?}") };
    assert!(names(create).iter().all(|name| !name.contains("poll")), "it keeps no queue: {create:?}");
    assert_eq!(lend.len(), 0, "{lend:?}");
    assert_eq!(names(&wait[..1]), ["recvfrom"], "{wait:?}");
    assert_fetched_after("poll", wait);
    assert_eq!(back.len(), 0, "{back:?}");
    assert_fetched_after("poll", again);
    assert!(again[0].contains("<socket> IN"), "{again:?}");
}

/// The last two calls: the wait, in one of its forms (poll(2) and ppoll(2) ...), and the receive.
fn assert_fetched_after(wait: &str, calls: &[String]) {
    let [.., waited, fetched] = calls else { panic!("{calls:?}") };
    let name = waited.split('(').next().unwrap_or_default();
    let forms = [wait.to_owned(), format!("p{wait}"), wait.replace("_wait", "_pwait"), format!("{wait}2")];
    assert!(forms.iter().any(|form| form == name), "{calls:?}");
    assert!(fetched.starts_with("recvfrom(") && fetched.contains(") = 24 "), "{calls:?}");
}

#[test]
fn where_tracing_is_forbidden_it_says_so_and_still_tells_the_steps_and_times() {
    let rules = [(libc::SYS_ptrace, Vec::new())].into_iter().collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture that seccompiler knows");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    for &backend in Backend::ALL.iter().filter(|backend| backend.check().is_ok()) {
        let mut command = tour(&["--backend", backend.name()]);
        let program = program.clone();
        // SAFETY: between fork and exec it makes two system calls and allocates nothing.
        let output = unsafe { command.pre_exec(move || apply(&program)) }.output().expect("the program can be started");
        let text = text(&output);
        assert!(text.contains("System calls cannot be shown: ptrace(2) is not allowed here"), "{text}");
        assert!(steps(&text).iter().all(|lines| step_calls(lines).is_empty()), "{text}");
        assert!(steps(&text)[3][0].contains(" ms"), "{text}");
        are_really_made(&text, backend);
    }
}

/// The calls that are told without having been seen are among those that are seen, step by step and in that order.
fn are_really_made(text: &str, backend: Backend) {
    let Some(seen) = calls(backend) else { return };
    let mut told = 0;
    for (lines, seen) in steps(text).iter().zip(&seen) {
        let list = lines.iter().find_map(|line| line.trim().strip_prefix("not seen: "));
        let mut seen = names(seen).into_iter();
        for name in list.iter().flat_map(|list| list.split(", ")) {
            // Some architectures have the forms with a signal mask only.
            let forms = [name, &name.replace("_wait", "_pwait")];
            assert!(seen.any(|other| forms.contains(&other)), "{backend}: {name} in {lines:?}");
            told += 1;
        }
    }
    assert!(told >= 5, "{backend}: {text}");
}

fn apply(program: &BpfProgram) -> std::io::Result<()> {
    seccompiler::apply_filter(program).map_err(|_| std::io::Error::last_os_error())
}
