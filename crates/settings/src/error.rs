//! Why settings are refused.

use std::path::PathBuf;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that cannot be read.
    #[error("could not read {what} in {file}")]
    Unreadable {
        /// `the settings`, or the name of the setting that names the file.
        what: String,
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{place} is not TOML")]
    NotToml {
        /// Which file.
        place: String,
        /// Why not.
        source: toml::de::Error,
    },
    /// A section that there is not.
    #[error("{place}there is no section [{given}]; {hint}")]
    Section {
        /// Where it was given, with a colon; empty for flags.
        place: String,
        /// Its name.
        given: String,
        /// The nearest section, or all of them.
        hint: String,
    },
    /// A key of a file that belongs into a section.
    #[error("{place}{name} stands outside a section; {hint}")]
    Outside {
        /// Which file, with a colon.
        place: String,
        /// The key.
        name: String,
        /// All sections.
        hint: String,
    },
    /// A setting that there is not.
    #[error("{place}there is no setting {given:?}{}", meant(near))]
    Unknown {
        /// Where it was given, with a colon; empty for flags.
        place: String,
        /// Its name.
        given: String,
        /// The nearest name, if any is near.
        near: Option<String>,
    },
    /// An environment variable that looks like one of ours.
    #[error("there is no variable {given}{}", meant(near))]
    Variable {
        /// Its name.
        given: String,
        /// The variable that was probably meant.
        near: Option<String>,
    },
    /// A value that does not fit.
    #[error("{place}{name} is {given}; it must be {wanted}")]
    Value {
        /// Where it was given, with a colon; empty for flags.
        place: String,
        /// The setting.
        name: String,
        /// The value in quotes, or, for a secret, that it is hidden.
        given: String,
        /// What would fit.
        wanted: String,
    },
    /// A value of a kind that no setting has.
    #[error("{place}{name} is a {kind}")]
    Shape {
        /// Where it was given.
        place: String,
        /// The setting.
        name: String,
        /// TOML's word for the kind.
        kind: &'static str,
    },
    /// One of two settings that come together.
    #[error("{given} is set and {missing} is not; set both or none")]
    Half {
        /// What is set.
        given: String,
        /// What is not.
        missing: String,
    },
    /// A secret that is given twice.
    #[error("{name} and {name}_file are both set; set one of them")]
    Both {
        /// The setting.
        name: String,
    },
    /// Only the type of a value knows what is wrong with it.
    #[error("{place}{name} is {given}: {reason}")]
    Refused {
        /// Where it was given, with a colon; empty for flags.
        place: String,
        /// The setting.
        name: String,
        /// The value in quotes.
        given: String,
        /// What is wrong.
        reason: String,
    },
}

impl SettingsError {
    /// A value that does not fit others: `given` as it is to be shown, and what would fit.
    pub fn value(name: &str, given: impl ToString, wanted: impl Into<String>) -> SettingsError {
        let (place, name) = (String::new(), name.to_owned());
        SettingsError::Value {
            place,
            name,
            given: given.to_string(),
            wanted: wanted.into(),
        }
    }
}

/// Refuses one of two settings without the other; each by its name and whether it is set.
///
/// # Errors
/// When exactly one is.
pub fn both_or_none(
    (first, has_first): (impl Into<String>, bool),
    (second, has_second): (impl Into<String>, bool),
) -> Result<(), SettingsError> {
    let half = |given, missing| Err(SettingsError::Half { given, missing });
    match (has_first, has_second) {
        (true, false) => half(first.into(), second.into()),
        (false, true) => half(second.into(), first.into()),
        _ => Ok(()),
    }
}

fn meant(near: &Option<String>) -> String {
    near.as_ref()
        .map_or_else(String::new, |near| format!("; did you mean {near}?"))
}
