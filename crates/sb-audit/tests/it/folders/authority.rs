//! An authority for time stamps, by OpenSSL, as it is run in tests only.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use sb_audit::RootedStamp;

use super::Files;
use super::shell::Scratch;

const MAKE: &str = r#"set -eu
cat > cnf <<CNF
[req]
distinguished_name = dn
prompt = no
[dn]
CN = TEST
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa1]
serial = serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha256
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
CNF
echo 01 > serial
for name in ca tsa; do openssl ecparam -name prime256v1 -genkey -noout -out $name.key; done
openssl req -x509 -new -key ca.key -sha256 -subj "/CN=Test root" -days 3650 -config cnf -extensions ca -out ca.pem
openssl req -new -key tsa.key -subj "/CN=Test authority" -config cnf -out csr
openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 3650 -sha256 -extfile cnf -extensions tsa -out tsa.pem
"#;

const STAMP: &str = r#"set -eu
openssl ts -query -data message -sha256 -cert -out q
openssl ts -reply -config cnf -section tsa1 -queryfile q -signer tsa.pem -inkey tsa.key -out tsr
"#;

/// A stamp of this message by an authority whose root certificate goes with it.
pub(crate) fn stamp(message: &[u8]) -> RootedStamp {
    static AUTHORITY: OnceLock<Files> = OnceLock::new();
    let authority = AUTHORITY.get_or_init(|| {
        let scratch = Scratch::new();
        run(&scratch, MAKE);
        let read = |name: &str| (name.to_owned(), fs::read(scratch.path().join(name)).unwrap());
        ["cnf", "serial", "tsa.pem", "tsa.key", "ca.pem"].map(read).into()
    });
    let scratch = Scratch::with(authority);
    fs::write(scratch.path().join("message"), message).unwrap();
    run(&scratch, STAMP);
    RootedStamp { response: fs::read(scratch.path().join("tsr")).unwrap(), root: authority["ca.pem"].clone() }
}

fn run(scratch: &Scratch, script: &str) {
    let output = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An element of DER, as far as lengths and tags go.
enum Element {
    Value(u8, Vec<u8>),
    Elements(u8, Vec<Element>),
}

fn parse(mut rest: &[u8]) -> Vec<Element> {
    let mut elements = vec![];
    while let [tag, first, after @ ..] = rest {
        let digits = usize::from(first.saturating_sub(0x80));
        let number = after[..digits].iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let content = &after[digits..][..if digits == 0 { usize::from(*first) } else { number }];
        let is_value = tag & 0x20 == 0;
        elements.push(if is_value {
            Element::Value(*tag, content.to_vec())
        } else {
            Element::Elements(*tag, parse(content))
        });
        rest = &after[digits + content.len()..];
    }
    elements
}

/// Writes elements, the length of that with this number not as short as it can be.
fn write(elements: &[Element], number: &mut usize, long: usize) -> Vec<u8> {
    let mut bytes = vec![];
    for element in elements {
        let is_long = *number == long;
        *number += 1;
        let (tag, content) = match element {
            Element::Value(tag, content) => (*tag, content.clone()),
            Element::Elements(tag, elements) => (*tag, write(elements, number, long)),
        };
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        bytes.push(tag);
        match (length, is_long) {
            ([0, short @ ..0x80], false) => bytes.push(short),
            ([0, short @ ..0x80], true) | ([0, short], false) => bytes.extend([0x81, short]),
            ([high, low], false) => bytes.extend([0x82, high, low]),
            ([high, low], true) => bytes.extend([0x83, 0, high, low]),
        }
        bytes.extend(content);
    }
    bytes
}

/// The same in BER: in each, one length is longer than it has to be.
pub(crate) fn respelled(der: &[u8]) -> Vec<Vec<u8>> {
    let (elements, mut count) = (parse(der), 0);
    assert_eq!(write(&elements, &mut count, usize::MAX), der);
    (0..count).map(|long| write(&elements, &mut 0, long)).collect()
}
