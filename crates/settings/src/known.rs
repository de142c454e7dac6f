//! Every setting, as its type describes it.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// `section.key`
    pub name: String,
    /// What a value must look like.
    pub kind: Kind,
    /// The built-in value as it would be written on a command line; empty for none.
    pub default: String,
    /// Whether it may have no value; an empty text takes one away.
    pub is_optional: bool,
    /// What it does.
    pub help: String,
}

/// What a value must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A whole number within limits, both inclusive.
    Number(i64, i64),
    /// `true` or `false`.
    Switch,
    /// One of these.
    Word(Vec<String>),
    /// Any text.
    Text,
    /// `ip:port`; in types a text of the format `address`.
    Address,
    /// Never shown.
    Secret,
    /// Several of a kind, with commas between them; in a file also an array.
    List(Box<Kind>),
}

impl Known {
    /// Every setting of a tree of sections, by section and key.
    pub(crate) fn all<T: JsonSchema>() -> Vec<Known> {
        let mut known = Vec::new();
        for (section, described) in entries(&schema::<T>()["properties"]) {
            for (key, described) in entries(&described["properties"]) {
                known.push(Known {
                    name: format!("{section}.{key}"),
                    kind: Kind::of(described),
                    default: text_of(&described["default"]),
                    is_optional: types(described).any(|name| name == "null"),
                    help: described["description"]
                        .as_str()
                        .unwrap_or_default()
                        .replace('\n', " "),
                });
            }
        }
        known
    }

    /// Its section.
    pub fn section(&self) -> &str {
        self.name
            .split_once('.')
            .map_or(&self.name, |(section, _)| section)
    }

    /// Its variable in the environment.
    pub fn variable(&self) -> String {
        variable(&self.name)
    }
}

/// The variable of a name.
pub(crate) fn variable(name: &str) -> String {
    format!("MINUTEHAND_{}", name.replace('.', "_").to_ascii_uppercase())
}

impl Kind {
    fn of(described: &Value) -> Kind {
        let has = |wanted: &str| types(described).any(|name| name == wanted);
        let limit = |key: &str, otherwise: i64| {
            described[key]
                .as_f64()
                .map_or(otherwise, |limit| limit as i64)
        };
        if described["writeOnly"] == true {
            Kind::Secret
        } else if let Some(words) = words(described) {
            Kind::Word(words)
        } else if has("boolean") {
            Kind::Switch
        } else if has("integer") {
            Kind::Number(limit("minimum", i64::MIN), limit("maximum", i64::MAX))
        } else if has("array") {
            Kind::List(Box::new(Kind::of(&described["items"])))
        } else if described["format"] == "address" {
            Kind::Address
        } else {
            Kind::Text
        }
    }

    /// The value that a text stands for; else what would fit.
    pub(crate) fn parse(&self, text: &str) -> Result<toml::Value, String> {
        let parsed = match self {
            Kind::Number(low, high) => {
                let number = text.parse::<i64>().ok();
                let number = number.filter(|number| (low..=high).contains(&number));
                number.map(toml::Value::Integer)
            }
            Kind::Switch => text.parse::<bool>().ok().map(toml::Value::Boolean),
            Kind::Word(words) => words.iter().any(|word| word == text).then(|| text.into()),
            Kind::Address => text
                .parse::<std::net::SocketAddr>()
                .ok()
                .map(|_| text.into()),
            Kind::Text | Kind::Secret => (!text.contains('\0')).then(|| text.into()),
            Kind::List(kind) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                parts
                    .map(|part| kind.parse(part).ok())
                    .collect::<Option<Vec<_>>>()
                    .map(toml::Value::Array)
            }
        };
        parsed.ok_or_else(|| self.wanted())
    }

    /// What a value must be, in words.
    pub(crate) fn wanted(&self) -> String {
        match self {
            Kind::Number(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Switch => "true or false".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Address => "an address such as 127.0.0.1:8080".to_owned(),
            Kind::Text | Kind::Secret => "text without zero bytes".to_owned(),
            Kind::List(kind) => format!("a list with commas, each {}", kind.wanted()),
        }
    }
}

/// The schema of a tree, without references.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn entries(properties: &Value) -> impl Iterator<Item = (&String, &Value)> {
    properties.as_object().into_iter().flatten()
}

fn types(described: &Value) -> impl Iterator<Item = &str> {
    let named = &described["type"];
    named.as_str().into_iter().chain(
        named
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    )
}

/// The words of a closed choice.
fn words(described: &Value) -> Option<Vec<String>> {
    let choices = match &described["oneOf"] {
        Value::Array(choices) => choices.iter().map(|choice| &choice["const"]).collect(),
        _ => described["enum"].as_array()?.iter().collect::<Vec<_>>(),
    };
    choices
        .into_iter()
        .map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
