//! Goes over a schema and finds the first mistake, with its path.

use std::collections::HashSet;

use jsonschema::PatternOptions;
use serde_json::{Map, Value, json};

use super::bson_types;
use super::keywords::{KEYWORDS, REFUSED, Takes, takes};
use crate::config::path::{item, join, nearest};

/// What is wrong with a schema, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Dotted path within the schema; empty for the schema as a whole.
    pub path: String,
    pub message: String,
}

pub(super) fn mistake(path: &str, message: impl Into<String>) -> Mistake {
    Mistake { path: path.into(), message: message.into() }
}

fn expect(holds: bool, path: &str, message: &str) -> Result<(), Mistake> {
    if holds { Ok(()) } else { Err(mistake(path, message)) }
}

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
const A_SCHEMA: &str = "expected a schema: a mapping, or `true` or `false`";

/// Where a schema stands: as the configuration tells it, and as a JSON pointer.
#[derive(Clone)]
struct Place {
    path: String,
    pointer: String,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        Self { path: join(&self.path, key), pointer: format!("{}/{escaped}", self.pointer) }
    }

    fn index(&self, index: usize) -> Self {
        Self { path: item(&self.path, index), pointer: format!("{}/{index}", self.pointer) }
    }
}

/// What was met on the way.
#[derive(Default)]
pub(super) struct Walk {
    /// What a reference may lead to: JSON pointers of schemas, and anchors.
    targets: HashSet<String>,
    /// Paths of references and what they lead to, after the `#`.
    references: Vec<(String, String)>,
    /// The names of fields in it.
    names: HashSet<String>,
}

impl Walk {
    /// Goes over the whole of a schema; returns the names of fields in it.
    ///
    /// # Errors
    /// The first mistake.
    pub fn whole(schema: &Value) -> Result<HashSet<String>, Mistake> {
        let mut walk = Self::default();
        expect(schema.is_object(), "", "expected a schema: a mapping of keywords")?;
        walk.schema(schema, &Place { path: String::new(), pointer: String::new() })?;
        let lost = walk.references.iter().find(|(_, target)| !walk.targets.contains(target));
        match lost {
            Some((path, _)) => Err(mistake(path, "there is no schema where it leads")),
            None => Ok(walk.names),
        }
    }

    fn schema(&mut self, schema: &Value, place: &Place) -> Result<(), Mistake> {
        self.targets.insert(place.pointer.clone());
        let Value::Object(keywords) = schema else {
            return expect(schema.is_boolean(), &place.path, A_SCHEMA);
        };
        for (keyword, value) in keywords {
            let below = place.key(keyword);
            let Some(takes) = takes(keyword) else { return Err(unknown(keyword, &below.path)) };
            let root = place.pointer.is_empty();
            if matches!(takes, Takes::Dialect | Takes::Id) && !root {
                return Err(mistake(&below.path, "is supported at the root of the schema only"));
            }
            self.value(takes, value, &below)?;
        }
        Ok(())
    }

    fn value(&mut self, takes: Takes, value: &Value, place: &Place) -> Result<(), Mistake> {
        match takes {
            Takes::Schema => self.schema(value, place),
            Takes::Schemas => {
                let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
                let schemas = schemas.ok_or_else(|| {
                    mistake(&place.path, "expected a list of schemas, one at the least")
                })?;
                let mut numbered = schemas.iter().enumerate();
                numbered.try_for_each(|(index, schema)| self.schema(schema, &place.index(index)))
            }
            Takes::SchemaOfName | Takes::SchemaOfPattern => self.mapping(takes, value, place),
            Takes::Names => self.list_of_names(value, &place.path),
            Takes::NamesOfName => {
                let names = object(value, &place.path, "expected a mapping of lists of names")?;
                self.names.extend(names.keys().cloned());
                names
                    .iter()
                    .try_for_each(|(name, value)| self.list_of_names(value, &place.key(name).path))
            }
            Takes::Reference => self.reference(value, &place.path),
            Takes::Anchor => {
                let anchor = value.as_str().filter(|anchor| is_anchor(anchor));
                let expected = "expected a name: a letter or `_`, then letters, digits, - _ .";
                let anchor = anchor.ok_or_else(|| mistake(&place.path, expected))?;
                let fresh = self.targets.insert(anchor.to_owned());
                expect(fresh, &place.path, "is there twice")
            }
            _ => check_plain(takes, value, &place.path),
        }
    }

    fn mapping(&mut self, takes: Takes, value: &Value, place: &Place) -> Result<(), Mistake> {
        let schemas = object(value, &place.path, "expected a mapping of schemas")?;
        for (name, schema) in schemas {
            let below = place.key(name);
            if takes == Takes::SchemaOfPattern {
                check_pattern(name, &below.path)?;
            } else {
                self.names.insert(name.clone());
            }
            self.schema(schema, &below)?;
        }
        Ok(())
    }

