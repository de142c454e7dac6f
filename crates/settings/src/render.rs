//! The reference for people, and the schema for editors.

use std::fmt::Write as _;

use schemars::JsonSchema;

use crate::known::{Kind, schema};
use crate::{Names, Origin, SettingsError, Sources};

/// The reference as a Markdown document: `introduction`, a table for each section, the fragments
/// (name and text) whose values also stand beside the defaults, and the former names.
///
/// # Errors
/// When a fragment cannot be used.
pub fn markdown<T: JsonSchema>(
    introduction: &str,
    fragments: &[(&str, &str)],
    names: Names,
) -> Result<String, SettingsError> {
    let sources = Sources::of::<T>(names);
    let mut changed = Vec::new();
    for (name, text) in fragments {
        let mut with = sources.clone();
        with.fragment(text, Origin::Profile)?;
        changed.push((*name, with.given(Origin::Profile)));
    }
    let sections = schema::<T>();
    let mut document = format!("{introduction}\n");
    let mut section = "";
    for known in sources.known() {
        if known.section() != section {
            section = known.section();
            let about = sections["properties"][section]["description"]
                .as_str()
                .unwrap_or_default()
                .replace('\n', " ");
            let _ = write!(
                document,
                "\n## `[{section}]`\n{about}\n\n| setting | value | default | what it does |\n|---|---|---|---|\n"
            );
        }
        let others = changed.iter().filter_map(|(name, values)| {
            let (_, value) = values.iter().find(|(changed, _)| *changed == known.name)?;
            Some(format!("; {name}: {}", code(value)))
        });
        let default = std::iter::once(code(&known.default))
            .chain(others)
            .collect::<String>();
        let _ = writeln!(
            document,
            "| `{}` | {} | {default} | {} |",
            &known.name[section.len() + 1..],
            value(&known.kind),
            known.help
        );
    }
    for (name, text) in fragments {
        let _ = write!(
            document,
            "\n## `{name}`\n```toml\n{}\n```\n",
            text.trim_end()
        );
    }
    document.push_str("\n## Former names\n| name | now |\n|---|---|\n");
    for (old, new) in names.former {
        let _ = writeln!(document, "| `{old}` | `{new}` |");
    }
    Ok(document)
}

/// The JSON schema of a file of settings.
pub fn json_schema<T: JsonSchema>() -> String {
    let mut schema = schema::<T>();
    // Each key has its own default.
    for section in schema["properties"]
        .as_object_mut()
        .into_iter()
        .flat_map(|sections| sections.values_mut())
    {
        section
            .as_object_mut()
            .and_then(|section| section.remove("default"));
    }
    format!("{schema:#}\n")
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Number(low, high) => format!("{low} to {high}"),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Text => "text".to_owned(),
        Kind::Address => "`ip:port`".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::List(kind) => format!("list of {}", value(kind)),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        format!("`{text}`")
    }
}
