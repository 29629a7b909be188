#!/bin/sh
# Checks the evidence of a backup in the current folder with nothing but a shell, openssl 3.0 or later and the usual
# POSIX tools: no network, no secret, no program of those who made it. docs/evidence.md says what is checked and why.
#
# Usage: sh verify.sh FINGERPRINT [--witness VKEY]... [--tsa-ca FILE] [--document FILE]
#
#   FINGERPRINT      SHA-256 of the vault's root key, 64 hexadecimal digits, from elsewhere than this folder
#   --witness VKEY   this witness must have cosigned; its key as the witness itself publishes it
#   --tsa-ca FILE    a root certificate in here must vouch for a time stamp
#   --document FILE  this restored file must be the document that the folder is about
#
# Exit status: 0 all of it holds, 1 something does not, 2 it could not be checked.
set -eu
export LC_ALL=C
umask 077

usage() {
  printf 'usage: sh verify.sh FINGERPRINT [--witness VKEY]... [--tsa-ca FILE] [--document FILE]\n%s\n' "$1" >&2
  exit 2
}

NL='
'
FINGERPRINT='' TRUSTED='' TSA_CA='' DOCUMENT=''
while [ $# -gt 0 ]; do
  case $1 in
    --witness)
      [ $# -ge 2 ] || usage "--witness needs a verifier key"
      case $2 in '' | *[!!-~]*) usage "$2 is no verifier key" ;; esac
      TRUSTED="$TRUSTED$2$NL"; shift ;;
    --tsa-ca) [ $# -ge 2 ] && [ -f "$2" ] || usage "--tsa-ca needs a file"; TSA_CA=$2; shift ;;
    --document) [ $# -ge 2 ] && [ -f "$2" ] || usage "--document needs a file"; DOCUMENT=$2; shift ;;
    -?*) usage "$1 is unknown" ;;
    *) FINGERPRINT="$FINGERPRINT$1" ;;
  esac
  shift
done
FINGERPRINT=$(printf %s "$FINGERPRINT" | tr -d ' -' | tr A-F a-f)
case $FINGERPRINT in *[!0-9a-f]*) usage "the fingerprint has other characters than hexadecimal digits" ;; esac
[ ${#FINGERPRINT} -eq 64 ] || usage "the fingerprint must have 64 hexadecimal digits, not ${#FINGERPRINT}"
for tool in openssl sed grep cut od cmp base64 dd wc tr cat mktemp mkdir mv rm; do
  command -v $tool > /dev/null || { echo "$tool is needed, and not there" >&2; exit 2; }
done
[ "$((1000000000 * 1000000000))" = 1000000000000000000 ] || { echo "this shell can't count that far; take another" >&2; exit 2; }
case $(openssl version 2>&1) in
  "OpenSSL "[3-9].* | "OpenSSL "[1-9][0-9]*.*) ;;
  *) echo "openssl 3.0 or later is needed; this is $(openssl version 2>&1 | sed 1q)" >&2; exit 2 ;;
esac

