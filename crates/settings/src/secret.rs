//! What is told to nobody.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::SettingsError;

/// What is shown in place of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// A password or a token: neither `Debug` nor serde show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for what has to be given it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A secret by its two settings: `name`, which holds it, and `name_file`, which names a file
    /// that does. The end of the file's last line does not count.
    ///
    /// # Errors
    /// When both are set, or the file cannot be read.
    pub fn of(
        name: &str,
        value: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Secret>, SettingsError> {
        match (value, file) {
            (Some(_), Some(_)) => Err(SettingsError::Both {
                name: name.to_owned(),
            }),
            (Some(secret), None) => Ok(Some(secret.clone())),
            (None, None) => Ok(None),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n'])))),
                Err(source) => {
                    let what = format!("{name}_file");
                    Err(SettingsError::Unreadable {
                        what,
                        file: file.to_owned(),
                        source,
                    })
                }
            },
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}
