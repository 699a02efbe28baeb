//! The configuration's schema as text for people: an annotated YAML file and a table of keys.

use std::fmt::Write;

use serde_json::{Map, Value};

const WIDTH: usize = 96;

/// What stands for the ids, names and keys that the user chooses.
const CHOSEN: [(&str, &str); 4] = [
    ("connections", "main"),
    ("sources", "orders"),
    ("topics", "default"),
    ("subscriptions", "shop-changes-worker"),
];

/// A key of the configuration.
struct Key<'a> {
    schema: &'a Value,
    name: &'a str,
    node: &'a Map<String, Value>,
    required: bool,
}

impl<'a> Key<'a> {
    /// The schema that the key's value has to fit; of an optional section, the section's.
    fn target(&self) -> &'a Map<String, Value> {
        let choices = self.node.get("anyOf").and_then(Value::as_array);
        let node = choices.map_or(Some(self.node), |choices| choices[0].as_object());
        follow(self.schema, node.expect("a schema is a mapping"))
    }

    /// The mapping below the key, with the name of its one example where names are chosen.
    fn below(&self) -> Option<(Option<&'static str>, &'a Map<String, Value>)> {
        let target = self.target();
        if target.contains_key("properties") {
            return Some((None, target));
        }
        let entry = target.get("additionalProperties")?.as_object()?;
        let chosen = CHOSEN.iter().find(|(name, _)| *name == self.name)?.1;
        Some((Some(chosen), follow(self.schema, entry)))
    }

    fn is_for_later(&self) -> bool {
        self.node.contains_key("x-later")
    }

    fn description(&self) -> String {
        text(self.node).expect("every key has a doc comment")
    }

    fn default(&self) -> Option<&'a Value> {
        self.node.get("default")
    }

    fn example(&self) -> Option<&'a Value> {
        self.node.get("examples")?.get(0)
    }

    /// The words that the key takes, each with its meaning.
    fn words(&self) -> Vec<(String, String)> {
        let target = self.target();
        let list = target.get("items").and_then(Value::as_object);
        let target = list.map_or(target, |items| follow(self.schema, items));
        let choices = target.get("oneOf").or(target.get("anyOf")).and_then(Value::as_array);
        let choices = choices.into_iter().flatten();
        let word = |choice: &'a Value| {
            let properties = || choice.get("properties")?.as_object()?.keys().next();
            let word = choice.get("const").and_then(Value::as_str).map(str::to_owned);
            let example = || Some(choice.get("examples")?.get(0)?.as_str()?.to_owned());
            let word = word.or_else(|| properties().map(|key| format!("{{{key}: …}}")));
            word.or_else(example)
        };
        let meaning = |choice: &Value| choice.as_object().and_then(text);
        choices.filter_map(|choice| Some((word(choice)?, meaning(choice)?))).collect()
    }

    fn kind(&self) -> String {
        let target = self.target();
        if !self.words().is_empty() {
            return if target.contains_key("items") { "list of words" } else { "word" }.into();
        }
        let title = target.get("title").and_then(Value::as_str).unwrap_or_default();
        for kind in ["duration", "size"] {
            if title.contains(kind) {
                return kind.into();
            }
        }
        let kinds = target.get("type").expect("a leaf has a type");
        let kind = kinds.get(0).unwrap_or(kinds);
        let bound = |key: &str| target.get(key).or_else(|| self.node.get(key));
        let range = match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!(" {least}–{most}"),
            (Some(least), None) => format!(" ≥ {least}"),
            _ => String::new(),
        };
        let kind = kind.as_str().expect("a type is a word");
        format!("{}{range}", if kind == "array" { "list" } else { kind })
    }
}

fn follow<'a>(schema: &'a Value, node: &'a Map<String, Value>) -> &'a Map<String, Value> {
    let Some(target) = node.get("$ref").and_then(Value::as_str) else { return node };
    let target = schema.pointer(target.trim_start_matches('#'));
    target.and_then(Value::as_object).expect("a reference has a target")
}