    fn list_of_names(&mut self, value: &Value, path: &str) -> Result<(), Mistake> {
        let list = value.as_array().map(|list| list.iter().map(Value::as_str));
        let names: Option<Vec<&str>> = list.and_then(Iterator::collect);
        let names = names.ok_or_else(|| mistake(path, "expected a list of names of fields"))?;
        let different: HashSet<&str> = names.iter().copied().collect();
        expect(different.len() == names.len(), path, "names a field twice")?;
        self.names.extend(names.into_iter().map(str::to_owned));
        Ok(())
    }

    fn reference(&mut self, value: &Value, path: &str) -> Result<(), Mistake> {
        let target = value.as_str().and_then(|target| target.strip_prefix('#'));
        let message = "expected a reference within the schema, such as `#/$defs/address`: no other \
                       file and no address is read";
        let target = target.ok_or_else(|| mistake(path, message))?;
        expect(!target.contains('%'), path, "write the characters as they are, without `%`")?;
        self.references.push((path.to_owned(), target.to_owned()));
        Ok(())
    }
}

fn unknown(keyword: &str, path: &str) -> Mistake {
    if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == keyword) {
        return mistake(path, format!("this keyword is not supported: {instead}"));
    }
    let nearest = nearest(keyword, KEYWORDS.iter().map(|(name, _)| *name));
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    mistake(path, format!("not a keyword of JSON Schema draft 2020-12{hint}"))
}

fn object<'a>(
    value: &'a Value,
    path: &str,
    message: &str,
) -> Result<&'a Map<String, Value>, Mistake> {
    value.as_object().ok_or_else(|| mistake(path, message))
}

/// Checks what holds no schema.
fn check_plain(takes: Takes, value: &Value, path: &str) -> Result<(), Mistake> {
    match takes {
        Takes::Count => {
            expect(value.is_u64(), path, "expected a whole number that is not negative")
        }
        Takes::Number => expect(value.is_number(), path, "expected a number"),
        Takes::Step => {
            let positive = value.as_f64().is_some_and(|step| step > 0.0);
            expect(positive, path, "expected a number greater than 0")
        }
        Takes::Flag => expect(value.is_boolean(), path, "expected `true` or `false`"),
        Takes::Text | Takes::Id => expect(value.is_string(), path, "expected a text"),
        Takes::Pattern => {
            let pattern = value.as_str();
            check_pattern(pattern.ok_or_else(|| mistake(path, "expected a text"))?, path)
        }
        Takes::Types => check_words(value, path, || TYPES.into_iter()),
        Takes::BsonTypes => check_words(value, path, bson_types::aliases),
        Takes::Values => {
            let filled = value.as_array().is_some_and(|values| !values.is_empty());
            expect(filled, path, "expected a list of values, one at the least")
        }
        Takes::Dialect => {
            let dialect = value.as_str().map(|dialect| dialect.trim_end_matches('#'));
            let message = format!("expected draft 2020-12: `{DIALECT}`");
            expect(dialect == Some(DIALECT), path, &message)
        }
        _ => Ok(()),
    }
}

/// One of the words, or a list of different ones.
fn check_words<I: Iterator<Item = &'static str>>(
    value: &Value,
    path: &str,
    words: impl Fn() -> I,
) -> Result<(), Mistake> {
    let Value::Array(list) = value else { return check_word(value, path, words) };
    expect(!list.is_empty(), path, "expected one at the least")?;
    for (index, value) in list.iter().enumerate() {
        let path = item(path, index);
        check_word(value, &path, &words)?;
        expect(!list[..index].contains(value), &path, "is there twice")?;
    }
    Ok(())
}

fn check_word<I: Iterator<Item = &'static str>>(
    value: &Value,
    path: &str,
    words: impl Fn() -> I,
) -> Result<(), Mistake> {
    let text = value.as_str().unwrap_or_default();
    if words().any(|word| word == text) {
        return Ok(());
    }
    let hint = nearest(text, words());
    let hint = hint.map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
    let known: Vec<String> = words().map(|word| format!("`{word}`")).collect();
    Err(mistake(path, format!("expected one of {}{hint}", known.join(", "))))
}

fn check_pattern(pattern: &str, path: &str) -> Result<(), Mistake> {
    // As the schema itself is compiled: the dialect of patterns is translated there.
    let compiled = jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(&json!({"pattern": pattern}));
    let message = "expected a regular expression, without look-around and back-references";
    expect(compiled.is_ok(), path, message)
}

/// Draft 2020-12, section 8.2.2.
fn is_anchor(anchor: &str) -> bool {
    anchor.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && anchor.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
