//! Time stamps and HTTPS, with OpenSSL on the other side.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sb_audit::{Authorities, TimeStampError};
use sb_crypto::{Random, SystemRandom};
use sb_witness::{Client, HttpError, StampError, SubmitError};

use super::asking::{answering, http};
use super::{Log, Post, at};

const BODY: &[u8] = include_bytes!("../data/body");
/// A time stamp of it for [`Known`], of the vectors of sb-audit.
const RESPONSE: &[u8] = include_bytes!("../data/body.tsr");

/// Not random at all: gives the nonce that the time stamp was made for.
#[derive(Debug)]
struct Known;

impl Random for Known {
    fn fill(&self, out: &mut [u8]) {
        out.copy_from_slice(&0x53eb_379a_9cc7_bd28_u64.to_be_bytes());
    }
}

fn stamp(answer: &[u8], message: &[u8], random: &dyn Random) -> Result<Vec<u8>, StampError> {
    answering(answer, |url| Client::new().time_stamp(url, message, random)).0
}

#[test]
fn a_time_stamp_is_kept_as_it_came() {
    let good = http("200 OK", "application/timestamp-reply; x=y", RESPONSE);
    assert_eq!(stamp(&good, BODY, &Known).unwrap(), RESPONSE);
    let (_, request) = answering(&good, |url| Client::new().time_stamp(url, BODY, &Known));
    let head = String::from_utf8_lossy(&request).to_lowercase();
    assert!(head.contains("\r\ncontent-type: application/timestamp-query\r\n"), "{head}");
    assert!(request.ends_with(&sb_audit::time_stamp_request(BODY, Some(0x53eb_379a_9cc7_bd28))));
}

#[test]
fn what_was_not_asked_for_is_not_kept() {
    let reply = "application/timestamp-reply";
    let good = http("200 OK", reply, RESPONSE);
    assert!(matches!(stamp(&good, BODY, &SystemRandom), Err(StampError::OtherRequest { .. })));
    let other = stamp(&good, b"another message", &Known);
    assert!(matches!(other, Err(StampError::Answer { source: TimeStampError::OtherMessage, .. })), "{other:?}");
    let cut = stamp(&http("200 OK", reply, &RESPONSE[..500]), BODY, &Known);
    assert!(matches!(cut, Err(StampError::Answer { source: TimeStampError::Malformed(_), .. })), "{cut:?}");
    // PKIStatusInfo with status 2, rejection.
    let rejected = stamp(&http("200 OK", reply, &[0x30, 5, 0x30, 3, 2, 1, 2]), BODY, &Known);
    assert!(matches!(rejected, Err(StampError::Answer { source: TimeStampError::Refused { status: 2 }, .. })));
    let page = stamp(&http("200 OK", "text/html", b"<html>"), BODY, &Known).unwrap_err();
    assert!(page.to_string().ends_with("` has answered with `text/html`, not with a time stamp"), "{page}");
    let refused = stamp(&http("503 Busy", "text/plain", b"later\n"), BODY, &Known).unwrap_err();
    assert!(refused.to_string().ends_with("` has refused with status 503: later"), "{refused}");
}

fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

const CONFIG: &str = "
[req]
distinguished_name = dn
prompt = no
[dn]
CN = a test
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[site]
basicConstraints = critical,CA:FALSE
subjectAltName = IP:127.0.0.1
extendedKeyUsage = serverAuth
[tsa]
serial = serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha256
digests = sha256
ess_cert_id_alg = sha256
";

/// A root, and a certificate of this kind below it.
fn certify(folder: &Path, kind: &str) {
    fs::write(folder.join("conf"), CONFIG).unwrap();
    fs::write(folder.join("serial"), "01").unwrap();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config conf";
    openssl(folder, &format!("{new} -x509 -days 2 -extensions ca -keyout ca.key -out ca.pem"));
    openssl(folder, &format!("{new} -subj /CN=leaf -keyout leaf.key -out leaf.csr"));
    let sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 2 -extfile conf -extensions";
    openssl(folder, &format!("{sign} {kind} -out leaf.pem"));
}

#[test]
#[ignore = "needs openssl"]
fn an_authority_stamps_what_it_is_sent() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    certify(folder, "leaf");
    // What it is asked is only known when it answers, so this asks once to see, and once for the answer.
    let (_, asked) =
        answering(&http("500 No", "text/plain", b""), |url| Client::new().time_stamp(url, b"head", &Known));
    let body = asked.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    fs::write(folder.join("query"), &asked[body..]).unwrap();
    openssl(folder, "ts -reply -config conf -section tsa -queryfile query -signer leaf.pem -inkey leaf.key -out reply");
    let reply = fs::read(folder.join("reply")).unwrap();
    let kept = stamp(&http("200 OK", "application/timestamp-reply", &reply), b"head", &Known).unwrap();
    let roots = Authorities::from_pem(&fs::read(folder.join("ca.pem")).unwrap()).unwrap();
    assert!(roots.verify(&kept, b"head").unwrap().answers(0x53eb_379a_9cc7_bd28));
}

#[test]
#[ignore = "needs openssl"]
fn https_is_spoken_with_who_has_the_right_certificate() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    certify(folder, "site");
    let log = Log::new("a/1").grown(8, "main");
    let there = Post::new(&[&log]);
    let witness = there.open();
    let answer = witness.add_checkpoint(&log.body(0, 8), at(1));
    let answer = http("200 OK", answer.content_type, answer.body.as_bytes());
    let known = [witness.verifier().clone()];
    let root = fs::read(folder.join("ca.pem")).unwrap();
    for (client, host, is_trusted) in [
        (Client::trusting(&root).unwrap(), "127.0.0.1", true),
        (Client::trusting(&root).unwrap(), "localhost", false),
        (Client::new(), "127.0.0.1", false),
    ] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("openssl");
        // What it reads it sends to whoever connects, whatever that has asked.
        server.args(["s_server", "-cert", "leaf.pem", "-key", "leaf.key", "-naccept", "1", "-accept"]);
        server.arg(format!("127.0.0.1:{port}")).current_dir(folder).stdin(Stdio::piped());
        let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let mut said = String::new();
        while said != "ACCEPT\n" {
            said.clear();
            assert_ne!(output.read_line(&mut said).unwrap(), 0, "openssl does not listen");
        }
        let mut input = server.stdin.take().unwrap();
        input.write_all(&answer).unwrap();
        let asked = client.submit(&format!("https://{host}:{port}"), &log.request(0, 8), &known);
        drop(input);
        let _ = server.kill();
        server.wait().unwrap();
        match asked {
            Ok(cosignatures) => assert!(is_trusted && cosignatures.len() == 1, "{host}"),
            Err(SubmitError::Http(HttpError::Unreachable { source, .. })) if !is_trusted => {
                assert!(source.to_string().contains("certificate"), "{source}");
            }
            Err(error) => panic!("{host}: {error:?}"),
        }
    }
}
