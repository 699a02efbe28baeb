//! The types of BSON by the names that MongoDB gives them in `bsonType`.

use crate::event::bson_type::{
    ARRAY, BINARY, BOOLEAN, CODE, CODE_WITH_SCOPE, DATE, DB_POINTER, DECIMAL128, DOCUMENT, DOUBLE,
    INT32, INT64, MAX_KEY, MIN_KEY, NULL, OBJECT_ID, REGEX, STRING, SYMBOL, TIMESTAMP, UNDEFINED,
};

/// Names and type bytes (MongoDB manual, "BSON Types": the column "Alias").
const ALIASES: &[(&str, &[u8])] = &[
    ("double", &[DOUBLE]),
    ("string", &[STRING]),
    ("object", &[DOCUMENT]),
    ("array", &[ARRAY]),
    ("binData", &[BINARY]),
    ("undefined", &[UNDEFINED]),
    ("objectId", &[OBJECT_ID]),
    ("bool", &[BOOLEAN]),
    ("date", &[DATE]),
    ("null", &[NULL]),
    ("regex", &[REGEX]),
    ("dbPointer", &[DB_POINTER]),
    ("javascript", &[CODE]),
    ("symbol", &[SYMBOL]),
    ("javascriptWithScope", &[CODE_WITH_SCOPE]),
    ("int", &[INT32]),
    ("timestamp", &[TIMESTAMP]),
    ("long", &[INT64]),
    ("decimal", &[DECIMAL128]),
    ("minKey", &[MIN_KEY]),
    ("maxKey", &[MAX_KEY]),
    ("number", &[DOUBLE, INT32, INT64, DECIMAL128]),
];

/// The type bytes that `alias` stands for.
pub(crate) fn of_alias(alias: &str) -> Option<&'static [u8]> {
    ALIASES.iter().find(|(name, _)| *name == alias).map(|(_, kinds)| *kinds)
}

/// All names.
pub(super) fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(name, _)| *name)
}
