//! What the client makes of others, good and bad.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use sb_audit::VerifierKey;
use sb_crypto::SystemRandom;
use sb_witness::{Client, HttpError, RootsError, StampError, SubmitError};

use super::{Log, Post, at};

/// Answers one request with these bytes, and gives the request. With none it never answers.
pub(crate) fn answering<T>(answer: &[u8], ask: impl FnOnce(&str) -> T) -> (T, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            let _ = stream.write_all(answer);
            if answer.is_empty() {
                thread::sleep(Duration::from_millis(600));
            }
            request
        });
        let asked = ask(&url);
        (asked, serving.join().unwrap())
    })
}

fn read_request(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        bytes.extend(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4 + length.parse::<usize>().unwrap()
            <= bytes.len()
        {
            return bytes;
        }
    }
}

/// An answer with a body.
pub(crate) fn http(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn ask(answer: &[u8], witness: &VerifierKey) -> (Result<usize, SubmitError>, Vec<u8>) {
    let log = Log::new("a/1").grown(8, "main");
    let submit = |url: &str| {
        Client::waiting(Duration::from_millis(400)).submit(url, &log.request(3, 8), std::slice::from_ref(witness))
    };
    let (asked, request) = answering(answer, submit);
    (asked.map(|cosignatures| cosignatures.len()), request)
}

#[test]
fn the_request_is_the_one_of_the_specification() {
    let log = Log::new("a/1").grown(8, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    assert_eq!(witness.add_checkpoint(&log.body(0, 3), at(1)).status, 200);
    let answer = witness.add_checkpoint(&log.body(3, 8), at(2)).body;
    let (asked, request) = ask(&http("200 OK", "text/plain", answer.as_bytes()), witness.verifier());
    assert_eq!(asked.unwrap(), 1);
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("POST /add-checkpoint HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\n{}", log.request(3, 8))), "{request}");
    // The cosignature of whom one does not know is none.
    let other = Post::new(&[]).open().verifier().clone();
    let (asked, _) = ask(&http("200 OK", "text/plain", answer.as_bytes()), &other);
    assert!(matches!(asked, Err(SubmitError::Answer { .. })), "{asked:?}");
    // Nor is a bad one by whom one knows.
    let older = witness.add_checkpoint(&log.body(8, 8), at(3)).body;
    let bad = older.replace("AAA", "AAB");
    let (asked, _) = ask(&http("200 OK", "text/plain", bad.as_bytes()), witness.verifier());
    assert!(matches!(asked, Err(SubmitError::Answer { .. })), "{asked:?}");
}

#[test]
fn other_answers_are_told_apart() {
    let witness = Post::new(&[]).open().verifier().clone();
    let asked = |answer: &[u8]| ask(answer, &witness).0.unwrap_err();
    let size = |body: &[u8]| asked(&http("409 Conflict", "text/x.tlog.size", body));
    assert!(matches!(size(b"5\n"), SubmitError::Stale { latest: 5 }));
    assert!(matches!(size(b"3\n"), SubmitError::OtherRoot { latest: 3, .. }));
    assert!(matches!(size(b"many\n"), SubmitError::Answer { .. }));
    assert!(matches!(asked(&http("200 OK", "text/html", b"<html>")), SubmitError::Answer { .. }));
    let refused = asked(&http("502 Bad Gateway", "text/html", b"no\x1b[31m witness\nhere"));
    let SubmitError::Refused { status: 502, reason, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(reason, "no[31m witness");
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
    assert!(matches!(asked(moved), SubmitError::Refused { status: 301, .. }));
    let long = asked(&http("200 OK", "text/plain", &vec![b'x'; 1 << 20]));
    assert!(matches!(long, SubmitError::Http(HttpError::TooLong { .. })), "{long:?}");
    let headers = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(matches!(asked(headers.as_bytes()), SubmitError::Http(_)));
    assert!(matches!(asked(b"SSH-2.0-OpenSSH\r\n"), SubmitError::Http(HttpError::Unreachable { .. })));
    let cut = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nless");
    assert!(matches!(cut, SubmitError::Http(_)), "{cut:?}");
    let silent = asked(b"");
    assert!(matches!(silent, SubmitError::Http(HttpError::TimedOut { .. })), "{silent:?}");
}

#[test]
fn who_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = Log::new("a/1").grown(1, "main");
    let submit = |url: &str| Client::default().submit(url, &log.request(0, 1), &[]).unwrap_err();
    let error = submit(&format!("http://{free}"));
    assert_eq!(error.to_string(), format!("cannot reach `http://{free}/add-checkpoint`"));
    assert_eq!(error.source().unwrap().to_string(), "Connection refused (os error 111)");
    for url in ["", "witness.example", "ftp://witness.example", "file:///etc", "http://", "http://a b/", "https://[x"] {
        let error = submit(url);
        assert!(matches!(error, SubmitError::Http(HttpError::Url { .. })), "{url}: {error:?}");
    }
    let stamp = Client::new().time_stamp("nowhere", b"x", &SystemRandom).unwrap_err();
    assert_eq!(stamp.to_string(), "`nowhere` is not an address of http or https");
    assert!(matches!(stamp, StampError::Http(HttpError::Url { .. })));
}

#[test]
fn only_certificates_are_trusted() {
    let key = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n";
    for bad in ["", "text", key, "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"] {
        assert_eq!(Client::trusting(bad.as_bytes()).unwrap_err(), RootsError, "{bad}");
    }
}
