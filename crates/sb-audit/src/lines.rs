//! Reading the line-based formats of C2SP: every line ends with a newline, numbers and hashes have one spelling each.

use base64ct::{Base64, Encoding};
use sb_crypto::Digest;

use crate::malformed::Malformed;

/// A text that is read line by line and knows where it is.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    format: &'static str,
    rest: &'a str,
    /// Of the line read last, counted from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    /// A text of at most `bytes_max` bytes of UTF-8 without control characters other than newlines.
    pub(crate) fn new(format: &'static str, bytes: &'a [u8], bytes_max: usize) -> Result<Self, Malformed> {
        let fault = |byte, fault| Malformed::at_byte(format, byte, fault);
        if bytes.len() > bytes_max {
            return Err(fault(bytes_max, "too long"));
        }
        if let Some(byte) = bytes.iter().position(|&byte| byte < b' ' && byte != b'\n') {
            return Err(fault(byte, "a control character"));
        }
        let rest = str::from_utf8(bytes).map_err(|error| fault(error.valid_up_to(), "not UTF-8"))?;
        Ok(Self { format, rest, number: 0 })
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next line without its newline.
    pub(crate) fn next(&mut self) -> Result<&'a str, Malformed> {
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.fault("a line is missing or has no end"))?;
        self.rest = rest;
        Ok(line)
    }

    /// What follows `word` and a space on the next line.
    pub(crate) fn after(&mut self, word: &str, fault: &'static str) -> Result<&'a str, Malformed> {
        let line = self.next()?;
        line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(|| self.fault(fault))
    }

    /// One hash a line up to the first empty line, which is read too.
    pub(crate) fn hashes(&mut self, count_max: usize) -> Result<Vec<Digest>, Malformed> {
        let mut hashes = Vec::new();
        loop {
            let line = self.next()?;
            if line.is_empty() {
                return Ok(hashes);
            }
            if hashes.len() == count_max {
                return Err(self.fault("too many hashes"));
            }
            hashes.push(self.hash(line)?);
        }
    }

    /// A fault in the line read last.
    pub(crate) const fn fault(&self, fault: &'static str) -> Malformed {
        Malformed::at_line(self.format, self.number, fault)
    }

    pub(crate) fn number(&self, text: &str) -> Result<u64, Malformed> {
        decimal(text).ok_or_else(|| self.fault("not a decimal number without leading zeros"))
    }

    pub(crate) fn hash(&self, text: &str) -> Result<Digest, Malformed> {
        hash(text).ok_or_else(|| self.fault("not the base64 of a SHA-256 hash"))
    }
}

/// A number in ASCII digits, without sign and leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    (digits_only && !leading_zero).then(|| text.parse().ok())?
}

/// A hash in padded standard base64.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    let bytes: [u8; 32] = Base64::decode_vec(text).ok()?.try_into().ok()?;
    Some(Digest::from_bytes(bytes))
}

/// The way back from [`hash`].
pub(crate) fn hash_text(hash: &Digest) -> String {
    Base64::encode_string(hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "18446744073709551616", "１"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn hashes_have_one_spelling() {
        let digest = sb_crypto::sha256(b"");
        let text = hash_text(&digest);
        assert_eq!(hash(&text), Some(digest));
        // The last symbol before the padding carries two bits that must be zero.
        assert!(text.ends_with("uFU="));
        for bad in [&text[1..], text.trim_end_matches('='), &text.replace("uFU=", "uFV="), &format!("{text}\n")] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn faults_name_the_line() {
        let mut lines = Lines::new("thing", b"a 1\nb\n\nc", 100).unwrap();
        assert_eq!(lines.after("a", "not a"), Ok("1"));
        assert_eq!(lines.after("a", "not a"), Err(Malformed::at_line("thing", 2, "not a")));
        assert_eq!(lines.hashes(0), Ok(vec![]));
        assert_eq!(lines.rest(), "c");
        assert_eq!(lines.next(), Err(Malformed::at_line("thing", 4, "a line is missing or has no end")));
    }

    #[test]
    fn only_text_of_a_reasonable_length_is_read() {
        let refused = |bytes| Lines::new("thing", bytes, 3).unwrap_err();
        assert_eq!(refused(b"abcd"), Malformed::at_byte("thing", 3, "too long"));
        assert_eq!(refused(b"a\r\n"), Malformed::at_byte("thing", 1, "a control character"));
        assert_eq!(refused(b"ab\xff"), Malformed::at_byte("thing", 2, "not UTF-8"));
    }
}
