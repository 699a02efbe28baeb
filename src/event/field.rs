//! A field of a document, found by its path without decoding the document.

use std::fmt;

use mongodb::bson::Decimal128;

use super::bson_type::{
    ARRAY, BOOLEAN, DATE, DECIMAL128, DOCUMENT, DOUBLE, INT32, INT64, NULL, OBJECT_ID,
};
use super::elements::{Element, Elements};

/// A dotted path such as `customer.id`; a number is the index of an array's item.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// The names of what holds the field.
    parents: Vec<Box<str>>,
    name: Box<str>,
}

impl FieldPath {
    /// Reads a path; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('$');
        let sound = !text.contains('\0') && text.split('.').all(is_name);
        let mut parents: Vec<Box<str>> = text.split('.').map(Box::from).collect();
        let name = parents.pop()?;
        sound.then_some(Self { parents, name })
    }

    /// The name of a field that no other holds.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        self.parents.is_empty().then_some(self.name.as_bytes())
    }

    /// The names on the way to the field, its own the last.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.parents.iter().chain([&self.name]).map(|name| name.as_bytes())
    }

    /// The field in `document`, if it is there.
    pub(crate) fn find<'a>(&self, document: &'a [u8]) -> Option<Element<'a>> {
        let mut document = document;
        for parent in &self.parents {
            let element = Elements::of(document)?.find(parent.as_bytes())?;
            document = matches!(element.kind, DOCUMENT | ARRAY).then_some(element.value)?;
        }
        Elements::of(document)?.find(self.name.as_bytes())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for parent in &self.parents {
            write!(f, "{parent}.")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

/// A value that can be compared and written as a text.
#[derive(Clone, Copy)]
pub(crate) enum Scalar<'a> {
    /// Null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An int32 or int64.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A decimal128.
    Decimal(Decimal128),
    /// A string.
    Text(&'a str),
    /// Milliseconds since the epoch.
    Date(i64),
    /// An `ObjectId`.
    ObjectId([u8; 12]),
}

impl<'a> Scalar<'a> {
    /// The value of `element`; `None` for another type, and for a string that is not UTF-8.
    pub fn of(element: &Element<'a>) -> Option<Self> {
        let value = element.value;
        Some(match element.kind {
            NULL => Self::Null,
            BOOLEAN => Self::Boolean(*value.first()? != 0),
            INT32 => Self::Integer(i32::from_le_bytes(*value.first_chunk()?).into()),
            INT64 => Self::Integer(i64::from_le_bytes(*value.first_chunk()?)),
            DOUBLE => Self::Double(f64::from_le_bytes(*value.first_chunk()?)),
            DECIMAL128 => Self::Decimal(Decimal128::from_bytes(*value.first_chunk()?)),
            DATE => Self::Date(i64::from_le_bytes(*value.first_chunk()?)),
            OBJECT_ID => Self::ObjectId(*value.first_chunk()?),
            _ => Self::Text(element.text()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn found(path: &str) -> Option<i64> {
        let document = doc! {
            "a": 1, "b": {"c": 2, "d": {"e": 3}}, "list": [4, {"f": 5}], "g.h": 6,
        };
        let bytes = document.to_vec().unwrap();
        let element = FieldPath::parse(path).unwrap().find(&bytes)?;
        match Scalar::of(&element)? {
            Scalar::Integer(number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn a_path_goes_into_documents_and_arrays() {
        let paths = ["a", "b.c", "b.d.e", "list.0", "list.1.f"];
        assert_eq!(paths.map(found), [1, 2, 3, 4, 5].map(Some));
        for path in ["x", "a.b", "b.x", "b.c.x", "list.2", "list.f", "g.h"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for text in ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\0"] {
            assert_eq!(FieldPath::parse(text), None, "{text}");
        }
        assert_eq!(FieldPath::parse("a.b").unwrap().to_string(), "a.b");
    }
}
