//! The keywords of JSON Schema that are supported, and what each takes.

/// What the value of a keyword has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A schema: a mapping, or `true` or `false`.
    Schema,
    /// A list of schemas, one at the least.
    Schemas,
    /// A mapping whose values are schemas.
    SchemaOfName,
    /// The same; the keys are regular expressions.
    SchemaOfPattern,
    /// A whole number that is not negative.
    Count,
    Number,
    /// A number greater than 0.
    Step,
    Flag,
    Text,
    Pattern,
    /// A list of different texts.
    Names,
    /// A mapping whose values are such lists.
    NamesOfName,
    /// A type of JSON, or a list of them.
    Types,
    /// An alias of a type of BSON, or a list of them.
    BsonTypes,
    /// A list of values, one at the least.
    Values,
    Anything,
    /// A reference within the schema.
    Reference,
    /// A name for references.
    Anchor,
    /// The dialect: only at the root.
    Dialect,
    /// The schema's own name: only at the root.
    Id,
}

/// All that is supported: draft 2020-12 without what is remote, dynamic or about contents, and
/// `bsonType`.
pub(super) const KEYWORDS: &[(&str, Takes)] = &[
    ("$schema", Takes::Dialect),
    ("$id", Takes::Id),
    ("$ref", Takes::Reference),
    ("$anchor", Takes::Anchor),
    ("$defs", Takes::SchemaOfName),
    ("definitions", Takes::SchemaOfName),
    ("$comment", Takes::Text),
    ("title", Takes::Text),
    ("description", Takes::Text),
    ("default", Takes::Anything),
    ("examples", Takes::Anything),
    ("deprecated", Takes::Flag),
    ("readOnly", Takes::Flag),
    ("writeOnly", Takes::Flag),
    ("format", Takes::Text),
    ("type", Takes::Types),
    ("bsonType", Takes::BsonTypes),
    ("enum", Takes::Values),
    ("const", Takes::Anything),
    ("multipleOf", Takes::Step),
    ("minimum", Takes::Number),
    ("maximum", Takes::Number),
    ("exclusiveMinimum", Takes::Number),
    ("exclusiveMaximum", Takes::Number),
    ("minLength", Takes::Count),
    ("maxLength", Takes::Count),
    ("pattern", Takes::Pattern),
    ("items", Takes::Schema),
    ("prefixItems", Takes::Schemas),
    ("contains", Takes::Schema),
    ("minContains", Takes::Count),
    ("maxContains", Takes::Count),
    ("minItems", Takes::Count),
    ("maxItems", Takes::Count),
    ("uniqueItems", Takes::Flag),
    ("unevaluatedItems", Takes::Schema),
    ("properties", Takes::SchemaOfName),
    ("patternProperties", Takes::SchemaOfPattern),
    ("additionalProperties", Takes::Schema),
    ("propertyNames", Takes::Schema),
    ("required", Takes::Names),
    ("dependentRequired", Takes::NamesOfName),
    ("dependentSchemas", Takes::SchemaOfName),
    ("minProperties", Takes::Count),
    ("maxProperties", Takes::Count),
    ("unevaluatedProperties", Takes::Schema),
    ("allOf", Takes::Schemas),
    ("anyOf", Takes::Schemas),
    ("oneOf", Takes::Schemas),
    ("not", Takes::Schema),
    ("if", Takes::Schema),
    ("then", Takes::Schema),
    ("else", Takes::Schema),
];

/// Keywords that JSON Schema has and that are refused, with what to do instead.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("$dynamicRef", "use `$ref`"),
    ("$dynamicAnchor", "use `$anchor` and `$ref`"),
    ("$recursiveRef", "use `$ref`"),
    ("$recursiveAnchor", "use `$anchor` and `$ref`"),
    ("$vocabulary", "the keywords are those of draft 2020-12"),
    ("id", "an earlier draft's: leave it out"),
    ("additionalItems", "an earlier draft's: use `prefixItems` and `items`"),
    ("dependencies", "an earlier draft's: use `dependentRequired` or `dependentSchemas`"),
    ("contentEncoding", "contents of texts are not looked at"),
    ("contentMediaType", "contents of texts are not looked at"),
    ("contentSchema", "contents of texts are not looked at"),
];

pub(super) fn takes(keyword: &str) -> Option<Takes> {
    KEYWORDS.iter().find(|(name, _)| *name == keyword).map(|(_, takes)| *takes)
}
