//! HTTP/1.1 over one kept-alive connection: a request's bytes go out, an answer comes back, nothing else.
//! Invariant: after each answer the connection's buffer is empty; bytes beyond the answer are an error.
//! Not here: building requests (`scenario::nacos_http`). Start at `Client::exchange`.

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::driver::Failure;

/// A head longer than this is refused: real ones have a few hundred bytes.
const HEAD_MAX: usize = 64 * 1024;

/// An answer longer than this is refused. A list of 10 000 hosts has about 4 MB.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A connection to one server that is opened when needed and again after a fault.
#[derive(Debug)]
pub(crate) struct Client {
    target: String,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    decoded: Vec<u8>,
}

/// An answer, borrowed from its connection until the next request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// The status of the first line.
    pub(crate) status: u16,
    /// The body without its framing.
    pub(crate) body: &'a [u8],
}

impl Client {
    /// Does not connect yet.
    pub(crate) fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            stream: None,
            received: Vec::with_capacity(4096),
            decoded: Vec::new(),
        }
    }

    /// Sends one request and reads its answer. After a failure the next call connects anew.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(request).await.map_err(|error| Failure::io("write", &error))?;
        let head = self.read(&mut stream).await?;
        if !head.closes {
            self.stream = Some(stream);
        }
        let body = match head.body {
            Framing::Length(length) => &self.received[head.length..head.length + length],
            Framing::Chunked => &self.decoded,
        };
        Ok(Answer { status: head.status, body })
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let stream =
            TcpStream::connect(&self.target).await.map_err(|error| Failure::io("connect", &error))?;
        stream.set_nodelay(true).map_err(|error| Failure::io("connect", &error))?;
        Ok(stream)
    }

    /// Fills `received` (and `decoded`, for chunks) with exactly one answer.
    async fn read(&mut self, stream: &mut TcpStream) -> Result<Head, Failure> {
        self.received.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
            if self.received.len() > HEAD_MAX {
                return Err(Failure::text("a head over 64 KiB"));
            }
            self.receive(stream).await?;
        };
        let beyond = match head.body {
            Framing::Length(length) => {
                let whole = head.length + length;
                self.received.reserve(whole.saturating_sub(self.received.len()));
                while self.received.len() < whole {
                    self.receive(stream).await?;
                }
                self.received.len() - whole
            }
            Framing::Chunked => loop {
                self.decoded.clear();
                if let Some(consumed) = dechunk(&self.received[head.length..], &mut self.decoded)? {
                    break self.received.len() - head.length - consumed;
                }
                self.receive(stream).await?;
            },
        };
        if beyond == 0 { Ok(head) } else { Err(Failure::text("bytes after the answer")) }
    }

    async fn receive(&mut self, stream: &mut TcpStream) -> Result<(), Failure> {
        self.received.reserve(2048);
        match stream.read_buf(&mut self.received).await {
            Ok(0) => Err(Failure::text("connection closed before the answer was whole")),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::io("read", &error)),
        }
    }
}

/// What an answer's first lines say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes of the head with its empty line.
    length: usize,
    body: Framing,
    closes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Head {
    /// `None` while the empty line has not arrived.
    fn parse(received: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
        let text =
            std::str::from_utf8(&received[..end]).map_err(|_| Failure::text("a head that is not text"))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| Failure::text("no HTTP/1.1 status line"))?;
        let mut head = Self { status, length: end + 4, body: Framing::Length(0), closes: false };
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| Failure::text("a header without a colon"))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().ok().filter(|length| *length <= ANSWER_MAX);
                head.body =
                    Framing::Length(length.ok_or_else(|| Failure::text("an impossible content-length"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                head.body = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                head.closes = true;
            }
        }
        Ok(Some(head))
    }
}

/// Takes the chunks apart and says how many bytes they used; `None` while the last one is missing.
fn dechunk(framed: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
    if framed.len() > ANSWER_MAX {
        return Err(Failure::text("an answer over 64 MiB"));
    }
    // A long answer arrives in many reads: look at its end before taking all of it apart.
    if !framed.ends_with(b"\r\n\r\n") {
        return Ok(None);
    }
    let mut at = 0;
    loop {
        let Some(line) = memmem::find(&framed[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&framed[at..at + line]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= ANSWER_MAX);
        let size = size.ok_or_else(|| Failure::text("a chunk without a size"))?;
        at += line + 2;
        let Some(chunk) = framed.get(at..at + size + 2) else { return Ok(None) };
        if &chunk[size..] != b"\r\n" {
            return Err(Failure::text("a chunk longer than its size"));
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let of = |status, length, body, closes| Some(Head { status, length, body, closes });
        for (name, received, expected) in [
            ("nothing yet", "", None),
            ("cut in the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None),
            (
                "a length",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                of(200, 38, Framing::Length(2), false),
            ),
            (
                "names in small letters, no reason phrase",
                "HTTP/1.1 404 \r\ncontent-length:  12 \r\nconnection: close\r\n\r\n",
                of(404, 58, Framing::Length(12), true),
            ),
            (
                "chunks",
                "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
                of(200, 44, Framing::Chunked, false),
            ),
            ("no body", "HTTP/1.1 204 No Content\r\n\r\n", of(204, 27, Framing::Length(0), false)),
        ] {
            assert_eq!(Head::parse(received.as_bytes()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn heads_that_make_no_sense_are_refused() {
        for (name, received) in [
            ("another protocol", "SSH-2.0-x\r\n\r\n"),
            ("an older one", "HTTP/1.0 200 OK\r\n\r\n"),
            ("no number", "HTTP/1.1 abc\r\n\r\n"),
            ("no colon", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n"),
            ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            ("a huge length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        ] {
            assert!(Head::parse(received.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn chunks_are_joined() {
        for (name, framed, expected) in [
            ("two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Some("abcde")),
            ("an extension and capital digits", "A;x=1\r\n0123456789\r\n0\r\n\r\n", Some("0123456789")),
            ("empty", "0\r\n\r\n", Some("")),
            ("the end of the data looks like the end", "8\r\nabcd\r\n\r\n", None),
            ("not whole", "3\r\nab", None),
        ] {
            let mut body = Vec::new();
            let consumed = dechunk(framed.as_bytes(), &mut body).unwrap();
            assert_eq!(consumed, expected.map(|_| framed.len()), "{name}");
            if let Some(expected) = expected {
                assert_eq!(body, expected.as_bytes(), "{name}");
            }
        }
        for (name, framed) in [("no size", "xyz\r\n\r\n\r\n"), ("too long", "1\r\nabc\r\n0\r\n\r\n")] {
            assert!(dechunk(framed.as_bytes(), &mut Vec::new()).is_err(), "{name}");
        }
    }
}