T=$(mktemp -d) || { echo "there is no room for temporary files" >&2; exit 2; }
VERDICT=''
finish() {
  status=$?
  rm -rf "$T"
  [ -n "$VERDICT" ] || { echo "FAILED  the check stopped before its end"; status=1; }
  exit $status
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
mkdir "$T/chain" "$T/stamps"

ok() { printf 'ok      %s\n' "$1"; }
die() { VERDICT=FAILED; printf 'FAILED  %s\n' "$1"; exit 1; }
sha() { openssl dgst -sha256 -binary; }
sum() { openssl dgst -sha256 -r | cut -c1-64; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null; }
size() { echo $(($(wc -c < "$1"))); }
signed() { openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" > /dev/null 2>&1; }

# TEXT FILE: decodes base64, of which each value has one spelling.
unbase64() { printf %s "$1" | base64 -d > "$2" 2> /dev/null && [ "$(base64 < "$2" | unwrap ${#1})" = "$1" ]; }
unwrap() { if [ "$1" -le 76 ]; then cat; else tr -d '\n'; fi; }

# RAW FILE: writes a public key of 32 bytes as the PEM file that openssl reads.
pem() {
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; cat "$1"; } > "$2.der"
  printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$(base64 < "$2.der" | tr -d '\n')" > "$2"
}

# Text of somebody else's on the terminal: without DEL, C1 controls and what turns the direction of writing.
plain() { printf %s "$1" | tame; }
tame() {
  tr '\177' '?' | sed "s/$(printf '\302')[$(printf '\200-\237')]/?/g
    s/$(printf '\342\200')[$(printf '\216\217\250-\256')]/?/g
    s/$(printf '\342\201')[$(printf '\246-\251')]/?/g"
}

# SECONDS since 1970 as a date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
utc() {
  z=$(($1 / 86400 + 719468))
  doe=$((z % 146097))
  yoe=$(((doe - doe / 1460 + doe / 36524 - doe / 146096) / 365))
  doy=$((doe - (365 * yoe + yoe / 4 - yoe / 100)))
  mp=$(((5 * doy + 2) / 153))
  month=$((mp < 10 ? mp + 3 : mp - 9))
  printf '%04d-%02d-%02dT%02d:%02d:%02dZ' $((yoe + z / 146097 * 400 + (month <= 2))) $month $((doy - (153 * mp + 2) / 5 + 1)) \
    $(($1 / 3600 % 24)) $(($1 / 60 % 60)) $(($1 % 60))
}

# A number of entries or documents: decimal, in one spelling, and small enough for the arithmetic of any shell.
is_count() { case $1 in 0) ;; '' | 0* | *[!0-9]*) return 1 ;; esac; [ ${#1} -le 18 ]; }

# --- The files: those that belong here and no others, each read once, none longer than it can be.

NAMES="README.html SHA256SUMS certificate.dsse.json certificate.tlog-proof"
OFFICERS=0 STAMPS=0
for n in 1 2 3 4 5 6 7 8 9; do [ ! -e "chain/officer-$n.sbv1" ] || { NAMES="$NAMES chain/officer-$n.sbv1"; OFFICERS=$n; }; done
NAMES="$NAMES chain/user.sbv1 chain/writer.sbv1"
SHOWN=''
if [ -e document.json ] || [ -e document.proof ]; then SHOWN=yes; NAMES="$NAMES document.json document.proof"; fi
NAMES="$NAMES root.pub.pem"
for n in 1 2 3 4 5 6 7 8 9; do
  if [ -e "stamps/$n.tsr" ] || [ -e "stamps/$n.ca.pem" ]; then NAMES="$NAMES stamps/$n.ca.pem stamps/$n.tsr"; STAMPS=$n; fi
done
NAMES="$NAMES statement.json verify.sh witnesses.policy"

for name in * .[!.]* ..?* chain/* chain/.[!.]* chain/..?* stamps/* stamps/.[!.]* stamps/..?*; do
  [ -e "$name" ] || [ -L "$name" ] || continue
  case $name in *[!A-Za-z0-9./-]*) die "a file is in this folder that does not belong there, its name has unusual characters: take it out" ;; esac
  case " $NAMES chain stamps " in *" $name "*) ;; *) die "$name does not belong into this folder: take it out" ;; esac
done
for name in chain stamps; do
  [ ! -e $name ] || { [ -d $name ] && [ ! -L $name ]; } || die "$name is a link, or not a folder"
done
for name in $NAMES; do
  [ -f "$name" ] && [ ! -L "$name" ] || die "$name is missing, or not a file"
done
wc -c $NAMES > "$T/sizes"
while read -r length name; do
  case $name in total) continue ;; statement.json) max=1048576 ;; certificate.dsse.json) max=2097152 ;; *) max=262144 ;; esac
  [ "$length" -le $max ] || die "$name is longer than it can be"
  dd if="$name" of="$T/$name" bs=65536 count=32 2> /dev/null
done < "$T/sizes"
for n in 1 2 3 4 5 6 7 8 9; do
  [ $n -gt $OFFICERS ] || [ -f "$T/chain/officer-$n.sbv1" ] || die "chain/officer-$n.sbv1 is missing"
  [ $n -gt $STAMPS ] || [ -f "$T/stamps/$n.tsr" ] || die "stamps/$n.tsr is missing"
done
for name in $NAMES; do [ $name = SHA256SUMS ] || printf '%s\n' $name; done > "$T/names"
(cd "$T" && openssl dgst -sha256 -r $(cat names)) | sed 's/ \*/  /' > "$T/sums"
if ! cmp -s "$T/sums" "$T/SHA256SUMS"; then
  while read -r sum name; do
    grep -qxF -- "$sum  $name" "$T/SHA256SUMS" || die "$name is not as it was when this folder was made (SHA256SUMS)"
  done < "$T/sums"
  die "SHA256SUMS lists other files"
fi
ok "the folder is complete and its files are as they were when it was made"

# --- The keys: from the fingerprint to the root key, to a user's, to the log key of the machine.

sed -n 2p "$T/root.pub.pem" | tr -d '\n' | base64 -d > "$T/root.der" 2> /dev/null || die "root.pub.pem is not a public key"
bytes "$T/root.der" 12 32 > "$T/root.key"
pem "$T/root.key" "$T/root.pem"
[ "$(size "$T/root.key")" -eq 32 ] && cmp -s "$T/root.pem" "$T/root.pub.pem" || die "root.pub.pem is not an Ed25519 public key"
found=$(sum < "$T/root.key")
[ "$found" = "$FINGERPRINT" ] || die "root.pub.pem is another key: its fingerprint is $found"
ok "root.pub.pem is the key with the fingerprint that you gave"

TIME='0382([02].|[13][0-7]|[13]8..|[13]9.{4}|[13]a.{8}|[13]b.{16})(0.|1[0-7]|18..|19.{4}|1a.{8})'
# NAME TYPE BODY SIGNER STEM WHOSE: an object of the vault that the key SIGNER has signed. Sets OBJECT to its vault, and
# the fields of its body.
object() {
  OBJECT=$(hex < "$T/$1" | sed -nE "s/^53425631${2}010000(.{32})0{32}$3$TIME(.{32}).{16}.{128}\$/\1 \2 \3 \6/p")
  [ -n "$OBJECT" ] || die "$1 is not the certificate of a $6"
  length=$(size "$T/$1")
  bytes "$T/$1" $((length - 64)) 64 > "$T/sig"
  { printf 'sbv1/object\000'; bytes "$T/$1" 0 $((length - 64)) | sha; printf %s "$5"; } > "$T/message"
  [ "${OBJECT##* }" = "$(sum < "$T/$4.key" | cut -c1-32)" ] && signed "$T/$4.pem" "$T/message" "$T/sig" ||
    die "$1 was not signed by the $4 key"
}

object chain/user.sbv1 02 'a30150(.{32})025820(.{64})' root users/ user
VAULT=${OBJECT%% *}
bytes "$T/chain/user.sbv1" 62 32 > "$T/user.key"
pem "$T/user.key" "$T/user.pem"
USER_KEY_ID=$(sum < "$T/user.key" | cut -c1-32)
ok "the root key vouches for the user's key"

object chain/writer.sbv1 03 'a3015820(.{64})0250(.{32})' user writers/ machine
[ "${OBJECT%% *}" = "$VAULT" ] || die "chain/writer.sbv1 is of another vault than chain/user.sbv1"
set -- $OBJECT
[ "$3" = "$USER_KEY_ID" ] || die "chain/writer.sbv1 names another user than the one who signed it"
bytes "$T/chain/writer.sbv1" 44 32 > "$T/log.key"
pem "$T/log.key" "$T/log.pem"
ORIGIN=sbv1/log/$VAULT/$(sum < "$T/log.key" | cut -c1-32)
ok "the user vouches for the key of the machine, in vault $VAULT"

OWN=" $(hex < "$T/root.key") $(hex < "$T/user.key") $(hex < "$T/log.key")"
n=0
while [ $n -lt $OFFICERS ]; do
  n=$((n + 1))
  object chain/officer-$n.sbv1 02 'a30150(.{32})025820(.{64})' root users/ user
  [ "${OBJECT%% *}" = "$VAULT" ] || die "chain/officer-$n.sbv1 is of another vault"
  bytes "$T/chain/officer-$n.sbv1" 62 32 > "$T/officer-$n.key"
  pem "$T/officer-$n.key" "$T/officer-$n.pem"
  OWN="$OWN $(hex < "$T/officer-$n.key")"
done

# --- JSON in its canonical form, taken apart: one line for each value in $T/flat, its path and what it is.

json_bad() { die "$NAME is not canonical JSON: $1"; }

is_utf8() {
  C=' [89ab][0-9a-f]'
  ! od -An -v -tx1 "$1" | tr -d '\n' | tr -s ' ' | sed -E "s/ (c[2-9a-f]|d[0-9a-f])$C/./g; s/ e0 [ab][0-9a-f]$C/./g
    s/ e[1-9abcef]$C$C/./g; s/ ed [89][0-9a-f]$C/./g; s/ f0 [9ab][0-9a-f]$C$C/./g; s/ f[1-3]$C$C$C/./g
    s/ f4 8[0-9a-f]$C$C/./g" | grep -q ' [89a-f]'
}

# TOKEN: what stands where a value is expected. Deeper than anything that is looked at here, it need not be kept.
json_value() {
  [ ${#kinds} -gt 4 ] || printf '%s %s\n' "$path" "$1" >&3
  case $1 in
    '{') kinds=o$kinds path=$path/ state=first-key ;;
    '[') kinds=a$kinds path=$path/0 state=first-value ;;
    '"'*'"' | true | false) state=after ;;
    0 | [1-9]*)
      case $1 in *[!0-9]*) json_bad "a number that is none" ;; esac
      [ ${#1} -le 20 ] && { [ ${#1} -lt 20 ] || [ ! "$1" \> 18446744073709551615 ]; } || json_bad "a number that is too large"
      state=after ;;
    *) json_bad "a value is missing" ;;
  esac
  [ ${#kinds} -le 16 ] || json_bad "too many levels"
}

# TOKEN: what stands where a key is expected.
json_key() {
  key=${1#\"}
  key=${key%\"}
  case $key in '' | *[!A-Za-z0-9_.-]*) json_bad "a key with unusual characters" ;; esac
  [ ${#key} -le 64 ] || json_bad "a key that is too long"
  [ "$1" = "\"$key\"" ] && [ "${path##*/}" \< "$key" ] || json_bad "a key stands twice, or keys are not in their order"
  path=${path%/*}/$key state=colon
}

json_end() { path=${path%/*} kinds=${kinds#?} state=after; }

# NAME
flatten() {
  NAME=$1 path='' kinds='' state=value
  [ $(($(tr -d '\040-\377' < "$T/$1" | wc -c))) -eq 0 ] || json_bad "a control character"
  is_utf8 "$T/$1" || json_bad "not UTF-8"
  sed 's/"[^"\]*\(\\.[^"\]*\)*"/\
&\
/g' "$T/$1" | sed '/^"/!s/[][{}:,]/\
&\
/g' | sed '/^$/d' > "$T/tokens"
  if grep '^"' "$T/tokens" | grep -Evq '^"([^"\]|\\["\bfnrt]|\\u00(0[0-7be-f]|1[0-9a-f]))*"$'; then json_bad "a string in another spelling"; fi
  exec 3> "$T/flat"
  while IFS= read -r token; do
    case $state$token in
      value* | first-value[!]]*) json_value "$token" ;;
      key\"* | first-key\"*) json_key "$token" ;;
      colon:) state=value ;;
      first-key\}) json_end ;;
      first-value]) json_end ;;
      after,) case $kinds in
          o*) state=key ;;
          a*) path=${path%/*}/$((${path##*/} + 1)) state=value ;;
          *) json_bad "more than one value" ;;
        esac ;;
      after\}) case $kinds in o*) json_end ;; *) json_bad "a bracket without another" ;; esac ;;
      after]) case $kinds in a*) json_end ;; *) json_bad "a bracket without another" ;; esac ;;
      *) json_bad "something out of place" ;;
    esac
  done < "$T/tokens"
  exec 3>&-
  [ "$state$kinds" = after ] || json_bad "its end is missing"
}

