//! Why Anyport is behind somebody in a cell: what somebody has measured, never a guess. How far it is behind, a run tells.

/// Why it is so in the cells of a kind.
struct Cause {
    /// How the cell's title begins.
    cell: &'static str,
    /// Who of Anyport is behind.
    who: &'static [&'static str],
    /// Who is ahead.
    with: &'static [&'static str],
    why: &'static str,
}

const CAUSES: &[Cause] = &[
    Cause {
        cell: "echo: 64 connections",
        who: &["anyport, epoll"],
        with: &["by hand, epoll"],
        why: "Both loops make the same calls. By samples of the processor (perf record -e cpu-clock on each server), \
              Anyport's share outside of the kernel is twice the hand-written loop's, which is little but the way back from \
              each call: 4 % of a request at 64 B. It was 990 instructions (valgrind --tool=callgrind, before the \
              port received a few times in a row) to submit, order, settle and complete a receive and a send, against 75, \
              and what they take depends on the processor: the kernel's part has pushed them and their data out of its first \
              cache. That part is smaller on the port, because it receives in a row; mostly this makes up for it.",
    },
    Cause {
        cell: "echo: 1 connection,",
        who: &["anyport, epoll", "anyport, poll"],
        with: &["by hand, epoll", "mio"],
        why: "Each request is a wait, a receive and a send, on each of these loops. By samples of the processor (perf record -a \
              -C 1 -e cpu-clock beside --only \"1 connection, 16 KiB\" --who NAME), Anyport is 8 to 9 % of a request outside of \
              the kernel, the loop by hand and mio 4 to 5 %, which is all of the difference.",
    },
    Cause {
        cell: "churn",
        who: &["anyport, io_uring"],
        with: &["by hand, io_uring multishot"],
        why: "A connection is five operations, and nearly each has a wait of its own, on both loops (calls/connection). By \
              samples of the processor (perf record -e cpu-clock), Anyport is a tenth of the time outside of the kernel, the \
              loop by hand a twentieth: what a wait and an operation take is spread over nothing, and has been pushed out of \
              the first cache by the kernel each time. That is more than half of the difference; the rest is spread over the \
              kernel, which keeps this loop's connections in a table of the ring, where Anyport's are descriptors that \
              anybody may use.",
    },
    Cause {
        cell: "udp: 64 clients",
        who: &["anyport, io_uring"],
        with: &["by hand, io_uring multishot"],
        why: "The loop by hand has the answers to many clients under way at once and does not care for their order, which \
              Anyport keeps (C5): a socket has one send with the kernel, so each answer takes a call (calls/request).",
    },
    Cause {
        cell: "udp: a flood of datagrams",
        who: &["anyport, epoll", "anyport, poll"],
        with: &["by hand, epoll", "mio"],
        why: "Both loops make the same calls. Measured apart, on receives that find a datagram, the port's own work on each \
              - a receive submitted with its buffer, and a completion that brings the buffer and the sender's address - \
              is about the whole of the difference.",
    },
    Cause {
        cell: "udp: a flood of datagrams",
        who: &["anyport, io_uring"],
        with: &["by hand, io_uring multishot"],
        why: "Both loops make the same calls, and few datagrams have come by the time of each. By samples of the processor \
              (perf record -e cpu-clock), Anyport is 7 % of the time outside of the kernel, the loop by hand 2 %, which is \
              all of the difference: a wait, and a completion that owns its buffer and brings the sender's address as a \
              value, where the loop by hand does not look at it.",
    },
    Cause {
        cell: "file: random reads of 4096 B from the page cache",
        who: &["anyport, epoll", "anyport, poll"],
        with: &["by hand, pread one by one"],
        why: "A loop that calls pread(2) waits for the disk when it has to; a port must not, and asks by preadv2(2) with \
              RWF_NOWAIT. Measured apart, that call alone makes two thirds of the difference. The rest is the way through \
              the queue.",
    },
    Cause {
        cell: "file: random reads of 4096 B from the page cache",
        who: &["anyport, io_uring"],
        with: &["by hand, pread one by one"],
        why: "A loop that calls pread(2) waits for the disk when it has to, and needs no queue. A port must not wait, and \
              what a ring takes for each request, whoever fills it, the same table has: by hand, io_uring. The port's own \
              part is what Anyport takes more than that.",
    },
    Cause {
        cell: "file: random reads of 4096 B from the page cache",
        who: &["anyport, io_uring"],
        with: &["by hand, io_uring"],
        why: "By samples of the processor (perf record -e cpu-clock), Anyport is 6 % of a read outside of the kernel, the loop by \
              hand 1 %, which is all of the difference: it has a read to submit, order, settle and complete, \
              where the loop by hand has the number of a buffer.",
    },
    Cause {
        cell: "file: append 4096 B and sync",
        who: &["anyport, io_uring"],
        with: &["by hand, pwrite + fdatasync", "by hand, on another thread of the core"],
        why: "Who calls fdatasync(2) sleeps until the disk is done. A port's thread must not, so the kernel hands the sync of \
              a ring to a thread of its own, which wakes the port's when it is done. The same table has what that takes \
              with nothing in between: by hand, io_uring. It also has what it takes to hand all to another thread and no \
              ring: little on the same core, more where another core has to wake.",
    },
    Cause {
        cell: "ready: one active socket, oneshot",
        who: &["anyport, epoll"],
        with: &["by hand, epoll"],
        why: "Both loops make the same calls, one wait an event. Anyport's wait goes on after a signal with what is left of the \
              time, can be ended by another thread, and refuses a second thread that waits. The loop by hand \
              (measure/src/ready/by_hand.rs) does not. Changed to read the clock in each wait, it took 1.03 of its time, to watch \
              an eventfd, too, 1.03, to try a lock, too, 1.05; Anyport took 1.06 of it in the same interleaved run.",
    },
];

