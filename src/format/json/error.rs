//! Why a document cannot be transcoded, and where.

use std::fmt;

use thiserror::Error;

/// The longest part of a field name that an error shows, in characters: a name may be as long as a
/// document (16 MiB).
const SHOWN_NAME: usize = 64;

/// The bytes are not a BSON document that can be written as Extended JSON.
///
/// Shows the names of fields, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid BSON at {}: {kind}", if path.is_empty() { "the top level" } else { path })]
pub struct DecodeError {
    /// The rule that is broken.
    pub kind: DecodeErrorKind,
    /// Dotted names of the fields that lead to the broken element, array indices among them; empty
    /// where the document as a whole is meant. Long names are cut, control characters escaped.
    pub path: String,
}

impl DecodeError {
    #[cold]
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "a pointer keeps the result of each step small"
    )]
    pub(super) fn new(kind: DecodeErrorKind) -> Box<Self> {
        Box::new(Self { kind, path: String::new() })
    }

    /// Puts the name of the enclosing element before the path. Called while the walk unwinds, so
    /// that a path costs nothing as long as nothing is wrong.
    #[cold]
    #[expect(clippy::unnecessary_box_returns, reason = "as for `new`")]
    pub(super) fn inside(mut self: Box<Self>, name: &[u8]) -> Box<Self> {
        // Four bytes is the longest character, so no shown character is missed.
        let head = String::from_utf8_lossy(&name[..name.len().min(4 * SHOWN_NAME)]);
        let mut path: String = head.chars().take(SHOWN_NAME).flat_map(char::escape_debug).collect();
        if !self.path.is_empty() {
            path.push('.');
            path.push_str(&self.path);
        }
        self.path = path;
        self
    }
}

/// A rule of BSON 1.1 (<https://bsonspec.org/spec.html>) that a document breaks, or a limit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A document's length is not that of the bytes that hold it.
    DocumentLength,
    /// A document does not end in a zero byte.
    DocumentEnd,
    /// An element reaches beyond the end of its document.
    Truncated,
    /// The length of a string, of binary data or of code with scope is impossible.
    ValueLength,
    /// A string does not end in a zero byte.
    StringEnd,
    /// A string, or the name of a field, is not UTF-8.
    Utf8,
    /// A boolean is neither 0 nor 1.
    Boolean,
    /// No type has this number.
    Type(u8),
    /// Nested more than [`super::MAX_DEPTH`] levels deep.
    Depth,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DocumentLength => f.write_str("the document's length is wrong"),
            Self::DocumentEnd => f.write_str("the document does not end in a zero byte"),
            Self::Truncated => f.write_str("the element reaches beyond the end of its document"),
            Self::ValueLength => f.write_str("the value's length is wrong"),
            Self::StringEnd => f.write_str("the string does not end in a zero byte"),
            Self::Utf8 => f.write_str("the text is not UTF-8"),
            Self::Boolean => f.write_str("the boolean is neither 0 nor 1"),
            Self::Type(number) => write!(f, "no BSON type has the number {number:#04x}"),
            Self::Depth => write!(f, "nested more than {} levels deep", super::MAX_DEPTH),
        }
    }
}
