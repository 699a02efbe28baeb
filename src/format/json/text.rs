//! Text from BSON to JSON: eight bytes at a time as long as nothing needs an escape.

use super::error::{DecodeError, DecodeErrorKind};

const WORD: usize = 8;
const ONES: u64 = u64::from_ne_bytes([0x01; WORD]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; WORD]);

/// Writes a quote and the text from `at` up to the first byte that cannot be copied as it is, and
/// returns where that is: a control character (the terminating zero of all BSON text among them), a
/// quote, a backslash or a byte outside ASCII. The end of `bson` counts as a zero byte.
///
/// There is always a byte before the text (a type, a length, a terminator): in the first word the
/// quote takes its place, so that a short text and its quote are one copy.
#[inline]
pub(super) fn open_quoted(bson: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let mut start = at - 1;
    let tail = word_at(bson, start) & !0xff;
    // The search sees a byte that is not special.
    let mut stops = specials(tail | u64::from(b'_'));
    let mut word = tail | u64::from(b'"');
    loop {
        // The whole word is stored and the surplus dropped: a copy of constant size is a single
        // instruction, one of variable size a call. The word stays in a register: changed or
        // tested by bytes in memory, each text would wait for its own stores.
        out.extend_from_slice(&word.to_le_bytes());
        if stops != 0 {
            let plain = first_byte(stops);
            out.truncate(out.len() - (WORD - plain));
            return start + plain;
        }
        start += WORD;
        word = word_at(bson, start);
        stops = specials(word);
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

/// The same, for JSON that stands `within_text`: what was escaped is so again.
///
/// # Errors
/// That of [`write_escaped`].
#[cold]
pub(super) fn write_text(
    within_text: bool,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Box<DecodeError>> {
    if !within_text {
        return write_escaped(text, out);
    }
    let mut once = Vec::with_capacity(2 * text.len());
    write_escaped(text, &mut once)?;
    write_escaped(&once, out)
}

/// Number of leading bytes of UTF-8 text that JSON takes as they are.
fn plain_length(text: &[u8]) -> usize {
    let mut words = text.chunks_exact(WORD);
    let mut length = 0;
    for word in &mut words {
        let word = word_at(word, 0);
        let stops = escapes(word) & !word & HIGH_BITS;
        if stops != 0 {
            return length + first_byte(stops);
        }
        length += WORD;
    }
    let tail = words.remainder();
    length + tail.iter().position(|&byte| needs_escape(byte)).unwrap_or(tail.len())
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

/// The eight bytes from `at`, the first one lowest; bytes beyond the end are zero.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + WORD) {
        Some(word) => u64::from_le_bytes(word.try_into().unwrap_or_default()),
        None => last_word(bytes, at),
    }
}

#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The high bit of every byte that needs an escape or is not ASCII; the lowest is right.
#[inline]
fn specials(word: u64) -> u64 {
    (escapes(word) | word) & HIGH_BITS
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

/// Index of the byte that the lowest mark is in.
#[inline]
fn first_byte(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}
