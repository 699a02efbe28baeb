//! Text from BSON to JSON: sixteen bytes at a time as long as nothing needs an escape.

use super::error::{DecodeError, DecodeErrorKind};

const CHUNK: usize = 16;
const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Writes a quote and the text from `at` up to the first byte that cannot be copied as it is, and
/// returns where that is: a control character (the terminating zero of all BSON text among them), a
/// quote, a backslash or a byte outside ASCII. The end of `bson` counts as a zero byte.
///
/// There is always a byte before the text (a type, a length, a terminator): in the first chunk the
/// quote takes its place, so that a short text and its quote are one copy.
#[inline]
pub(super) fn open_quoted(bson: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let mut start = at - 1;
    let mut chunk = chunk_at(bson, start);
    // Nothing special, for the search; then what it is replaced by.
    chunk[0] = b'_';
    let mut plain = first_special(chunk);
    chunk[0] = b'"';
    loop {
        // The whole chunk is stored and the surplus dropped: a copy of constant size is a single
        // instruction, one of variable size a call.
        out.extend_from_slice(&chunk);
        if plain < CHUNK {
            out.truncate(out.len() - (CHUNK - plain));
            return start + plain;
        }
        start += CHUNK;
        chunk = chunk_at(bson, start);
        plain = first_special(chunk);
    }
}

/// Writes text that [`open_quoted`] could not finish, from where it stopped.
///
/// # Errors
/// `Utf8` if it is not.
#[cold]
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) -> Result<(), Box<DecodeError>> {
    let text = str::from_utf8(text).map_err(|_| DecodeError::new(DecodeErrorKind::Utf8))?;
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return Ok(()) };
        write_escape(byte, out);
        rest = &rest[plain + 1..];
    }
}

/// Number of leading bytes of UTF-8 text that JSON takes as they are.
fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    for chunk in text.chunks(CHUNK) {
        let plain = match chunk.try_into() {
            Ok(chunk) => first_escape(chunk),
            Err(_) => chunk.iter().position(|&byte| needs_escape(byte)).unwrap_or(chunk.len()),
        };
        length += plain;
        if plain < chunk.len() {
            break;
        }
    }
    length
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// RFC 8259, section 7: the short form where there is one.
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digits = b"0123456789abcdef";
            let [high, low] = [byte >> 4, byte & 0xf].map(|digit| digits[usize::from(digit)]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// The sixteen bytes from `at`; bytes beyond the end are zero.
#[inline]
fn chunk_at(bytes: &[u8], at: usize) -> [u8; CHUNK] {
    match bytes.get(at..at + CHUNK) {
        Some(chunk) => chunk.try_into().unwrap_or_default(),
        None => last_chunk(bytes, at),
    }
}

#[cold]
fn last_chunk(bytes: &[u8], at: usize) -> [u8; CHUNK] {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut chunk = [0; CHUNK];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// Index of the first byte that needs an escape or is not ASCII; `CHUNK` if none.
#[inline]
fn first_special(chunk: [u8; CHUNK]) -> usize {
    let [low, high] = words(chunk);
    first_mark((escapes(low) | low) & HIGH_BITS, (escapes(high) | high) & HIGH_BITS)
}

/// Index of the first byte that needs an escape; `CHUNK` if none.
#[inline]
fn first_escape(chunk: [u8; CHUNK]) -> usize {
    let [low, high] = words(chunk);
    first_mark(escapes(low) & !low & HIGH_BITS, escapes(high) & !high & HIGH_BITS)
}

/// Both halves, the first byte of each lowest.
#[inline]
fn words(chunk: [u8; CHUNK]) -> [u64; 2] {
    [0, 8].map(|at| u64::from_le_bytes(chunk[at..].first_chunk().copied().unwrap_or_default()))
}

/// Sets the high bit of every ASCII byte that needs an escape in JSON: below 0x20, a quote or a
/// backslash.
///
/// Eight bytes are tested at once: subtracting from each what makes only a hit underflow sets its
/// high bit. The borrow may mark bytes *above* a hit too, so only the lowest mark counts. What a
/// byte outside ASCII gets is for the caller to mask.
#[inline]
fn escapes(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    control | quote | backslash
}

#[inline]
fn first_mark(low: u64, high: u64) -> usize {
    let bits = if low == 0 { 64 + high.trailing_zeros() } else { low.trailing_zeros() };
    bits as usize / 8
}
