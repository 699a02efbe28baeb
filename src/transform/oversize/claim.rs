//! A message whose data is kept elsewhere.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::json;

use crate::event::{Claim, StreamId};
use crate::format::{MessageWriter, Record};

/// Writes references in place of data.
#[derive(Debug)]
pub(super) struct ClaimWriter {
    /// What the URLs begin with.
    root: String,
    stream: String,
}

impl ClaimWriter {
    /// References of `stream` to data below the URL `root`.
    pub fn new(root: &str, stream: &StreamId) -> Self {
        Self { root: root.into(), stream: stream.to_string() }
    }

    /// Takes the data out of `message` and puts a reference in its place.
    ///
    /// The name tells event and content: what is sent again is stored under the same name, and
    /// what a look-up has changed meanwhile, or another topic's form of it, under another.
    pub fn apply(&self, record: &Record<'_>, message: &mut MessageWriter) -> Arc<Claim> {
        let payload = Bytes::copy_from_slice(message.payload());
        let sum = crc32c(&payload);
        let name = format!("{}/{}-{sum:08x}.json", self.stream, record.event_id);
        let uri = format!("{}{name}", self.root);
        let reference = json!({ "claim_check": {
            "uri": uri,
            "size": payload.len(),
            "crc32c": BASE64_STANDARD.encode(sum.to_be_bytes()),
            "content_type": "application/json",
        }});
        message.replace_data(reference.to_string().as_bytes());
        message.attribute("claim_check", &[uri.as_bytes()]);
        Arc::new(Claim::new(name, payload))
    }
}

/// The checksum that Cloud Storage keeps with each object: CRC-32C (Castagnoli), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        let [low, ..] = sum.to_le_bytes();
        TABLE[usize::from(low ^ byte)] ^ (sum >> 8)
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index: u32 = 0;
    while index < 256 {
        let (mut sum, mut bit) = (index, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[index as usize] = sum;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4, and the check value of the catalogue of CRC algorithms.
    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }
}
