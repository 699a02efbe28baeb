//! BSON to JSON as the MongoDB driver for Java writes it, from which Debezium takes it.

use super::scalar;
use super::text::write_quoted;
use crate::error::RecordErrorKind;
use crate::event::bson_type::{
    ARRAY, BINARY, BOOLEAN, CODE, CODE_WITH_SCOPE, DATE, DB_POINTER, DECIMAL128, DOCUMENT, DOUBLE,
    INT32, INT64, MAX_KEY, MIN_KEY, NULL, OBJECT_ID, REGEX, STRING, SYMBOL, TIMESTAMP, UNDEFINED,
};
use crate::event::elements::{Element, Elements};
use crate::format::envelope::Refusal;
use crate::format::json::MAX_DEPTH;

/// Bytes of a length in front of a document or a string.
const LENGTH: usize = size_of::<i32>();

/// Which of the driver's forms: Debezium uses three of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `before` and `after`: the strict form of old.
    Image,
    /// `id` in the key: relaxed, without a space after a comma.
    Key,
    /// `updatedFields`: relaxed.
    Changes,
}

/// Appends to `out` in one style.
pub(super) struct DocumentWriter<'o> {
    strict: bool,
    comma: &'static str,
    out: &'o mut Vec<u8>,
}

impl<'o> DocumentWriter<'o> {
    pub fn new(style: Style, out: &'o mut Vec<u8>) -> Self {
        let comma = if style == Style::Changes { ", " } else { "," };
        Self { strict: style == Style::Image, comma, out }
    }

    /// A document.
    ///
    /// # Errors
    /// What is not BSON, holds text that is not UTF-8, or is nested too deeply.
    pub fn document(&mut self, bson: &[u8]) -> Result<(), Refusal> {
        self.nested(bson, false, MAX_DEPTH)
    }

    /// One value.
    ///
    /// # Errors
    /// As for `document`.
    pub fn value(&mut self, element: &Element<'_>) -> Result<(), Refusal> {
        self.write(element, MAX_DEPTH)
    }

    fn nested(&mut self, bson: &[u8], array: bool, depth: usize) -> Result<(), Refusal> {
        let depth = depth.checked_sub(1).ok_or_else(malformed)?;
        self.text(if array { "[" } else { "{" });
        let mut comma = "";
        for element in Elements::of(bson).ok_or_else(malformed)? {
            let element = element.ok_or_else(malformed)?;
            self.text(comma);
            comma = self.comma;
            if !array {
                self.quoted(element.name)?;
                self.text(": ");
            }
            self.write(&element, depth)?;
        }
        self.text(if array { "]" } else { "}" });
        Ok(())
    }

    fn write(&mut self, element: &Element<'_>, depth: usize) -> Result<(), Refusal> {
        let value = element.value;
        match element.kind {
            DOUBLE => {
                scalar::write_double(f64::from_le_bytes(fixed(value)?), self.strict, self.out);
            }
            STRING => self.quoted(text_of(value)?)?,
            DOCUMENT => self.nested(value, false, depth)?,
            ARRAY => self.nested(value, true, depth)?,
            BINARY => self.binary(value)?,
            OBJECT_ID => scalar::write_object_id(fixed(value)?, self.out),
            BOOLEAN => self.boolean(value)?,
            DATE => scalar::write_date(i64::from_le_bytes(fixed(value)?), self.strict, self.out),
            NULL => self.text("null"),
            INT32 => scalar::write_number(i32::from_le_bytes(fixed(value)?), self.out),
            TIMESTAMP => self.timestamp(u64::from_le_bytes(fixed(value)?)),
            INT64 => scalar::write_int64(i64::from_le_bytes(fixed(value)?), self.strict, self.out),
            DECIMAL128 => scalar::write_decimal(fixed(value)?, self.out),
            kind => self.rare(kind, value, depth)?,
        }
        Ok(())
    }

