#!/bin/sh
# Time stamps for the tests, by OpenSSL: sh make.sh, in this folder. Keys are random and thrown away, so the files are
# kept as they were made. TEST ONLY.
set -eu
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
printf 'example.com/log\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n' > message
cat > "$T/cnf" <<CNF
[req]
distinguished_name = dn
prompt = no
[dn]
CN = TEST
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[ca0]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = critical,CA:FALSE
[constrained]
basicConstraints = critical,CA:TRUE
nameConstraints = critical,permitted;DNS:example.com
[signs]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature
[code]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
extendedKeyUsage = codeSigning
[tsa]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[plain]
keyUsage = critical,digitalSignature
[uncritical]
extendedKeyUsage = timeStamping
[several]
extendedKeyUsage = critical,timeStamping,codeSigning
[encipher]
keyUsage = critical,keyEncipherment
extendedKeyUsage = critical,timeStamping
[tsa1]
serial = $T/serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha256
digests = sha256,sha384,sha512,sha1
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = no
tsa_name = no
ess_cert_id_chain = yes
ess_cert_id_alg = sha256
[tsa2]
serial = $T/serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha384
digests = sha256,sha384,sha512
ess_cert_id_alg = sha384
[tsa3]
serial = $T/serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha512
digests = sha256,sha384,sha512
ess_cert_id_alg = sha512
[tsa4]
serial = $T/serial
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha256
digests = sha256
ess_cert_id_alg = sha1
CNF
echo 01 > "$T/serial"
n=10
key() { # name kind
  case $2 in
    rsa) openssl genrsa -out "$T/$1.key" 2048 2>/dev/null ;;
    *) openssl ecparam -name "$2" -genkey -noout -out "$T/$1.key" ;;
  esac
}
root() { # name kind section
  key "$1" "$2"; openssl req -x509 -new -key "$T/$1.key" -sha256 -subj "/CN=$1" -days 36500 -config "$T/cnf" -extensions "$3" -out "$1.pem"
}
issue() { # name kind issuer section hash [more]
  key "$1" "$2"; n=$((n + 1))
  openssl req -new -key "$T/$1.key" -subj "/CN=$1" -config "$T/cnf" -out "$T/csr"
  openssl x509 -req -in "$T/csr" -CA "$3.pem" -CAkey "$T/$3.key" -set_serial $n -days "${6:-36500}" "-$5" -extfile "$T/cnf" -extensions "$4" -out "$1.pem" 2>/dev/null
}
stamp() { # file tsa section hash [chain]
  openssl ts -query -data message "-$4" -cert -out "$T/q" 2>/dev/null
  openssl ts -reply -config "$T/cnf" -section "$3" -queryfile "$T/q" -signer "$2.pem" -inkey "$T/$2.key" ${5:+-chain "$5"} -out "$1.tsr" 2>/dev/null
}
root rsa-root rsa ca; root p256-root prime256v1 ca; root p384-root secp384r1 ca; root leaf-root rsa leaf; root constrained-root rsa constrained
issue rsa rsa rsa-root tsa sha512; stamp rsa-sha256 rsa tsa1 sha256; stamp rsa-sha384 rsa tsa2 sha384; stamp rsa-sha512 rsa tsa3 sha512
stamp rsa-sha1-message rsa tsa1 sha1; stamp rsa-sha1-binding rsa tsa4 sha256
issue p256 prime256v1 p256-root tsa sha256; stamp p256 p256 tsa1 sha256
issue p384 secp384r1 p384-root tsa sha384; stamp p384 p384 tsa2 sha512
issue below-leaf rsa leaf-root tsa sha256; stamp below-leaf below-leaf tsa1 sha256
issue below-constrained rsa constrained-root tsa sha256; stamp below-constrained below-constrained tsa1 sha256
# Certificates that OpenSSL itself would not make a time stamp with, or need not.
for purpose in tsa plain uncritical several encipher constrained; do issue purpose-$purpose prime256v1 p256-root $purpose sha256; done
# Two certificates between, of which the upper allows one or none.
issue upper prime256v1 rsa-root ca sha256; issue lower prime256v1 upper ca0 sha256; issue long prime256v1 lower tsa sha256
cat upper.pem lower.pem > "$T/chain"; stamp long long tsa1 sha256 "$T/chain"
issue upper0 prime256v1 rsa-root ca0 sha256; issue lower0 prime256v1 upper0 ca sha256; issue toolong prime256v1 lower0 tsa sha256
cat upper0.pem lower0.pem > "$T/chain"; stamp toolong toolong tsa1 sha256 "$T/chain"
# An answer without any certificate, and a refusal.
openssl ts -query -data message -sha256 -out "$T/q" 2>/dev/null
openssl ts -reply -config "$T/cnf" -section tsa1 -queryfile "$T/q" -signer rsa.pem -inkey "$T/rsa.key" -out bare.tsr 2>/dev/null
openssl ts -query -data message -sm3 -cert -out "$T/q" 2>/dev/null
openssl ts -reply -config "$T/cnf" -section tsa1 -queryfile "$T/q" -signer rsa.pem -inkey "$T/rsa.key" -out refused.tsr 2>/dev/null || true
# What OpenSSL's own authority does not sign: a stamp by a certificate for other things, made as any signed message.
root plain-root prime256v1 ca; issue plain-tsa prime256v1 plain-root plain sha256; stamp plain p256 tsa1 sha256
openssl ts -reply -in plain.tsr -token_out -out "$T/token" 2>/dev/null
openssl cms -verify -noverify -inform DER -in "$T/token" -out "$T/info" 2>/dev/null
openssl cms -sign -binary -nodetach -cades -md sha256 -econtent_type 1.2.840.113549.1.9.16.1.4 -in "$T/info" -signer plain-tsa.pem -inkey "$T/plain-tsa.key" -outform DER -out "$T/cms"
size=$(($(wc -c < "$T/cms") + 5)); { printf "\\060\\202\\$(printf %o $((size / 256)))\\$(printf %o $((size % 256)))\\060\\003\\002\\001\\000"; cat "$T/cms"; } > plain.tsr; rm plain-tsa.pem
# An issuer with several certificates: by a stranger, for a day, by another name, and not for issuing this; and a good one.
# Kept are the certificates alone.
root crossed-root prime256v1 ca; root stranger prime256v1 ca; issue crossed-stranger prime256v1 stranger ca sha256
again() { # name root [days [section [subject]]]: the same issuer once more
  n=$((n + 1)); openssl req -new -key "$T/crossed-stranger.key" -subj "/CN=${5:-crossed}" -config "$T/cnf" -out "$T/csr"
  openssl x509 -req -in "$T/csr" -CA "$2.pem" -CAkey "$T/$2.key" -set_serial $n -days "${3:-36500}" -sha256 -extfile "$T/cnf" -extensions "${4:-ca}" -out "$1.pem" 2>/dev/null
}
again crossed-stranger stranger; again crossed-day crossed-root 1; again crossed-renamed crossed-root 36500 ca renamed
again crossed-signs crossed-root 36500 signs; again crossed-code crossed-root 36500 code; again crossed-good crossed-root
cp "$T/crossed-stranger.key" "$T/crossed-good.key"; issue crossed-tsa prime256v1 crossed-good tsa sha256
mkdir -p crossed; for file in crossed-*.pem; do mv $file crossed/${file#crossed-}; done; rm -f stranger.pem
mkdir -p purposes; for file in purpose-*.pem; do mv $file purposes/${file#purpose-}; done
rm -f rsa.pem p256.pem p384.pem below-*.pem long.pem toolong.pem lower.pem upper.pem lower0.pem upper0.pem
ls -l
