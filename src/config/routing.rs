//! Which topics an event goes to: `topic` and `routes` of a source, and `pubsub.routing`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::{item, join};
use super::template::{Template, is_template};
use super::validate::{error, expect, is_resource_id};
use super::{Config, PubSubConfig, StreamConfig};
use crate::error::ConfigError;
use crate::event::{FieldPath, StreamId};

/// One topic or several, each a key below `pubsub.topics` or a template of a topic's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum TopicList {
    /// One.
    One(String),
    /// Several; an event goes to each of them.
    Several(Vec<String>),
}

impl TopicList {
    /// The keys and templates in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let list = match self {
            Self::One(topic) => std::slice::from_ref(topic),
            Self::Several(topics) => topics,
        };
        list.iter().map(String::as_str)
    }

    fn check(&self, pubsub: &PubSubConfig, path: &str) -> Result<(), ConfigError> {
        expect(self.names().next().is_some(), path, "at least one topic is needed")?;
        for (index, topic) in self.names().enumerate() {
            let path = match self {
                Self::One(_) => path.to_owned(),
                Self::Several(_) => item(path, index),
            };
            expect(!self.names().take(index).any(|other| other == topic), &path, "is there twice")?;
            check_topic(topic, pubsub, &path)?;
        }
        Ok(())
    }
}

impl Default for TopicList {
    fn default() -> Self {
        Self::One("default".into())
    }
}

/// Texts and lists of texts, told in one schema: what is expected reads better.
impl JsonSchema for TopicList {
    fn schema_name() -> Cow<'static, str> {
        "TopicList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "a topic or a list of topics",
            "type": ["string", "array"],
            "items": { "type": "string" },
        })
    }
}

/// Events that go to other topics than those of their source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Where they go: a key below `pubsub.topics`, a template of a topic's name, or a list.
    pub topic: TopicList,
    /// Which they are: a condition, or a list of conditions that all hold.
    pub when: Conditions,
    /// Whether the rules after this one are looked at, too. Default: `false`.
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
}

/// A condition, or several that all hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Conditions {
    /// One.
    One(Box<ConditionConfig>),
    /// All of them.
    All(Vec<ConditionConfig>),
}

impl Conditions {
    /// The conditions in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[ConditionConfig] {
        match self {
            Self::One(condition) => std::slice::from_ref(condition),
            Self::All(conditions) => conditions,
        }
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        expect(!self.as_slice().is_empty(), path, "at least one condition is needed")?;
        self.as_slice().iter().enumerate().try_for_each(|(index, condition)| match self {
            Self::One(_) => condition.check(path),
            Self::All(_) => condition.check(&item(path, index)),
        })
    }
}

/// What holds of a field. Values are compared with their type: a number with numbers, a text with
/// strings, with dates (RFC 3339) and with object ids (24 hex digits).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionConfig {
    /// Dotted path in the document, such as `customer.country`; a number is an array's index.
    pub field: String,
    /// It is there and equals this text, number or boolean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// It is not there, or does not equal this text, number or boolean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_equals: Option<Value>,
    /// It is there and greater than this text or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greater_than: Option<Value>,
    /// It is there and less than this text or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub less_than: Option<Value>,
    /// Whether it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// It is there and equals one of these texts, numbers and booleans.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Value>>,
}

impl ConditionConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let field = FieldPath::parse(&self.field);
        expect(field.is_some(), &join(path, "field"), DOTTED_PATH)?;
        for (key, value) in [("equals", &self.equals), ("not_equals", &self.not_equals)] {
            let fits = value.as_ref().is_none_or(is_scalar);
            expect(fits, &join(path, key), "expected a text, a number or a boolean")?;
        }
        for (key, value) in [("greater_than", &self.greater_than), ("less_than", &self.less_than)] {
            let fits = value.as_ref().is_none_or(is_ordered);
            expect(fits, &join(path, key), "expected a text or a number")?;
        }
        if let Some(values) = &self.any_of {
            let fits = !values.is_empty() && values.iter().all(is_scalar);
            expect(fits, &join(path, "in"), "expected a list of texts, numbers and booleans")?;
        }
        let values = [&self.equals, &self.not_equals, &self.greater_than, &self.less_than];
        let any = values.iter().any(|value| value.is_some());
        expect(
            any || self.exists.is_some() || self.any_of.is_some(),
            path,
            "expected a value for one of `equals`, `not_equals`, `greater_than`, `less_than`, \
             `exists`, `in`; null is none",
        )
    }
}

const DOTTED_PATH: &str = "expected a dotted path: `customer.id`";

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn is_ordered(value: &Value) -> bool {
    value.is_string() || value.is_number()
}

/// Events that also go to the topic that the rule is named after: all that the keys say holds.
/// An empty rule takes every event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingRule {
    /// Source that the events come from: its name, or `<connection id>.<source name>`.
    pub source: Option<String>,
    /// Dotted path of the field that is compared with `value`.
    pub field: Option<String>,
    /// What the field is compared with: a text, a number or a boolean.
    pub value: Option<Value>,
    /// How the field is compared.
    pub operator: RoutingOperator,
    /// Only documents whose field `alert` is true.
    pub alert_only: bool,
    /// Only documents whose field `threshold_exceeded` is true.
    pub threshold_exceeded: bool,
}