    fn rare(&mut self, kind: u8, value: &[u8], depth: usize) -> Result<(), Refusal> {
        match kind {
            UNDEFINED => self.text(r#"{"$undefined": true}"#),
            REGEX => self.regular_expression(value)?,
            DB_POINTER => self.pointer(value)?,
            CODE => self.wrapped("$code", value)?,
            SYMBOL => self.wrapped("$symbol", value)?,
            CODE_WITH_SCOPE => self.code_with_scope(value, depth)?,
            MAX_KEY => self.text(r#"{"$maxKey": 1}"#),
            MIN_KEY => self.text(r#"{"$minKey": 1}"#),
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn boolean(&mut self, value: &[u8]) -> Result<(), Refusal> {
        match value {
            [0] => self.text("false"),
            [1] => self.text("true"),
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<(), Refusal> {
        /// Old binary (subtype 2) repeats its length inside.
        const OLD_BINARY: u8 = 2;
        let (&subtype, data) =
            value.get(LENGTH..).and_then(<[u8]>::split_first).ok_or_else(malformed)?;
        let data =
            if subtype == OLD_BINARY { data.get(LENGTH..).ok_or_else(malformed)? } else { data };
        let (open, kind, close) = if self.strict {
            (r#"{"$binary": ""#, r#""$type": ""#, r#""}"#)
        } else {
            (r#"{"$binary": {"base64": ""#, r#""subType": ""#, r#""}}"#)
        };
        self.text(open);
        scalar::write_base64(data, self.out);
        self.text("\"");
        self.text(self.comma);
        self.text(kind);
        scalar::write_hex(&[subtype], self.out);
        self.text(close);
        Ok(())
    }

    fn timestamp(&mut self, value: u64) {
        self.text(r#"{"$timestamp": {"t": "#);
        scalar::write_number(value >> 32, self.out);
        self.text(self.comma);
        self.text(r#""i": "#);
        scalar::write_number(value & 0xffff_ffff, self.out);
        self.text("}}");
    }

    fn regular_expression(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let mut parts = value.split(|&byte| byte == 0);
        let (Some(pattern), Some(options)) = (parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let mut options = options.to_vec();
        options.sort_unstable();
        let (open, name, close) = if self.strict {
            (r#"{"$regex": "#, r#""$options": "#, "}")
        } else {
            (r#"{"$regularExpression": {"pattern": "#, r#""options": "#, "}}")
        };
        self.text(open);
        self.quoted(pattern)?;
        self.text(self.comma);
        self.text(name);
        self.quoted(&options)?;
        self.text(close);
        Ok(())
    }

    fn pointer(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let (namespace, id) = value.split_last_chunk::<12>().ok_or_else(malformed)?;
        let (open, close) =
            if self.strict { (r#"{"$ref": "#, "}") } else { (r#"{"$dbPointer": {"$ref": "#, "}}") };
        self.text(open);
        self.quoted(text_of(namespace)?)?;
        self.text(self.comma);
        self.text(r#""$id": "#);
        scalar::write_object_id(*id, self.out);
        self.text(close);
        Ok(())
    }

    fn wrapped(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        for part in ["{\"", name, "\": "] {
            self.text(part);
        }
        self.quoted(text_of(value)?)?;
        self.text("}");
        Ok(())
    }

    fn code_with_scope(&mut self, value: &[u8], depth: usize) -> Result<(), Refusal> {
        let code = value.get(LENGTH..).ok_or_else(malformed)?;
        let length = i32::from_le_bytes(fixed(code.get(..LENGTH).ok_or_else(malformed)?)?);
        let end = usize::try_from(length).map_err(|_| malformed())? + LENGTH;
        let (code, scope) = code.split_at_checked(end).ok_or_else(malformed)?;
        self.text(r#"{"$code": "#);
        self.quoted(text_of(code)?)?;
        self.text(self.comma);
        self.text(r#""$scope": "#);
        self.nested(scope, false, depth)?;
        self.text("}");
        Ok(())
    }

    fn quoted(&mut self, text: &[u8]) -> Result<(), Refusal> {
        write_quoted(str::from_utf8(text).map_err(|_| malformed())?, self.out);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// The text of a string's value: without the length before it and the zero byte after it.
fn text_of(value: &[u8]) -> Result<&[u8], Refusal> {
    let text = value.get(LENGTH..).and_then(<[u8]>::split_last);
    text.map(|(_, text)| text).ok_or_else(malformed)
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Refusal> {
    value.try_into().map_err(|_| malformed())
}

/// The bytes are no BSON document that can be written.
#[cold]
pub(super) fn malformed() -> Refusal {
    let text = "the event's BSON is malformed, is not UTF-8, or is nested too deeply";
    (RecordErrorKind::Decode, text.into())
}
