//! Content hashes. A fingerprint depends on meaning only: never on addresses, hash-map order or white space.

use serde::{Deserialize, Serialize};
use std::fmt;

/// BLAKE3 hash of a typed program part, an input file or a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub fn of(bytes: &[u8]) -> Fingerprint {
        Fingerprint(*blake3::hash(bytes).as_bytes())
    }

    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// From its 64 hex digits.
    pub fn parse(hex: &str) -> Option<Fingerprint> {
        let mut key = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (i, b) in key.iter_mut().enumerate() {
            *b = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Fingerprint(key))
    }

    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        self.hex()[..8].to_string()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.short())
    }
}

/// Hashes a sequence of parts; each part is length-prefixed, so that no two sequences collide by concatenation.
#[derive(Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    pub fn new(domain: &str) -> Hasher {
        let mut h = Hasher::default();
        h.text(domain);
        h
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Hasher {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Hasher {
        self.bytes(text.as_bytes())
    }

    pub fn number(&mut self, x: f64) -> &mut Hasher {
        self.bytes(&x.to_bits().to_le_bytes())
    }

    pub fn integer(&mut self, n: u64) -> &mut Hasher {
        self.bytes(&n.to_le_bytes())
    }

    pub fn part(&mut self, f: Fingerprint) -> &mut Hasher {
        self.bytes(&f.0)
    }

    pub fn finish(&self) -> Fingerprint {
        Fingerprint(*self.0.finalize().as_bytes())
    }
}

/// Hashes bytes that come in pieces: [`Fingerprint::of`] all of them.
#[derive(Clone, Default)]
pub struct Rolling(blake3::Hasher);

impl Rolling {
    pub fn update(&mut self, bytes: &[u8]) -> &mut Rolling {
        self.0.update(bytes);
        self
    }

    pub fn finish(&self) -> Fingerprint {
        Fingerprint(*self.0.finalize().as_bytes())
    }
}
