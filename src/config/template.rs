//! Templates of topic names and attributes: `{database}.{collection}`.

use crate::event::FieldPath;

/// A text with fields in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Its parts, one after the other.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A text as it stands.
    Text(String),
    /// A value of the event.
    Field {
        /// Which.
        field: Field,
        /// What stands in its place where the event does not have it.
        otherwise: Option<String>,
    },
}

/// What a template takes from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `{database}`.
    Database,
    /// `{collection}`.
    Collection,
    /// `{operation}`.
    Operation,
    /// `{connection_id}`.
    ConnectionId,
    /// `{source_name}`.
    SourceName,
    /// `{field:<path>}`, a scalar of the document.
    Document(FieldPath),
}

const KNOWN: &str = "`{database}`, `{collection}`, `{operation}`, `{connection_id}`, \
                     `{source_name}` or `{field:<path>}`";

impl Template {
    /// Reads a template. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// What is wrong with it and what is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = ["{{", "}}"].iter().find_map(|pair| rest.strip_prefix(pair)) {
                literal.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let field =
                rest.strip_prefix('{').ok_or("a `}` without `{`; write `}}` for a brace")?;
            let (field, after) =
                field.split_once('}').ok_or("a `{` without `}`; write `{{` for a brace")?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(parse_field(field)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The fields of the document that it takes.
    pub fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field { field: Field::Document(path), .. } => Some(path),
            Part::Text(_) | Part::Field { .. } => None,
        })
    }

    /// What the template makes where each field is `value`.
    pub fn with_all(&self, value: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field { .. } => value.to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

/// Whether `text` is a template rather than the key of a topic.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains(['{', '}'])
}

fn parse_field(text: &str) -> Result<Part, String> {
    let (name, otherwise) = match text.split_once('|') {
        Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
        None => (text, None),
    };
    let field = match name {
        "database" => Field::Database,
        "collection" => Field::Collection,
        "operation" => Field::Operation,
        "connection_id" => Field::ConnectionId,
        "source_name" => Field::SourceName,
        _ => {
            let path = name.strip_prefix("field:");
            let path =
                path.ok_or_else(|| format!("unknown field `{{{name}}}`: expected {KNOWN}"))?;
            let path = FieldPath::parse(path);
            Field::Document(path.ok_or("expected a dotted path: `{field:customer.id}`")?)
        }
    };
    Ok(Part::Field { field, otherwise })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(field: Field, otherwise: Option<&str>) -> Part {
        Part::Field { field, otherwise: otherwise.map(str::to_owned) }
    }

    #[test]
    fn fields_stand_in_braces() {
        let path = FieldPath::parse("customer.id").unwrap();
        let parts = Template::parse("a-{database}.{collection|none}{{x}}{field:customer.id}");
        let expected = [
            Part::Text("a-".into()),
            field(Field::Database, None),
            Part::Text(".".into()),
            field(Field::Collection, Some("none")),
            Part::Text("{x}".into()),
            field(Field::Document(path), None),
        ];
        assert_eq!(parts.unwrap().parts, expected);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("a}", "without `{`"),
            ("{database", "without `}`"),
            ("{}", "unknown field `{}`"),
            ("{db}", "expected `{database}`"),
            ("{field:}", "dotted path"),
            ("{field:a..b}", "dotted path"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
