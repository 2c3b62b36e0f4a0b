//! A blocking HTTP/1.1 client on one connection that is kept alive, for tests and for the Nacos player.
//! Invariant: a request is sent once. A stale connection is replaced before sending, never after, so a test that
//! kills the server knows which writes were answered.
//! Not here: TLS, redirects, compression. In async tests call it from `tokio::task::spawn_blocking`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a form leaves as it is; everything else is percent-encoded.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Longer answers are a fault of the server or of the test.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status code, 200 and so on.
    pub status: u16,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are not UTF-8 become the replacement character.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// One connection to one listener; opened at the first request and again when the server has closed it.
#[derive(Debug)]
pub struct HttpClient {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

impl HttpClient {
    /// A client of the listener at `address`.
    pub fn new(address: &SocketAddr) -> Self {
        Self { address: *address, timeout: Duration::from_secs(30), connection: None }
    }

    /// Gives up when nothing was read for so long. 30 s unless told.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// `GET` with a query.
    pub fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<HttpResponse> {
        self.request("GET", path, query, &[], None)
    }

    /// `DELETE` with a query.
    pub fn delete(&mut self, path: &str, query: &[(&str, &str)]) -> Result<HttpResponse> {
        self.request("DELETE", path, query, &[], None)
    }

    /// `POST` of a form.
    pub fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Result<HttpResponse> {
        self.send_form("POST", path, form)
    }

    /// `PUT` of a form.
    pub fn put(&mut self, path: &str, form: &[(&str, &str)]) -> Result<HttpResponse> {
        self.send_form("PUT", path, form)
    }

    fn send_form(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Result<HttpResponse> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.request(method, path, &[], &headers, Some(Self::encode_form(form).as_bytes()))
    }

    /// Any request. `path` is sent as it stands, `query` is encoded and appended to it.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<HttpResponse> {
        let mut head = format!("{method} {path}");
        if !query.is_empty() {
            head.push(if path.contains('?') { '&' } else { '?' });
            head.push_str(&Self::encode_form(query));
        }
        write!(head, " HTTP/1.1\r\nHost: {}\r\n", self.address)?;
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        if body.is_some() || matches!(method, "POST" | "PUT" | "PATCH") {
            write!(head, "Content-Length: {}\r\n", body.map_or(0, <[u8]>::len))?;
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        self.send_raw(&bytes, method == "HEAD")
    }

    /// Sends bytes as they are and reads one answer: for requests that are not proper HTTP. `bodiless` says that the
    /// answer has no body whatever its headers claim.
    pub fn send_raw(&mut self, request: &[u8], bodiless: bool) -> Result<HttpResponse> {
        let mut connection = self.connect()?;
        let sent = connection.get_mut().write_all(request);
        let response = match (read_response(&mut connection, bodiless), sent) {
            // A server may refuse a request before it has read all of it.
            (Ok(response), _) => response,
            (Err(_), Err(error)) => return Err(error).context("cannot send the request"),
            (Err(error), Ok(())) => return Err(error),
        };
        if response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// `a=1&b=2`, percent-encoded: a query or the body of a form.
    pub fn encode_form(pairs: &[(&str, &str)]) -> String {
        pairs
            .iter()
            .map(|(key, value)| {
                format!("{}={}", utf8_percent_encode(key, FORM), utf8_percent_encode(value, FORM))
            })
            .collect::<Vec<_>>()
            .join("&")
    }

    fn connect(&mut self) -> Result<BufReader<TcpStream>> {
        if let Some(connection) = self.connection.take()
            && is_open(connection.get_ref())
        {
            return Ok(connection);
        }
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)
            .with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

/// An idle connection that has something to read, or that reads end of file, is of no use any more.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0_u8; 1];
    let waits = stream.set_nonblocking(true).is_ok()
        && matches!(stream.peek(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && waits
}

fn read_response(input: &mut impl BufRead, bodiless: bool) -> Result<HttpResponse> {
    let status_line = read_line(input)?;
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("not a status line: {status_line:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(input)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("not a header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = HttpResponse { status, headers, body: Vec::new() };
    if bodiless || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        response.body = read_chunks(input)?;
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().with_context(|| format!("not a length: {length:?}"))?;
        response.body = read_exactly(input, length)?;
    } else {
        input.read_to_end(&mut response.body).context("cannot read the body")?;
    }
    Ok(response)
}

fn read_chunks(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(input)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("not a chunk size: {line:?}"))?;
        if size == 0 {
            while !read_line(input)?.is_empty() {}
            return Ok(body);
        }
        body.extend(read_exactly(input, size)?);
        read_line(input)?;
        if body.len() > BODY_MAX {
            bail!("the body is longer than {BODY_MAX} bytes");
        }
    }
}

fn read_exactly(input: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    if length > BODY_MAX {
        bail!("the body is longer than {BODY_MAX} bytes");
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes).context("the body ends early")?;
    Ok(bytes)
}

fn read_line(input: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if input.read_line(&mut line).context("cannot read the answer")? == 0 {
        bail!("the server closed the connection without an answer");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer must be read to exactly its end, or the next request on the connection reads rubbish.
    #[test]
    fn answers_are_read_to_their_end() {
        let cases: &[(&str, &str, bool, &str, &str)] = &[
            ("by length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokREST", false, "ok", "REST"),
            (
                "chunked",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\nREST",
                false,
                "ok",
                "REST",
            ),
            ("no body by status", "HTTP/1.1 204 No Content\r\n\r\nREST", false, "", "REST"),
            ("no body by method", "HTTP/1.1 501 X\r\nContent-Length: 9\r\n\r\nREST", true, "", "REST"),
            ("to the end", "HTTP/1.1 400 Bad\r\n\r\nall of it", false, "all of it", ""),
        ];
        for (name, wire, bodiless, body, rest) in cases {
            let mut input = wire.as_bytes();
            let response = read_response(&mut input, *bodiless).unwrap();
            assert_eq!((response.text().as_str(), input), (*body, rest.as_bytes()), "{name}");
        }
    }

    #[test]
    fn forms_are_percent_encoded() {
        let encoded = HttpClient::encode_form(&[("a b", "1&2"), ("键", "+")]);
        assert_eq!(encoded, "a%20b=1%262&%E9%94%AE=%2B");
    }
}
