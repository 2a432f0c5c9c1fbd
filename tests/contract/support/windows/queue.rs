//! What waits in the process' completion ports.

use std::os::windows::io::RawHandle;
use std::ptr::null_mut;

use anyport::{Handle, Port};
use windows_sys::Win32::Foundation::{NTSTATUS, STATUS_SUCCESS};

use super::process::completion_ports;
use crate::support::drive::eventually;

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    /// Class 0 (`IoCompletionBasicInformation`) tells how many packets wait.
    fn NtQueryIoCompletion(port: RawHandle, class: u32, depth: *mut u32, size: u32, written: *mut u32) -> NTSTATUS;
}

fn packets(port: RawHandle) -> u32 {
    let mut depth = 0;
    // SAFETY: the answer is of this frame, and as long as is said.
    let status = unsafe { NtQueryIoCompletion(port, 0, &mut depth, size_of::<u32>() as u32, null_mut()) };
    assert_eq!(status, STATUS_SUCCESS, "NtQueryIoCompletion: {status:x}");
    depth
}

/// Waits until what was sent to each of these, where a receive is in flight, has come: as a packet. For isolated trials
/// with one port.
pub(crate) fn until_arrived(_: &Port, conns: &[Handle]) {
    let ports = completion_ports();
    eventually("a packet for each", || ports.iter().map(|&port| packets(port)).sum::<u32>() as usize == conns.len());
}
