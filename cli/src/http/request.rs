//! The head of a request: from the bytes received so far to a [`Request`], or to the reason why
//! there will never be one.
//!
//! `connection` calls [`parse`] whenever more bytes came in. The framing rules live here and only
//! here: a request that brings content (`Content-Length` above zero, any `Transfer-Encoding`) is
//! answered without reading that content and its connection is closed, so no byte of a body can
//! ever be taken for the next request.

use std::fmt::Write as _;

use http::StatusCode;

use super::conditional::Conditions;

/// The longest request head, in bytes, from the method to the empty line. Beyond it: 431.
pub(crate) const HEAD_LIMIT: usize = 16 * 1024;
/// The longest request target, in bytes. Beyond it: 414.
pub(crate) const TARGET_LIMIT: usize = 8 * 1024;
/// The most header fields. Beyond it: 431.
const FIELD_LIMIT: usize = 100;

/// What the server can do with a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    /// Send the representation.
    Get,
    /// Send its head only.
    Head,
    /// Anything else: 405.
    Other,
}

/// A well-formed request whose framing is known.
#[derive(Debug)]
pub(crate) struct Request {
    /// What is asked for.
    pub(crate) method: Method,
    /// The request target as received; `target` decodes it.
    pub(crate) target: String,
    /// The request line, for the log.
    pub(crate) line: String,
    /// HTTP/1.0: the answer must say so if the connection stays open.
    pub(crate) http10: bool,
    /// The client allows another request on this connection and this one brings no content that
    /// would have to be skipped.
    pub(crate) keep_alive: bool,
    /// The request brings content, which is refused.
    pub(crate) has_content: bool,
    /// Preconditions and range.
    pub(crate) conditions: Conditions,
}

/// Why a request is answered with an error. Nothing after it on the connection can be trusted to be
/// a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// 400, 414, 431 or 505.
    pub(crate) status: StatusCode,
    /// One sentence for the person at the other end.
    pub(crate) reason: &'static str,
    /// As much of the request line as there is, for the log.
    pub(crate) line: String,
}

/// The outcome of [`parse`].
#[derive(Debug)]
pub(crate) enum Parsed {
    /// The head has not ended yet.
    Incomplete,
    /// A request, and the length of its head in the input.
    Complete(Request, usize),
    /// There is no way to go on.
    Malformed(Malformed),
}

/// Parses the request at the start of `input`.
pub(crate) fn parse(input: &[u8]) -> Parsed {
    match parse_head(input) {
        Ok(Some((request, length))) => Parsed::Complete(request, length),
        Ok(None) => Parsed::Incomplete,
        Err((status, reason)) => Parsed::Malformed(Malformed { status, reason, line: first_line(input) }),
    }
}

