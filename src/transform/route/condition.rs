//! What has to hold of a field.

use std::cmp::Ordering;

use crate::config::ConditionConfig;
use crate::event::{FieldPath, Scalar};

use crate::transform::literal::Literal;

/// A field and what has to hold of it.
#[derive(Debug)]
pub(super) struct Condition {
    field: FieldPath,
    tests: Vec<Test>,
}

/// One operator.
#[derive(Debug)]
enum Test {
    Equals(Literal),
    NotEquals(Literal),
    Greater(Literal),
    Less(Literal),
    Exists(bool),
    AnyOf(Vec<Literal>),
}

/// Makes the test of an operator.
type Compare = fn(Literal) -> Test;

impl Condition {
    /// `None` for what a checked configuration does not hold.
    pub fn compile(config: &ConditionConfig) -> Option<Self> {
        let mut tests = Vec::new();
        let compared: [(_, Compare); 4] = [
            (&config.equals, Test::Equals),
            (&config.not_equals, Test::NotEquals),
            (&config.greater_than, Test::Greater),
            (&config.less_than, Test::Less),
        ];
        for (value, test) in compared {
            if let Some(value) = value {
                tests.push(test(Literal::of(value)?));
            }
        }
        tests.extend(config.exists.map(Test::Exists));
        if let Some(values) = &config.any_of {
            tests.push(Test::AnyOf(values.iter().map(Literal::of).collect::<Option<_>>()?));
        }
        Some(Self { field: FieldPath::parse(&config.field)?, tests })
    }

    /// Whether it holds in `document`; never of an event without one.
    pub fn holds(&self, document: Option<&[u8]>) -> bool {
        let Some(document) = document else { return false };
        let element = self.field.find(document);
        let value = element.as_ref().and_then(Scalar::of);
        self.tests.iter().all(|test| test.holds(element.is_some(), value))
    }
}

impl Test {
    fn holds(&self, exists: bool, value: Option<Scalar<'_>>) -> bool {
        let compared = |literal: &Literal| literal.compare(value?).map(Ordering::reverse);
        match self {
            Self::Equals(literal) => compared(literal) == Some(Ordering::Equal),
            Self::NotEquals(literal) => compared(literal) != Some(Ordering::Equal),
            Self::Greater(literal) => compared(literal) == Some(Ordering::Greater),
            Self::Less(literal) => compared(literal) == Some(Ordering::Less),
            Self::Exists(wanted) => exists == *wanted,
            Self::AnyOf(literals) => {
                literals.iter().any(|literal| compared(literal) == Some(Ordering::Equal))
            }
        }
    }
}
