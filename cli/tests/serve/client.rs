//! A client that sends what it is told, byte for byte, and reads answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::server::HUNG;

pub(crate) struct Client {
    stream: TcpStream,
    /// Received and not yet taken.
    input: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} comes twice");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(HUNG)).unwrap();
        stream.set_write_timeout(Some(HUNG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, input: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a GET of `target` with these field lines, each with its end.
    pub(crate) fn get_with(&mut self, target: &str, fields: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        self.response()
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// Reads the answer to a GET.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.field("content-length").map_or(0, |length| length.parse().unwrap());
        while self.input.len() < length {
            assert!(self.receive(), "the connection ended in the content");
        }
        response.body = self.input.drain(..length).collect();
        response
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> Response {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = head.parse(&self.input).unwrap() {
                let fields = head.headers.iter();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let fields = fields.map(|field| (field.name.to_owned(), text(field.value))).collect();
                let status = head.code.unwrap();
                self.input.drain(..length);
                return Response { status, fields, body: Vec::new() };
            }
            assert!(
                self.receive(),
                "the connection ended in the head, after {:?}",
                String::from_utf8_lossy(&self.input)
            );
        }
    }

    /// Reads once. A ring that this thread has dropped is taken down by the kernel later, and may
    /// interrupt a read that has a timeout.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Receives something; false at the end of the stream.
    pub(crate) fn receive(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        let length = self.read(&mut chunk).unwrap();
        self.input.extend_from_slice(&chunk[..length]);
        length > 0
    }

    /// What came beyond the answers that were read.
    pub(crate) fn received(&self) -> &[u8] {
        &self.input
    }

    /// Everything up to the end of the stream, which must come as an end and not as a reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.input)
    }

    /// The server ends the connection, in whichever way, without another answer.
    pub(crate) fn is_ended(&mut self) -> bool {
        let mut byte = [0];
        match self.read(&mut byte) {
            Ok(length) => length == 0 && self.input.is_empty(),
            Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }

    /// Nothing comes for a moment.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let result = self.read(&mut [0]);
        self.stream.set_read_timeout(Some(HUNG)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}