/// Why `who` is behind `with` in the cell of this title, if that has been measured.
pub(crate) fn cause(title: &str, who: &str, with: &str) -> Option<&'static str> {
    let fits = |cause: &&Cause| title.starts_with(cause.cell) && cause.who.contains(&who) && cause.with.contains(&with);
    CAUSES.iter().find(fits).map(|cause| cause.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cells, loops};
    use anyport::Backend;
    use measure::affinity::Cores;
    use measure::plan::{Candidate, Plan};
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn a_cause_belongs_to_cells_and_to_who_is_in_them() {
        let cores = Cores::choose().unwrap();
        let backends = Backend::ALL.iter().copied().map(Candidate::check).collect();
        let plan = Plan { quick: false, rounds: 1, cores, backends };
        let setting = cells::Setting {
            program: PathBuf::new(),
            cores,
            rounds: 1,
            window: Duration::from_millis(1),
            short_window: Duration::from_millis(1),
            who: None,
        };
        let tasks = cells::tasks(false);
        let loops = loops::contests(&plan).unwrap().into_iter().map(|(contest, _)| contest);
        let contests: Vec<_> = tasks.iter().map(|task| task.contest(&setting)).chain(loops).collect();

        // Four sizes of a message, twice; the churn; the ping-pong; the flood, twice; reads at three depths, three times;
        // the journal; the one active socket.
        let expected = [4, 4, 1, 1, 1, 1, 3, 3, 3, 1, 1];
        assert_eq!(CAUSES.len(), expected.len());
        for (known, expected) in CAUSES.iter().zip(expected) {
            let pairs = || known.who.iter().flat_map(|who| known.with.iter().map(move |with| (*who, *with)));
            let told = contests.iter().filter(|contest| {
                let title = format!("{}: {}", contest.benchmark, contest.work);
                let here = |name| contest.contestants.iter().any(|contestant| contestant.name == name);
                pairs().all(|(who, with)| here(who) && here(with) && cause(&title, who, with) == Some(known.why))
            });
            assert_eq!(told.count(), expected, "{}", known.cell);
        }
    }
}