/// How a field is compared in `pubsub.routing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoutingOperator {
    /// It equals the value.
    #[default]
    Equals,
    /// It is greater.
    GreaterThan,
    /// It is less.
    LessThan,
}

impl RoutingRule {
    fn takes(&self, stream: &StreamId) -> bool {
        self.source
            .as_deref()
            .is_none_or(|source| *source == *stream.source_name || source == stream.to_string())
    }

    /// The same as a rule of a source.
    fn route(&self, topic: &str) -> RouteConfig {
        let is_true = |field: &str| ConditionConfig {
            field: field.to_owned(),
            equals: Some(Value::Bool(true)),
            ..ConditionConfig::default()
        };
        let mut conditions = Vec::new();
        conditions.extend(self.field.as_deref().map(|field| self.comparison(field)));
        conditions.extend(self.alert_only.then(|| is_true("alert")));
        conditions.extend(self.threshold_exceeded.then(|| is_true("threshold_exceeded")));
        RouteConfig {
            topic: TopicList::One(topic.to_owned()),
            when: Conditions::All(conditions),
            goes_on: true,
        }
    }

    fn comparison(&self, field: &str) -> ConditionConfig {
        let mut condition = ConditionConfig { field: field.to_owned(), ..Default::default() };
        let operand = match self.operator {
            RoutingOperator::Equals => &mut condition.equals,
            RoutingOperator::GreaterThan => &mut condition.greater_than,
            RoutingOperator::LessThan => &mut condition.less_than,
        };
        operand.clone_from(&self.value);
        condition
    }

    fn check(&self, config: &Config, path: &str) -> Result<(), ConfigError> {
        if let Some(source) = &self.source {
            let known = config.streams()?.iter().any(|stream| self.takes(&stream.id));
            let message = format!("no source is called `{source}`");
            expect(known, &join(path, "source"), &message)?;
        }
        let pair = "`field` and `value` go together";
        expect(self.field.is_some() == self.value.is_some(), path, pair)?;
        let field = self.field.as_deref().is_none_or(|field| FieldPath::parse(field).is_some());
        expect(field, &join(path, "field"), DOTTED_PATH)?;
        let fits = self.value.as_ref().is_none_or(|value| match self.operator {
            RoutingOperator::Equals => is_scalar(value),
            RoutingOperator::GreaterThan | RoutingOperator::LessThan => is_ordered(value),
        });
        expect(fits, &join(path, "value"), "expected a value that the operator compares")
    }
}

impl Config {
    /// The rules of `stream`: its own, then those of `pubsub.routing`.
    #[must_use]
    pub fn routes_of(&self, stream: &StreamConfig) -> Vec<RouteConfig> {
        let general = self.pubsub.iter().flat_map(|pubsub| &pubsub.routing);
        let general = general.filter(|(_, rule)| rule.takes(&stream.id));
        let general = general.map(|(topic, rule)| rule.route(topic));
        stream.source.routes.iter().cloned().chain(general).collect()
    }

    /// Checks where events go.
    pub(super) fn check_routing(&self, pubsub: &PubSubConfig) -> Result<(), ConfigError> {
        for (id, connection) in &self.mongodb.connections {
            for (name, source) in &connection.sources {
                let path = format!("mongodb.connections.{id}.sources.{name}");
                source.topic.check(pubsub, &join(&path, "topic"))?;
                for (index, route) in source.routes.iter().enumerate() {
                    let path = item(&join(&path, "routes"), index);
                    route.topic.check(pubsub, &join(&path, "topic"))?;
                    route.when.check(&join(&path, "when"))?;
                }
            }
        }
        for (topic, rule) in &pubsub.routing {
            let path = join("pubsub.routing", topic);
            check_key(topic, pubsub, &path)?;
            rule.check(self, &path)?;
        }
        Ok(())
    }
}

fn check_topic(topic: &str, pubsub: &PubSubConfig, path: &str) -> Result<(), ConfigError> {
    if !is_template(topic) {
        return check_key(topic, pubsub, path);
    }
    let template = Template::parse(topic).map_err(|message| error(path, message))?;
    let message = "makes no topic's name: 3 to 255 letters, digits and - . _ ~ + %, the first a \
                   letter, not beginning with `goog`";
    expect(is_resource_id(&template.with_all("abc")), path, message)
}

fn check_key(topic: &str, pubsub: &PubSubConfig, path: &str) -> Result<(), ConfigError> {
    let known = pubsub.topics.keys().map(|key| format!("`{key}`"));
    let known = known.collect::<Vec<_>>().join(", ");
    let message = format!("`{topic}` is not a key of `pubsub.topics`: {known}");
    expect(pubsub.topics.contains_key(topic), path, &message)
}

/// The field in `ordering: field:<path>`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderingField(pub FieldPath);

impl TryFrom<String> for OrderingField {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let path = text.strip_prefix("field:").and_then(FieldPath::parse);
        path.map(Self).ok_or("expected `field:` and a dotted path")
    }
}

impl From<OrderingField> for String {
    fn from(field: OrderingField) -> Self {
        format!("field:{}", field.0)
    }
}

impl JsonSchema for OrderingField {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OrderingField".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^field:", "examples": ["field:customer.id"] })
    }
}