type Refused = (StatusCode, &'static str);

fn bad(reason: &'static str) -> Refused {
    (StatusCode::BAD_REQUEST, reason)
}

fn parse_head(input: &[u8]) -> Result<Option<(Request, usize)>, Refused> {
    const TARGET_TOO_LONG: Refused = (StatusCode::URI_TOO_LONG, "The request target is too long.");
    const HEAD_TOO_LONG: Refused = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request head is too long.");

    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(httparse::Status::Complete(_)) => return Err(HEAD_TOO_LONG),
        Ok(httparse::Status::Partial) => {
            let line_ended = head.version.is_some();
            return match input.len() {
                // "GET " and " HTTP/1.1" come on top of the target; no method here is longer than
                // the slack.
                n if !line_ended && n > TARGET_LIMIT + 32 => Err(TARGET_TOO_LONG),
                n if n >= HEAD_LIMIT => Err(HEAD_TOO_LONG),
                _ => Ok(None),
            };
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields."));
        }
        Err(httparse::Error::Version) if names_http(input) => {
            return Err((StatusCode::HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1 and HTTP/1.0."));
        }
        Err(_) => return Err(bad("The request is malformed.")),
    };

    // Complete means all three are there.
    let method = head.method.unwrap_or_default();
    let target = head.path.unwrap_or_default();
    let http10 = head.version == Some(0);
    if target.len() > TARGET_LIMIT {
        return Err(TARGET_TOO_LONG);
    }

    let mut framing = Framing::default();
    let mut hosts = 0;
    let mut connection = Connection::default();
    let mut conditions = Conditions::default();
    for field in head.headers.iter() {
        let name = field.name;
        if name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if !plausible_host(field.value) {
                return Err(bad("The Host field is malformed."));
            }
        } else if name.eq_ignore_ascii_case("content-length") {
            framing.content_length(field.value)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing.transfer_encoding(field.value)?;
        } else if name.eq_ignore_ascii_case("connection") {
            connection.field(field.value);
        } else {
            conditions.field(name, field.value);
        }
    }
    if hosts > 1 {
        return Err(bad("The request has more than one Host field."));
    }
    if hosts == 0 && !http10 {
        return Err(bad("An HTTP/1.1 request needs a Host field."));
    }
    let has_content = framing.has_content(http10)?;

    let mut line = String::with_capacity(method.len() + target.len() + 10);
    let _ = write!(line, "{method} {target} HTTP/1.{}", u8::from(!http10));
    let request = Request {
        method: match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            _ => Method::Other,
        },
        target: target.to_owned(),
        line,
        http10,
        keep_alive: !has_content && connection.stays_open(http10),
        has_content,
        conditions,
    };
    Ok(Some((request, length)))
}

/// How long the content of a request is. Whatever two parties could read differently is malformed.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refused> {
        let digits = value.trim_ascii();
        let length = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(bad("The Content-Length field is malformed."))?;
        match self.length.replace(length) {
            Some(other) if other != length => Err(bad("Two Content-Length fields disagree.")),
            _ => Ok(()),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refused> {
        // Only "chunked", once, says where the content ends. Other codings are not offered by this
        // server.
        if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(bad("The transfer coding is not supported."));
        }
        self.chunked = true;
        Ok(())
    }

    fn has_content(&self, http10: bool) -> Result<bool, Refused> {
        if self.chunked && (http10 || self.length.is_some()) {
            return Err(bad("The length of the request's content is ambiguous."));
        }
        Ok(self.chunked || self.length.unwrap_or(0) > 0)
    }
}

/// What the `Connection` fields ask for.
#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    fn field(&mut self, value: &[u8]) {
        for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn stays_open(&self, http10: bool) -> bool {
        !self.close && (!http10 || self.keep_alive)
    }
}

