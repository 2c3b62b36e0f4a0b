//! One GET over a connection of its own, with a name and a password.
//!
//! Invariant: it ends, whatever the server does: every wait is bounded, and so is what is read.
//! Not here: TLS, redirects, chunks; the operations port of this version answers in one piece.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A server that is there takes a connection at once.
const CONNECT: Duration = Duration::from_secs(5);
/// Checking a password takes a tenth of a second, and a few wait for one another.
const SILENCE: Duration = Duration::from_secs(20);
/// 5 000 rows of at most some 2 KB: agents and names are chosen by clients.
const ANSWER_MAX: u64 = 16 << 20;

/// Who asks; does not print.
pub(super) struct Login(String);

impl Login {
    pub(super) fn new(user: &str, password: &str) -> Login {
        Login(STANDARD.encode(format!("{user}:{password}")))
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks for a path.
pub(super) fn get(
    address: SocketAddr,
    path: &str,
    query: &[(&str, String)],
    login: &Login,
) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)
        .context("no connection: is it running, and is this its operations port?")?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut request = format!("GET {path}");
    for (index, (key, value)) in query.iter().enumerate() {
        let before = if index == 0 { '?' } else { '&' };
        write!(request, "{before}{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))?;
    }
    let Login(login) = login;
    write!(
        request,
        " HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {login}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(request.as_bytes()).context("it does not take the question")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX + 1).read_to_end(&mut answer).context("it does not answer")?;
    read(answer)
}

fn read(mut answer: Vec<u8>) -> anyhow::Result<Answer> {
    if answer.len() as u64 > ANSWER_MAX {
        bail!("it answers with more than {ANSWER_MAX} bytes");
    }
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD);
    let body = end.map(|end| answer.split_off(end + END_OF_HEAD.len()));
    let head = String::from_utf8_lossy(&answer);
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let (Some(status), Some(body)) = (status, body) else { bail!("it does not speak HTTP") };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length != Some(body.len()) {
        bail!("its answer is cut short");
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (name, wire, expected) in [
            ("whole", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok((200, "ok"))),
            ("empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Ok((404, ""))),
            ("cut", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", Err("its answer is cut short")),
            ("no length", "HTTP/1.1 200 OK\r\n\r\nok", Err("its answer is cut short")),
            ("no end of the head", "HTTP/1.1 200 OK\r\n", Err("it does not speak HTTP")),
            ("HTTP/2", "\0\0\x12\x04\0\0\0\0\0", Err("it does not speak HTTP")),
            ("nothing", "", Err("it does not speak HTTP")),
        ] {
            let answer = read(wire.as_bytes().to_vec());
            let answer = answer.map(|answer| (answer.status, String::from_utf8(answer.body).expect(name)));
            let answer = answer.map_err(|error| error.to_string());
            assert_eq!(answer, expected.map(|(s, b)| (s, b.to_owned())).map_err(str::to_owned), "{name}");
        }
    }
}
