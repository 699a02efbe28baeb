//! `protect` of a source and `protection`: what may not go out as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field_path::{self, Segment};
use super::path::item;
use super::validate::{error, expect};
use super::{Config, Secret, SourceConfig};
use crate::error::ConfigError;

/// Bytes of a protection key at the least.
const MIN_KEY: usize = 16;

/// The secret behind `hash` and `tokenise`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectionConfig {
    /// Key of `hash` and `tokenise`, and of what stands for a protected document key: at least 16
    /// bytes, kept secret. Another key gives other hashes and tokens. In a Beam pipeline it may be a
    /// secret of Secret Manager, read on the worker, as `uri` of a connection. Default: none.
    #[schemars(example = &"${PROTECTION_KEY}")]
    pub key: Option<Secret>,
}

/// A field that may not go out as it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectRule {
    /// Path of the field in the document: names with dots between them, `[*]` for every element of
    /// an array, `*` for every name, a backslash before a character that is part of a name.
    pub path: String,
    /// What becomes of it.
    pub action: ProtectAction,
    /// Characters at the end that `mask` leaves. A text that has no more than these is masked
    /// whole. Default: `4`.
    #[serde(default = "default_keep")]
    pub keep: u32,
    /// Character that `mask` writes. Default: `X`.
    #[serde(default = "default_mask_char")]
    pub mask_char: String,
    /// Characters that `truncate` leaves. Default: `10`.
    #[serde(default = "default_length")]
    pub length: u32,
}

fn default_keep() -> u32 {
    4
}

fn default_mask_char() -> String {
    "X".into()
}

fn default_length() -> u32 {
    10
}

/// What becomes of a protected field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtectAction {
    /// The field is taken out.
    Remove,
    /// Every character of a text but the last few becomes `mask_char`; any other value becomes
    /// four of them.
    Mask,
    /// HMAC-SHA256 with `protection.key`, 64 hex digits.
    Hash,
    /// The first characters of a text; any other value becomes `XXXX`.
    Truncate,
    /// A token of 128 bits made with `protection.key`, `tok_…`: equal for equal values.
    Tokenise,
}

impl ProtectAction {
    /// Whether it needs `protection.key`.
    pub(crate) fn needs_key(self) -> bool {
        matches!(self, Self::Hash | Self::Tokenise)
    }
}

/// Whether a path leads into the document key: that is certain for `_id` and for every name.
pub(crate) fn leads_to_id(segments: &[Segment]) -> bool {
    match segments.first() {
        Some(Segment::AnyName) => true,
        Some(Segment::Name(name)) => name == "_id",
        Some(Segment::Items) | None => false,
    }
}

/// Checks the key, which all sources share.
pub(super) fn check_key(config: &Config) -> Result<(), ConfigError> {
    let Some(key) = &config.protection.key else { return Ok(()) };
    let long = key.expose().len() >= MIN_KEY;
    expect(long, "protection.key", "expected a key of at least 16 bytes")
}

/// Checks the rules of the source at `path`.
pub(super) fn check(config: &Config, source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    for (index, rule) in source.protect.iter().enumerate() {
        let path = item(&format!("{path}.protect"), index);
        let field = format!("{path}.path");
        let segments = field_path::parse(&rule.path).map_err(|reason| error(&field, reason))?;
        let one = rule.mask_char.chars().count() == 1 && rule.mask_char != "\0";
        expect(one, &format!("{path}.mask_char"), "expected one character")?;
        let masks = rule.action == ProtectAction::Mask;
        let kept = masks || rule.keep == default_keep();
        expect(kept, &format!("{path}.keep"), "is for the action `mask`")?;
        let drawn = masks || rule.mask_char == default_mask_char();
        expect(drawn, &format!("{path}.mask_char"), "is for the action `mask`")?;
        let cut = rule.action == ProtectAction::Truncate || rule.length == default_length();
        expect(cut, &format!("{path}.length"), "is for the action `truncate`")?;
        let has_key = config.protection.key.is_some();
        expect(
            has_key || !rule.action.needs_key(),
            &format!("{path}.action"),
            "needs a key: set `protection.key`",
        )?;
        expect(
            has_key || !leads_to_id(&segments),
            &field,
            "leads to `_id`, which identifies an event and its place in the order: a key must \
             stand for it, so set `protection.key`",
        )?;
    }
    Ok(())
}
