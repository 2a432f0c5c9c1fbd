//! One client: the state machine from its first byte to its close.
//!
//! A worker makes a [`Connection`] from an accepted socket and feeds it each completion that
//! carries its token. The invariant that everything here rests on: **exactly one operation of a
//! connection is in flight** (none while a request waits for the end of its round, when the worker answers), and the
//! state says which. So a completion can only be what the state waits for, nothing can arrive after the close, and a
//! token needs no generation to tell a connection from the one that had its place before.
//!
//! ```text
//!            +------------------------------------------------------------+
//!            v                                                            | kept open
//!  start -> Idle --bytes--> Head --request--> Asked (--> Lookup) --> Sending*
//!            |                |  \--cannot be served as it is---------------^  |
//!            |                +--client left--+                           | last answer
//!            +--time is up----------------v   v                           v
//!                                        Closing <--- Draining <--- ShuttingDown
//! ```
//!
//! A file goes from the system's cache to the socket ([`op::SendFile`]) and is never in the program's memory. What is
//! found without waiting needs no Lookup.
//!
//! No client can hold a place for ever: Idle has a deadline, Head has one that starts with the
//! first byte and that no further byte moves, each send has one (so a reader has to take
//! [`CHUNK`] bytes within it), and so has Draining.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyport::buf::PoolBuf;
use anyport::op::{self, Operation};
use anyport::{Completion, Handle, OpId, Port, Token};
use http::StatusCode;

use super::access_log::AccessLog;
use super::answer::{Answer, Content, Persistence};
use super::looks::{Look, Looks};
use super::request::{self, Method, Parsed, Request};
use super::site::{Found, Site, refusal};
use super::target::{Target, TargetError};
use super::{Limits, report};

/// How much of a page is sent at a time, and what a client has to take of any answer within the time for that: 64 KiB.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Room for the head of most answers.
const HEAD: usize = 512;
/// After the last answer: how long the client's further bytes are taken in, so that the system does
/// not answer them with a reset that destroys the answer on its way.
const DRAIN: Duration = Duration::from_secs(2);
/// How many idle buffers a worker keeps for the next answers.
const SPARE: usize = 64;

/// A look into the folder.
type Lookup = op::Blocking<Box<dyn FnOnce() -> io::Result<Found> + Send>, io::Result<Found>>;

/// What the connections of a worker share.
pub(crate) struct Context {
    pub(crate) port: Port,
    pub(crate) site: Arc<Site>,
    pub(crate) limits: Limits,
    pub(crate) log: AccessLog,
    /// The server is to end: each connection closes when its current answer is out.
    pub(crate) stopping: bool,
    /// Requests to be answered at the end of this round, and whose they are.
    pub(crate) asked: Vec<(Token, Request)>,
    /// Empty buffers.
    pub(crate) spare: Vec<Vec<u8>>,
}

/// One client.
pub(crate) struct Connection {
    socket: Handle,
    token: Token,
    peer: Option<SocketAddr>,
    /// Received and not yet consumed: the start of the next request.
    input: Vec<u8>,
    state: State,
}

/// Whether a connection needs another completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Goes,
    Ended,
}

/// Named for the operation in flight.
enum State {
    /// A pooled receive; no byte of the next request has come.
    Idle(OpId),
    /// A pooled receive, until this time at the latest; part of a request has come.
    Head(Instant),
    /// None: the worker answers when it has received what there is.
    Asked,
    /// The look into the folder, on the blocking pool. Boxed, because every idle connection would
    /// have room for it otherwise.
    Lookup(Box<Request>),
    /// A send of the whole buffer.
    Sending(Exchange),
    /// A send of the whole buffer and the rest of the file.
    SendingFile(Exchange),
    /// The shutdown of sending, after the last answer.
    ShuttingDown,
    /// A pooled receive of bytes that nobody wants, until this time at the latest.
    Draining(Instant),
    /// The close of the socket.
    Closing,
}

/// A request that is being answered.
struct Exchange {
    line: String,
    status: StatusCode,
    /// Another request may follow.
    stays: bool,
    body: Body,
    /// How much of the bytes in the buffer is head.
    head: usize,
    /// How much content was sent.
    sent: u64,
}

/// The content that was not sent and is not in the buffer.
enum Body {
    Sent,
    Bytes { bytes: Vec<u8>, next: usize },
    File { file: Rc<File>, rest: Range<u64> },
}

/// What an answer needs to know of its request.
struct About {
    line: String,
    head_only: bool,
    http10: bool,
    keep_alive: bool,
}

