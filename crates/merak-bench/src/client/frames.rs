//! HTTP/2 frames, as much of them as a client of thousands of gRPC streams needs.
//! A client library spends on a push of 35 KB several times what reading it costs; where server and generator
//! share two cores, that would be measured instead of the server.
//! Invariant: bytes may arrive cut anywhere; every message comes out whole and once.
//! Not here: sockets (`nacos`), and the text of headers: a gRPC status is not read, since a call that failed
//! has no message, which is seen. Start at `Inbound::feed`.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::driver::Failure;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// Length, kind, flags and stream in front of each frame.
const FRAME_HEAD: usize = 9;

/// Nothing longer was allowed to the server, so anything longer is a fault.
const FRAME_MAX: usize = 16 * 1024;

/// Flag and length in front of each gRPC message.
const PREFIX: usize = 5;

/// A message longer than this is refused: Nacos clients refuse those over 10 MiB.
const MESSAGE_MAX: usize = 10 << 20;

/// What the server may send ahead, on a stream and on the connection: more than any answer here has.
const WINDOW: u32 = 16 << 20;
/// What HTTP/2 allows without being told.
const WINDOW_AT_FIRST: u32 = 65_535;
/// Consumed bytes are given back when there are so many.
const GIVE_BACK: u32 = WINDOW / 4;

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A gRPC message, whole.
    Message { stream: u32, compressed: bool, message: Bytes },
    /// The server has ended a stream.
    End { stream: u32 },
    /// The server has broken a stream off, or refuses further ones.
    Broken { reason: u32 },
}

/// Takes apart what a server sends and notes what has to be answered.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// The start of a frame whose rest has not arrived.
    pending: BytesMut,
    /// Streams with the start of a message. There are one or two at a time.
    messages: Vec<(u32, BytesMut)>,
    /// Bytes of all streams, and of the long-lived stream 1, that are to be given back.
    consumed: u32,
    consumed_by_first: u32,
}

/// The stream that lives as long as its connection. All others are one call each.
pub(crate) const FIRST_STREAM: u32 = 1;

