//! As much of HTTP/1.1 (RFC 9110, RFC 9112) as one endpoint needs: the head of a request, and answers. Each connection
//! carries one request, so where it ends can't be a matter of opinion between us and a proxy in front.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::witness::Answer;

/// A request line and headers of more bytes are refused.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const ENDPOINT: &str = "/add-checkpoint";

/// What the head of a request says, if it is one that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub, reason = "the fuzzer sees it"))]
pub struct Head {
    /// How many bytes it takes; the body follows.
    pub len: usize,
    /// How many bytes the body has.
    pub body: usize,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub waits: bool,
}

/// A request that is not served: the status and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub, reason = "the fuzzer sees it"))]
pub struct Fault {
    /// The status to answer.
    pub status: u16,
    /// Why, for the body.
    pub text: &'static str,
}

impl Fault {
    pub(crate) const TIMEOUT: Self = Self::new(408, "the request did not arrive in time");
    const BAD: Self = Self::new(400, "not a request of HTTP/1.1");

    const fn new(status: u16, text: &'static str) -> Self {
        Self { status, text }
    }

    pub(crate) fn answer(self) -> Answer {
        Answer { status: self.status, content_type: Answer::TEXT, body: format!("{}\n", self.text) }
    }
}

/// Reads the head of a request out of what has arrived so far; `None` if more has to come.
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub, reason = "the fuzzer sees it"))]
pub fn parse_head(bytes: &[u8], body_bytes_max: usize) -> Result<Option<Head>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Fault::new(431, "the headers are too long")),
        Err(_) => return Err(Fault::BAD),
    };
    let values = |name: &str| -> Vec<&[u8]> {
        let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        request.headers.iter().filter(named).map(|header| header.value).collect()
    };
    if request.version == Some(1) && values("host").len() != 1 {
        return Err(Fault::new(400, "exactly one Host is needed"));
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    if !path.ends_with(ENDPOINT) {
        return Err(Fault::new(404, "a witness serves add-checkpoint and nothing else"));
    }
    if request.method != Some("POST") {
        return Err(Fault::new(405, "add-checkpoint takes POST"));
    }
    let body = body_length(&values("transfer-encoding"), &values("content-length"), body_bytes_max)?;
    let waits = match values("expect")[..] {
        [] => false,
        [value] if value.eq_ignore_ascii_case(b"100-continue") => true,
        _ => return Err(Fault::new(417, "nothing but 100-continue is expected here")),
    };
    Ok(Some(Head { len, body, waits }))
}

fn body_length(encodings: &[&[u8]], lengths: &[&[u8]], max: usize) -> Result<usize, Fault> {
    let [length] = lengths else {
        let missing = lengths.is_empty();
        return Err(if missing { Fault::new(411, "a Content-Length is needed") } else { Fault::BAD });
    };
    if !encodings.is_empty() || length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err(Fault::BAD);
    }
    // Digits that make no number are too many.
    let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    length.filter(|length| *length <= max).ok_or(Fault::new(413, "the body is too long"))
}