impl Context {
    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(HEAD))
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

impl Connection {
    /// Takes over an attached socket and waits for its first request.
    pub(crate) fn start(socket: Handle, token: Token, peer: Option<SocketAddr>, cx: &mut Context) -> Self {
        let mut connection = Connection { socket, token, peer, input: Vec::new(), state: State::Closing };
        connection.state = connection.next_request(cx);
        connection
    }

    /// Closes the connection if it is between two requests. A request that is there already is
    /// still answered.
    pub(crate) fn stop(&mut self, cx: &mut Context) {
        if let State::Idle(receive) = self.state {
            cx.port.cancel(receive);
        }
    }

    /// Logs the answer that the end of the server cuts off, if there is one.
    pub(crate) fn note_as_cut(&self, cx: &mut Context) {
        if let State::Sending(exchange) | State::SendingFile(exchange) = &self.state {
            self.note(exchange, cx);
        }
    }

    /// Takes the completion of the operation in flight and submits the next one.
    pub(crate) fn step(&mut self, done: Completion, cx: &mut Context) -> Life {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Idle(_) => match received(done) {
                Ok(bytes) if bytes.is_empty() => self.close(cx),
                Ok(bytes) => {
                    self.input.extend_from_slice(&bytes);
                    self.next_request(cx)
                }
                Err(_) => self.close(cx),
            },
            State::Head(by) => match received(done) {
                Ok(bytes) if bytes.is_empty() => self.close(cx),
                Ok(bytes) => {
                    self.input.extend_from_slice(&bytes);
                    self.parse(by, cx)
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    let about = About::unreadable(request::first_line(&self.input));
                    self.refuse(about, StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive.", cx)
                }
                Err(_) => self.close(cx),
            },
            State::Lookup(request) => self.found(*request, done.unpack::<Lookup>().flatten(), cx),
            State::Sending(exchange) => {
                let moved = done.transferred();
                let (result, buffer) = done.unpack::<op::SendAll<Vec<u8>>>();
                self.sent(exchange, moved, result, buffer, cx)
            }
            State::SendingFile(exchange) => {
                let moved = done.transferred();
                let (result, _, buffer) = done.unpack::<op::SendFile<Rc<File>, Vec<u8>>>();
                self.sent_file(exchange, moved, result, buffer, cx)
            }
            State::ShuttingDown => match done.unpack::<op::Shutdown>() {
                Ok(()) => self.drain(cx.port.now() + DRAIN, cx),
                Err(_) => self.close(cx),
            },
            State::Draining(by) => match received(done) {
                Ok(bytes) if !bytes.is_empty() => self.drain(by, cx),
                _ => self.close(cx),
            },
            State::Asked => unreachable!("nothing is in flight"),
            State::Closing => return Life::Ended,
        };
        Life::Goes
    }

    /// Goes on to the next request: the one in the input, or the one to come.
    fn next_request(&mut self, cx: &mut Context) -> State {
        if !self.input.is_empty() {
            let by = cx.port.now() + cx.limits.head;
            return self.parse(by, cx);
        }
        if cx.stopping {
            return self.shut_down(cx);
        }
        // An idle connection holds no memory: neither for the last request nor for the next.
        self.input = Vec::new();
        let receive = op::RecvPooled::new(self.socket).within(cx.limits.idle);
        State::Idle(cx.port.submit(receive, self.token))
    }

    fn parse(&mut self, by: Instant, cx: &mut Context) -> State {
        match request::parse(&self.input) {
            Parsed::Incomplete => {
                cx.port.submit(op::RecvPooled::new(self.socket).by(by), self.token);
                State::Head(by)
            }
            Parsed::Complete(request, length) => {
                self.input.drain(..length);
                self.answer(request, cx)
            }
            Parsed::Malformed(request::Malformed { status, reason, line }) => {
                self.refuse(About::unreadable(line), status, reason, cx)
            }
        }
    }

    /// Answers a request, after a look into the folder if it can have one.
    fn answer(&mut self, request: Request, cx: &mut Context) -> State {
        let (status, reason) = match request.method {
            Method::Other => (StatusCode::METHOD_NOT_ALLOWED, "This server only gives."),
            _ if request.has_content => (StatusCode::PAYLOAD_TOO_LARGE, "This server takes no content."),
            Method::Get | Method::Head => {
                cx.asked.push((self.token, request));
                return State::Asked;
            }
        };
        self.refuse(About::from(request), status, reason, cx)
    }

