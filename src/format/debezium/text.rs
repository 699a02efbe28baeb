//! Text in JSON, and JSON in JSON.

use std::io::Write as _;

/// Writes `text` in quotes.
///
/// What is not ASCII stays as it is, save characters beyond 16 bits, the separators U+2028 and
/// U+2029 and a few that do not show, which the driver for Java escapes. It escapes some more,
/// combining marks among them; a reader gets the same text.
pub(super) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        if !is_escaped(character) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + character.len_utf8();
        write_escape(character, out);
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

fn is_escaped(character: char) -> bool {
    matches!(
        character,
        '\0'..' ' | '"' | '\\' | '\u{7f}'..'\u{a0}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}'
        | '\u{feff}' | '\u{10000}'..
    )
}

fn write_escape(character: char, out: &mut Vec<u8>) {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a `Vec` cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Escapes the JSON from `start` so that it can stand in a JSON string: only quotes and
/// backslashes need it, as JSON has no control characters.
///
/// Done in place from the end, so that no event takes a buffer of its own.
pub(super) fn escape_again(out: &mut Vec<u8>, start: usize) {
    let needs_escape = |byte: u8| byte == b'"' || byte == b'\\';
    let mut from = out.len();
    let more = out[start..].iter().filter(|&&byte| needs_escape(byte)).count();
    out.resize(from + more, 0);
    let mut to = out.len();
    while from < to {
        from -= 1;
        to -= 1;
        out[to] = out[from];
        if needs_escape(out[from]) {
            to -= 1;
            out[to] = b'\\';
        }
    }
}