/// The bytes of `uri-host [":" port]`, loosely: what matters is that no second field or target
/// hides in there.
fn plausible_host(value: &[u8]) -> bool {
    value.trim_ascii().iter().all(|&b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%[]:".contains(&b))
}

/// Whether the third word of the request line is an HTTP version, known here or not.
fn names_http(input: &[u8]) -> bool {
    let line = input.trim_ascii_start();
    let mut words = line.split(|&b| b == b' ' || b == b'\n');
    words.nth(2).is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// The request line as far as it can be shown, at most 256 bytes of it.
pub(crate) fn first_line(input: &[u8]) -> String {
    let line = input.trim_ascii_start();
    let line = line.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or(line);
    String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(input: &str) -> Request {
        match parse(input.as_bytes()) {
            Parsed::Complete(request, length) => {
                assert_eq!(length, input.len());
                request
            }
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn status(input: &[u8]) -> u16 {
        match parse(input) {
            Parsed::Malformed(malformed) => malformed.status.as_u16(),
            other => panic!("{:?}: {other:?}", String::from_utf8_lossy(input)),
        }
    }

    fn get(fields: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn a_request_is_its_line_and_the_fields_that_matter() {
        let request = complete("GET /a%20b?q HTTP/1.1\r\nhost: localhost:80\r\nRange: bytes=0-1\r\n\r\n");
        assert_eq!(request.method, Method::Get);
        assert_eq!(request.target, "/a%20b?q");
        assert_eq!(request.line, "GET /a%20b?q HTTP/1.1");
        assert_eq!(request.conditions.range.as_deref(), Some("bytes=0-1"));
        assert!(request.keep_alive && !request.http10 && !request.has_content);
    }

    #[test]
    fn pipelined_requests_are_taken_one_by_one() {
        let one = get("");
        let two = format!("{one}HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
        match parse(two.as_bytes()) {
            Parsed::Complete(_, length) => assert_eq!(length, one.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_connection_stays_open_as_the_version_and_the_client_say() {
        assert!(complete("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: y,close\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_request_with_content_never_keeps_the_connection() {
        for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            let request = complete(&get(fields));
            assert!(request.has_content && !request.keep_alive, "{fields}");
        }
        let request = complete(&get("Content-Length: 0\r\n"));
        assert!(!request.has_content && request.keep_alive);
    }

    #[test]
    fn framing_that_two_parties_could_read_differently_is_refused() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -0\r\n",
            "Content-Length:\r\n",
            "Content-Length: 0x10\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            " folded: x\r\n",
            "A: b\r\n folded\r\n",
            "A: b\rc\r\n",
            "A\0: b\r\n",
            "A: \0\r\n",
            ": empty\r\n",
        ] {
            assert_eq!(status(get(fields).as_bytes()), 400, "{fields:?}");
        }
        assert_eq!(status(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn host_is_required_once_and_sane() {
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
        complete("GET / HTTP/1.1\r\nHost:\r\n\r\n");
        complete("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
        complete("GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn other_methods_and_versions_are_told_apart_from_garbage() {
        assert_eq!(complete("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n").method, Method::Other);
        assert_eq!(complete("get / HTTP/1.1\r\nHost: a\r\n\r\n").method, Method::Other);
        assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
        assert_eq!(status(b"GET / HTTP/3.0\r\n\r\n"), 505);
        for garbage in [
            &b"GET /\r\n\r\n"[..],
            b"GET / foo\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"(bad) / HTTP/1.1\r\n\r\n",
            b"GET /a b HTTP/1.1\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(status(garbage), 400, "{garbage:?}");
        }
    }

    #[test]
    fn the_limits_hold_whether_or_not_the_head_has_ended() {
        let long = "a".repeat(TARGET_LIMIT);
        assert_eq!(status(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()), 414);
        assert_eq!(status(format!("GET /{long}{}", "a".repeat(64)).as_bytes()), 414);
        complete(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[1..]));

        let field = format!("X: {}\r\n", "b".repeat(HEAD_LIMIT));
        assert_eq!(status(get(&field).as_bytes()), 431);
        assert_eq!(status(format!("GET / HTTP/1.1\r\n{field}").as_bytes()), 431);
        assert_eq!(status(get(&"A: b\r\n".repeat(FIELD_LIMIT)).as_bytes()), 431);
        complete(&get(&"A: b\r\n".repeat(FIELD_LIMIT - 1)));
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        complete("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }

    #[test]
    fn every_prefix_of_a_request_is_incomplete() {
        let whole = get("Range: bytes=1-\r\n");
        for end in 0..whole.len() {
            assert!(matches!(parse(&whole.as_bytes()[..end]), Parsed::Incomplete), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(input in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&input);
        }

        #[test]
        fn no_field_makes_the_parser_panic(name in "[A-Za-z-]{1,20}", value in "[ -~]{0,60}") {
            let _ = parse(get(&format!("{name}: {value}\r\n")).as_bytes());
        }

        #[test]
        fn input_that_is_long_enough_always_has_an_answer(byte in any::<u8>()) {
            prop_assert!(!matches!(parse(&vec![byte; HEAD_LIMIT + 1]), Parsed::Incomplete));
        }
    }
}