/// The bytes of an answer, the last on its connection.
pub(crate) fn render(answer: &Answer, now: DateTime<Utc>) -> Vec<u8> {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT");
    let mut text = format!("HTTP/1.1 {} {}\r\nDate: {date}\r\n", answer.status, reason(answer.status));
    if answer.status == 405 {
        text.push_str("Allow: POST\r\n");
    }
    let _ = write!(text, "Content-Type: {}\r\nContent-Length: {}\r\n", answer.content_type, answer.body.len());
    text.push_str("Connection: close\r\n\r\n");
    text.push_str(&answer.body);
    text.into_bytes()
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<Head>, u16> {
        parse_head(text.as_bytes(), 1000).map_err(|fault| fault.status)
    }

    const GOOD: &str = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 12\r\n\r\n";

    #[test]
    fn a_request_says_how_long_it_is() {
        let good = Head { len: GOOD.len(), body: 12, waits: false };
        assert_eq!(head(GOOD), Ok(Some(good)));
        assert_eq!(head(&format!("{GOOD}the body")), Ok(Some(good)));
        let prefixed = GOOD.replace("/add", "/a/witness/add").replace("point ", "point?x ");
        assert_eq!(head(&prefixed).unwrap().unwrap().body, 12);
        assert_eq!(head(&GOOD.replace("/add", "http://w/add")).unwrap().unwrap().body, 12);
        let old = GOOD.replace("HTTP/1.1\r\nHost: w", "HTTP/1.0");
        assert_eq!(head(&old).unwrap().unwrap().body, 12);
        let waiting = GOOD.replace("Host", "expect: 100-Continue\r\nHost");
        assert!(head(&waiting).unwrap().unwrap().waits);
        for end in 0..GOOD.len() {
            assert_eq!(head(&GOOD[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_not_served_is_told_why() {
        let with = |old: &str, new: &str| head(&GOOD.replacen(old, new, 1));
        for (answer, status) in [
            (with("POST", "GET"), 405),
            (with("/add-checkpoint", "/"), 404),
            (with("/add-checkpoint", "/add-checkpoints"), 404),
            (with("Host: w\r\n", ""), 400),
            (with("Host: w", "Host: w\r\nHost: v"), 400),
            (with("Content-Length: 12\r\n", ""), 411),
            (with("Content-Length: 12", "Transfer-Encoding: chunked"), 411),
            (with("Host", "Transfer-Encoding: chunked\r\nHost"), 400),
            (with("Host", "Content-Length: 12\r\nHost"), 400),
            (with("12", "+12"), 400),
            (with("12", ""), 400),
            (with("12", "1001"), 413),
            (with("12", "99999999999999999999999"), 413),
            (with("Host", "Expect: tea\r\nHost"), 417),
            (with("Host", &format!("X: {}\r\nHost", "x".repeat(HEAD_BYTES_MAX))), 431),
            (with("Host", &format!("{}Host", "X: x\r\n".repeat(HEADERS_MAX))), 431),
            (head(&"x".repeat(HEAD_BYTES_MAX)), 431),
            (head("\0"), 400),
            (head("POST /add-checkpoint HTTP/2.0\r\n\r\n"), 400),
        ] {
            assert_eq!(answer, Err(status));
        }
    }

    #[test]
    fn an_answer_says_all_that_a_client_needs() {
        let answer = Answer { status: 409, content_type: "text/x.tlog.size", body: "7\n".to_owned() };
        let time = DateTime::from_timestamp(1_768_468_440, 0).unwrap();
        let expected = "HTTP/1.1 409 Conflict\r\nDate: Thu, 15 Jan 2026 09:14:00 GMT\r\n\
            Content-Type: text/x.tlog.size\r\nContent-Length: 2\r\nConnection: close\r\n\r\n7\n";
        assert_eq!(String::from_utf8(render(&answer, time)).unwrap(), expected);
        let rendered = render(&Fault::new(405, "no").answer(), time);
        assert!(String::from_utf8(rendered).unwrap().contains("\r\nAllow: POST\r\n"));
        for status in [200, 403, 404, 405, 408, 411, 413, 417, 422, 431, 500] {
            assert_ne!(reason(status), reason(400));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_bytes_are_read_in_two_ways(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), b'\r'..=b'\r', b'\n'..=b'\n', b' '..=b'~'], 0..20), at in 0..GOOD.len()) {
            let _ = parse_head(&bytes, 1000);
            let mixed = [&GOOD.as_bytes()[..at], &bytes, &GOOD.as_bytes()[at..]].concat();
            // Once a head is complete, what comes after it changes nothing.
            if let Ok(Some(head)) = parse_head(&mixed, 1000) {
                prop_assert_eq!(parse_head(&mixed[..head.len], 1000), Ok(Some(head)));
                for end in 0..head.len {
                    prop_assert_eq!(parse_head(&mixed[..end], 1000), Ok(None));
                }
            }
        }
    }
}