has() { grep -q "^$1 " "$T/flat"; }

# TEXT: a time like 2026-01-15T09:14:00Z, of a day that there was.
is_time() {
  case $1 in
    [0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z) ;;
    *) return 1 ;;
  esac
  y=$((1${1%%-*} - 10000)) rest=${1#*-}
  month=${rest%%-*} rest=${rest#*-}
  day=${rest%%T*} rest=${rest#*T}
  second=${rest##*:}
  case $month in
    01 | 03 | 05 | 07 | 08 | 10 | 12) days=31 ;;
    04 | 06 | 09 | 11) days=30 ;;
    02) days=28; if [ $((y % 4)) -eq 0 ] && { [ $((y % 100)) -ne 0 ] || [ $((y % 400)) -eq 0 ]; }; then days=29; fi ;;
    *) return 1 ;;
  esac
  [ "$day" -ge 1 ] && [ "$day" -le $days ] && [ "${rest%%:*}" -le 23 ] && [ "${second%Z}" -le 60 ]
}

# Lines KIND PATH: checks that $T/flat has values of these kinds at these paths; a kind with a question mark may be missing.
fields() {
  count=0
  : > "$T/patterns"
  while read -r kind at; do
    case $kind in
      *\?) has "$at" || continue ;;
    esac
    case $kind in
      time*) read_value "$at"; is_time "$v" || die "$NAME: $at is missing, or is no time" ;;
    esac
    case ${kind%\?} in
      object) pattern='\{' ;;
      list) pattern='\[' ;;
      number) pattern='[0-9]+' ;;
      hex) pattern='"[0-9a-f]{64}"' ;;
      hash) pattern='"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="' ;;
      id) pattern='"[]!#-&(-[^-~]{1,255}"' ;;
      *) pattern='".*"' ;;
    esac
    printf '%s %s\n' "$at" "$pattern" >> "$T/patterns"
    count=$((count + 1))
  done
  [ "$(grep -Excf "$T/patterns" "$T/flat" || :)" != $count ] || return 0
  while read -r at pattern; do
    grep -Eqx -- "$at $pattern" "$T/flat" || die "$NAME: $at is missing, or not what belongs there"
  done < "$T/patterns"
  die "$NAME can't be read"
}

