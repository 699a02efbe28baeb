//! Raw BSON as the instance of a JSON Schema: nothing is decoded into a tree.
//!
//! A value of a type that JSON lacks is seen as `json_mode: simplified` writes it: an `ObjectId` is a
//! text of 24 hex digits. Where `TYPED` is true, as for the schema of a collection, it is seen as
//! MongoDB does instead: as no text and no number, except that a decimal is a number.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, cmp, unique};
use serde_json::{Map, Number, Value};

use crate::event::bson_type::{
    ARRAY, BOOLEAN, DECIMAL128, DOCUMENT, DOUBLE, INT32, INT64, NULL, STRING,
};
use crate::event::elements::{Element, Elements};
use crate::format::json::{MAX_DEPTH, Simplified, write_value};

/// Not a type of BSON: the name of a field, which `propertyNames` looks at.
const NAME: u8 = 0x00;

/// The representation of instances as raw BSON.
pub(super) struct RawBson<const TYPED: bool>;

/// A value: its bytes as they stand in the document.
#[derive(Clone, Copy)]
pub(super) struct BsonNode<'a, const TYPED: bool> {
    kind: u8,
    value: &'a [u8],
    /// Levels of documents and arrays around it.
    depth: usize,
}

/// What a value is in JSON.
enum View<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Object,
    Array,
    /// Nothing that JSON has.
    Other,
}

impl<'a, const TYPED: bool> BsonNode<'a, TYPED> {
    /// A whole document.
    pub fn of_document(document: &'a [u8]) -> Self {
        Self { kind: DOCUMENT, value: document, depth: 0 }
    }

    /// BSON's type of it; that of a string for the name of a field.
    pub fn bson_type(&self) -> u8 {
        if self.kind == NAME { STRING } else { self.kind }
    }

    /// The type in JSON, where that of BSON tells it: the way that most questions take.
    fn certain_type(&self) -> Option<JsonType> {
        Some(match self.kind {
            NAME | STRING => JsonType::String,
            INT32 | INT64 => JsonType::Number,
            BOOLEAN => JsonType::Boolean,
            NULL => JsonType::Null,
            DOCUMENT => JsonType::Object,
            ARRAY => JsonType::Array,
            _ => return None,
        })
    }

    fn view(&self) -> View<'a> {
        match self.kind {
            NULL => View::Null,
            BOOLEAN => View::Boolean(self.value != [0]),
            DOCUMENT => View::Object,
            ARRAY => View::Array,
            NAME | STRING => View::Text(self.text()),
            INT32 | INT64 | DOUBLE => self.number().map_or_else(|| self.other(), View::Number),
            _ => self.other(),
        }
    }

    /// The text of a string. What is not UTF-8 is refused when the event is written.
    fn text(&self) -> Cow<'a, str> {
        let text = match self.kind {
            NAME => self.value,
            // A length goes before it, a zero byte follows.
            _ => self.value.get(4..).and_then(<[u8]>::split_last).map_or(&[][..], |(_, text)| text),
        };
        match str::from_utf8(text) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(text),
        }
    }

    fn number(&self) -> Option<Number> {
        match self.kind {
            INT32 => Some(i32::from_le_bytes(*self.value.first_chunk()?).into()),
            INT64 => Some(i64::from_le_bytes(*self.value.first_chunk()?).into()),
            DOUBLE => Number::from_f64(f64::from_le_bytes(*self.value.first_chunk()?)),
            _ => None,
        }
    }

    /// What `json_mode: simplified` writes for it.
    fn other(&self) -> View<'a> {
        if TYPED && self.kind != DECIMAL128 {
            return View::Other;
        }
        let mut json = Vec::new();
        if write_value::<Simplified>(self.kind, self.value, &mut json).is_err() {
            return View::Other;
        }
        json.pop();
        match serde_json::from_slice(&json) {
            Ok(Value::String(text)) if TYPED => decimal(&text).map_or(View::Other, View::Number),
            Ok(Value::String(text)) => View::Text(Cow::Owned(text)),
            Ok(Value::Number(number)) => View::Number(number),
            Ok(Value::Null) => View::Null,
            _ => View::Other,
        }
    }

    /// The same value as a tree: for what compares arrays and documents as a whole.
    fn tree(&self) -> Value {
        match self.view() {
            View::Null => Value::Null,
            View::Boolean(value) => value.into(),
            View::Number(number) => number.into(),
            View::Text(text) => text.into(),
            View::Object => {
                self.children().map(|(name, node)| (name.into_owned(), node.tree())).collect()
            }
            View::Array => self.children().map(|(_, node)| node.tree()).collect(),
            // Equal to nothing but the same bytes of the same type.
            View::Other => {
                let bytes = self.value.iter().map(|&byte| Value::from(byte)).collect();
                let pair = Value::Array(vec![self.kind.into(), bytes]);
                Map::from_iter([("\0".to_owned(), pair)]).into()
            }
        }
    }

    fn children(&self) -> Children<'a, TYPED> {
        // Nothing that the server returns is deeper.
        let elements = (self.depth < MAX_DEPTH).then(|| Elements::of(self.value)).flatten();
        Children { elements, depth: self.depth + 1 }
    }
}

/// A decimal as it is compared: exactly where it is a long, else as a double.
fn decimal(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

/// Names and values of a document or an array, as far as its bytes are elements.
pub(super) struct Children<'a, const TYPED: bool> {
    elements: Option<Elements<'a>>,
    depth: usize,
}

