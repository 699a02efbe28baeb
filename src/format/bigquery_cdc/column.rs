//! From the name of a field to that of a column, the same for a name in every row.
//!
//! BigQuery, "Specifying a schema": letters, digits and underscores, no digit first, at most 300
//! characters, none of the reserved prefixes, and upper and lower case are the same.

use std::borrow::Cow;

use super::super::envelope::Refusal;
use super::not_bson;
use super::value;
use crate::config::BigQueryConfig;
use crate::event::elements::{Element, Elements};

const RESERVED: [&str; 9] = [
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
];

const MAX_LENGTH: usize = 300;

/// What is kept of a name that is renamed: room for `f_`, `_` and eight hex digits.
const MAX_KEPT: usize = MAX_LENGTH - 11;

/// The column of the field `name`. What cannot be a column is made one: other characters become
/// `_`, a reserved or digit-led name gets `f_` in front, and a digest of the whole name follows, so
/// that no two fields share a column.
#[must_use]
pub(crate) fn column_name(name: &str) -> Cow<'_, str> {
    if is_column(name.as_bytes(), letters(name.as_bytes())) {
        return name.into();
    }
    renamed(name).into()
}

/// Whether a name, with these letters, is that of a column as it is.
fn is_column(name: &[u8], letters: u8) -> bool {
    let led = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    led && letters & OTHER == 0 && name.len() <= MAX_LENGTH && !is_reserved(name)
}

fn is_reserved(name: &[u8]) -> bool {
    let begins = |prefix: &&str| {
        let head = name.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    name.starts_with(b"_") && RESERVED.iter().any(begins)
}

/// There is a letter in upper case.
const UPPER: u8 = 1;
/// There is something that no column's name has.
const OTHER: u8 = 2;

/// What each byte is.
const LETTERS: [u8; 256] = {
    let mut letters = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        letters[byte as usize] = match byte {
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' | b'0'..=b'9' | b'_' => 0,
            _ => OTHER,
        };
        byte += 1;
    }
    letters
};

/// What is in a name, found in one pass.
fn letters(name: &[u8]) -> u8 {
    name.iter().fold(0, |all, &byte| all | LETTERS[usize::from(byte)])
}

fn renamed(name: &str) -> String {
    let led = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let mut column = String::from(if led && !is_reserved(name.as_bytes()) { "" } else { "f_" });
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    column.extend(letters.take(MAX_KEPT));
    column.push('_');
    column.push_str(&blake3::hash(name.as_bytes()).to_hex()[..8]);
    column
}

/// The letters of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// All in lower case.
    Lower,
    /// One is in upper case, or more.
    Upper,
}

/// The columns that the configuration knows.
#[derive(Debug)]
pub(super) struct Columns {
    /// In the order of [`Columns::find`].
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// The name in lower case.
    lower: Box<[u8]>,
    /// The field that has the column.
    field: Box<str>,
    /// Its values are texts.
    text: bool,
}

impl Columns {
    pub fn compile(table: &BigQueryConfig) -> Self {
        let known = table.known_columns().map(|(field, kind)| {
            let text = kind.to_ascii_uppercase().starts_with("STRING");
            let lower = field.to_ascii_lowercase().into_bytes().into();
            Known { lower, field: field.into(), text }
        });
        let mut all = Self { known: Vec::new() };
        for known in known {
            match all.find(&known.lower) {
                // Of fields that differ in case only the last one is known.
                Ok(at) => all.known[at] = known,
                Err(at) => all.known.insert(at, known),
            }
        }
        all
    }

    /// The place of a name in lower case, or where it belongs: the shortest first, as most names
    /// are told apart by their length.
    fn find(&self, lower: &[u8]) -> Result<usize, usize> {
        self.known.binary_search_by(|known| {
            known.lower.len().cmp(&lower.len()).then_with(|| (*known.lower).cmp(lower))
        })
    }

    /// Writes a comma, the column of `element` and its value; returns the case of its name.
    pub fn write(
        &self,
        element: &Element<'_>,
        row: &Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Case, Refusal> {
        let (name, letters) = (element.name, letters(element.name));
        // Names are written as they are, so a lower-case copy is made of the others only.
        let case = if letters & UPPER == 0 { Case::Lower } else { Case::Upper };
        let lower: Cow<'_, [u8]> = match case {
            Case::Lower => name.into(),
            Case::Upper => name.to_ascii_lowercase().into(),
        };
        let known = self.find(&lower).ok().map(|at| &self.known[at]);
        let taken =
            known.map_or_else(|| row.has_before(name), |known| known.field.as_bytes() != name);
        out.extend_from_slice(b",\"");
        if taken || !is_column(name, letters) {
            let name = str::from_utf8(name).map_err(|_| not_bson())?;
            out.extend_from_slice(renamed(name).as_bytes());
        } else {
            out.extend_from_slice(name);
        }
        out.extend_from_slice(b"\":");
        let start = out.len();
        value::write_column(element, out)?;
        if !taken && known.is_some_and(|known| known.text) {
            value::as_text(start, out);
        }
        Ok(case)
    }
}

/// The names of a document that differ in case only from others of it: most often none.
#[derive(Default)]
pub(super) struct Row<'a> {
    document: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// Looks for such names; `None` for what is not BSON.
    pub fn of(document: &'a [u8]) -> Option<Self> {
        let names = Elements::of(document)?.map(|element| Some(folded(element?.name)));
        let mut names = names.collect::<Option<Vec<u64>>>()?;
        names.sort_unstable();
        let alike = names.windows(2).any(|pair| pair[0] == pair[1]);
        Some(Self { document: alike.then_some(document) })
    }

    /// Whether there are such names.
    pub fn is_ambiguous(&self) -> bool {
        self.document.is_some()
    }

    /// Whether a field that differs from `name` in case only has its column: that which comes last
    /// in the order of bytes, wherever they stand, so lower case before upper.
    fn has_before(&self, name: &[u8]) -> bool {
        let fields = self.document.and_then(Elements::of).into_iter().flatten().flatten();
        let mut names = fields.map(|element| element.name);
        names.any(|other| other.eq_ignore_ascii_case(name) && other > name)
    }
}

/// A digest that names have in common which differ in case only, and hardly any others: where they
/// do, they are compared.
fn folded(name: &[u8]) -> u64 {
    /// An odd number with bits all over: the fraction of the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    /// What upper case lacks of lower case.
    const CASE: u64 = u64::from_ne_bytes([0x20; 8]);
    let mix =
        |digest: u64, word: u64| (digest ^ (word | CASE)).wrapping_mul(SPREAD).rotate_left(29);
    let mut words = name.chunks_exact(size_of::<u64>());
    let whole = words.by_ref().filter_map(<[u8]>::first_chunk).copied().map(u64::from_le_bytes);
    let digest = whole.fold(name.len() as u64, mix);
    words.remainder().iter().fold(digest, |digest, &byte| mix(digest, u64::from(byte)))
}