impl Inbound {
    /// Takes what a read has brought. Answers that the protocol demands are appended to `reply`.
    pub(crate) fn feed(
        &mut self,
        received: &[u8],
        reply: &mut Vec<u8>,
        mut tell: impl FnMut(Event, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        if self.pending.is_empty() {
            let used = self.frames(received, reply, &mut tell)?;
            self.pending.extend_from_slice(&received[used..]);
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(received);
        let used = self.frames(&pending, reply, &mut tell)?;
        pending.advance(used);
        // An empty buffer is given back: thousands of idle connections must not each keep one.
        self.pending = if pending.is_empty() { BytesMut::new() } else { pending };
        Ok(())
    }

    /// Handles whole frames and says how many bytes they had.
    fn frames(
        &mut self,
        received: &[u8],
        reply: &mut Vec<u8>,
        tell: &mut impl FnMut(Event, &mut Vec<u8>),
    ) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some(head) = received.get(at..at + FRAME_HEAD) {
            let length = usize::try_from((&head[..3]).get_uint(3)).unwrap_or(usize::MAX);
            if length > FRAME_MAX {
                return Err(Failure::text("HTTP/2: a frame over 16 KiB"));
            }
            let Some(payload) = received.get(at + FRAME_HEAD..at + FRAME_HEAD + length) else { break };
            let stream = (&head[5..]).get_u32() & 0x7fff_ffff;
            self.frame(Frame { kind: head[3], flags: head[4], stream, payload }, reply, tell)?;
            at += FRAME_HEAD + length;
        }
        Ok(at)
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        reply: &mut Vec<u8>,
        tell: &mut impl FnMut(Event, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        let Frame { kind, flags, stream, payload } = frame;
        let ends = flags & END_STREAM != 0 && matches!(kind, DATA | HEADERS);
        match kind {
            DATA => {
                self.give_back(stream, payload.len(), reply);
                self.data(stream, unpadded(flags, payload)?, |event| tell(event, reply))?;
            }
            SETTINGS if flags & ACK == 0 => write_head(reply, 0, SETTINGS, ACK, 0),
            PING if flags & ACK == 0 => {
                write_head(reply, payload.len(), PING, ACK, 0);
                reply.extend_from_slice(payload);
            }
            RST_STREAM => tell(Event::Broken { reason: first_number(payload) }, reply),
            GOAWAY => {
                tell(Event::Broken { reason: first_number(payload.get(4..).unwrap_or_default()) }, reply);
            }
            _ => {}
        }
        if ends {
            if let Some(left) = self.messages.iter().position(|(of, _)| *of == stream) {
                self.messages.swap_remove(left);
                return Err(Failure::text("a stream ended within a message"));
            }
            tell(Event::End { stream }, reply);
        }
        Ok(())
    }

    /// Adds to a stream's message and tells of each that is whole.
    fn data(&mut self, stream: u32, data: &[u8], mut tell: impl FnMut(Event)) -> Result<(), Failure> {
        let position = self.messages.iter().position(|(of, _)| *of == stream);
        let mut message =
            position.map_or_else(BytesMut::new, |position| self.messages.swap_remove(position).1);
        message.extend_from_slice(data);
        while let Some(prefix) = message.get(..PREFIX) {
            let compressed = prefix[0] != 0;
            let length = usize::try_from((&prefix[1..]).get_u32()).unwrap_or(usize::MAX);
            if length > MESSAGE_MAX {
                return Err(Failure::text("a message over 10 MiB"));
            }
            if message.len() < PREFIX + length {
                message.reserve(PREFIX + length - message.len());
                break;
            }
            message.advance(PREFIX);
            tell(Event::Message { stream, compressed, message: message.split_to(length).freeze() });
        }
        if !message.is_empty() {
            self.messages.push((stream, message));
        }
        Ok(())
    }

    fn give_back(&mut self, stream: u32, length: usize, reply: &mut Vec<u8>) {
        let length = u32::try_from(length).unwrap_or_default();
        self.consumed += length;
        if self.consumed >= GIVE_BACK {
            write_window_update(reply, 0, std::mem::take(&mut self.consumed));
        }
        if stream == FIRST_STREAM {
            self.consumed_by_first += length;
            if self.consumed_by_first >= GIVE_BACK {
                write_window_update(reply, stream, std::mem::take(&mut self.consumed_by_first));
            }
        }
    }
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

fn unpadded(flags: u8, payload: &[u8]) -> Result<&[u8], Failure> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let padding = usize::from(payload.first().copied().unwrap_or_default());
    let end = payload.len().checked_sub(padding);
    end.and_then(|end| payload.get(1..end)).ok_or_else(|| Failure::text("HTTP/2: more padding than data"))
}

fn first_number(payload: &[u8]) -> u32 {
    payload.get(..4).map_or(0, |mut number| number.get_u32())
}

/// What a client says first: no pushes of responses, no compression state, and large windows.
pub(crate) fn write_preface(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let settings = [(0x1_u16, 0_u32), (0x2, 0), (0x4, WINDOW)];
    write_head(out, settings.len() * 6, SETTINGS, 0, 0);
    for (setting, value) in settings {
        out.extend_from_slice(&setting.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    write_window_update(out, 0, WINDOW - WINDOW_AT_FIRST);
}

/// Opens a stream: a POST of gRPC to `path`. `gzip` says that compressed answers are welcome.
pub(crate) fn write_request(out: &mut Vec<u8>, stream: u32, authority: &str, path: &str, gzip: bool) {
    // POST and http are in the protocol's own table; the rest is written out and not remembered, so that
    // the server's table stays empty and each request has the same bytes.
    let mut fields = vec![0x83, 0x86];
    for (name, value) in [(&[0x04_u8][..], path), (&[0x01], authority), (&[0x0f, 0x10], "application/grpc")] {
        fields.extend_from_slice(name);
        write_text(&mut fields, value);
    }
    write_field(&mut fields, "te", "trailers");
    if gzip {
        write_field(&mut fields, "grpc-accept-encoding", "gzip");
    }
    write_head(out, fields.len(), HEADERS, END_HEADERS, stream);
    out.extend_from_slice(&fields);
}

/// Sends a gRPC message in one frame; `last` ends the client's side of the stream.
pub(crate) fn write_message(out: &mut Vec<u8>, stream: u32, message: &[u8], last: bool) {
    let length = PREFIX + message.len();
    assert!(length <= FRAME_MAX, "requests of the generator are short");
    write_head(out, length, DATA, if last { END_STREAM } else { 0 }, stream);
    out.push(0);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(message);
}

fn write_window_update(out: &mut Vec<u8>, stream: u32, by: u32) {
    write_head(out, 4, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&by.to_be_bytes());
}

fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let length = u32::try_from(length).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    write_text(out, name);
    write_text(out, value);
}

/// A length below 127 takes one byte; names, paths and addresses here are shorter.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
    out.push(length.expect("header fields of the generator are short"));
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_head(&mut bytes, payload.len(), kind, flags, stream);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn message(stream: u32, text: &'static str) -> Event {
        Event::Message { stream, compressed: false, message: Bytes::from_static(text.as_bytes()) }
    }

    /// What comes out of bytes that arrive in pieces of `piece`.
    fn events(bytes: &[u8], piece: usize) -> Result<(Vec<Event>, Vec<u8>), Failure> {
        let (mut inbound, mut events, mut reply) = (Inbound::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            inbound.feed(piece, &mut reply, |event, _| events.push(event))?;
        }
        Ok((events, reply))
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let mut bytes = frame(SETTINGS, 0, 0, &[]);
        bytes.extend(frame(HEADERS, END_HEADERS, 3, b"\x88"));
        bytes.extend(frame(DATA, 0, 1, b"\0\0\0\0\x05ab"));
        bytes.extend(frame(DATA, 0, 3, b"\0\0\0\0\x03xyz"));
        bytes.extend(frame(DATA, PADDED, 1, b"\x02cde\0\0"));
        bytes.extend(frame(DATA, 0, 1, b"\0\0\0\0\x01f\0\0\0\0\x01g"));
        bytes.extend(frame(PING, 0, 0, b"12345678"));
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x88"));
        bytes.extend(frame(GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\x0b"));
        for piece in [1, 2, 7, 9, 1000] {
            let (events, reply) = events(&bytes, piece).unwrap();
            let expected = [
                message(3, "xyz"),
                message(1, "abcde"),
                message(1, "f"),
                message(1, "g"),
                Event::End { stream: 3 },
                Event::Broken { reason: 11 },
            ];
            assert_eq!(events, expected, "pieces of {piece}");
            let answers = [frame(SETTINGS, ACK, 0, &[]), frame(PING, ACK, 0, b"12345678")].concat();
            assert_eq!(reply, answers, "pieces of {piece}");
        }
    }

    #[test]
    fn frames_that_make_no_sense_are_refused() {
        for (name, bytes) in [
            ("too long a frame", vec![0, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]),
            ("too long a message", frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")),
            ("padding beyond the frame", frame(DATA, PADDED, 1, b"\x09abc")),
            ("half a message", frame(DATA, END_STREAM, 1, b"\0\0\0\0\x05ab")),
        ] {
            assert!(events(&bytes, 1000).is_err(), "{name}");
        }
    }

    #[test]
    fn windows_are_given_back() {
        let mut bytes = Vec::new();
        let data = [b"\0\0\0\x3f\xfb".as_slice(), &[7; FRAME_MAX - PREFIX]].concat();
        let frames = usize::try_from(GIVE_BACK).unwrap() / FRAME_MAX;
        for _ in 0..frames {
            bytes.extend(frame(DATA, 0, FIRST_STREAM, &data));
        }
        let (events, reply) = events(&bytes, 70_000).unwrap();
        assert_eq!(events.len(), frames);
        let mut expected = Vec::new();
        write_window_update(&mut expected, 0, GIVE_BACK);
        write_window_update(&mut expected, FIRST_STREAM, GIVE_BACK);
        assert_eq!(reply, expected);
    }

    #[test]
    fn a_request_is_what_the_protocol_demands() {
        let mut out = Vec::new();
        write_request(&mut out, 5, "h:1", "/R/r", false);
        write_message(&mut out, 5, b"abc", true);
        let fields = b"\x83\x86\x04\x04/R/r\x01\x03h:1\x0f\x10\x10application/grpc\x00\x02te\x08trailers";
        let expected =
            [frame(HEADERS, END_HEADERS, 5, fields), frame(DATA, END_STREAM, 5, b"\0\0\0\0\x03abc")];
        assert_eq!(out, expected.concat());
    }
}
