//! System calls in words: the arguments that matter, the result, and what it means.
//!
//! Everything that the library's steps lead to has its row; of any other call only the name is known.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::memory::Memory;
use super::names::{self, flags};
use super::ring::Ring;

pub(super) struct Decoder {
    memory: Memory,
    ring: Option<Ring>,
    /// What the io_uring_enter(2) that is under way has handed over.
    handed_over: Vec<String>,
}

impl Decoder {
    pub(super) fn new(child: Pid) -> Decoder {
        Decoder { memory: Memory::of(child), ring: None, handed_over: Vec::new() }
    }

    /// The arguments of a call that is about to be made.
    pub(super) fn arguments(&mut self, call: &str, a: [u64; 6]) -> String {
        let fd = |index: usize| self.memory.descriptor(signed(a[index]));
        match call {
            "epoll_create1" => flags(a[0], names::OPEN),
            "eventfd2" => flags(a[1], names::OPEN),
            "epoll_ctl" => {
                let operation = match a[1] as i32 {
                    libc::EPOLL_CTL_ADD => "ADD",
                    libc::EPOLL_CTL_DEL => "DEL",
                    _ => "MOD",
                };
                let events = self
                    .memory
                    .word(a[3])
                    .map_or_else(String::new, |events| format!(", {}", flags(u64::from(events), names::EPOLL)));
                format!("{}, {operation}, {}{events}", fd(0), fd(2))
            }
            "epoll_pwait" => format!("{}, time-out {}", fd(0), milliseconds(a[3])),
            "epoll_pwait2" => fd(0),
            "poll" | "ppoll" => self.polled(a[0], a[1], 4),
            "recvfrom" | "sendto" => {
                format!("{}, {} bytes, {}", fd(0), a[2], flags(a[3], names::MESSAGE))
            }
            "read" | "write" => format!("{}, {} bytes", fd(0), a[2]),
            "close" | "fstat" => fd(0),
            "getsockopt" | "setsockopt" => format!("{}, {}", fd(0), names::socket_option(a[1], a[2])),
            "fcntl" if a[1] as i32 == libc::F_SETFL => {
                format!("{}, F_SETFL, {}", fd(0), names::status(a[2]))
            }
            "fcntl" => format!("{}, {}", fd(0), names::control(a[1])),
            "mmap" if signed(a[4]) >= 0 => format!("{}, {} bytes", fd(4), a[1]),
            "mmap" | "munmap" | "madvise" => format!("{} bytes", a[1]),
            "io_uring_setup" => {
                let set_up = self.memory.word(a[1] + 8).unwrap_or_default();
                format!("{} entries, {}", a[0], flags(u64::from(set_up), names::SET_UP).replace('|', " | "))
            }
            "io_uring_register" => format!("{}, {}", fd(0), names::register(a[1])),
            "io_uring_enter" => {
                let entries = self.ring.as_ref().and_then(|ring| ring.handed_over(a[1], &self.memory));
                self.handed_over = entries.unwrap_or_default();
                format!("{}, submit {}, wait for {}, {}", fd(0), a[1], a[2], flags(a[3], names::ENTER))
            }
            _ => "...".to_owned(),
        }
    }

    /// The result of a call that has just returned, and what it means.
    pub(super) fn result(&mut self, call: &str, a: [u64; 6], result: i64) -> (String, String) {
        if result < 0 {
            let errno = Errno::from_raw(-result as i32);
            return (format!("{errno:?}"), failure(call, errno).to_owned());
        }
        let meaning = self.meaning(call, a, result);
        let result = match call {
            "epoll_create1" | "eventfd2" | "io_uring_setup" => self.memory.descriptor(result),
            "mmap" | "brk" => format!("{result:#x}"),
            "fcntl" if a[1] as i32 == libc::F_GETFL => names::status(result as u64),
            "epoll_pwait" | "epoll_pwait2" => format!("{result} [{}]", self.events(a[1], result)),
            _ => result.to_string(),
        };
        (result, meaning)
    }

