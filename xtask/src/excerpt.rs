//! What is kept of a command's output for who reads no more than the end of a long log: which tests failed, what they
//! said, and the last lines before the command ended. `command` feeds it each line, `report` prints it for a failed step.
//!
//! Invariant: it holds a bounded part of the output, in order, each line once.

use std::collections::VecDeque;

/// Lines kept of the end.
const TAIL: usize = 40;
/// Lines kept of what failed tests said, of all test binaries together.
const FAILURES: usize = 200;

/// A line and its place in the output.
type Line = (usize, String);

/// The part of an output that is worth reading again.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    seen: usize,
    tail: VecDeque<Line>,
    failures: Vec<Line>,
    in_failures: bool,
    /// Lines still to come of a panic's message.
    of_panic: u8,
    failed: Vec<String>,
}

impl Excerpt {
    /// Takes the next line of the output.
    pub(crate) fn feed(&mut self, line: &str) {
        let plain = without_colours(line);
        let line = (self.seen, line.trim_end().to_owned());
        self.seen += 1;
        if let Some(name) = failed_test(&plain)
            && !self.failed.iter().any(|known| known == name)
        {
            self.failed.push(name.to_owned());
        }
        // Both libtest and libtest-mimic print such a section behind the tests, and end it with their result.
        self.in_failures = (self.in_failures || plain.trim_end() == "failures:") && !plain.starts_with("test result:");
        // A panic says where it was when it happens, and only there.
        self.of_panic = if plain.contains(" panicked at ") { 2 } else { self.of_panic.saturating_sub(1) };
        if (self.in_failures || self.of_panic > 0) && self.failures.len() < FAILURES {
            self.failures.push(line.clone());
        }
        self.tail.push_back(line);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    /// The names of the tests that failed, in the order they did.
    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }

    /// At most `most` lines: as much of the end as half of them hold, and what the failed tests said before it. Where
    /// lines are left out between, a line says so.
    pub(crate) fn lines(&self, most: usize) -> Vec<&str> {
        let mut tail = self.tail.len().min(most.div_ceil(2));
        let from = |tail: usize| self.seen - tail;
        // What the sections of failures leave is the end's.
        let before = self.failures.iter().take_while(|line| line.0 < from(tail)).count();
        tail = self.tail.len().min(tail.max(most.saturating_sub(before)));
        let said = self.failures.iter().take_while(|line| line.0 < from(tail)).take(most - tail);
        let end = self.tail.iter().skip(self.tail.len() - tail);
        let mut lines = Vec::new();
        let mut next = 0;
        for (place, line) in said.chain(end) {
            if *place > next {
                lines.push("[...]");
            }
            lines.push(line);
            next = place + 1;
        }
        lines
    }
}

/// The name in `test NAME ... FAILED`, or of a test that did not end (the contract suite's harness).
fn failed_test(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(hung) = line.strip_prefix("hung: ") {
        return hung.split_whitespace().next();
    }
    let name = line.strip_prefix("test ")?.strip_suffix("FAILED")?.trim_end();
    name.strip_suffix("...").map(str::trim_end)
}

/// `line` without the sequences that colour a terminal's text: an escape, a bracket, numbers and a letter.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let is_letter = |c: char| c.is_ascii_alphabetic();
    parts.fold(first, |plain, part| plain + part.split_once(is_letter).map_or("", |(_, text)| text))
}

#[cfg(test)]
mod excerpts {
    use super::{Excerpt, TAIL, without_colours};

    /// A run of tests with a failed one, of `before` lines before that and `behind` lines after it.
    fn run(before: usize, behind: usize) -> Excerpt {
        let mut excerpt = Excerpt::default();
        (0..before).for_each(|n| excerpt.feed(&format!("test early::{n} ... ok")));
        for line in [
            "test epoll::c04::close_completes_last                 ... \u{1b}[31mFAILED\u{1b}[0m",
            "failures:",
            "",
            "---- epoll::c04::close_completes_last ----",
            "two completions, not one",
            "",
            "failures:",
            "    epoll::c04::close_completes_last",
            "",
            "test result: FAILED. 9 passed; 1 failed",
        ] {
            excerpt.feed(line);
        }
        (0..behind).for_each(|n| excerpt.feed(&format!("test late::{n} ... ok")));
        excerpt
    }

    #[test]
    fn a_failed_test_is_named_once_and_a_hung_one_too() {
        let mut excerpt = run(3, 3);
        excerpt.feed("hung: poll::c08::timers is not over after 120 s; giving up");
        assert_eq!(excerpt.failed(), ["epoll::c04::close_completes_last", "poll::c08::timers"]);
    }

    #[test]
    fn what_failed_tests_said_is_kept_however_much_follows() {
        let excerpt = run(1000, 1000);
        let lines = excerpt.lines(80);
        assert!(lines.contains(&"two completions, not one"), "{lines:#?}");
        assert_eq!(lines.iter().filter(|&&line| line == "[...]").count(), 2, "{lines:#?}");
        assert_eq!(lines.last(), Some(&"test late::999 ... ok"));
        assert!(lines.contains(&"test late::960 ... ok") && lines.len() <= 80 + 2);
    }

    #[test]
    fn where_a_panic_was_is_kept() {
        let mut excerpt = Excerpt::default();
        excerpt.feed("thread 'main' (7) panicked at tests/contract/c04_close.rs:40:9:");
        excerpt.feed("two completions, not one");
        (0..1000).for_each(|n| excerpt.feed(&format!("test late::{n} ... ok")));
        assert_eq!(excerpt.lines(80)[1..3], ["two completions, not one", "[...]"]);
    }

    #[test]
    fn no_line_comes_twice_and_none_is_left_out_where_there_is_room() {
        let excerpt = run(10, 10);
        assert_eq!(excerpt.lines(80).len(), 30);
        assert_eq!(excerpt.lines(80)[0], "test early::0 ... ok");
        assert_eq!(run(10, 20).lines(80).len(), TAIL);
    }

    #[test]
    fn a_small_share_holds_both_the_end_and_what_was_said() {
        let excerpt = run(1000, 1000);
        let lines = excerpt.lines(10);
        assert!(lines.contains(&"two completions, not one") && lines.contains(&"test late::999 ... ok"), "{lines:#?}");
        assert!(lines.len() <= 10 + 2);
    }

    #[test]
    fn colours_are_no_part_of_a_name() {
        assert_eq!(without_colours("\u{1b}[1m\u{1b}[32mok\u{1b}[0m. 3"), "ok. 3");
        assert_eq!(without_colours("plain [1m"), "plain [1m");
    }
}