# PATH: sets v to the value there, of strings what is between the quotes.
read_value() {
  v=$(sed -n "s|^$1 ||p" "$T/flat")
  v=${v#\"}
  v=${v%\"}
}

# KIND PATH: checks and reads one value.
field() {
  fields << END
$1 $2
END
  read_value "$2"
}

is() { field "$1" "$2"; [ "$v" = "$3" ] || die "$NAME: $2 is not $3"; }

# --- The statement, and the signatures in the envelope around it.

STATEMENT=$(sum < "$T/statement.json")
{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(size "$T/statement.json")"; cat "$T/statement.json"; } > "$T/pae"
tr ',{}' '\n\n\n' < "$T/certificate.dsse.json" | sed -n 's/^"sig":"\([A-Za-z0-9+/]\{86\}==\)"$/\1/p' > "$T/sigs"
{ printf '{"payload":"'; base64 < "$T/statement.json" | tr -d '\n'; printf '","payloadType":"application/vnd.in-toto+json","signatures":['; } > "$T/envelope"
n=0 ids=''
while [ $n -le $OFFICERS ]; do
  if [ $n -eq 0 ]; then by=log whose="the machine's key"; else by=officer-$n whose="the user of chain/officer-$n.sbv1"; fi
  sig=$(sed -n "$((n + 1))p" "$T/sigs")
  [ -n "$sig" ] && unbase64 "$sig" "$T/sig" && signed "$T/$by.pem" "$T/pae" "$T/sig" ||
    die "certificate.dsse.json: statement.json was not signed by $whose"
  id=$(sum < "$T/$by.pem.der")
  case $ids in *$id*) die "certificate.dsse.json: one key has signed twice" ;; esac
  [ $n -eq 0 ] || printf , >> "$T/envelope"
  printf '{"keyid":"%s","sig":"%s"}' "$id" "$sig" >> "$T/envelope"
  ids="$ids $id" n=$((n + 1))
done
printf ']}' >> "$T/envelope"
cmp -s "$T/envelope" "$T/certificate.dsse.json" || die "certificate.dsse.json is not statement.json with these signatures alone"
if [ $OFFICERS -eq 0 ]; then ok "statement.json is signed by the machine"; else ok "statement.json is signed by the machine, and by $OFFICERS more of the vault's users"; fi

flatten statement.json
is text /_type https://in-toto.io/Statement/v1
fields << END
list /subject
object /predicate
text /predicate/certificateId
text /predicate/issuer
text /predicate/result
time /predicate/startedAt
time /predicate/finishedAt
object? /predicate/documentTree
object /predicate/log
text /predicate/log/origin
number /predicate/log/size
hash /predicate/log/root
object /predicate/clock
text /predicate/clock/source
number? /predicate/clock/maxSkewMs
number /predicate/clock/rollbacks
object? /predicate/clock/anchor
object /predicate/tool
text /predicate/tool/name
text /predicate/tool/version
list /predicate/limits
text /predicate/limits/0
object /predicate/counts
number /predicate/counts/documents
number /predicate/counts/bytes
END
TREE_SIZE='' TREE_ROOT=''
if has /predicate/documentTree; then
  is text /predicate/documentTree/alg rfc6962-sha256
  fields << END
number /predicate/documentTree/size
hash /predicate/documentTree/root
END
  read_value /predicate/documentTree/size; TREE_SIZE=$v
  read_value /predicate/documentTree/root; TREE_ROOT=$v
fi
if has /predicate/clock/anchor; then
  fields << END
text /predicate/clock/anchor/by
time /predicate/clock/anchor/at
END
  field text /predicate/clock/anchor/kind
  case $v in cosignature/v1 | rfc3161) ;; *) die "statement.json: the kind of the anchor is unknown" ;; esac
fi
if grep '^/predicate/limits/' "$T/flat" | grep -Evq '^/predicate/limits/[0-9]+ "'; then die "statement.json: /predicate/limits is no list of texts"; fi
read_value /predicate/certificateId; CERTIFICATE=$v
read_value /predicate/result; RESULT=$v
read_value /predicate/startedAt; STARTED=$v
read_value /predicate/finishedAt; FINISHED=$v
read_value /predicate/counts/documents; DOCUMENTS=$v
SKEW=0
if has /predicate/clock/maxSkewMs; then read_value /predicate/clock/maxSkewMs; SKEW=$v; fi
read_value /predicate/log/size; LOG_SIZE=$v
case $RESULT in PASSED | PARTIAL | FAILED) ;; *) die "statement.json: the result is none" ;; esac
[ ! "$FINISHED" \< "$STARTED" ] || die "statement.json: it ended before it began"
field text /predicateType
case $v in
  https://securebackup.example/attestation/backup/v1)
    KIND=backup
    fields << END