impl<'a, const TYPED: bool> Children<'a, TYPED> {
    fn element(&mut self) -> Option<Element<'a>> {
        self.elements.as_mut()?.next()?
    }

    fn node(&self, element: &Element<'a>) -> BsonNode<'a, TYPED> {
        BsonNode { kind: element.kind, value: element.value, depth: self.depth }
    }
}

impl<'a, const TYPED: bool> Iterator for Children<'a, TYPED> {
    type Item = (Cow<'a, str>, BsonNode<'a, TYPED>);

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.element()?;
        Some((String::from_utf8_lossy(element.name), self.node(&element)))
    }
}

/// The items of an array.
pub(super) struct Items<'a, const TYPED: bool>(Children<'a, TYPED>);

impl<'a, const TYPED: bool> Iterator for Items<'a, TYPED> {
    type Item = BsonNode<'a, TYPED>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.0.element()?;
        Some(self.0.node(&element))
    }
}

impl<const TYPED: bool> Json for RawBson<TYPED> {
    type Node<'a> = BsonNode<'a, TYPED>;
    type PreparedKey = Box<[u8]>;
    type StringBuffer = ();

    /// A lookup goes over the elements as a pass over the members does.
    const KEYS_PER_LOOKUP: usize = 64;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<[u8]> {
        key.as_bytes().into()
    }

    fn with_string_node<T>(
        (): &mut (),
        string: &str,
        f: impl FnOnce(BsonNode<'_, TYPED>) -> T,
    ) -> T {
        f(BsonNode { kind: NAME, value: string.as_bytes(), depth: 0 })
    }
}

impl<'a, const TYPED: bool> Node<'a, RawBson<TYPED>> for BsonNode<'a, TYPED> {
    type Object = BsonDocument<'a, TYPED>;
    type Array = BsonArray<'a, TYPED>;
    type Number = Number;

    fn as_object(&self) -> Option<BsonDocument<'a, TYPED>> {
        (self.kind == DOCUMENT).then_some(BsonDocument(*self))
    }

    fn as_array(&self) -> Option<BsonArray<'a, TYPED>> {
        (self.kind == ARRAY).then_some(BsonArray(*self))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self.certain_type() {
            Some(JsonType::String) => Some(self.text()),
            Some(_) => None,
            None => match self.view() {
                View::Text(text) => Some(text),
                _ => None,
            },
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self.certain_type() {
            Some(JsonType::Number) => self.number(),
            Some(_) => None,
            None => match self.view() {
                View::Number(number) => Some(number),
                _ => None,
            },
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        (self.kind == BOOLEAN).then(|| self.value != [0])
    }

    fn is_null(&self) -> bool {
        match self.certain_type() {
            Some(certain) => certain == JsonType::Null,
            None => matches!(self.view(), View::Null),
        }
    }

    fn json_type(&self) -> JsonType {
        self.certain_type().unwrap_or_else(|| match self.view() {
            View::Text(_) => JsonType::String,
            View::Number(_) => JsonType::Number,
            _ => JsonType::Null,
        })
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match self.view() {
            View::Null => expected.is_null(),
            View::Boolean(value) => expected.as_bool() == Some(value),
            View::Number(number) => {
                let Value::Number(expected) = expected else { return false };
                cmp::equal_numbers(&number, expected)
            }
            View::Text(text) => expected.as_str() == Some(&*text),
            View::Object => expected.is_object() && cmp::equal(&self.tree(), expected),
            View::Array => expected.is_array() && cmp::equal(&self.tree(), expected),
            View::Other => false,
        }
    }

    /// Null, whatever it is: errors are made of this, and none may hold a value.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        // No two values begin at the same byte: before a value stands the zero byte of a name,
        // before a name a type, which is not zero.
        Some(NodeIdentity::new(self.value.as_ptr().addr()))
    }
}

/// A document.
pub(super) struct BsonDocument<'a, const TYPED: bool>(BsonNode<'a, TYPED>);

impl<'a, const TYPED: bool> Object<'a, RawBson<TYPED>> for BsonDocument<'a, TYPED> {
    type Node = BsonNode<'a, TYPED>;
    type MemberName = Cow<'a, str>;
    type MembersIter = Children<'a, TYPED>;

    fn len(&self) -> usize {
        Items(self.0.children()).count()
    }

    fn is_empty(&self) -> bool {
        Items(self.0.children()).next().is_none()
    }

    fn get(&self, key: &Box<[u8]>) -> Option<Self::Node> {
        let mut children = self.0.children();
        loop {
            let element = children.element()?;
            if *element.name == **key {
                return Some(children.node(&element));
            }
        }
    }

    fn members(&self) -> Children<'a, TYPED> {
        self.0.children()
    }
}

/// An array.
pub(super) struct BsonArray<'a, const TYPED: bool>(BsonNode<'a, TYPED>);

impl<'a, const TYPED: bool> Array<'a, RawBson<TYPED>> for BsonArray<'a, TYPED> {
    type Node = BsonNode<'a, TYPED>;
    type ElementsIter = Items<'a, TYPED>;

    fn len(&self) -> usize {
        Items(self.0.children()).count()
    }

    fn elements(&self) -> Items<'a, TYPED> {
        Items(self.0.children())
    }

    fn is_unique(&self) -> bool {
        let values: Vec<Value> = self.elements().map(|item| item.tree()).collect();
        unique::is_unique(&values)
    }
}
