//! The rule of one field.

use std::cmp::Ordering;
use std::fmt;

use regex::Regex;

use crate::config::{FieldRule, FieldType};
use crate::event::bson_type::{
    ARRAY, BOOLEAN, DATE, DECIMAL128, DOCUMENT, DOUBLE, INT32, INT64, NULL, STRING,
};
use crate::event::elements::{Element, Elements};
use crate::event::{FieldPath, Scalar};
use crate::transform::literal::Literal;

/// BSON's types of numbers: double, int, long, decimal.
const NUMBERS: [u8; 4] = [DOUBLE, INT32, INT64, DECIMAL128];

/// What has to hold of a field.
#[derive(Debug)]
pub(super) struct Rule {
    path: FieldPath,
    kind: Option<FieldType>,
    required: bool,
    nullable: bool,
    min: Option<Literal>,
    max: Option<Literal>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    pattern: Option<Regex>,
    any_of: Option<Vec<Literal>>,
}

/// What does not hold, named by the rule's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Required,
    Null,
    Type(FieldType),
    Min,
    Max,
    MinLength,
    MaxLength,
    Pattern,
    Enum,
}

impl Rule {
    /// `None` for what a checked configuration does not hold.
    pub fn compile(field: &str, rule: &FieldRule) -> Option<Self> {
        let bound = |value: &Option<_>| value.as_ref().map(Literal::of);
        let length = |length: Option<u32>| length.map(|length| length as usize);
        let any_of = rule.any_of.as_ref();
        Some(Self {
            path: FieldPath::parse(field)?,
            kind: rule.kind,
            required: rule.required,
            nullable: rule.nullable,
            min: bound(&rule.min).map_or(Some(None), |bound| bound.map(Some))?,
            max: bound(&rule.max).map_or(Some(None), |bound| bound.map(Some))?,
            min_length: length(rule.min_length),
            max_length: length(rule.max_length),
            pattern: match &rule.pattern {
                Some(pattern) => Some(Regex::new(pattern).ok()?),
                None => None,
            },
            any_of: match any_of {
                Some(values) => Some(values.iter().map(Literal::of).collect::<Option<_>>()?),
                None => None,
            },
        })
    }

    pub fn path(&self) -> &FieldPath {
        &self.path
    }

    /// The name of a field at the top of a document; `None` for one further down.
    pub fn field(&self) -> Option<&[u8]> {
        self.path.name()
    }

    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Checks the field in `document`.
    pub fn check(&self, document: &[u8]) -> Result<(), Broken> {
        match self.path.find(document) {
            Some(element) => self.check_value(&element),
            None if self.required => Err(Broken::Required),
            None => Ok(()),
        }
    }

    /// Checks the value of the field.
    pub fn check_value(&self, element: &Element<'_>) -> Result<(), Broken> {
        if element.kind == NULL {
            return if self.nullable { Ok(()) } else { Err(Broken::Null) };
        }
        if let Some(kind) = self.kind.filter(|kind| !is(*kind, element)) {
            return Err(Broken::Type(kind));
        }
        self.check_bounds(element)?;
        self.check_length(element)?;
        let matches = |pattern: &Regex| element.text().is_some_and(|text| pattern.is_match(text));
        if self.pattern.as_ref().is_some_and(|pattern| !matches(pattern)) {
            return Err(Broken::Pattern);
        }
        self.check_enum(element)
    }

    fn check_bounds(&self, element: &Element<'_>) -> Result<(), Broken> {
        if self.min.is_none() && self.max.is_none() {
            return Ok(());
        }
        let value = Scalar::of(element);
        // How the value lies to the bound; what cannot be compared is not within it.
        let lies = |bound: &Literal| bound.compare(value?).map(Ordering::reverse);
        let from = |bound| matches!(lies(bound), Some(Ordering::Equal | Ordering::Greater));
        let to = |bound| matches!(lies(bound), Some(Ordering::Equal | Ordering::Less));
        if self.min.as_ref().is_some_and(|min| !from(min)) {
            return Err(Broken::Min);
        }
        if self.max.as_ref().is_some_and(|max| !to(max)) {
            return Err(Broken::Max);
        }
        Ok(())
    }

    fn check_length(&self, element: &Element<'_>) -> Result<(), Broken> {
        if self.min_length.is_none() && self.max_length.is_none() {
            return Ok(());
        }
        let length = match element.kind {
            ARRAY => Elements::of(element.value).map(Iterator::count),
            _ => element.text().map(|text| text.chars().count()),
        };
        if self.min_length.is_some_and(|least| length.is_none_or(|length| length < least)) {
            return Err(Broken::MinLength);
        }
        if self.max_length.is_some_and(|most| length.is_none_or(|length| length > most)) {
            return Err(Broken::MaxLength);
        }
        Ok(())
    }

    fn check_enum(&self, element: &Element<'_>) -> Result<(), Broken> {
        let Some(values) = &self.any_of else { return Ok(()) };
        let value = Scalar::of(element);
        let equals = |literal: &Literal| {
            value.and_then(|value| literal.compare(value)) == Some(Ordering::Equal)
        };
        if values.iter().any(equals) { Ok(()) } else { Err(Broken::Enum) }
    }
}

fn is(kind: FieldType, element: &Element<'_>) -> bool {
    match kind {
        FieldType::String => element.kind == STRING,
        FieldType::Number => NUMBERS.contains(&element.kind),
        FieldType::Boolean => element.kind == BOOLEAN,
        FieldType::Date => element.kind == DATE,
        FieldType::Object => element.kind == DOCUMENT,
        FieldType::Array => element.kind == ARRAY,
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Null => "not nullable",
            Self::Type(FieldType::String) => "type string",
            Self::Type(FieldType::Number) => "type number",
            Self::Type(FieldType::Boolean) => "type boolean",
            Self::Type(FieldType::Date) => "type date",
            Self::Type(FieldType::Object) => "type object",
            Self::Type(FieldType::Array) => "type array",
            Self::Min => "min",
            Self::Max => "max",
            Self::MinLength => "min_length",
            Self::MaxLength => "max_length",
            Self::Pattern => "pattern",
            Self::Enum => "enum",
        })
    }
}