number /predicate/counts/problems
object /predicate/written
number /predicate/written/objects
number /predicate/written/bytes
object /predicate/referenced
number /predicate/referenced/objects
number /predicate/referenced/bytes
time? /predicate/referenced/readInFullSince
object /predicate/journal
hex /predicate/journal/writer
number /predicate/journal/number
hex /predicate/journal/sha256
hex? /predicate/policySha256
number /predicate/formatVersion
END
    read_value /predicate/counts/problems
    case $RESULT$v in PASSED0 | PARTIAL[1-9]*) ;; *) die "statement.json: the result contradicts the number of problems" ;; esac
    [ "$DOCUMENTS" = "$TREE_SIZE" ] || die "statement.json: the document tree is not of as many documents as were counted" ;;
  https://securebackup.example/attestation/verification/v1)
    KIND=verification
    fields << END
text /predicate/method
number /predicate/counts/verified
number /predicate/counts/missing
number /predicate/counts/corrupt
object? /predicate/read
object? /predicate/retention
END
    if has /predicate/read; then
      fields << END
number /predicate/read/objects
number /predicate/read/bytes
END
    fi
    read_value /predicate/counts/verified; verified=$v
    read_value /predicate/counts/missing; missing=$v
    read_value /predicate/counts/corrupt
    [ "$missing$v$RESULT" = "00$RESULT" ] || [ $RESULT = FAILED ] || die "statement.json: documents are missing or corrupt, but the result is $RESULT"
    is_count "$DOCUMENTS" && is_count "$verified" && is_count "$missing" && is_count "$v" && [ $((verified + missing + v)) -le "$DOCUMENTS" ] ||
      die "statement.json: more documents are counted than there are"
    [ -z "$TREE_SIZE" ] || [ "$DOCUMENTS" = "$TREE_SIZE" ] || die "statement.json: the document tree is not of as many documents as were counted"
    [ "$verified" = "$DOCUMENTS" ] || [ $RESULT != PASSED ] || die "statement.json: PASSED, though not all documents were verified"
    if has /predicate/retention; then
      fields << END
hex /predicate/retention/policySha256
number /predicate/retention/underRetention
number /predicate/retention/overdueForDisposition
END
    fi ;;
  *) die "statement.json is of a kind that this script does not know" ;;
esac
# PATTERN: how many values have such a line.
lines() { grep -Exc "$1" "$T/flat" || :; }
SUBJECTS=$(lines '/subject/[0-9]+ .*')
[ "$SUBJECTS" -ge 1 ] && [ "$(lines '/subject/[0-9]+ \{')" = "$SUBJECTS" ] && [ "$(lines '/subject/[0-9]+/name ".*"')" = "$SUBJECTS" ] &&
  [ "$(lines '/subject/[0-9]+/digest \{')" = "$SUBJECTS" ] && [ "$(lines '/subject/[0-9]+/digest/sha256 "[0-9a-f]{64}"')" = "$SUBJECTS" ] ||
  die "statement.json: it has no subject, or one without name or SHA-256"
read_value /subject/0/name; SUBJECT=$v
read_value /subject/0/digest/sha256; SUBJECT_SHA256=$v
is text /predicate/log/origin "$ORIGIN"
mv "$T/flat" "$T/facts"
ok "the certificate can be read and does not contradict itself"

# --- The log: the entry, the way up from it, the checkpoint.

# LEAF INDEX SIZE: follows the hashes in $T/path from a leaf to the root, RFC 9162 section 2.1.3.2; prints it in base64.
climb() {
  { printf '\000'; cat "$1"; } | sha > "$T/hash"
  fn=$2 sn=$(($3 - 1))
  while IFS= read -r sibling; do
    [ $sn -ne 0 ] && unbase64 "$sibling" "$T/sibling" && [ "$(size "$T/sibling")" -eq 32 ] || return 1
    if [ $((fn % 2)) -eq 1 ] || [ "$fn" -eq $sn ]; then
      { printf '\001'; cat "$T/sibling" "$T/hash"; } | sha > "$T/node"
      while [ $((fn % 2)) -eq 0 ] && [ "$fn" -ne 0 ]; do fn=$((fn / 2)) sn=$((sn / 2)); done
    else
      { printf '\001'; cat "$T/hash" "$T/sibling"; } | sha > "$T/node"
    fi
    mv "$T/node" "$T/hash"
    fn=$((fn / 2)) sn=$((sn / 2))
  done < "$T/path"
  [ $sn -eq 0 ] && base64 < "$T/hash" | tr -d '\n'
}

PROOF=$T/certificate.tlog-proof
entry=$(sed -n '2s/^extra //p' "$PROOF")
INDEX=$(sed -n '3s/^index //p' "$PROOF")
sed '1,3d' "$PROOF" | sed '/^$/,$d' > "$T/path"
n=$(($(wc -l < "$T/path")))
[ $n -le 64 ] || die "certificate.tlog-proof: too many hashes"
SIZE=$(sed -n "$((n + 6))p" "$PROOF")
ROOT=$(sed -n "$((n + 7))p" "$PROOF")
[ "$(sed -n "$((n + 5))p" "$PROOF")" = "$ORIGIN" ] || die "certificate.tlog-proof: the checkpoint is not of the log of this machine in this vault"
is_count "$INDEX" && is_count "$SIZE" || die "certificate.tlog-proof: index or size is no number"
printf '%s\n%s\n%s\n' "$ORIGIN" "$SIZE" "$ROOT" > "$T/text"
sed "1,$((n + 8))d" "$PROOF" | sed 's/^[^ ]* [^ ]* //' > "$T/sigs"

