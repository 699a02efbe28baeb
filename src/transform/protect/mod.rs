//! What becomes of a protected value.

mod keys;

pub(super) use keys::Keys;

use super::edit::Fault;
use crate::config::{ProtectAction, ProtectRule};
use crate::event::bson_type::{NULL, STRING};

/// What stands for a value that `mask` and `truncate` have no characters of.
const OPAQUE: usize = 4;

/// The actions of a stream's rules, in their order.
#[derive(Debug)]
pub(super) struct Protector {
    actions: Vec<Action>,
    keys: Option<Keys>,
}

#[derive(Debug)]
enum Action {
    Remove,
    Mask { keep: usize, mask: String },
    Hash,
    Truncate { length: usize },
    Tokenise,
}

impl Protector {
    /// The actions of `rules`, which have been checked.
    pub fn new(rules: &[ProtectRule], keys: Option<Keys>) -> Self {
        Self { actions: rules.iter().map(Action::new).collect(), keys }
    }

    /// Whether anything is protected.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// What is derived from the protection key.
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Appends to `out` what the rule makes of a value, and returns its BSON type; `None` where
    /// nothing is left of it.
    pub fn write(
        &self,
        rule: usize,
        kind: u8,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<u8>, Fault> {
        let action = self.actions.get(rule).ok_or(Fault("a rule of `protect` is missing"))?;
        let keys = || self.keys.as_ref().ok_or(Fault("`protection.key` is missing"));
        match action {
            Action::Remove => return Ok(None),
            _ if kind == NULL => return Ok(Some(NULL)),
            Action::Mask { keep, mask } => match text(kind, value)? {
                Some(text) => string(out, |out| masked(text, *keep, mask, out)),
                None => string(out, |out| repeat(mask, OPAQUE, out)),
            },
            Action::Truncate { length } => match text(kind, value)? {
                Some(text) => string(out, |out| out.extend_from_slice(head(text, *length))),
                None => string(out, |out| repeat("X", OPAQUE, out)),
            },
            Action::Hash => {
                let hash = keys()?.hash(kind, value, text(kind, value)?);
                string(out, |out| out.extend_from_slice(&hash));
            }
            Action::Tokenise => {
                let token = keys()?.token(kind, value);
                string(out, |out| {
                    out.extend_from_slice(b"tok_");
                    out.extend_from_slice(&token);
                });
            }
        }
        Ok(Some(STRING))
    }
}

impl Action {
    fn new(rule: &ProtectRule) -> Self {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        match rule.action {
            ProtectAction::Remove => Self::Remove,
            ProtectAction::Mask => {
                Self::Mask { keep: count(rule.keep), mask: rule.mask_char.clone() }
            }
            ProtectAction::Hash => Self::Hash,
            ProtectAction::Truncate => Self::Truncate { length: count(rule.length) },
            ProtectAction::Tokenise => Self::Tokenise,
        }
    }
}

/// The text of a string, `None` for another type.
fn text(kind: u8, value: &[u8]) -> Result<Option<&str>, Fault> {
    if kind != STRING {
        return Ok(None);
    }
    let bytes = value.get(4..).and_then(<[u8]>::split_last).map(|(_, bytes)| bytes);
    let text = bytes.and_then(|bytes| str::from_utf8(bytes).ok());
    text.map(Some).ok_or(Fault("a protected text is not UTF-8"))
}

/// Appends a BSON string that `write` gives the bytes of.
fn string(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    out.push(0);
    // No text grows beyond four times its size, and an event has 16 MiB.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn repeat(mask: &str, times: usize, out: &mut Vec<u8>) {
    match mask.as_bytes() {
        [byte] => out.resize(out.len() + times, *byte),
        bytes => (0..times).for_each(|_| out.extend_from_slice(bytes)),
    }
}

/// All but the last `keep` characters masked; all of a text that has no more.
fn masked(text: &str, keep: usize, mask: &str, out: &mut Vec<u8>) {
    let characters = text.chars().count();
    let hidden = if characters <= keep { characters } else { characters - keep };
    repeat(mask, hidden, out);
    let shown = text.char_indices().nth(hidden).map_or("", |(at, _)| &text[at..]);
    out.extend_from_slice(shown.as_bytes());
}

/// The first `length` characters.
fn head(text: &str, length: usize) -> &[u8] {
    let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
    &text.as_bytes()[..end]
}

#[cfg(test)]
mod tests;
