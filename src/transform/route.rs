//! Which outlets an event takes.

mod condition;

use crate::config::{Config, RouteConfig, StreamConfig};
use crate::error::ConfigError;
use crate::event::ChangeEvent;

use super::edit::Edits;
use super::outlet::Outlet;
use condition::Condition;

/// Most outlets of a stream: a bit each.
const MAX_OUTLETS: usize = 64;

/// The outlets of one stream, and the rules that choose among them.
#[derive(Debug)]
pub(super) struct Route {
    outlets: Vec<Outlet>,
    rules: Vec<Rule>,
    /// The outlets of an event that no rule takes.
    otherwise: Chosen,
}

/// A rule: what it takes, and where that goes.
#[derive(Debug)]
struct Rule {
    conditions: Vec<Condition>,
    outlets: Chosen,
    goes_on: bool,
}

/// A set of outlets: bit n stands for the one with the index n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chosen(u64);

impl Route {
    /// The outlets and rules of `stream`.
    pub fn compile(
        config: &Config,
        stream: &StreamConfig,
        edits: Option<&Edits>,
    ) -> Result<Self, ConfigError> {
        let mut topics = Vec::new();
        let otherwise = choose(stream, stream.source.topic.names(), &mut topics)?;
        let mut rules = Vec::new();
        for route in config.routes_of(stream) {
            let outlets = choose(stream, route.topic.names(), &mut topics)?;
            rules.push(Rule::compile(&route, outlets, stream)?);
        }
        let outlets = topics.iter().map(|topic| Outlet::compile(config, stream, topic, edits));
        Ok(Self { outlets: outlets.collect::<Result<_, _>>()?, rules, otherwise })
    }

    /// The outlets for `read`, the event as it was read, each once.
    pub fn of(&self, read: &ChangeEvent<'_>) -> impl Iterator<Item = &Outlet> {
        self.choice(read).indices().filter_map(|index| self.outlets.get(index))
    }

    /// How many messages an event makes, as a rule.
    pub fn usual(&self) -> usize {
        self.otherwise.indices().count()
    }

    fn choice(&self, read: &ChangeEvent<'_>) -> Chosen {
        let mut chosen = Chosen::default();
        if self.rules.is_empty() {
            return self.otherwise;
        }
        let document = read.known_document();
        for rule in &self.rules {
            if rule.conditions.iter().all(|condition| condition.holds(document)) {
                chosen.0 |= rule.outlets.0;
                if !rule.goes_on {
                    break;
                }
            }
        }
        if chosen == Chosen::default() { self.otherwise } else { chosen }
    }
}

impl Rule {
    fn compile(
        route: &RouteConfig,
        outlets: Chosen,
        stream: &StreamConfig,
    ) -> Result<Self, ConfigError> {
        let conditions = route.when.as_slice().iter().map(|condition| {
            Condition::compile(condition)
                .ok_or_else(|| refuse(stream, "a rule's condition cannot be understood"))
        });
        let conditions = conditions.collect::<Result<_, _>>()?;
        Ok(Self { conditions, outlets, goes_on: route.goes_on })
    }
}

impl Chosen {
    fn indices(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = rest.trailing_zeros();
            // Without its lowest bit.
            rest &= rest.checked_sub(1)?;
            usize::try_from(index).ok()
        })
    }
}

/// The set of `topics`; those that are not in `all` are put there.
fn choose<'a>(
    stream: &StreamConfig,
    topics: impl Iterator<Item = &'a str>,
    all: &mut Vec<String>,
) -> Result<Chosen, ConfigError> {
    let mut chosen = Chosen::default();
    for topic in topics {
        let index = all.iter().position(|known| known == topic).unwrap_or_else(|| {
            all.push(topic.to_owned());
            all.len() - 1
        });
        if index >= MAX_OUTLETS {
            return Err(refuse(stream, "more than 64 topics: use a template of their names"));
        }
        chosen.0 |= 1 << index;
    }
    Ok(chosen)
}

fn refuse(stream: &StreamConfig, message: &str) -> ConfigError {
    let (connection, source) = (&stream.id.connection_id, &stream.id.source_name);
    ConfigError {
        path: format!("mongodb.connections.{connection}.sources.{source}.routes"),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
