//! Conditional and range requests (RFC 9110, sections 13 and 14): what is to be sent of a
//! representation, if anything.
//!
//! `request` collects the fields in [`Conditions`]; `answer` asks [`Conditions::evaluate`] once the
//! file is open. The order of the checks is that of RFC 9110, section 13.2.2, and is stated in one
//! place, `evaluate`. A field that cannot be read is ignored where the RFC says so and fails where
//! the RFC wants a match.
//!
//! A request for several ranges gets the whole representation, which section 14.2 allows: the
//! clients that ask for several (PDF readers) cope, and a server that assembles multipart answers
//! can be asked for much more than the file holds.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The fields that a condition or a range is made of, as received; a repeated field is joined by
/// commas.
#[derive(Default, Debug)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) if_unmodified_since: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) range: Option<String>,
}

/// What names one state of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Validators {
    /// A strong entity tag with its quotes: it changes with each change of modification time or
    /// length.
    pub(crate) etag: String,
    /// The time of the last modification in whole seconds, never later than now; `None` where HTTP
    /// cannot write it.
    pub(crate) modified: Option<SystemTime>,
}

/// What to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selection {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes: never empty, never beyond the end.
    Part(Range<u64>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

impl Validators {
    /// The validators of a file of `length` bytes that was last modified at `modified`.
    pub(crate) fn new(modified: Option<SystemTime>, length: u64, now: SystemTime) -> Self {
        // Signed nanoseconds, so that times before 1970 have tags too.
        let stamp = match modified.map(|time| time.duration_since(UNIX_EPOCH)) {
            Some(Ok(after)) => after.as_nanos() as i128,
            Some(Err(before)) => -(before.duration().as_nanos() as i128),
            None => 0,
        };
        let seconds = modified
            .map(|time| time.min(now))
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map(|since| UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        Validators { etag: format!("\"{stamp:x}-{length:x}\""), modified: seconds }
    }
}

impl Conditions {
    /// Takes a header field; one that is no condition is left alone.
    pub(crate) fn field(&mut self, name: &str, value: &[u8]) {
        let slot = if name.eq_ignore_ascii_case("if-match") {
            &mut self.if_match
        } else if name.eq_ignore_ascii_case("if-none-match") {
            &mut self.if_none_match
        } else if name.eq_ignore_ascii_case("if-modified-since") {
            &mut self.if_modified_since
        } else if name.eq_ignore_ascii_case("if-unmodified-since") {
            &mut self.if_unmodified_since
        } else if name.eq_ignore_ascii_case("if-range") {
            &mut self.if_range
        } else if name.eq_ignore_ascii_case("range") {
            &mut self.range
        } else {
            return;
        };
        let value = String::from_utf8_lossy(value.trim_ascii());
        match slot {
            Some(known) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            None => *slot = Some(value.into_owned()),
        }
    }

    /// What to send of a representation of `length` bytes to a GET (`ranges`) or HEAD, which knows
    /// no ranges.
    pub(crate) fn evaluate(&self, it: &Validators, length: u64, ranges: bool, now: SystemTime) -> Selection {
        // 1. and 2.: If-Match, or else If-Unmodified-Since.
        if let Some(tags) = &self.if_match {
            if !any_tag(tags, |tag, weak| !weak && tag == it.etag) {
                return Selection::PreconditionFailed;
            }
        } else if let (Some(since), Some(modified)) = (date(&self.if_unmodified_since), it.modified)
            && modified > since
        {
            return Selection::PreconditionFailed;
        }
        // 3. and 4.: If-None-Match, or else If-Modified-Since.
        if let Some(tags) = &self.if_none_match {
            if any_tag(tags, |tag, _| tag == it.etag) {
                return Selection::NotModified;
            }
        } else if let (Some(since), Some(modified)) = (date(&self.if_modified_since), it.modified)
            && modified <= since
        {
            return Selection::NotModified;
        }
        // 5.: Range, if If-Range agrees.
        match &self.range {
            Some(range) if ranges && self.range_applies(it, now) => select(range, length),
            _ => Selection::Whole,
        }
    }

    fn range_applies(&self, it: &Validators, now: SystemTime) -> bool {
        let Some(condition) = &self.if_range else {
            return true;
        };
        if condition.starts_with('"') || condition.starts_with("W/") {
            return *condition == it.etag;
        }
        // A date is a strong validator only if the file cannot have changed twice within its
        // second.
        httpdate::parse_http_date(condition)
            .ok()
            .is_some_and(|date| it.modified == Some(date) && date + Duration::from_secs(1) < now)
    }
}

fn date(field: &Option<String>) -> Option<SystemTime> {
    httpdate::parse_http_date(field.as_deref()?).ok()
}

/// Whether `matches(tag, weak)` holds for one of the entity tags of a list; `*` stands for whatever
/// is there.
fn any_tag(list: &str, matches: impl Fn(&str, bool) -> bool) -> bool {
    if list == "*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (tag, weak) = match rest.strip_prefix("W/") {
            Some(tag) => (tag, true),
            None => (rest, false),
        };
        // From the opening quote to the closing one; a tag knows no escapes.
        let Some(end) = tag.strip_prefix('"').and_then(|inside| inside.find('"')) else {
            return false;
        };
        let (tag, after) = tag.split_at(end + 2);
        if matches(tag, weak) {
            return true;
        }
        rest = after;
    }
}

