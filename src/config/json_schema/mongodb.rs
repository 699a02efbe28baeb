//! The schema of a collection (`$jsonSchema`), which is a dialect of draft 4, as draft 2020-12 with
//! `bsonType`. What cannot be said in it faithfully is refused.
//!
//! The translation is held against values as MongoDB's own validator sees them, where an `ObjectId`
//! is no text and a decimal is a number.

use mongodb::bson::{Bson, Document};
use serde_json::{Map, Number, Value};

use super::walk::{Mistake, mistake};
use crate::config::path::{item, join};

type Translated = Result<Value, Mistake>;

/// Translates a schema or a part of one, which stands at `path`.
///
/// # Errors
/// What cannot be translated, with its path.
pub(crate) fn translate(schema: &Document, path: &str) -> Translated {
    let mut translated = Map::new();
    for (keyword, value) in schema {
        let path = join(path, keyword);
        if let Some((name, value)) = translate_keyword(schema, keyword, value, &path)? {
            match (translated.get_mut(name), value) {
                // `dependencies` of one kind each.
                (Some(Value::Object(before)), Value::Object(more)) => before.extend(more),
                (_, value) => drop(translated.insert(name.to_owned(), value)),
            }
        }
    }
    for (name, kind) in [("dependentRequired", true), ("dependentSchemas", false)] {
        let dependencies = dependencies(schema, path, kind)?;
        if !dependencies.is_empty() {
            translated.insert(name.into(), dependencies.into());
        }
    }
    Ok(translated.into())
}

/// Name and value of what says the same as a keyword; `None` where another one says it already.
fn translate_keyword<'a>(
    schema: &Document,
    keyword: &'a str,
    value: &Bson,
    path: &str,
) -> Result<Option<(&'a str, Value)>, Mistake> {
    let is_true = |keyword: &str| schema.get_bool(keyword).unwrap_or(false);
    Ok(Some(match keyword {
        "type" => ("bsonType", types(value, path)?),
        "minimum" if is_true("exclusiveMinimum") => ("exclusiveMinimum", plain(value, path)?),
        "maximum" if is_true("exclusiveMaximum") => ("exclusiveMaximum", plain(value, path)?),
        "exclusiveMinimum" | "exclusiveMaximum" | "dependencies" => return Ok(None),
        "items" if value.as_array().is_some() => ("prefixItems", list(value, path)?),
        // Without a list of `items` it says nothing.
        "additionalItems" if schema.get_array("items").is_err() => return Ok(None),
        "items" | "additionalItems" => ("items", one(value, path)?),
        "additionalProperties" | "not" => (keyword, one(value, path)?),
        "allOf" | "anyOf" | "oneOf" => (keyword, list(value, path)?),
        "properties" | "patternProperties" => (keyword, mapping(value, path)?),
        "bsonType" | "title" | "description" | "enum" | "required" | "pattern" | "multipleOf"
        | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems"
        | "uniqueItems" | "minProperties" | "maxProperties" => (keyword, plain(value, path)?),
        _ => {
            let message = "this keyword of the collection's schema cannot be checked here: give \
                           the schema with `inline` or `file`";
            return Err(mistake(path, message));
        }
    }))
}

/// The types of JSON as those of BSON: a date is no `string`, and a decimal is a `number`.
fn types(value: &Bson, path: &str) -> Translated {
    let one = |value: &Bson, path: &str| match value.as_str() {
        Some("boolean") => Ok("bool".into()),
        Some(same @ ("object" | "array" | "number" | "string" | "null")) => Ok(same.into()),
        _ => Err(mistake(path, "not a type of JSON that MongoDB knows")),
    };
    match value {
        Bson::Array(types) => {
            let types = types.iter().enumerate();
            types.map(|(index, value)| one(value, &item(path, index))).collect()
        }
        value => one(value, path),
    }
}

/// A schema, or a boolean in its place.
fn one(value: &Bson, path: &str) -> Translated {
    match value {
        Bson::Document(schema) => translate(schema, path),
        Bson::Boolean(value) => Ok((*value).into()),
        _ => Err(mistake(path, "expected a schema")),
    }
}

fn list(value: &Bson, path: &str) -> Translated {
    let list = value.as_array().ok_or_else(|| mistake(path, "expected a list of schemas"))?;
    list.iter().enumerate().map(|(index, value)| one(value, &item(path, index))).collect()
}

