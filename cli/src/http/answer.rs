//! The answer to a request: status, header fields and what content follows. No input or output
//! happens here.
//!
//! `connection` asks for an [`Answer`], writes its head in front of the content and sends both.
//! Whether content follows a head is decided here alone, so `Content-Length` and the bytes on the
//! wire cannot disagree: HEAD, 204 and 304 have no content.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::ops::Range;
use std::time::SystemTime;

use http::StatusCode;

use super::conditional::{Selection, Validators};
use super::request::{Method, Request};
use super::site::Document;

/// An answer whose head has not been written yet.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    fields: String,
    /// `Content-Length`; `None` where the status allows none.
    length: Option<u64>,
    /// What has to be sent behind the head.
    pub(crate) content: Content,
}

/// What follows the head.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) enum Content {
    /// Nothing.
    #[default]
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// This part of the file that was asked for. Never empty.
    File(Range<u64>),
}

/// What the answer says about the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Persistence {
    /// HTTP/1.1 stays open unless it says otherwise.
    Stays,
    /// HTTP/1.0 has to be told.
    StaysFor10,
    /// This is the last answer.
    Closes,
}

impl Answer {
    fn new(status: StatusCode) -> Self {
        Answer { status, fields: String::new(), length: Some(0), content: Content::Nothing }
    }

    fn field(mut self, name: &str, value: impl Display) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    fn bytes(mut self, content_type: &str, content: Vec<u8>) -> Self {
        self.length = Some(content.len() as u64);
        self.content = Content::Bytes(content);
        self.field("Content-Type", content_type)
    }

    /// An error with one sentence that says why.
    pub(crate) fn error(status: StatusCode, reason: &str) -> Self {
        let answer = Answer::new(status).bytes("text/plain; charset=utf-8", format!("{status}\n\n{reason}\n").into());
        match status {
            StatusCode::METHOD_NOT_ALLOWED => answer.field("Allow", "GET, HEAD"),
            _ => answer,
        }
    }

    /// The redirection of a folder's address to the one with a slash at its end.
    pub(crate) fn moved(url: &str) -> Self {
        Answer::new(StatusCode::MOVED_PERMANENTLY)
            .bytes("text/plain; charset=utf-8", format!("The folder is at {url}\n").into())
            .field("Location", url)
    }

    /// The generated page of a folder. It may load nothing, whatever its names try.
    pub(crate) fn listing(page: String) -> Self {
        Answer::new(StatusCode::OK)
            .bytes("text/html; charset=utf-8", page.into())
            .field("Cache-Control", "no-cache")
            .field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            .field("X-Content-Type-Options", "nosniff")
    }

    /// A file, or the part of it that `request` wants.
    pub(crate) fn document(request: &Request, document: &Document, now: SystemTime) -> Self {
        let length = document.length;
        let validators = Validators::new(document.modified, length, now);
        let ranges = request.method == Method::Get;
        let selection = request.conditions.evaluate(&validators, length, ranges, now);
        let (status, content) = match selection {
            Selection::Whole if length == 0 => (StatusCode::OK, Content::Nothing),
            Selection::Whole => (StatusCode::OK, Content::File(0..length)),
            Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, Content::File(range)),
            Selection::NotModified => (StatusCode::NOT_MODIFIED, Content::Nothing),
            Selection::PreconditionFailed => {
                return Answer::error(
                    StatusCode::PRECONDITION_FAILED,
                    "The file is not in the state that was asked for.",
                );
            }
            Selection::Unsatisfiable => {
                return Answer::error(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "The file does not have the range that was asked for.",
                )
                .field("Content-Range", format_args!("bytes */{length}"));
            }
        };