    /// Answers the request of a connection that is [`State::Asked`]; `looks` are of the same round.
    pub(crate) fn serve(&mut self, request: Request, looks: &mut Looks, cx: &mut Context) {
        self.state = match self.look(&request, looks, cx) {
            Ok(Some(look)) => self.give(request, look, cx),
            Ok(None) => State::Lookup(Box::new(request)),
            Err(error) => {
                let (status, reason) = match error {
                    TargetError::Form => (StatusCode::BAD_REQUEST, "The request target is malformed."),
                    TargetError::Outside => (StatusCode::BAD_REQUEST, "The request target leads out of the site."),
                    TargetError::Name => (StatusCode::NOT_FOUND, "There is nothing here."),
                };
                self.refuse(About::from(request), status, reason, cx)
            }
        };
    }

    /// Looks a target up; `None`: that may take time, and the blocking pool is at it.
    fn look(&self, request: &Request, looks: &mut Looks, cx: &mut Context) -> Result<Option<Look>, TargetError> {
        if let Some(look) = looks.find(&request.target) {
            return Ok(Some(look));
        }
        let target = Target::parse(&request.target)?;
        if let Some((file, document)) = cx.site.find_at_once(&target) {
            let look = Look { file: Rc::new(file), document: Rc::new(document) };
            looks.note(&request.target, &look);
            return Ok(Some(look));
        }
        let site = Arc::clone(&cx.site);
        cx.port.submit(Lookup::boxed(move || site.find(&target)), self.token);
        Ok(None)
    }

    fn found(&mut self, request: Request, found: io::Result<Found>, cx: &mut Context) -> State {
        let answer = match found {
            Ok(Found::File(file, document)) => {
                let look = Look { file: Rc::new(file), document: Rc::new(document) };
                return self.give(request, look, cx);
            }
            Ok(Found::Moved(url)) => Answer::moved(&url),
            Ok(Found::Listing(page)) => Answer::listing(page),
            Err(error) => {
                let (status, reason) = refusal(&error);
                if status.is_server_error() {
                    report(format_args!("{}: {error}", request.line));
                }
                Answer::error(status, reason)
            }
        };
        self.respond(About::from(request), answer, None, cx)
    }

    fn give(&mut self, request: Request, look: Look, cx: &mut Context) -> State {
        let answer = Answer::document(&request, &look.document, SystemTime::now());
        self.respond(About::from(request), answer, Some(look.file), cx)
    }

    fn refuse(&mut self, about: About, status: StatusCode, reason: &str, cx: &mut Context) -> State {
        self.respond(about, Answer::error(status, reason), None, cx)
    }

    /// Starts to send an answer; `file` is what its content is read from, if it is.
    fn respond(&mut self, about: About, answer: Answer, file: Option<Rc<File>>, cx: &mut Context) -> State {
        let mut answer = if about.head_only { answer.without_content() } else { answer };
        let stays = about.keep_alive && !cx.stopping;
        let persistence = match (stays, about.http10) {
            (false, _) => Persistence::Closes,
            (true, true) => Persistence::StaysFor10,
            (true, false) => Persistence::Stays,
        };
        let mut buffer = cx.buffer();
        answer.write_head(&mut buffer, persistence, SystemTime::now());
        let head = buffer.len();
        let body = match (std::mem::take(&mut answer.content), file) {
            (Content::File(rest), Some(file)) => Body::File { file, rest },
            (Content::Bytes(bytes), _) => Body::Bytes { bytes, next: 0 },
            _ => Body::Sent,
        };
        let exchange = Exchange { line: about.line, status: answer.status, stays, body, head, sent: 0 };
        self.fill(exchange, buffer, cx)
    }

    /// Sends what is in the buffer (the head, or nothing) and the next content.
    fn fill(&mut self, mut exchange: Exchange, mut buffer: Vec<u8>, cx: &mut Context) -> State {
        match &mut exchange.body {
            Body::File { file, rest } => {
                let send = op::SendFile::new(self.socket, Rc::clone(file), rest.clone()).head(buffer);
                cx.port.submit(send.within(cx.limits.send), self.token);
                return State::SendingFile(exchange);
            }
            Body::Bytes { bytes, next } => {
                let end = bytes.len().min(*next + CHUNK.saturating_sub(buffer.len()));
                buffer.extend_from_slice(&bytes[*next..end]);
                *next = end;
            }
            Body::Sent => {}
        }
        self.send(exchange, buffer, cx)
    }