sig=$(sed -n 1p "$T/sigs")
unbase64 "$sig" "$T/line" && [ "$(size "$T/line")" -eq 68 ] || die "certificate.tlog-proof: the log has not signed the checkpoint"
bytes "$T/line" 4 64 > "$T/sig"
signed "$T/log.pem" "$T/text" "$T/sig" || die "certificate.tlog-proof: the checkpoint was not signed by the machine's key"
LOG_ID=$({ printf '%s\n\001' "$ORIGIN"; cat "$T/log.key"; } | sum | cut -c1-8)
[ "$(bytes "$T/line" 0 4 | hex)" = "$LOG_ID" ] || die "certificate.tlog-proof: the log's signature names another key"
unbase64 "$ROOT" "$T/root" && [ "$(size "$T/root")" -eq 32 ] || die "certificate.tlog-proof: the root is no hash"
ok "the machine has signed the checkpoint of its log at $SIZE entries"

unbase64 "$entry" "$T/entry" && [ "$(size "$T/entry")" -le 65535 ] || die "certificate.tlog-proof: there is no entry in it"
[ "$INDEX" -lt "$SIZE" ] || die "certificate.tlog-proof: the entry $INDEX is not in a log of $SIZE: the checkpoint is older"
[ "$(climb "$T/entry" "$INDEX" "$SIZE")" = "$ROOT" ] || die "certificate.tlog-proof: the entry is not number $INDEX of the log with this checkpoint"
flatten entry
NAME="the log entry"
fields << END
id /actor
object /data
id /object
id /src
text /t
END
is text /action Certificate.Issue
is text /outcome success
is text /v sb-audit/v1
is number /seq "$INDEX"
read_value /t
case $v in *.[0-9][0-9][0-9]Z) ;; *) die "the log entry: /t is no time" ;; esac
is_time "${v%.*}Z" || die "the log entry: /t is no time"
LOGGED=$v
if grep '^/[^/ ]* ' "$T/flat" | grep -Evq '^/(action|actor|data|object|outcome|seq|src|t|v) '; then die "the log entry has an unknown field"; fi
if has /data/intent; then
  field number /data/intent
  [ ${#v} -le 18 ] && [ "$v" -lt "$INDEX" ] || die "the log entry answers one that does not stand before it"
fi
is hex /data/statement_sha256 "$STATEMENT"
[ ${#LOG_SIZE} -le 18 ] && [ "$LOG_SIZE" -le "$INDEX" ] || die "statement.json says that the log had $LOG_SIZE entries before it had so many"
ok "its entry $INDEX records the issue of this certificate"

# --- The witnesses, each of which must have cosigned.

sed -n 's/^witness w[1-9] //p' "$T/witnesses.policy" > "$T/witnesses"
WITNESSES=$(($(wc -l < "$T/witnesses")))
[ $WITNESSES -le 9 ] || die "witnesses.policy: more than nine witnesses"
{
  printf 'log %s+%s+%s\n' "$ORIGIN" "$LOG_ID" "$({ printf '\001'; cat "$T/log.key"; } | base64 | tr -d '\n')"
  n=0 members=''
  while IFS= read -r vkey; do n=$((n + 1)) members="$members w$n"; printf 'witness w%s %s\n' $n "$vkey"; done < "$T/witnesses"
  if [ $n -eq 0 ]; then echo 'quorum none'; else printf 'group witnesses all%s\nquorum witnesses\n' "$members"; fi
} | cmp -s - "$T/witnesses.policy" || die "witnesses.policy does not say what belongs there, and nothing else"
{
  printf 'c2sp.org/tlog-proof@v1\nextra %s\nindex %s\n' "$entry" "$INDEX"
  cat "$T/path"; echo; cat "$T/text"; printf '\n\342\200\224 %s %s\n' "$ORIGIN" "$sig"
} > "$T/again"
n=0 KNOWN=''
: > "$T/cosigned"
while IFS= read -r vkey; do
  n=$((n + 1))
  printf '%s\n' "$vkey" | grep -Eqx '[!-*,-~]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}' && unbase64 "${vkey#*+*+}" "$T/vkey" &&
    [ "$(size "$T/vkey")" -eq 33 ] && [ "$(bytes "$T/vkey" 0 1 | hex)" = 04 ] || die "witnesses.policy: witness $n has no verifier key"
  name=${vkey%%+*}
  bytes "$T/vkey" 1 32 > "$T/witness.key"
  key=$(hex < "$T/witness.key")
  id=$({ printf '%s\n' "$name"; cat "$T/vkey"; } | sum | cut -c1-8)
  [ "$vkey" = "$name+$id+${vkey#*+*+}" ] || die "witnesses.policy: the id of witness $name is not that of its key"
  case "$OWN " in *" $key "*) die "witnesses.policy: $name is no witness but a key of this vault, or was listed before" ;; esac
  OWN="$OWN $key"
  pem "$T/witness.key" "$T/witness.pem"
  sig=$(sed -n "$((n + 1))p" "$T/sigs")
  unbase64 "$sig" "$T/line" && [ "$(size "$T/line")" -eq 76 ] && [ "$(bytes "$T/line" 0 4 | hex)" = "$id" ] ||
    die "certificate.tlog-proof: witness $name has not cosigned"
  time=$(bytes "$T/line" 4 8 | hex)
  case $time in 000000*) time=$((0x$time)) ;; *) die "certificate.tlog-proof: witness $name cosigned at no time" ;; esac
  [ $time -le 253402300799 ] || die "certificate.tlog-proof: witness $name cosigned at no time"
  bytes "$T/line" 12 64 > "$T/sig"
  { printf 'cosignature/v1\ntime %s\n' $time; cat "$T/text"; } > "$T/message"
  signed "$T/witness.pem" "$T/message" "$T/sig" || die "certificate.tlog-proof: the cosignature of witness $name does not match this checkpoint"
  printf '\342\200\224 %s %s\n' "$name" "$sig" >> "$T/again"
  # What a witness has seen before its run ended, by more than clocks differ, was made up.
  if is_count "$SKEW"; then
    latest=$(((time * 1000 + SKEW + 300000) / 1000))
    [ $latest -gt 253402300799 ] || [ ! "$(utc $latest)" \< "$FINISHED" ] ||
      die "certificate.tlog-proof: witness $name saw the certificate before its run had ended, as it says"
  fi
  date=$(utc $time)
  case "$NL$TRUSTED" in
    *"$NL$vkey$NL"*) KNOWN=yes; ok "the witness $name, whose key you gave, saw this checkpoint at $date" ;;
    *) ok "the witness $name saw this checkpoint at $date; its key is known from this folder alone"
      printf 'The key of the witness %s is known from this folder alone: compare it with what the witness publishes: %s\n' "$name" "$vkey" >> "$T/cosigned" ;;
  esac
