//! Durations and sizes as people write them: `250ms`, `9.5MB`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Suffixes of a duration and their length in milliseconds, the longest first.
const DURATION_UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Suffixes of a size in powers of 1000, the largest first.
const DECIMAL_UNITS: &[(&str, u64)] =
    &[("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// Suffixes of a size in powers of 1024, the largest first.
const BINARY_UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A duration in whole milliseconds; a bare number is in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Millis(u64);

impl Millis {
    const EXPECTED: &str =
        "a duration such as `250ms`, `5s`, `2m` or `1h`, or a number of milliseconds";

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A duration in whole milliseconds; a bare number is in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Seconds(u64);

impl Seconds {
    const EXPECTED: &str = "a duration such as `250ms`, `5s`, `2m` or `1h`, or a number of seconds";

    /// From seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A size in bytes. `kB`, `MB` and `GB` are powers of 1000; `KiB`, `MiB` and `GiB` of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct ByteSize(u64);

impl ByteSize {
    const EXPECTED: &str = "a size such as `500kB`, `9.5MB` or `64KiB`, or a number of bytes";

    /// From bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// `<digits>[.<digits>] [unit]` as a whole number of the base unit. `None` for anything else, also
/// for a fraction of the base unit and for what does not fit.
fn parse_quantity(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale = u128::from(unit(suffix.trim_start())?);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // `parse` also takes a sign; the split above leaves none.
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let fraction: u128 = fraction.parse::<u64>().ok()?.into();
    let scaled = whole.checked_mul(divisor)?.checked_add(fraction)?.checked_mul(scale)?;
    (scaled % divisor == 0).then(|| u64::try_from(scaled / divisor).ok())?
}

/// Length of a duration's suffix; a bare number has the unit `bare`.
fn duration_unit(suffix: &str, bare: u64) -> Option<u64> {
    if suffix.is_empty() {
        return Some(bare);
    }
    DURATION_UNITS.iter().find(|(name, _)| *name == suffix).map(|(_, millis)| *millis)
}

/// Bytes of a size's suffix, in any case: nobody means milli-bits by `mb`.
fn size_unit(suffix: &str) -> Option<u64> {
    if suffix.is_empty() {
        return Some(1);
    }
    let mut units = DECIMAL_UNITS.iter().chain(BINARY_UNITS);
    units.find(|(name, _)| name.eq_ignore_ascii_case(suffix)).map(|(_, bytes)| *bytes)
}

/// The duration in the longest unit in which it is a whole number.
fn write_duration(millis: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits = |(_, unit): &&(&str, u64)| millis >= *unit && millis.is_multiple_of(*unit);
    let (suffix, unit) = DURATION_UNITS.iter().find(fits).unwrap_or(&("ms", 1));
    write!(f, "{}{suffix}", millis / unit)
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_duration(self.0, f)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_duration(self.0, f)
    }
}

impl fmt::Display for ByteSize {
    /// `64KiB` for what is round only in powers of 1024, else `9.5MB` with up to three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let round = |(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
        if !bytes.is_multiple_of(1000)
            && let Some((suffix, unit)) = BINARY_UNITS.iter().find(round)
        {
            return write!(f, "{}{suffix}", bytes / unit);
        }
        let fits = |(_, unit): &&(&str, u64)| bytes >= *unit && bytes.is_multiple_of(unit / 1000);
        let (suffix, unit) = DECIMAL_UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}", bytes / unit)?;
        let thousandths = bytes % unit * 1000 / unit;
        if thousandths > 0 {
            write!(f, ".{}", format!("{thousandths:03}").trim_end_matches('0'))?;
        }
        f.write_str(suffix)
    }
}

/// Reads a number or a text; the caller says how a text is understood.
struct QuantityVisitor<P> {
    expected: &'static str,
    parse: P,
}

impl<P: Fn(&str) -> Option<u64>> Visitor<'_> for QuantityVisitor<P> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        (self.parse)(text).ok_or_else(|| E::custom(format_args!("expected {}", self.expected)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        self.visit_str(&number.to_string())
    }

    /// `f64` is written without an exponent, so that its text reads back.
    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        self.visit_str(&number.to_string())
    }
}