fn mapping(value: &Bson, path: &str) -> Translated {
    let of_names = value.as_document().ok_or_else(|| mistake(path, "expected schemas"))?;
    let named =
        |(name, value): (&String, &Bson)| Ok((name.clone(), one(value, &join(path, name))?));
    of_names.iter().map(named).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// `dependencies` that are lists of names, or those that are schemas.
fn dependencies(
    schema: &Document,
    path: &str,
    of_names: bool,
) -> Result<Map<String, Value>, Mistake> {
    let Ok(dependencies) = schema.get_document("dependencies") else { return Ok(Map::new()) };
    let path = join(path, "dependencies");
    let chosen = dependencies.iter().filter(|(_, value)| value.as_array().is_some() == of_names);
    let translated = chosen.map(|(name, value)| {
        let path = join(&path, name);
        let value = if of_names { plain(value, &path) } else { one(value, &path) };
        Ok((name.clone(), value?))
    });
    translated.collect()
}

/// A value that JSON has too.
fn plain(value: &Bson, path: &str) -> Translated {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => (*value).into(),
        Bson::String(text) => text.clone().into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) => return double(*number, path),
        Bson::Decimal128(number) => {
            return double(number.to_string().parse().unwrap_or(f64::NAN), path);
        }
        Bson::Array(values) => {
            let values = values.iter().enumerate();
            return values.map(|(index, value)| plain(value, &item(path, index))).collect();
        }
        Bson::Document(document) => {
            let named = |(name, value): (&String, &Bson)| {
                Ok((name.clone(), plain(value, &join(path, name))?))
            };
            let fields: Result<Map<_, _>, _> = document.iter().map(named).collect();
            return fields.map(Value::Object);
        }
        _ => {
            let message = "a value of a type that JSON lacks cannot be compared here: give the \
                           schema with `inline` or `file`";
            return Err(mistake(path, message));
        }
    })
}

/// The shell writes whole numbers as doubles, which a count may not be.
fn double(number: f64, path: &str) -> Translated {
    /// Up to here every whole number is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        let whole = format!("{number:.0}").parse::<i64>().unwrap_or_default();
        return Ok(whole.into());
    }
    let number = Number::from_f64(number).map(Value::Number);
    number.ok_or_else(|| mistake(path, "expected a finite number"))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc, oid::ObjectId};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_dialect_is_said_in_draft_2020_12() {
        for (schema, expected) in [
            (doc! {"type": "string"}, json!({"bsonType": "string"})),
            (doc! {"type": ["boolean", "null"]}, json!({"bsonType": ["bool", "null"]})),
            (
                doc! {"bsonType": ["objectId"], "title": "t"},
                json!({"bsonType": ["objectId"], "title": "t"}),
            ),
            (doc! {"minimum": 1, "exclusiveMinimum": true}, json!({"exclusiveMinimum": 1})),
            (doc! {"maximum": 1.5, "exclusiveMaximum": true}, json!({"exclusiveMaximum": 1.5})),
            (doc! {"minimum": 1_i64, "exclusiveMinimum": false}, json!({"minimum": 1})),
            (doc! {"minLength": 3.0}, json!({"minLength": 3})),
            (
                doc! {"items": {"type": "number"}, "additionalItems": false},
                json!({"items": {"bsonType": "number"}}),
            ),
            (
                doc! {"items": [{"type": "number"}], "additionalItems": false},
                json!({"prefixItems": [{"bsonType": "number"}], "items": false}),
            ),
            (
                doc! {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
                json!({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"required": ["d"]}}}),
            ),
            (
                doc! {"properties": {"a": {"not": {"enum": [1, 2.5, "x", Bson::Null, {"b": [true]}]}}}},
                json!({"properties": {"a": {"not": {"enum": [1, 2.5, "x", null, {"b": [true]}]}}}}),
            ),
            (
                doc! {"anyOf": [{"required": ["a"]}, {"patternProperties": {"^x": {"type": "object"}}}]},
                json!({"anyOf": [{"required": ["a"]}, {"patternProperties": {"^x": {"bsonType": "object"}}}]}),
            ),
        ] {
            assert_eq!(translate(&schema, ""), Ok(expected), "{schema}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused_with_its_path() {
        for (schema, path) in [
            (doc! {"properties": {"a": {"encrypt": {}}}}, "properties.a.encrypt"),
            (doc! {"properties": {"a": {"enum": ["x", ObjectId::new()]}}}, "properties.a.enum[1]"),
            (doc! {"items": [{"enum": [{"b": DateTime::now()}]}]}, "items[0].enum[0].b"),
            (doc! {"minimum": f64::NAN}, "minimum"),
            (doc! {"type": "integer"}, "type"),
            (doc! {"dependencies": {"a": {"$ref": "#"}}}, "dependencies.a.$ref"),
        ] {
            assert_eq!(translate(&schema, "").unwrap_err().path, path);
        }
    }
}