        let mut answer = Answer::new(status).field("ETag", &validators.etag);
        if let Some(modified) = validators.modified {
            answer = answer.field("Last-Modified", httpdate::HttpDate::from(modified));
        }
        if status == StatusCode::NOT_MODIFIED {
            answer.length = None;
            return answer;
        }
        answer = answer.field("Content-Type", &document.content_type).field("Accept-Ranges", "bytes");
        if let Content::File(range) = &content {
            answer.length = Some(range.end - range.start);
            if status == StatusCode::PARTIAL_CONTENT {
                answer =
                    answer.field("Content-Range", format_args!("bytes {}-{}/{length}", range.start, range.end - 1));
            }
        }
        answer.content = content;
        answer
    }

    /// The answer to HEAD: the same head, nothing after it.
    pub(crate) fn without_content(self) -> Self {
        Answer { content: Content::Nothing, ..self }
    }

    /// Appends the head to `out`.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>, persistence: Persistence, now: SystemTime) {
        // Writing to a Vec cannot fail.
        let _ =
            write!(out, "HTTP/1.1 {}\r\nServer: anyport\r\nDate: {}\r\n", self.status, httpdate::HttpDate::from(now));
        out.extend_from_slice(self.fields.as_bytes());
        if let Some(length) = self.length {
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        out.extend_from_slice(match persistence {
            Persistence::Stays => b"\r\n",
            Persistence::StaysFor10 => b"Connection: keep-alive\r\n\r\n",
            Persistence::Closes => b"Connection: close\r\n\r\n",
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::http::request::{Parsed, parse};

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn document(length: u64) -> Document {
        Document {
            length,
            modified: Some(now() - Duration::from_secs(60)),
            content_type: "text/plain; charset=utf-8".into(),
        }
    }

    fn request(method: &str, fields: &str) -> Request {
        match parse(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()) {
            Parsed::Complete(request, _) => request,
            other => panic!("{other:?}"),
        }
    }

    fn written(answer: Answer) -> (Vec<String>, Content) {
        let mut out = Vec::new();
        answer.write_head(&mut out, Persistence::Stays, now());
        let text = String::from_utf8(out).unwrap();
        let head = text.strip_suffix("\r\n\r\n").expect("a head ends in an empty line");
        assert!(!head.contains("\r\n\r\n"));
        (head.split("\r\n").map(str::to_owned).collect(), answer.content)
    }

    fn has(lines: &[String], line: &str) -> bool {
        lines.iter().any(|it| it == line)
    }

    #[test]
    fn a_whole_file_has_its_validators_and_length() {
        let (lines, content) = written(Answer::document(&request("GET", ""), &document(10), now()));
        assert_eq!(lines[0], "HTTP/1.1 200 OK");
        for line in [
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "Last-Modified: Sun, 06 Nov 1994 08:48:37 GMT",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Length: 10",
            "Accept-Ranges: bytes",
        ] {
            assert!(has(&lines, line), "{line} is not in {lines:?}");
        }
        assert!(lines.iter().any(|line| line.starts_with("ETag: \"")));
        assert_eq!(content, Content::File(0..10));
    }

    #[test]
    fn a_part_says_where_it_lies() {
        let (lines, content) = written(Answer::document(&request("GET", "Range: bytes=2-5\r\n"), &document(10), now()));
        assert_eq!(lines[0], "HTTP/1.1 206 Partial Content");
        assert!(has(&lines, "Content-Range: bytes 2-5/10") && has(&lines, "Content-Length: 4"));
        assert_eq!(content, Content::File(2..6));
    }

    #[test]
    fn an_unsatisfiable_range_says_how_long_the_file_is() {
        let (lines, _) = written(Answer::document(&request("GET", "Range: bytes=10-\r\n"), &document(10), now()));
        assert_eq!(lines[0], "HTTP/1.1 416 Range Not Satisfiable");
        assert!(has(&lines, "Content-Range: bytes */10"));
    }

    #[test]
    fn not_modified_has_validators_and_neither_length_nor_content() {
        let (lines, content) = written(Answer::document(&request("GET", "If-None-Match: *\r\n"), &document(10), now()));
        assert_eq!(lines[0], "HTTP/1.1 304 Not Modified");
        assert!(lines.iter().any(|line| line.starts_with("ETag: ")));
        assert!(!lines.iter().any(|line| line.starts_with("Content-")));
        assert_eq!(content, Content::Nothing);
    }

    #[test]
    fn head_has_the_head_of_get_and_no_content() {
        let get = written(Answer::document(&request("GET", ""), &document(10), now()));
        let head = written(Answer::document(&request("HEAD", ""), &document(10), now()).without_content());
        assert_eq!(get.0, head.0);
        assert_eq!(head.1, Content::Nothing);
    }

    #[test]
    fn an_empty_file_is_complete_with_its_head() {
        let (lines, content) = written(Answer::document(&request("GET", ""), &document(0), now()));
        assert!(has(&lines, "Content-Length: 0"));
        assert_eq!(content, Content::Nothing);
    }

    #[test]
    fn a_method_that_is_not_allowed_is_told_which_are() {
        let (lines, content) = written(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "No."));
        assert!(has(&lines, "Allow: GET, HEAD"));
        let Content::Bytes(bytes) = content else { panic!("no content") };
        assert!(has(&lines, &format!("Content-Length: {}", bytes.len())));
        assert_eq!(bytes, b"405 Method Not Allowed\n\nNo.\n");
    }

    #[test]
    fn the_head_says_whether_the_connection_stays() {
        for (persistence, end) in [
            (Persistence::Stays, "Content-Length: 0\r\n\r\n"),
            (Persistence::StaysFor10, "\r\nConnection: keep-alive\r\n\r\n"),
            (Persistence::Closes, "\r\nConnection: close\r\n\r\n"),
        ] {
            let mut out = Vec::new();
            Answer::new(StatusCode::OK).write_head(&mut out, persistence, now());
            assert!(String::from_utf8(out).unwrap().ends_with(end), "{persistence:?}");
        }
    }
}
