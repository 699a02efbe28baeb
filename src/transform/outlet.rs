//! Where the messages of a stream leave it, and in which form.

use crate::config::{Config, StreamConfig};
use crate::error::ConfigError;
use crate::event::Destination;
use crate::format::{AttributeWriter, Envelope};

/// One topic that a stream's messages go to.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The topic.
    pub to: Destination,
    /// What the data of a message is.
    pub envelope: Envelope,
    /// The attributes beside those of the envelope.
    pub attributes: AttributeWriter,
}

impl Outlet {
    /// The outlet of `stream` to the topic with the key `topic`. What is set for the topic goes
    /// before what is set for the source, and that before what is set for all: the readers of a
    /// topic expect one form.
    pub fn compile(
        config: &Config,
        stream: &StreamConfig,
        topic: &str,
    ) -> Result<Self, ConfigError> {
        let sections = config.require_run()?;
        let pubsub = sections.pubsub;
        let key = topic;
        let topic = pubsub.topics.get(key).ok_or_else(|| ConfigError {
            path: format!("pubsub.topics.{key}"),
            message: "no such topic".into(),
        })?;
        let envelope = topic.envelope.or(stream.source.envelope).unwrap_or(pubsub.envelope);
        let json_mode = topic.json_mode.or(stream.source.json_mode).unwrap_or(pubsub.json_mode);
        let path = format!("projects/{}/topics/{}", sections.gcp.project_id, topic.name);
        Ok(Self {
            to: Destination::Topic(path.into()),
            envelope: Envelope::compile(envelope, json_mode, stream, (key, topic))?,
            attributes: AttributeWriter::compile(&stream.id, &pubsub.attributes)?,
        })
    }
}
