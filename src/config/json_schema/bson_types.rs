//! The types of BSON by the names that MongoDB gives them in `bsonType`.

/// Names and type bytes (MongoDB manual, "BSON Types": the column "Alias").
const ALIASES: &[(&str, &[u8])] = &[
    ("double", &[0x01]),
    ("string", &[0x02]),
    ("object", &[0x03]),
    ("array", &[0x04]),
    ("binData", &[0x05]),
    ("undefined", &[0x06]),
    ("objectId", &[0x07]),
    ("bool", &[0x08]),
    ("date", &[0x09]),
    ("null", &[0x0a]),
    ("regex", &[0x0b]),
    ("dbPointer", &[0x0c]),
    ("javascript", &[0x0d]),
    ("symbol", &[0x0e]),
    ("javascriptWithScope", &[0x0f]),
    ("int", &[0x10]),
    ("timestamp", &[0x11]),
    ("long", &[0x12]),
    ("decimal", &[0x13]),
    ("minKey", &[0xff]),
    ("maxKey", &[0x7f]),
    ("number", &[0x01, 0x10, 0x12, 0x13]),
];

/// The type bytes that `alias` stands for.
pub(crate) fn of_alias(alias: &str) -> Option<&'static [u8]> {
    ALIASES.iter().find(|(name, _)| *name == alias).map(|(_, kinds)| *kinds)
}

/// All names.
pub(super) fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(name, _)| *name)
}