done < "$T/witnesses"
cmp -s "$T/again" "$PROOF" || die "certificate.tlog-proof does not say what belongs there, and nothing else"
printf %s "$TRUSTED" > "$T/trusted"
while IFS= read -r vkey; do
  grep -qxF -- "$vkey" "$T/witnesses" || die "the witness ${vkey%%+*} that you named has not cosigned"
done < "$T/trusted"

# --- The time stamps, over the text of the checkpoint or over the statement.

# What of an answer is signed by nobody, and openssl would not mind: the status, versions, names of algorithms.
L='([0-7].|81..|82....|83......)'
HASH='30(0b060960864801650304020[123]|0d060960864801650304020[123]0500)'
SIGNS='30(0a06082a8648ce3d04030[23]|0c06082a8648ce3d04030[23]0500|0b06092a864886f70d0101(01|0b|0c|0d)|0d06092a864886f70d0101(01|0b|0c|0d)0500)'
STAMP="30${L}300302010030${L}06092a864886f70d010702a0${L}30${L}02010331${L}($HASH)*30${L}060b2a864886f70d0109100104a0.*"
STAMP="${STAMP}31${L}30${L}02010130${L}.*${HASH}a0${L}.*${SIGNS}04${L}.*"

# FILE: is it a stamp in the only spelling? Openssl reads others, too, but writes this one. Names it compares without their case: that
# of who vouches for the signer has to stand in the stamp twice, in the certificate as well.
is_plain() {
  openssl ts -reply -in "$1" -out "$T/again" 2> /dev/null && cmp -s "$T/again" "$1" || return 1
  openssl asn1parse -inform DER -in "$1" > "$T/parsed" 2> /dev/null || return 1
  sed -n 's/^ *\([0-9]*\):d=\([47]\) *hl=\([0-9]*\) l= *\([0-9]*\) cons: \(SE[A-Z]*\).*/\1 \2 \3 \4 \5/p' "$T/parsed" > "$T/elements"
  issuer=''
  while read -r at depth head length kind; do
    case $depth$kind in
      4SET) issuer='' ;;
      7SEQUENCE) [ -n "$issuer" ] || issuer=$(bytes "$1" "$at" $((head + length)) | hex) ;;
    esac
  done < "$T/elements"
  [ -n "$issuer" ] || return 1
  case $(hex < "$1") in *"$issuer"*"$issuer"*) ;; *) return 1 ;; esac
}

# FILE ROOTS: is it a stamp of $over, by an authority that these root certificates vouched for then?
stamped() {
  openssl ts -verify -in "$1" -data "$over" -CAfile "$2" -attime $seconds > /dev/null 2>&1
}

