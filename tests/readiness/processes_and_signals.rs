//! What kqueue watches beside descriptors: processes and signals, through `os::kqueue::PollerExt`.

use std::process::{Child, Command, Stdio};

use anyport::Backend;
use anyport::os::kqueue::{Filter, PollerExt};
use anyport::poller::Mode;

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            the_end_of_a_child_is_an_event,
            a_child_that_is_forgotten_is_silent,
            what_is_not_watched_is_not_found,
        ],
        each_backend_isolated: [a_signal_is_an_event],
    }
}

/// A child that ends when its standard input does.
fn child() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("start cat")
}

/// Only kqueue has filters; the others say so.
fn has_filters(watch: &Watch) -> bool {
    if watch.backend() == Backend::Kqueue {
        return true;
    }
    let error = watch.add_filter(Filter::Signal(libc::SIGUSR1), 1, Mode::Level).expect_err("no filters here");
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    false
}

fn the_end_of_a_child_is_an_event(backend: Backend) {
    let mut watch = poller(backend);
    if !has_filters(&watch) {
        return;
    }
    for mode in [Mode::Oneshot, Mode::Edge] {
        let mut child = child();
        watch.add_filter(Filter::Exit(child.id()), 7, mode).expect("add");
        watch.silent();
        drop(child.stdin.take());
        let event = watch.one();
        assert!(event.key == 7 && event.is_readable() && !event.is_writable(), "{event:?}");
        assert!(child.wait().expect("wait for it").success());
        watch.silent();
        watch.delete_filter(Filter::Exit(child.id())).expect("delete");
    }
}

fn a_child_that_is_forgotten_is_silent(backend: Backend) {
    let mut watch = poller(backend);
    if !has_filters(&watch) {
        return;
    }
    let mut child = child();
    watch.add_filter(Filter::Exit(child.id()), 7, Mode::Oneshot).expect("add");
    watch.delete_filter(Filter::Exit(child.id())).expect("delete");
    drop(child.stdin.take());
    child.wait().expect("wait for it");
    watch.silent();
}

fn what_is_not_watched_is_not_found(backend: Backend) {
    let watch = poller(backend);
    if !has_filters(&watch) {
        return;
    }
    let filter = Filter::Signal(libc::SIGUSR2);
    assert_eq!(watch.delete_filter(filter).expect_err("not added").kind(), std::io::ErrorKind::NotFound);
    assert_eq!(
        watch.modify_filter(filter, 1, Mode::Level).expect_err("not added").kind(),
        std::io::ErrorKind::NotFound
    );
}

fn a_signal_is_an_event(backend: Backend) {
    use nix::sys::signal::{SigSet, Signal, kill};
    // Blocked, not ignored: libkqueue has it from a signalfd.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block().expect("block the signal");
    let mut watch = poller(backend);
    if !has_filters(&watch) {
        return;
    }
    let filter = Filter::Signal(libc::SIGUSR1);
    watch.add_filter(filter, 3, Mode::Edge).expect("add");
    watch.silent();
    for _ in 0..3 {
        kill(nix::unistd::Pid::this(), Signal::SIGUSR1).expect("send it to this process");
        let event = watch.one();
        assert!(event.key == 3 && event.is_readable(), "{event:?}");
        watch.silent();
    }
    watch.delete_filter(filter).expect("delete");
}