    fn sent_file(
        &mut self,
        mut exchange: Exchange,
        moved: usize,
        result: io::Result<usize>,
        mut buffer: Vec<u8>,
        cx: &mut Context,
    ) -> State {
        let head = exchange.went_out(moved);
        buffer.drain(..head);
        let Body::File { rest, .. } = &mut exchange.body else { unreachable!("a file was sent") };
        rest.start += (moved - head) as u64;
        let why = match result {
            Ok(_) if rest.is_empty() => return self.complete(exchange, buffer, cx),
            // Slow, but steady.
            Err(error) if error.kind() == ErrorKind::TimedOut && moved >= CHUNK => {
                return self.fill(exchange, buffer, cx);
            }
            // The client went away, or did not take enough in time.
            Err(error) if of_the_connection(&error) => None,
            Err(error) => Some(error),
            Ok(_) => Some(ErrorKind::UnexpectedEof.into()),
        };
        // The head has promised more than there is: only a connection that breaks off tells the client.
        if let Some(why) = why {
            report(format_args!("{}: the file could not be read to its end: {why}", exchange.line));
        }
        self.over(&exchange, buffer, cx);
        self.close(cx)
    }

    fn send(&mut self, exchange: Exchange, buffer: Vec<u8>, cx: &mut Context) -> State {
        let send = op::SendAll::new(self.socket, buffer).within(cx.limits.send);
        cx.port.submit(send, self.token);
        State::Sending(exchange)
    }

    fn sent(
        &mut self,
        mut exchange: Exchange,
        moved: usize,
        result: io::Result<usize>,
        mut buffer: Vec<u8>,
        cx: &mut Context,
    ) -> State {
        exchange.went_out(moved);
        buffer.clear();
        if result.is_ok() && exchange.body.remains() {
            return self.fill(exchange, buffer, cx);
        }
        if result.is_ok() {
            return self.complete(exchange, buffer, cx);
        }
        // The client went away, or did not take a chunk in time.
        self.over(&exchange, buffer, cx);
        self.close(cx)
    }

    /// Goes on to what follows an answer that is out.
    fn complete(&mut self, exchange: Exchange, buffer: Vec<u8>, cx: &mut Context) -> State {
        self.over(&exchange, buffer, cx);
        if exchange.stays { self.next_request(cx) } else { self.shut_down(cx) }
    }

    /// No more of an answer is sent.
    fn over(&self, exchange: &Exchange, buffer: Vec<u8>, cx: &mut Context) {
        cx.recycle(buffer);
        self.note(exchange, cx);
    }

    fn note(&self, exchange: &Exchange, cx: &mut Context) {
        let (line, status, sent) = (&exchange.line, exchange.status, exchange.sent);
        cx.log.note(self.peer, SystemTime::now(), line, status, sent);
    }

    fn shut_down(&mut self, cx: &mut Context) -> State {
        cx.port.submit(op::Shutdown::new(self.socket, Shutdown::Write), self.token);
        State::ShuttingDown
    }

    fn drain(&mut self, by: Instant, cx: &mut Context) -> State {
        cx.port.submit(op::RecvPooled::new(self.socket).by(by), self.token);
        State::Draining(by)
    }

    fn close(&mut self, cx: &mut Context) -> State {
        cx.port.submit(op::Close::new(self.socket), self.token);
        State::Closing
    }
}

impl Exchange {
    /// So many bytes more were sent; returns how many of them were the head's.
    fn went_out(&mut self, moved: usize) -> usize {
        let head = self.head.min(moved);
        self.head -= head;
        self.sent += (moved - head) as u64;
        head
    }
}

impl Body {
    fn remains(&self) -> bool {
        match self {
            Body::Sent => false,
            Body::Bytes { bytes, next } => *next < bytes.len(),
            Body::File { rest, .. } => !rest.is_empty(),
        }
    }
}

impl About {
    /// What is known of a request that could not be read: it is the last one.
    fn unreadable(line: String) -> Self {
        About { line, head_only: false, http10: false, keep_alive: false }
    }
}

impl From<Request> for About {
    fn from(request: Request) -> Self {
        About {
            line: request.line,
            head_only: request.method == Method::Head,
            http10: request.http10,
            keep_alive: request.keep_alive,
        }
    }
}

/// Whether an error tells of the client and not of the file.
fn of_the_connection(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut)
}

fn received(done: Completion) -> io::Result<PoolBuf> {
    done.unpack::<op::RecvPooled>()
}
