//! The keyword `bsonType`: the type of a value in BSON, by the names that MongoDB uses.

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

use super::instance::{BsonNode, RawBson};
use crate::config::json_schema::of_alias;

/// The type bytes that a value may have.
struct BsonType(Vec<u8>);

impl<'i, const TYPED: bool> Keyword<'i, RawBson<TYPED>> for BsonType {
    fn validate(&self, instance: BsonNode<'i, TYPED>) -> Result<(), ValidationError<'i>> {
        let is_valid = self.0.contains(&instance.bson_type());
        if is_valid { Ok(()) } else { Err(ValidationError::custom("bsonType")) }
    }

    fn is_valid(&self, instance: BsonNode<'i, TYPED>) -> bool {
        self.0.contains(&instance.bson_type())
    }
}

/// Compiles the keyword.
#[expect(clippy::unnecessary_wraps, reason = "a keyword may be refused where it is compiled")]
pub(super) fn compile<'a, const TYPED: bool>(
    _: &'a Map<String, Value>,
    value: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i, RawBson<TYPED>>>, ValidationError<'a>> {
    let aliases = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let kinds = aliases.iter().filter_map(|alias| of_alias(alias.as_str()?));
    Ok(Box::new(BsonType(kinds.flatten().copied().collect())))
}
