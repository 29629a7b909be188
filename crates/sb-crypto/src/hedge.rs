//! Randomness for one message that does not repeat for another, even if the generator does.
//!
//! ```text
//! R        32 random bytes
//! block i  = derive(R, "hedge", [SHA-256(public key), SHA-256(info), SHA-256(aad), SHA-256(plaintext), i (4 bytes)])
//! ```
//!
//! A machine cloned with its generator draws the same R twice. What it seals with it to one key pair would have one ephemeral key, hence
//! one AES key and nonce; so all that is sealed goes into what the ephemeral key is made of. With a good generator the blocks are as good
//! as R; with a bad one they are no worse (compare RFC 6979 §3.6, RFC 8937).

use std::cell::Cell;

use crate::derive::derive;
use crate::digest::{Digest, sha256};
use crate::random::Random;
use crate::secret::Key;

pub(crate) struct Hedge {
    drawn: Key,
    message: [Digest; 4],
    blocks: Cell<u32>,
}

impl Hedge {
    pub(crate) fn new(random: &dyn Random, public: &[u8], info: &[u8], aad: &[u8], plaintext: &[u8]) -> Self {
        let message = [public, info, aad, plaintext].map(sha256);
        Self { drawn: Key::random(random), message, blocks: Cell::new(0) }
    }

    /// The next 32 bytes.
    pub(crate) fn key(&self) -> Key {
        let number = self.blocks.replace(self.blocks.get() + 1).to_be_bytes();
        let [public, info, aad, plaintext] = self.message.each_ref().map(|digest| digest.as_bytes().as_slice());
        derive(&self.drawn, "hedge", &[public, info, aad, plaintext, &number])
    }

    pub(crate) fn fill(&self, out: &mut [u8]) {
        for block in out.chunks_mut(Key::LEN) {
            block.copy_from_slice(&self.key().as_bytes()[..block.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_generator_that_repeats_gives_each_message_bytes_of_its_own() {
        let draw = |seed, public: &[u8], info: &[u8], aad: &[u8], plaintext: &[u8]| {
            let mut bytes = [0; 80];
            Hedge::new(&SeededRandom::new(seed), public, info, aad, plaintext).fill(&mut bytes);
            bytes
        };
        let first = draw(1, b"a", b"b", b"c", b"d");
        assert_eq!(first, draw(1, b"a", b"b", b"c", b"d"));
        let others = [
            draw(2, b"a", b"b", b"c", b"d"),
            draw(1, b"A", b"b", b"c", b"d"),
            draw(1, b"a", b"B", b"c", b"d"),
            draw(1, b"a", b"b", b"C", b"d"),
            draw(1, b"a", b"b", b"c", b"D"),
            draw(1, b"ab", b"", b"c", b"d"),
        ];
        let blocks: BTreeSet<&[u8]> = others.iter().chain([&first]).flat_map(|bytes| bytes.chunks(32)).collect();
        assert_eq!(blocks.len(), 7 * 3, "no block is there twice");
    }
}
