//! HTTP for tests: one plain request over any stream.

use std::{
    fmt::Write as _,
    io::{ErrorKind, Read, Write},
};

use anyhow::{Context, Result, bail};

pub mod nginx;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body as text.
    pub body: String,
}

/// Longest answer that is read.
const LONGEST: usize = 16 << 20;

/// Sends `GET path` on a fresh connection, and reads the answer as far as its `Content-Length` says, or to the end of
/// the connection if it does not.
pub fn get(stream: &mut (impl Read + Write), host: &str, path: &str) -> Result<Response> {
    let mut request = String::new();
    write!(request, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").context("write a request")?;
    stream.write_all(request.as_bytes()).context("send the request")?;
    read_response(stream)
}

fn read_response(stream: &mut impl Read) -> Result<Response> {
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    while answer.len() < LONGEST {
        if let Some(response) = parse(&answer, false)? {
            return Ok(response);
        }
        match stream.read(&mut chunk) {
            Ok(0) => return parse(&answer, true)?.context("the connection ended before the answer did"),
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("read the answer"),
        }
    }
    bail!("the answer is longer than {LONGEST} bytes")
}

/// The response in `answer`, if all of it is there; `ended` says that nothing will follow.
fn parse(answer: &[u8], ended: bool) -> Result<Option<Response>> {
    let Some(head_length) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..head_length]).context("the answer's head is not text")?;
    let body = &answer[head_length + 4..];
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("`{head}` is no HTTP answer"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let body = match length {
        Some(length) if body.len() >= length => &body[..length],
        None if ended => body,
        Some(_) | None => return Ok(None),
    };
    Ok(Some(Response { status, body: String::from_utf8_lossy(body).into_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let mut stream: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes, and more";
        let response = read_response(&mut stream).expect("an answer");
        assert_eq!(response, Response { status: 200, body: "yes".to_owned() });
    }

    #[test]
    fn an_answer_without_length_ends_with_the_connection() {
        let mut stream: &[u8] = b"HTTP/1.1 503 No\r\n\r\nnot ready";
        let response = read_response(&mut stream).expect("an answer");
        assert_eq!(response, Response { status: 503, body: "not ready".to_owned() });
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        let mut stream: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nno";
        read_response(&mut stream).expect_err("28 bytes are missing");
    }
}
