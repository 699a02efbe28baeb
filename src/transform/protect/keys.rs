//! What is derived from the protection key: one secret for each use, so that a value's hash, its
//! token and the id of an event tell nothing of one another.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::event::EventId;

/// Before the type of a value that is no text: no UTF-8 has this byte, so no text hashes alike.
const NOT_TEXT: u8 = 0xff;

/// The keys of one configuration.
#[derive(Clone)]
pub(in crate::transform) struct Keys {
    hash: Hmac<Sha256>,
    token: [u8; 32],
    event_id: [u8; 32],
    lane_seed: u64,
}

impl Keys {
    /// Derives them from `protection.key`.
    pub fn derive(key: &str) -> Option<Self> {
        let derive = |context: &str| blake3::derive_key(context, key.as_bytes());
        let seed = derive("mongo_gcp_stream 2026-11-23 lane seed");
        Some(Self {
            // The key as it is, so that any HMAC tool finds the hash of a value it knows.
            hash: Hmac::new_from_slice(key.as_bytes()).ok()?,
            token: derive("mongo_gcp_stream 2026-11-23 token of a value"),
            event_id: derive("mongo_gcp_stream 2026-11-23 event id"),
            lane_seed: u64::from_le_bytes(*seed.first_chunk()?),
        })
    }

    /// The hash of a value in hex: of the text itself, or of 0xff, the BSON type and the raw value.
    pub fn hash(&self, kind: u8, value: &[u8], text: Option<&str>) -> [u8; 64] {
        let mut mac = self.hash.clone();
        if let Some(text) = text {
            mac.update(text.as_bytes());
        } else {
            mac.update(&[NOT_TEXT, kind]);
            mac.update(value);
        }
        hex(&mac.finalize().into_bytes())
    }

    /// The token of a value in hex: of its BSON type and the raw value.
    pub fn token(&self, kind: u8, value: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.token);
        hasher.update(&[kind]).update(value);
        hex(hasher.finalize().as_bytes())
    }

    /// The id of the event with this resume token.
    pub fn event_id(&self, token_data: &[u8]) -> EventId {
        EventId::new(&blake3::keyed_hash(&self.event_id, token_data))
    }

    /// What the hash that chooses a lane begins with.
    pub fn lane_seed(&self) -> u64 {
        self.lane_seed
    }
}

/// They are secrets.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The first bytes in hex, as many as there is room for.
fn hex<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut hex = [b'0'; N];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}