    fn meaning(&mut self, call: &str, a: [u64; 6], result: i64) -> String {
        match call {
            "epoll_create1" => "the queue: a list of descriptors to watch, kept in the kernel".to_owned(),
            "eventfd2" => "with it other threads wake the port".to_owned(),
            "epoll_ctl" if a[1] as i32 == libc::EPOLL_CTL_ADD => match self.memory.descriptor(signed(a[2])) {
                socket if socket.contains("socket") => "watched from now on; ET: each change is told once".to_owned(),
                _ => "joins the list".to_owned(),
            },
            "epoll_pwait" | "epoll_pwait2" if result == 1 => {
                match self.event(a[1], 0).unwrap_or_default() & libc::EPOLLIN as u32 {
                    0 => "at once: it can be sent to. That is a change, too, but not the one to wait for",
                    _ => "slept until there was something to read. It is still to be fetched",
                }
                .to_owned()
            }
            "poll" | "ppoll" if result > 0 => {
                "slept until there was something to read. It is still to be fetched".to_owned()
            }
            "recvfrom" => format!("fetched: {result} bytes, copied into the lent buffer"),
            "fstat" => "what kind of object is it?".to_owned(),
            "getsockopt" => "what kind of socket is it?".to_owned(),
            "fcntl" if a[1] as i32 == libc::F_SETFL => match a[2] as i32 & libc::O_NONBLOCK {
                0 => "the kernel does the waiting, so the socket may block".to_owned(),
                _ => "a call on it must never block this thread".to_owned(),
            },
            "io_uring_setup" => {
                self.ring = Ring::made(result, a[1], &self.memory);
                "the queue: two rings, one for what to do, one for what is done".to_owned()
            }
            "mmap" if signed(a[4]) >= 0 => {
                if let Some(ring) = &mut self.ring {
                    ring.mapped(signed(a[4]), a[5], result as u64);
                }
                "the rings' memory, shared with the kernel".to_owned()
            }
            "madvise" if a[2] as i32 == libc::MADV_DONTFORK => "a forked child does not get it".to_owned(),
            "madvise" if a[2] as i32 == libc::MADV_WIPEONFORK => {
                "empty in a forked child, which so knows that the port is not its own".to_owned()
            }
            "mmap" | "munmap" | "brk" | "madvise" => "memory of the program".to_owned(),
            "io_uring_register" if a[1] == 8 => "which operations does this kernel know?".to_owned(),
            "io_uring_enter" => {
                let mut text = match self.handed_over.is_empty() {
                    true => String::new(),
                    false => format!("hands over {}; ", self.handed_over.join(", ")),
                };
                text += if a[2] > 0 { "slept until the kernel had filled it" } else { "did not wait" };
                text
            }
            _ => String::new(),
        }
    }

    /// What an epoll_pwait(2) has told about its first descriptors.
    fn events(&self, list: u64, count: i64) -> String {
        let shown = (0..count.min(4) as u64).filter_map(|index| self.event(list, index));
        let mut shown: Vec<String> = shown.map(|events| flags(u64::from(events), names::EPOLL)).collect();
        if count > 4 {
            shown.push("...".to_owned());
        }
        shown.join(", ")
    }

    fn event(&self, list: u64, index: u64) -> Option<u32> {
        self.memory.word(list + index * size_of::<libc::epoll_event>() as u64)
    }

    /// The descriptors of a poll(2), at most `most` of them.
    fn polled(&self, list: u64, count: u64, most: u64) -> String {
        let item = |index: u64| {
            let [a, b, c, d, e, f, ..]: [u8; 8] = self.memory.bytes(list + 8 * index)?;
            let fd = i32::from_ne_bytes([a, b, c, d]);
            let events = u16::from_ne_bytes([e, f]);
            Some(format!("{} {}", self.memory.descriptor(i64::from(fd)), flags(u64::from(events), names::POLL)))
        };
        let mut items: Vec<String> = (0..count.min(most)).filter_map(item).collect();
        if count > most {
            items.push("...".to_owned());
        }
        format!("[{}]", items.join(", "))
    }
}

/// What an error means that belongs to the steps.
fn failure(call: &str, errno: Errno) -> &'static str {
    match (call, errno) {
        ("recvfrom", Errno::EAGAIN) => "tried first: nothing is there yet",
        _ => "",
    }
}

fn milliseconds(argument: u64) -> String {
    match signed(argument) {
        -1 => "none".to_owned(),
        millis => format!("{millis} ms"),
    }
}

/// An argument that is an `int`.
fn signed(argument: u64) -> i64 {
    i64::from(argument as u32 as i32)
}