/// Serde and JSON Schema of a quantity that is a number in its own unit or a text with a suffix.
macro_rules! quantity {
    ($name:ident, $unit:expr, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parse = |text: &str| parse_quantity(text, $unit);
                let visitor = QuantityVisitor { expected: Self::EXPECTED, parse };
                deserializer.deserialize_any(visitor).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "title": Self::EXPECTED,
                    "type": ["string", "number"],
                    "pattern": $pattern,
                    "minimum": 0,
                })
            }
        }
    };
}

quantity!(Millis, |suffix| duration_unit(suffix, 1), r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h)?\s*$");
quantity!(
    Seconds,
    |suffix| duration_unit(suffix, 1000),
    r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h)?\s*$"
);
quantity!(ByteSize, size_unit, r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgG]([iI])?)?[bB]?\s*$");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{from_value, json};

    use super::*;

    fn millis(value: serde_json::Value) -> Option<Duration> {
        from_value::<Millis>(value).ok().map(Millis::duration)
    }

    fn bytes(value: serde_json::Value) -> Option<u64> {
        from_value::<ByteSize>(value).ok().map(ByteSize::bytes)
    }

    #[test]
    fn a_bare_number_has_the_originals_unit() {
        assert_eq!(millis(json!(250)), Some(Duration::from_millis(250)));
        assert_eq!(millis(json!("250")), Some(Duration::from_millis(250)));
        let seconds = |value| from_value::<Seconds>(value).unwrap().duration();
        assert_eq!(seconds(json!(30)), Duration::from_secs(30));
        assert_eq!(seconds(json!(0.5)), Duration::from_millis(500));
        assert_eq!(bytes(json!(1024)), Some(1024));
    }

    #[test]
    fn suffixes_are_read() {
        for (text, expected) in
            [("250ms", 250), ("5s", 5000), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(millis(json!(text)), Some(Duration::from_millis(expected)), "{text}");
        }
        for (text, expected) in [
            ("9.5MB", 9_500_000),
            ("64KiB", 65_536),
            ("1 GiB", 1 << 30),
            ("10mb", 10_000_000),
            ("7B", 7),
        ] {
            assert_eq!(bytes(json!(text)), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "ms", "5 parsecs", "-5s", "1e3s", "5.s", ".5s", "0.5ms", "1.2.3s", "5S"] {
            assert_eq!(millis(json!(text)), None, "{text}");
        }
        for value in [json!(-1), json!(0.5), json!(true), json!(null), json!([1]), json!(1e300)] {
            assert_eq!(millis(value.clone()), None, "{value}");
        }
        assert_eq!(bytes(json!("99999999999999999999GB")), None);
        assert_eq!(bytes(json!("18446744073709551615GB")), None);
    }

    #[test]
    fn they_are_written_in_the_unit_that_reads_best() {
        assert_eq!(Millis::from_millis(500).to_string(), "500ms");
        assert_eq!(Millis::from_millis(60_000).to_string(), "1m");
        assert_eq!(Seconds::from_secs(90).to_string(), "90s");
        assert_eq!(Seconds::from_secs(0).to_string(), "0ms");
        for (size, text) in [
            (9_500_000, "9.5MB"),
            (32_000_000, "32MB"),
            (65_536, "64KiB"),
            (1 << 20, "1MiB"),
            (1001, "1.001kB"),
            (12, "12B"),
            (0, "0B"),
        ] {
            assert_eq!(ByteSize::from_bytes(size).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(number in 0..u64::MAX / 1000) {
            let size = ByteSize::from_bytes(number);
            prop_assert_eq!(from_value::<ByteSize>(json!(size)).unwrap(), size);
            let time = Millis::from_millis(number);
            prop_assert_eq!(from_value::<Millis>(json!(time)).unwrap(), time);
        }
    }
}