n=0 VOUCHED=''
while [ $n -lt $STAMPS ]; do
  n=$((n + 1))
  tsr=$T/stamps/$n.tsr ca=$T/stamps/$n.ca.pem
  sed '1d;$d' "$ca" | tr -d '\n' | base64 -d > "$T/der" 2> /dev/null || die "stamps/$n.ca.pem is no certificate"
  { echo '-----BEGIN CERTIFICATE-----'; openssl base64 -in "$T/der"; echo '-----END CERTIFICATE-----'; } | cmp -s - "$ca" &&
    openssl x509 -in "$ca" -outform DER 2> /dev/null | cmp -s - "$T/der" ||
    die "stamps/$n.ca.pem is no certificate, or more than one"
  { hex < "$tsr"; echo; } | grep -Eqx "$STAMP" && is_plain "$tsr" || die "stamps/$n.tsr is no time stamp as it belongs here"
  openssl ts -reply -in "$tsr" -token_out -out "$T/token" 2> /dev/null &&
    openssl ts -reply -in "$T/token" -token_in -text > "$T/stamp" 2> /dev/null || die "stamps/$n.tsr is no time stamp"
  date=$(sed -n 's/^Time stamp: //p' "$T/stamp")
  printf '%s\n' "$date" | grep -Eqx '[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)? [0-9]{4} GMT' || die "stamps/$n.tsr says no time"
  set -- $date
  months=JanFebMarAprMayJunJulAugSepOctNovDec
  months=${months%%"$1"*}
  month=$((${#months} / 3 + 1)) clock=${3%%.*}
  y=$(($4 - (month <= 2)))
  days=$((y / 400 * 146097 + y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + $2 - 719469))
  seconds=$((days * 86400 + (1${clock%%:*} - 100) * 3600 + (1$(printf %s "$clock" | cut -c4-5) - 100) * 60 + (1${clock##*:} - 100)))
  [ $seconds -ge 0 ] || die "stamps/$n.tsr says no time"
  date=$(utc $seconds)
  over=$T/text what="this checkpoint"
  if ! stamped "$tsr" "$ca"; then
    over=$T/statement.json what="this statement"
    stamped "$tsr" "$ca" || die "stamps/$n.tsr is not a good time stamp of the checkpoint or of the statement"
  fi
  openssl verify -no-CApath -no-CAstore -check_ss_sig -attime $seconds -CAfile "$ca" "$ca" > /dev/null 2>&1 ||
    die "stamps/$n.ca.pem is no root certificate"
  if [ -n "$TSA_CA" ] && stamped "$tsr" "$TSA_CA"; then
    VOUCHED=yes
    ok "an authority that your certificates vouch for has stamped $what at $date"
  else
    ok "an authority has stamped $what at $date; its root certificate is known from this folder alone"
    printf 'The root certificate in stamps/%s.ca.pem is known from this folder alone: compare it with what the authority publishes: SHA-256 %s\n' \
      $n "$(sum < "$T/der")" >> "$T/cosigned"
  fi
done
[ -z "$TSA_CA" ] || [ -n "$VOUCHED" ] || die "no time stamp is vouched for by the certificates in $TSA_CA"

# --- The document.

if [ -n "$SHOWN" ]; then
  [ "$(size "$T/document.json")" -le 65536 ] && [ "$(size "$T/document.proof")" -le 65536 ] || die "document.json or document.proof is longer than it can be"
  LEAF=$(sed -n '2s/^index //p' "$T/document.proof")
  sed '1,2d' "$T/document.proof" > "$T/path"
  [ $(($(wc -l < "$T/path"))) -le 64 ] || die "document.proof: too many hashes"
  is_count "$LEAF" || die "document.proof: the index is no number"
  { printf 'sb-doc-proof@v1\nindex %s\n' "$LEAF"; while IFS= read -r hash; do printf '%s\n' "$hash"; done < "$T/path"; } | cmp -s - "$T/document.proof" ||
    die "document.proof does not say what belongs there, and nothing else"
  is_count "$TREE_SIZE" && [ "$LEAF" -lt "$TREE_SIZE" ] && [ "$(climb "$T/document.json" "$LEAF" "$TREE_SIZE")" = "$TREE_ROOT" ] ||
    die "document.json is not proven to be a document of this snapshot"
  flatten document.json
  fields << END
text /id
text /mtime
text /path
text /salt
hex /sha256
number /size
END
  is text /v sb-doc/v1
  if grep '^/' "$T/flat" | grep -Evq '^/(id|mtime|path|salt|sha256|size|v) '; then die "document.json has an unknown field"; fi
  read_value /salt
  case $v in *[!0-9a-f]*) die "document.json: the salt is none" ;; esac
  [ ${#v} -eq 32 ] || die "document.json: the salt is none"
  read_value /path; DOCUMENT_PATH=$v
  printf '%s\n' "$v" | grep -Eqx '([^%]|%[0-9A-F]{2})*' || die "document.json: the path is none"
  read_value /sha256; DOCUMENT_SHA256=$v
  read_value /size; DOCUMENT_SIZE=$v
  ok "document $LEAF of $TREE_SIZE of the snapshot is $(plain "$DOCUMENT_PATH"), $DOCUMENT_SIZE bytes, SHA-256 $DOCUMENT_SHA256"
fi
if [ -n "$DOCUMENT" ]; then
  [ -n "$SHOWN" ] || die "this folder is about no single document"
  [ "$(size "$DOCUMENT")" = "$DOCUMENT_SIZE" ] && [ "$(sum < "$DOCUMENT")" = "$DOCUMENT_SHA256" ] ||
    die "the file that you gave is not the document: its size is $(size "$DOCUMENT"), its SHA-256 $(sum < "$DOCUMENT")"
  ok "the file that you gave is this document, byte for byte"
fi

# --- What that proves, and what it does not.

NAME=statement.json
mv "$T/facts" "$T/flat"
echo
echo "Proven:"
printf '  The machine with the log %s issued the certificate %s of a %s.\n' "$ORIGIN" "$(plain "$CERTIFICATE")" $KIND
printf '  It is about %s, SHA-256 %s' "$(plain "$SUBJECT")" "$SUBJECT_SHA256"
if [ "$SUBJECTS" -eq 1 ]; then echo .; else echo ", and $((SUBJECTS - 1)) more."; fi
printf '  It says: result %s, %s documents, from %s to %s by the clock of the machine; logged at %s by the same clock.\n' \
  $RESULT "$DOCUMENTS" "$STARTED" "$FINISHED" "$LOGGED"
[ -z "$SHOWN" ] || printf '  The document %s was among them.\n' "$(plain "$DOCUMENT_PATH")"
echo "Not proven:"
sed -n 's|^/predicate/limits/[0-9]* "\(.*\)"$|  \1|p' "$T/flat" | tame
while IFS= read -r line; do printf '  %s\n' "$line"; done < "$T/cosigned"
if [ $((WITNESSES + STAMPS)) -eq 0 ]; then
  seen="nobody outside has witnessed it"
  echo "  Nobody outside has witnessed this: whoever holds the keys could have made all of it later, with any date."
elif [ -n "$KNOWN$VOUCHED" ]; then seen="witnessed from outside"
else seen="witnessed from outside by keys that this folder alone names"; fi
VERDICT=OK
printf 'OK  %s: %s of %s at %s (by the clock of the machine), %s\n' $RESULT $KIND "$(plain "$SUBJECT")" "$FINISHED" "$seen"
