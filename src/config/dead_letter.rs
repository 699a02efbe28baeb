//! `dead_letter`: where what cannot be delivered goes.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{error, expect};
use super::{ByteSize, Config};
use crate::error::ConfigError;

/// Where events and messages go that cannot be delivered. Without it such an event stops its stream.
/// With both a file and a topic, the file comes first.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// Key below `pubsub.topics` of the topic for dead letters. Default: none.
    #[schemars(example = &"default")]
    pub topic: Option<String>,
    /// A file for dead letters, one JSON object a line. Default: none.
    pub file: Option<DeadLetterFileConfig>,
}

/// A file for dead letters, one JSON object a line.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterFileConfig {
    /// The file, relative to the working directory. Default: `./dead-letters.jsonl`.
    pub path: PathBuf,
    /// Size above which it is put aside as `<path>.1` and a new one begins. A bare number is in
    /// bytes. Default: `100MB`.
    pub max_size: ByteSize,
    /// How many files put aside are kept, `<path>.1` being the newest; the oldest is deleted.
    /// Default: `5`.
    #[schemars(range(min = 1))]
    pub keep: u32,
}

impl Default for DeadLetterFileConfig {
    fn default() -> Self {
        Self {
            path: "./dead-letters.jsonl".into(),
            max_size: ByteSize::from_bytes(100_000_000),
            keep: 5,
        }
    }
}

impl Config {
    /// Whether there is a place for dead letters.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        self.dead_letter.is_some() || self.error_handling.dead_letter_topic.is_some()
    }

    /// Name of the topic for dead letters, without `projects/…/topics/`.
    #[must_use]
    pub fn dead_letter_topic(&self) -> Option<&str> {
        let key = self.dead_letter.as_ref().and_then(|section| section.topic.as_ref());
        let topics = self.pubsub.as_ref().map(|pubsub| &pubsub.topics);
        let topic = key.and_then(|key| Some(topics?.get(key)?.name.as_str()));
        topic.or(self.error_handling.dead_letter_topic.as_deref())
    }
}

impl DeadLetterConfig {
    /// What the types cannot tell.
    pub(super) fn validate(&self, config: &Config) -> Result<(), ConfigError> {
        expect(
            self.topic.is_some() || self.file.is_some(),
            "dead_letter",
            "missing: set `dead_letter.topic`, `dead_letter.file`, or both",
        )?;
        if let Some(file) = &self.file {
            let named = file.path.file_name().is_some();
            expect(named, "dead_letter.file.path", "expected the path of a file")?;
            let size = file.max_size.bytes();
            expect(size > 0, "dead_letter.file.max_size", "must be more than 0")?;
            expect(file.keep > 0, "dead_letter.file.keep", "must be more than 0")?;
        }
        let (Some(topic), Some(pubsub)) = (&self.topic, &config.pubsub) else { return Ok(()) };
        if pubsub.topics.contains_key(topic) {
            return Ok(());
        }
        let known: Vec<String> = pubsub.topics.keys().map(|key| format!("`{key}`")).collect();
        let known = known.join(", ");
        let message = format!("`{topic}` is not a key of `pubsub.topics`: {known}");
        Err(error("dead_letter.topic", message))
    }
}
