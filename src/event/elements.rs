//! The elements of a BSON document, stepped over from length to length: only the frame of each
//! value is checked, for a fraction of what reading the values takes.

use super::bson_type::{
    ARRAY, BINARY, BOOLEAN, CODE, CODE_WITH_SCOPE, DATE, DB_POINTER, DECIMAL128, DOCUMENT, DOUBLE,
    INT32, INT64, MAX_KEY, MIN_KEY, NULL, OBJECT_ID, REGEX, STRING, SYMBOL, TIMESTAMP, UNDEFINED,
};

/// Bytes of a length in front of a document or a string.
const LENGTH: usize = size_of::<i32>();

/// One element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    /// BSON's type of the value.
    pub kind: u8,
    /// The name, without the zero byte after it.
    pub name: &'a [u8],
    /// The value as it stands in the document.
    pub value: &'a [u8],
    /// Type, name and value.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The bytes of a string; `None` for another type.
    pub fn string(&self) -> Option<&'a [u8]> {
        // A length goes before a string, a zero byte follows it.
        let text = (self.kind == STRING).then(|| self.value.get(LENGTH..)?.split_last());
        Some(text??.1)
    }

    /// The text of a string; `None` for another type, and for what is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        str::from_utf8(self.string()?).ok()
    }

    /// The bytes of an embedded document; `None` for another type.
    pub fn document(&self) -> Option<&'a [u8]> {
        (self.kind == DOCUMENT).then_some(self.value)
    }
}

/// Goes over the elements of a document; an item is `None`, and the last, where the bytes are
/// no element.
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements of `document`; `None` unless its length and its end are those of one.
    pub fn of(document: &'a [u8]) -> Option<Self> {
        let (length, rest) = document.split_first_chunk()?;
        let (end, rest) = rest.split_last()?;
        let framed = usize::try_from(i32::from_le_bytes(*length)) == Ok(document.len());
        (framed && *end == 0).then_some(Self { rest })
    }

    /// The element `name`; `None` when there is none, or not before the bytes go wrong.
    pub fn find(self, name: &[u8]) -> Option<Element<'a>> {
        self.map_while(|element| element).find(|element| element.name == name)
    }

    #[inline]
    fn split(&mut self) -> Option<Element<'a>> {
        let (&kind, named) = self.rest.split_first()?;
        let name = zero(named)?;
        let start = 1 + name + 1;
        let length = value_length(kind, self.rest.get(start..)?)?;
        let whole;
        (whole, self.rest) = self.rest.split_at_checked(start + length)?;
        Some(Element { kind, name: &whole[1..=name], value: &whole[start..], whole })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<Element<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let element = self.split();
        if element.is_none() {
            self.rest = &[];
        }
        Some(element)
    }
}

/// Bytes of a value of type `kind` that begins `value`; `None` for a type that BSON does not have.
/// It may be more than there are.
#[inline]
fn value_length(kind: u8, value: &[u8]) -> Option<usize> {
    Some(match kind {
        UNDEFINED | NULL | MAX_KEY | MIN_KEY => 0,
        BOOLEAN => 1,
        INT32 => 4,
        DOUBLE | DATE | TIMESTAMP | INT64 => 8,
        OBJECT_ID => 12,
        DECIMAL128 => 16,
        STRING | CODE | SYMBOL => LENGTH + length(value)?,
        DOCUMENT | ARRAY | CODE_WITH_SCOPE => length(value)?,
        BINARY => LENGTH + 1 + length(value)?,
        DB_POINTER => LENGTH + length(value)? + 12,
        REGEX => regex_length(value)?,
        _ => return None,
    })
}

/// Bytes of a regular expression: its pattern and its options.
#[cold]
fn regex_length(value: &[u8]) -> Option<usize> {
    let pattern = zero(value)? + 1;
    Some(pattern + zero(&value[pattern..])? + 1)
}

fn length(value: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*value.first_chunk()?)).ok()
}

/// Where the first zero byte is, looked for eight bytes at a time.
#[inline]
fn zero(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        // Only a zero underflows; the borrow may mark bytes above it too, so the lowest mark counts.
        let zeros = word.wrapping_sub(ONES) & !word & HIGH_BITS;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += size_of::<u64>();
    }
    let rest = bytes[at..].iter().position(|&byte| byte == 0)?;
    Some(at + rest)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{
        Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, doc,
        oid::ObjectId,
    };
    use proptest::prelude::*;

    use super::*;

    fn every_type() -> mongodb::bson::Document {
        let code = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1 } };
        let regex = Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() };
        let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] };
        doc! {
            "double": 1.5, "string": "text", "document": { "a": 1 }, "array": [1, "b"],
            "binary": binary, "undefined": Bson::Undefined, "id": ObjectId::from_bytes([7; 12]),
            "boolean": true, "date": DateTime::from_millis(1), "null": Bson::Null, "regex": regex,
            "code": Bson::JavaScriptCode("g()".into()), "symbol": Bson::Symbol("s".into()),
            "scoped": code, "int32": 1_i32, "timestamp": Timestamp { time: 1, increment: 2 },
            "int64": 2_i64, "decimal": Decimal128::from_bytes([9; 16]), "min": Bson::MinKey,
            "max": Bson::MaxKey, "": "the last",
        }
    }

    #[test]
    fn every_type_is_stepped_over() {
        let document = every_type();
        let bytes = document.to_vec().unwrap();
        let elements: Vec<Element<'_>> =
            Elements::of(&bytes).unwrap().map(Option::unwrap).collect();
        let names: Vec<&[u8]> = elements.iter().map(|element| element.name).collect();
        assert_eq!(names, document.keys().map(String::as_bytes).collect::<Vec<_>>());
        assert_eq!(
            elements.iter().map(|element| element.whole.len()).sum::<usize>() + 5,
            bytes.len()
        );
        let find = |name: &str| Elements::of(&bytes).unwrap().find(name.as_bytes());
        assert_eq!(find("string").unwrap().text(), Some("text"));
        assert_eq!(find("symbol").unwrap().text(), None);
        assert_eq!(find("document").unwrap().document(), doc! { "a": 1 }.to_vec().ok().as_deref());
        assert!(find("none").is_none());
    }

    #[test]
    fn a_pointer_is_stepped_over() {
        // The driver cannot make one: type, name, length, namespace, id.
        let mut element = vec![0x0c, b'p', 0, 4, 0, 0, 0, b'a', b'.', b'b', 0];
        element.extend([7; 12]);
        let mut bytes = i32::try_from(element.len() + 5).unwrap().to_le_bytes().to_vec();
        bytes.extend(&element);
        bytes.push(0);
        let found = Elements::of(&bytes).unwrap().find(b"p").unwrap();
        assert_eq!(found.whole, element);
    }

    proptest! {
        /// Whatever comes in, nothing panics, and the elements lie one behind the other.
        #[test]
        fn damaged_documents_end_the_walk(at in 4_usize..300, byte: u8, cut in 0_usize..40) {
            let mut bytes = every_type().to_vec().unwrap();
            let at = at.min(bytes.len() - 2);
            bytes[at] = byte;
            bytes.drain(at..at + cut.min(bytes.len() - 1 - at));
            let length = i32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            let whole: usize = Elements::of(&bytes)
                .unwrap()
                .map_while(|element| element)
                .map(|element| element.whole.len())
                .sum();
            prop_assert!(whole + 5 <= bytes.len());
        }
    }
}