/// The doc comment as one line.
fn text(node: &Map<String, Value>) -> Option<String> {
    let description = node.get("description")?.as_str()?;
    Some(description.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn keys<'a>(schema: &'a Value, object: &'a Map<String, Value>) -> Vec<Key<'a>> {
    let required = object.get("required").and_then(Value::as_array);
    let properties = object["properties"].as_object().expect("properties are a mapping");
    let key = |(name, node): (&'a String, &'a Value)| Key {
        schema,
        name,
        node: node.as_object().expect("a property has a schema"),
        required: required.is_some_and(|required| required.iter().any(|key| key == name)),
    };
    properties.iter().map(key).collect()
}

/// Calls `visit` with every key and its dotted path, in the order of declaration.
fn walk<'a>(
    schema: &'a Value,
    object: &'a Map<String, Value>,
    path: &str,
    visit: &mut impl FnMut(&str, &Key<'a>),
) {
    for key in keys(schema, object) {
        let path = if path.is_empty() { key.name.into() } else { format!("{path}.{}", key.name) };
        visit(&path, &key);
        match key.below() {
            Some((Some(_), below)) => walk(schema, below, &format!("{path}.*"), visit),
            Some((None, below)) => walk(schema, below, &path, visit),
            None => {}
        }
    }
}

/// Keys whose doc comment does not name the default that the schema has.
pub fn undocumented_defaults(schema: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let root = schema.as_object().expect("a schema is a mapping");
    walk(schema, root, "", &mut |path, key| {
        let Some(default) = key.default().filter(|_| key.below().is_none()) else {
            return;
        };
        let long = default.as_array().is_some_and(|list| !list.is_empty());
        let named = format!("Default: `{}`.", scalar(default));
        if !(key.description().ends_with(&named) || long && key.description().contains("Default:"))
        {
            wrong.push(format!("{path}: {named}"));
        }
    });
    wrong
}

/// A table of all keys in Markdown.
pub fn table(schema: &Value) -> String {
    let mut table = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    let root = schema.as_object().expect("a schema is a mapping");
    walk(schema, root, "", &mut |path, key| {
        let (meaning, named) = match key.description().split_once(" Default: ") {
            Some((meaning, named)) => (meaning.to_owned(), named.trim_end_matches('.').to_owned()),
            None => (key.description(), String::new()),
        };
        let words = key
            .words()
            .into_iter()
            .fold(String::new(), |words, (word, text)| words + &format!("<br>`{word}`: {text}"));
        let default = if key.required { "**required**" } else { &named };
        let kind = match key.below() {
            _ if key.is_for_later() => "for later".to_owned(),
            Some(_) => "mapping".to_owned(),
            None => key.kind(),
        };
        writeln!(table, "| `{path}` | {kind} | {default} | {meaning}{words} |").unwrap();
    });
    table
}

/// A YAML file with every key, its doc comment, and its default or an example.
pub fn annotated(schema: &Value) -> String {
    let root = schema.as_object().expect("a schema is a mapping");
    let mut yaml = "# yaml-language-server: $schema=schema.json\n".to_owned();
    comment(&mut yaml, 0, "Every key, with its default or an example. Generated: do not edit.");
    comment(&mut yaml, 0, "The shortest file that runs is minimal.yaml.");
    write_keys(&mut yaml, schema, root, 0);
    yaml
}

fn write_keys(yaml: &mut String, schema: &Value, object: &Map<String, Value>, indent: usize) {
    for key in keys(schema, object).iter().filter(|key| !key.is_for_later()) {
        yaml.push('\n');
        comment(yaml, indent, &key.description());
        for (word, meaning) in key.words() {
            comment(yaml, indent, &format!("  {word}: {meaning}"));
        }
        let pad = " ".repeat(indent);
        if let Some((chosen, below)) = key.below() {
            writeln!(yaml, "{pad}{}:", key.name).unwrap();
            if let Some(chosen) = chosen {
                writeln!(yaml, "{pad}  {chosen}:").unwrap();
            }
            let deeper = indent + if chosen.is_some() { 4 } else { 2 };
            write_keys(yaml, schema, below, deeper);
        } else {
            let value = key.default().or(key.example());
            let value = value.expect("a key has a default or an example");
            // `scope: collection` and its names make the one source of the file valid.
            let active = key.required || key.default().is_some() || is_needed(key.name);
            let off = if active { "" } else { "# " };
            writeln!(yaml, "{pad}{off}{}: {}", key.name, scalar(value)).unwrap();
        }
    }
}

/// Optional keys that the example file needs to be complete.
fn is_needed(name: &str) -> bool {
    ["database", "collection", "path"].contains(&name)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(scalar).collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => other.to_string(),
    }
}

/// A comment, broken into lines. What hangs behind leading blanks stays behind them.
fn comment(yaml: &mut String, indent: usize, text: &str) {
    let hang = text.len() - text.trim_start().len();
    let mut line = String::new();
    let lead = |deep: bool| {
        format!("{}# {}", " ".repeat(indent), " ".repeat(if deep { hang + 2 } else { hang }))
    };
    let mut start = lead(false);
    for word in text.split_whitespace() {
        if !line.is_empty() && start.len() + line.chars().count() + 1 + word.chars().count() > WIDTH
        {
            writeln!(yaml, "{start}{line}").unwrap();
            line.clear();
            start = lead(hang > 0);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(yaml, "{start}{line}").unwrap();
}