/// The part of `length` bytes that a `Range` field selects. One that cannot be read selects
/// everything.
fn select(range: &str, length: u64) -> Selection {
    let Some((unit, set)) = range.split_once('=') else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    // Empty members of a list are allowed and mean nothing.
    let mut specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else {
        return Selection::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Selection::Whole;
    };
    let part = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length - suffix.min(length)..length,
        _ => return Selection::Whole,
    };
    if part.is_empty() { Selection::Unsatisfiable } else { Selection::Part(part) }
}

/// A decimal position; one that no file is long enough for counts as the largest.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(784_111_777 + 3600);
    const LENGTH: u64 = 1000;

    fn now() -> SystemTime {
        UNIX_EPOCH + NOW
    }

    /// A file modified at Sun, 06 Nov 1994 08:49:37 GMT, and a bit.
    fn file() -> Validators {
        Validators::new(Some(UNIX_EPOCH + Duration::from_millis(784_111_777_250)), LENGTH, now())
    }

    fn evaluate(fields: &[(&str, &str)]) -> Selection {
        let mut conditions = Conditions::default();
        for (name, value) in fields {
            conditions.field(name, value.as_bytes());
        }
        conditions.evaluate(&file(), LENGTH, true, now())
    }

    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn a_tag_changes_with_time_and_length() {
        let at = |nanos, length| Validators::new(Some(UNIX_EPOCH + Duration::from_nanos(nanos)), length, now()).etag;
        // Windows counts in steps of 100 ns.
        assert_eq!(at(500, 5), at(500, 5));
        assert_ne!(at(500, 5), at(600, 5));
        assert_ne!(at(500, 5), at(500, 6));
        let before = Validators::new(Some(UNIX_EPOCH - Duration::from_nanos(500)), 5, now());
        assert_ne!(before.etag, at(500, 5));
        assert_eq!(before.modified, None);
    }

    #[test]
    fn the_date_sent_is_in_whole_seconds_and_never_in_the_future() {
        let date = file().modified.map(httpdate::fmt_http_date);
        assert_eq!(date.as_deref(), Some(SAME));
        let future = Validators::new(Some(now() + Duration::from_secs(60)), 1, now());
        assert_eq!(future.modified, Some(now()));
    }

    #[test]
    fn if_match_is_a_strong_comparison() {
        let tag = file().etag;
        assert_eq!(evaluate(&[("If-Match", &tag)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Match", "*")]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Match", &format!("\"a,b\", {tag}"))]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Match", "\"x\""), ("if-match", &tag)]), Selection::Whole);
        for failing in ["\"x\"", &format!("W/{tag}"), "", "garbage", tag.trim_matches('"')] {
            assert_eq!(evaluate(&[("If-Match", failing)]), Selection::PreconditionFailed, "{failing}");
        }
    }

    #[test]
    fn if_none_match_is_a_weak_comparison() {
        let tag = file().etag;
        for matching in [tag.as_str(), "*", &format!("W/{tag}"), &format!(", \"x\" ,{tag}")] {
            assert_eq!(evaluate(&[("If-None-Match", matching)]), Selection::NotModified, "{matching}");
        }
        assert_eq!(evaluate(&[("If-None-Match", "\"x\"")]), Selection::Whole);
    }

    #[test]
    fn dates_are_compared_by_the_second() {
        assert_eq!(evaluate(&[("If-Modified-Since", SAME)]), Selection::NotModified);
        assert_eq!(evaluate(&[("If-Modified-Since", AFTER)]), Selection::NotModified);
        assert_eq!(evaluate(&[("If-Modified-Since", BEFORE)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Unmodified-Since", SAME)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Unmodified-Since", AFTER)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Unmodified-Since", BEFORE)]), Selection::PreconditionFailed);
    }

    #[test]
    fn a_date_that_cannot_be_read_is_ignored() {
        assert_eq!(evaluate(&[("If-Modified-Since", "yesterday")]), Selection::Whole);
        assert_eq!(evaluate(&[("If-Unmodified-Since", "yesterday")]), Selection::Whole);
        // The two obsolete formats count as dates.
        assert_eq!(evaluate(&[("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")]), Selection::NotModified);
        assert_eq!(evaluate(&[("If-Modified-Since", "Sun Nov  6 08:49:37 1994")]), Selection::NotModified);
    }

    #[test]
    fn a_tag_wins_over_a_date_and_a_412_over_a_304() {
        let tag = file().etag;
        assert_eq!(evaluate(&[("If-Match", &tag), ("If-Unmodified-Since", BEFORE)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-None-Match", "\"x\""), ("If-Modified-Since", SAME)]), Selection::Whole);
        assert_eq!(evaluate(&[("If-None-Match", &tag), ("If-Match", "\"x\"")]), Selection::PreconditionFailed);
        assert_eq!(
            evaluate(&[("If-Unmodified-Since", BEFORE), ("If-Modified-Since", SAME)]),
            Selection::PreconditionFailed
        );
        assert_eq!(evaluate(&[("If-None-Match", &tag), ("Range", "bytes=0-0")]), Selection::NotModified);
        assert_eq!(evaluate(&[("If-Match", &tag), ("Range", "bytes=0-0")]), Selection::Part(0..1));
    }

    #[test]
    fn a_range_selects_what_it_says() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-499", 0..500),
            ("bytes=500-", 500..1000),
            ("bytes=999-", 999..1000),
            ("bytes=990-5000", 990..1000),
            ("bytes=990-99999999999999999999999", 990..1000),
            ("bytes=-1", 999..1000),
            ("bytes=-5000", 0..1000),
            ("BYTES= 1-2 ", 1..3),
            ("bytes=,1-2,", 1..3),
        ] {
            assert_eq!(evaluate(&[("Range", range)]), Selection::Part(expected), "{range}");
        }
    }

    #[test]
    fn a_range_with_nothing_in_it_is_unsatisfiable() {
        for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(evaluate(&[("Range", range)]), Selection::Unsatisfiable, "{range}");
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            assert_eq!(select(range, 0), Selection::Unsatisfiable, "{range}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_read_or_is_several_gives_the_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=5",
            "bytes=5-4",
            "bytes=-",
            "bytes=--1",
            "bytes=+1-2",
            "lines=1-2",
            "bytes=0-1,3-4",
        ] {
            assert_eq!(evaluate(&[("Range", range)]), Selection::Whole, "{range}");
        }
    }

    #[test]
    fn if_range_guards_the_range() {
        let tag = file().etag;
        let range = ("Range", "bytes=0-0");
        assert_eq!(evaluate(&[range, ("If-Range", &tag)]), Selection::Part(0..1));
        assert_eq!(evaluate(&[range, ("If-Range", SAME)]), Selection::Part(0..1));
        for failing in ["\"x\"", &format!("W/{tag}"), BEFORE, AFTER, "garbage"] {
            assert_eq!(evaluate(&[range, ("If-Range", failing)]), Selection::Whole, "{failing}");
        }
        // An unsatisfiable range that the condition rules out is no error.
        assert_eq!(evaluate(&[("Range", "bytes=5000-"), ("If-Range", "\"x\"")]), Selection::Whole);
    }

    #[test]
    fn if_range_with_a_date_needs_a_file_that_rested_for_a_second() {
        let mut conditions = Conditions::default();
        conditions.field("range", b"bytes=0-0");
        conditions.field("if-range", SAME.as_bytes());
        let just_now = UNIX_EPOCH + Duration::from_millis(784_111_777_900);
        assert_eq!(conditions.evaluate(&file(), LENGTH, true, just_now), Selection::Whole);
    }

    #[test]
    fn a_head_request_knows_no_ranges() {
        let mut conditions = Conditions::default();
        conditions.field("range", b"bytes=0-0");
        assert_eq!(conditions.evaluate(&file(), LENGTH, false, now()), Selection::Whole);
    }

    proptest! {
        #[test]
        fn a_selected_part_lies_within_the_file(range in "bytes=[0-9]{0,4}-[0-9]{0,4}", length in 0u64..3000) {
            if let Selection::Part(part) = select(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }

        #[test]
        fn no_list_of_tags_makes_the_parser_panic_or_loop(list in "[\"W/*, a\u{e9}]{0,30}") {
            let _ = any_tag(&list, |_, _| false);
        }
    }
}
