//! Where the messages of a stream leave it, and in which form.

use crate::config::{
    Attribute, Config, PubSubConfig, RunSections, StreamConfig, Template, TopicConfig,
    is_resource_id, is_template,
};
use crate::error::ConfigError;
use crate::event::{ChangeEvent, Destination};
use crate::format::{AttributeWriter, Envelope, TemplateWriter};

use super::edit::Edits;

/// One topic that a stream's messages go to, or a template of topics.
#[derive(Debug)]
pub(super) struct Outlet {
    to: Address,
    /// What the data of a message is.
    pub envelope: Envelope,
    /// The attributes beside those of the envelope.
    pub attributes: AttributeWriter,
}

/// Where an outlet leads.
#[derive(Debug)]
enum Address {
    /// To one topic.
    Fixed(Destination),
    /// To a topic whose name the event tells.
    Told {
        /// `projects/…/topics/`.
        parent: String,
        /// The topic's name.
        name: TemplateWriter,
    },
}

impl Outlet {
    /// The outlet of `stream` to `topic`: the key of a topic, or a template of a topic's name.
    /// What is set for the topic goes before what is set for the source, and that before what is
    /// set for all: the readers of a topic expect one form.
    pub fn compile(
        config: &Config,
        stream: &StreamConfig,
        topic: &str,
        edits: Option<&Edits>,
    ) -> Result<Self, ConfigError> {
        let sections = config.require_run()?;
        let parent = format!("projects/{}/topics/", sections.gcp.project_id);
        if is_template(topic) {
            let template = parse(topic, stream, edits)?;
            let name = TemplateWriter::compile(&template, stream);
            return Self::new(sections, stream, None, Address::Told { parent, name });
        }
        let found = sections.pubsub.topics.get(topic).ok_or_else(|| ConfigError {
            path: format!("pubsub.topics.{topic}"),
            message: "no such topic".into(),
        })?;
        let path = format!("{parent}{}", found.name);
        let to = Address::Fixed(Destination::Topic(path.into()));
        Self::new(sections, stream, Some((topic, found)), to)
    }

    fn new(
        sections: RunSections<'_>,
        stream: &StreamConfig,
        topic: Option<(&str, &TopicConfig)>,
        to: Address,
    ) -> Result<Self, ConfigError> {
        let (pubsub, source) = (sections.pubsub, &stream.source);
        let settings = topic.map(|(_, settings)| settings);
        let envelope = settings.and_then(|topic| topic.envelope).or(source.envelope);
        let json_mode = settings.and_then(|topic| topic.json_mode).or(source.json_mode);
        let envelope = Envelope::compile(
            envelope.unwrap_or(pubsub.envelope),
            json_mode.unwrap_or(pubsub.json_mode),
            stream,
            topic,
        )?;
        check_attributes(&envelope, pubsub)?;
        Ok(Self { to, envelope, attributes: AttributeWriter::compile(stream, pubsub)? })
    }

    /// Where the messages for `read`, the event as it was read, go.
    ///
    /// # Errors
    /// Why the template makes no topic's name of the event, without the name: it may be a value.
    pub fn destination(&self, read: &ChangeEvent<'_>) -> Result<Destination, String> {
        let (parent, name) = match &self.to {
            Address::Fixed(to) => return Ok(to.clone()),
            Address::Told { parent, name } => (parent, name),
        };
        let mut path = parent.clone();
        name.write(read, &mut path)
            .map_err(|missing| format!("no topic: the event has no {missing}"))?;
        if !is_resource_id(&path[parent.len()..]) {
            return Err(
                "no topic: the template makes a name that Pub/Sub does not take (3 to 255 \
                        letters, digits and - . _ ~ + %)"
                    .into(),
            );
        }
        Ok(Destination::Topic(path.into()))
    }
}

/// Reads a template of topics. A topic's name is made of the event as it was read: it must not tell
/// what is protected.
fn parse(
    topic: &str,
    stream: &StreamConfig,
    edits: Option<&Edits>,
) -> Result<Template, ConfigError> {
    let (id, source) = (&stream.id, &stream.source);
    let key = if source.topic.names().any(|name| name == topic) { "topic" } else { "routes" };
    let refuse = |message: String| ConfigError {
        path: format!("mongodb.connections.{}.sources.{}.{key}", id.connection_id, id.source_name),
        message: format!("`{topic}`: {message}"),
    };
    let template = Template::parse(topic).map_err(refuse)?;
    let told = template.fields().find(|path| edits.is_some_and(|edits| edits.guards(path)));
    match told {
        Some(path) => Err(refuse(format!(
            "the name would tell the value of `{path}`, which `protect` means: name topics by \
             another field"
        ))),
        None => Ok(template),
    }
}

/// Checks the configured attributes against those that the envelope writes or needs.
fn check_attributes(envelope: &Envelope, pubsub: &PubSubConfig) -> Result<(), ConfigError> {
    let mut own = envelope.own_attributes();
    if let Some(name) = own.find(|name| pubsub.extra_attributes.contains_key(*name)) {
        return Err(ConfigError {
            path: format!("pubsub.extra_attributes.{name}"),
            message: "the program itself writes an attribute of this name: choose another".into(),
        });
    }
    if envelope.needs_operation() && !pubsub.attributes.contains(&Attribute::Operation) {
        return Err(ConfigError {
            path: "pubsub.attributes".into(),
            message:
                "`envelope: document` needs `operation` among them: without it a delete looks \
                      like a document that was not found"
                    .into(),
        });
    }
    Ok(())
}
