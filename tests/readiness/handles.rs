//! What Windows watches beside sockets: processes and events, through `os::windows::PollerExt`.

use std::io::ErrorKind;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::{Command, Stdio};

use anyport::Backend;
use anyport::os::windows::PollerExt;
use anyport::poller::{Interest, Mode};
use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent, SetEvent};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        an_event_is_reported_as_the_mode_says,
        a_signal_during_a_wait_ends_it,
        an_automatic_event_is_taken_up,
        the_end_of_a_child_is_an_event,
        a_deleted_handle_is_silent,
        edges_are_refused,
    ]
}

fn event(manual: bool) -> OwnedHandle {
    // SAFETY: a call without pointers makes a handle, which nobody else has.
    unsafe { OwnedHandle::from_raw_handle(CreateEventW(std::ptr::null(), i32::from(manual), 0, std::ptr::null())) }
}

fn set(event: &OwnedHandle) {
    // SAFETY: a call on an open handle.
    assert_ne!(unsafe { SetEvent(event.as_raw_handle()) }, 0);
}

fn reset(event: &OwnedHandle) {
    // SAFETY: a call on an open handle.
    assert_ne!(unsafe { ResetEvent(event.as_raw_handle()) }, 0);
}

fn an_event_is_reported_as_the_mode_says(backend: Backend) {
    let mut watch = poller(backend);
    let event = event(true);
    watch.add_waitable(&event, 1, Interest::READABLE, Mode::Level).expect("add");
    watch.silent();
    set(&event);
    for _ in 0..3 {
        let told = watch.one();
        assert!(told.key == 1 && told.is_readable(), "{told:?}");
    }
    reset(&event);
    watch.silent();
    watch.modify_waitable(&event, 2, Interest::READABLE, Mode::Oneshot).expect("modify");
    watch.silent();
    set(&event);
    assert_eq!(watch.one().key, 2);
    watch.silent();
    watch.modify_waitable(&event, 3, Interest::READABLE, Mode::Oneshot).expect("modify");
    assert_eq!(watch.one().key, 3);
    watch.modify_waitable(&event, 4, Interest::empty(), Mode::Oneshot).expect("modify");
    watch.silent();
    let error = watch.add_waitable(&event, 5, Interest::READABLE, Mode::Level).expect_err("it is watched");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

fn a_signal_during_a_wait_ends_it(backend: Backend) {
    let mut watch = poller(backend);
    let event = event(true);
    watch.add_waitable(&event, 1, Interest::READABLE, Mode::Oneshot).expect("add");
    std::thread::scope(|scope| {
        scope.spawn(|| set(&event));
        assert_eq!(watch.one().key, 1);
    });
}

fn an_automatic_event_is_taken_up(backend: Backend) {
    let mut watch = poller(backend);
    let event = event(false);
    watch.add_waitable(&event, 1, Interest::READABLE, Mode::Level).expect("add");
    for _ in 0..3 {
        set(&event);
        assert_eq!(watch.one().key, 1);
        watch.silent();
    }
}

fn the_end_of_a_child_is_an_event(backend: Backend) {
    let mut watch = poller(backend);
    let mut child = Command::new("cmd").args(["/C", "exit 3"]).stdin(Stdio::null()).spawn().expect("start cmd");
    watch.add_waitable(&child, 7, Interest::READABLE, Mode::Oneshot).expect("add");
    assert_eq!(watch.one().key, 7);
    let status = child.try_wait().expect("ask for it").expect("it has ended");
    assert_eq!(status.code(), Some(3));
    watch.silent();
    watch.delete_waitable(&child).expect("delete");
}

fn a_deleted_handle_is_silent(backend: Backend) {
    let mut watch = poller(backend);
    let event = event(true);
    let error = watch.delete_waitable(&event).expect_err("it was not added");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for _ in 0..10 {
        watch.add_waitable(&event, 1, Interest::READABLE, Mode::Oneshot).expect("add");
        set(&event);
        watch.delete_waitable(&event).expect("delete");
        watch.silent();
        reset(&event);
    }
}

fn edges_are_refused(backend: Backend) {
    let watch = poller(backend);
    let error = watch.add_waitable(event(true), 1, Interest::READABLE, Mode::Edge).expect_err("no edges");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
