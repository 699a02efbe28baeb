//! A value out of the configuration, compared with one out of a document.

use std::cmp::Ordering;

use mongodb::bson::{Decimal128, oid::ObjectId};
use serde_json::Value;

use crate::event::Scalar;

/// A text, a number or a boolean.
#[derive(Debug)]
pub(crate) enum Literal {
    Boolean(bool),
    Number(Number),
    Text {
        text: String,
        /// The milliseconds since the epoch that the text stands for.
        date: Option<i64>,
        /// The object id that the text stands for.
        id: Option<[u8; 12]>,
    },
}

/// A number: whole ones are compared exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Integer(i64),
    Double(f64),
}

impl Literal {
    /// `None` for what is no text, number or boolean.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Boolean(*value),
            Value::Number(number) => Self::Number(match number.as_i64() {
                Some(integer) => Number::Integer(integer),
                None => Number::Double(number.as_f64()?),
            }),
            Value::String(text) => Self::Text {
                text: text.clone(),
                date: text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
                id: ObjectId::parse_str(text).ok().map(|id| id.bytes()),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// Compares this with `value`; `None` where the types have nothing in common, and with NaN.
    pub fn compare(&self, value: Scalar<'_>) -> Option<Ordering> {
        match (self, value) {
            (Self::Boolean(this), Scalar::Boolean(other)) => Some(this.cmp(&other)),
            (Self::Number(this), other) => this.compare(Number::of(other)?),
            (Self::Text { text, .. }, Scalar::Text(other)) => Some(text.as_str().cmp(other)),
            (Self::Text { date, .. }, Scalar::Date(other)) => Some((*date)?.cmp(&other)),
            (Self::Text { id, .. }, Scalar::ObjectId(other)) => Some((*id)?.cmp(&other)),
            _ => None,
        }
    }
}

impl Number {
    fn of(value: Scalar<'_>) -> Option<Self> {
        Some(match value {
            Scalar::Integer(value) => Self::Integer(value),
            Scalar::Double(value) => Self::Double(value),
            Scalar::Decimal(value) => Self::of_decimal(value)?,
            _ => return None,
        })
    }

    /// The nearest double, unless it is a whole number: `0.1` equals `0.1` so, as people expect.
    fn of_decimal(value: Decimal128) -> Option<Self> {
        let text = value.to_string();
        let integer = text.parse().map(Self::Integer);
        integer.or_else(|_| text.parse().map(Self::Double)).ok()
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(this), Self::Integer(other)) => Some(this.cmp(&other)),
            (Self::Double(this), Self::Double(other)) => this.partial_cmp(&other),
            (Self::Integer(this), Self::Double(other)) => compare_exactly(this, other),
            (Self::Double(this), Self::Integer(other)) => {
                compare_exactly(other, this).map(Ordering::reverse)
            }
        }
    }
}

/// Compares without rounding the integer to a double.
fn compare_exactly(integer: i64, double: f64) -> Option<Ordering> {
    /// 2^63, the first double above all of them.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= END {
        return Some(Ordering::Less);
    }
    if double < -END {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    let whole = double.trunc() as i64;
    let fraction = 0.0_f64.partial_cmp(&double.fract())?;
    Some(integer.cmp(&whole).then(fraction))
}
