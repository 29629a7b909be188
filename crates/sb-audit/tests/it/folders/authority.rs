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
