//! Messages over a pair of streams.
//!
//! In: bytes, framed as the protocol's base layer says (LSP 3.17, “Base Protocol”). Out: messages in order. What is framed
//! well but is no message is answered or logged and skipped, so that one malformed request does not end the session; where
//! the frames themselves are lost there is no way on, and the stream ends.

use crossbeam_channel::{Receiver, Sender, unbounded};
use lsp_server::{Connection, ErrorCode, Message, Notification, RequestId, Response};
use serde_json::{Value, json};
use std::io::{self, BufRead, Read, Write};
use std::thread::{Builder, JoinHandle};

/// The largest message, in bytes: a whole file of the largest size, escaped.
const LARGEST: u64 = 512 << 20;
/// The longest line of a header, in bytes.
const LONGEST_HEADER: u64 = 8 << 10;

/// The threads that read and write.
#[derive(Debug)]
pub struct Threads {
    writer: JoinHandle<io::Result<()>>,
}

impl Threads {
    /// Waits until all is written.
    ///
    /// # Errors
    /// The output could not be written to.
    pub fn finish(self) -> io::Result<()> {
        // The reader may wait for input for ever; it ends with the process.
        self.writer.join().unwrap_or_else(|_| Err(io::Error::other("the writing thread ended early")))
    }
}

/// Reads and writes messages on threads of their own.
///
/// # Errors
/// A thread cannot be started.
pub fn connect(
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> io::Result<(Connection, Threads)> {
    let (sender, outgoing) = unbounded();
    let (incoming, receiver) = unbounded();
    let replies = sender.clone();
    Builder::new().name("lsp-reader".into()).spawn(move || read(input, &incoming, &replies))?;
    let writer = Builder::new().name("lsp-writer".into()).spawn(move || write(output, &outgoing))?;
    Ok((Connection { sender, receiver }, Threads { writer }))
}

fn write(mut output: impl Write, messages: &Receiver<Message>) -> io::Result<()> {
    messages.iter().try_for_each(|message| message.write(&mut output))
}

/// Reads until the client exits, the input ends, nobody listens, or frames are lost.
fn read(mut input: impl BufRead, messages: &Sender<Message>, replies: &Sender<Message>) {
    loop {
        let body = match frame(&mut input) {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(error) => return complain(replies, &format!("the input is no stream of messages: {error}")),
        };
        let Some(message) = message(&body, replies) else { continue };
        // Nothing comes after the exit, and whoever waits for the writer waits for this thread to let go of it.
        let is_last = matches!(&message, Message::Notification(it) if it.method == "exit");
        if messages.send(message).is_err() || is_last {
            return;
        }
    }
}

/// The content of the next frame; nothing at the end of the input.
fn frame(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length = None;
    loop {
        let mut line = Vec::new();
        input.take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8(line).map_err(|_| io::Error::other("a header is not ASCII"))?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("`{line}` is no header")))?;
        if name.trim().eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<u64>().ok();
        }
    }
    let length = length.ok_or_else(|| io::Error::other("a header has no Content-Length"))?;
    if length > LARGEST {
        return Err(io::Error::other(format!("a message of {length} bytes is too large")));
    }
    let mut body = Vec::new();
    let read = input.take(length).read_to_end(&mut body)?;
    Ok((u64::try_from(read).is_ok_and(|read| read == length)).then_some(body))
}

/// The message that the bytes are; others are answered where they have an id, else logged.
fn message(body: &[u8], replies: &Sender<Message>) -> Option<Message> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            complain(replies, &format!("a message is not JSON: {error}"));
            return None;
        }
    };
    let id = value.get("id").cloned();
    match serde_json::from_value(value) {
        Ok(message) => Some(message),
        Err(_) => {
            match id.and_then(|id| serde_json::from_value::<RequestId>(id).ok()) {
                Some(id) => {
                    let code = ErrorCode::InvalidRequest as i32;
                    let response = Response::new_err(id, code, "this is no request".to_owned());
                    // Nobody is left to be told when the writer is gone.
                    let _gone = replies.send(response.into());
                }
                None => complain(replies, "a message is neither request, response nor notification"),
            }
            None
        }
    }
}

fn complain(replies: &Sender<Message>, text: &str) {
    let params = json!({ "type": 1, "message": format!("egressc: {text}") });
    let _gone = replies.send(Notification { method: "window/logMessage".to_owned(), params }.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let frame = |body: &&[u8]| [format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
        bodies.iter().flat_map(frame).collect()
    }

    /// The methods that arrive, and how many replies there are.
    fn arrived(input: Vec<u8>) -> (Vec<String>, usize) {
        let ((messages, received), (replies, replied)) = (unbounded(), unbounded());
        read(Cursor::new(input), &messages, &replies);
        drop((messages, replies));
        let method = |message| match message {
            Message::Request(request) => request.method,
            Message::Notification(notification) => notification.method,
            Message::Response(_) => "response".to_owned(),
        };
        (received.iter().map(method).collect(), replied.iter().count())
    }

    #[test]
    fn what_is_no_message_is_skipped() {
        let good: &[u8] = br#"{"jsonrpc":"2.0","method":"good"}"#;
        for bad in [
            &b"{"[..],
            b"",
            b"[]",
            b"null",
            b"\xff\xfe",
            br#"{"jsonrpc":"2.0","method":7}"#,
            br#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            br#"{"id":{},"method":"x"}"#,
        ] {
            let (methods, replies) = arrived(framed(&[bad, good]));
            assert_eq!(methods.last().map(String::as_str), Some("good"), "{}", String::from_utf8_lossy(bad));
            assert!(methods.len() == 2 || replies == 1, "{}", String::from_utf8_lossy(bad));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(arrived(framed(&[deep.as_bytes(), good])), (vec!["good".to_owned()], 1));
    }

    #[test]
    fn lost_frames_end_the_stream_with_a_word() {
        for lost in ["no header\r\n\r\n", "Content-Length: x\r\n\r\n", "Content-Length: 99999999999999\r\n\r\n", "\r\n"]
        {
            assert_eq!(arrived(lost.into()), (Vec::new(), 1), "{lost}");
        }
        for ended in ["", "Content-Length: 5\r\n\r\n{", "Content-Length: 5\r\n"] {
            assert_eq!(arrived(ended.into()), (Vec::new(), 0), "{ended}");
        }
        assert_eq!(arrived(vec![b'x'; 100_000]), (Vec::new(), 1));
    }
}
