//! The settings of a cluster's roles: built-in values, then a profile, a file, the environment and flags, each over
//! the one before.
//!
//! One file serves all roles. It is TOML with sections; in the environment a setting is `MINUTEHAND_<SECTION>_<KEY>`, and
//! where the servers are may also be said as `MINUTEHAND_KAFKA`, `MINUTEHAND_CASSANDRA` and `MINUTEHAND_ETCD`.

mod known;
mod profiles;

use std::collections::BTreeMap;
use std::path::Path;

use minutehand_cli::{ClusterArgs, Exit, Failure, Origin, Setting};

use known::{KNOWN, Known};
use profiles::PROFILES;

use crate::nearest::{misspelt, nearest};

/// Short names for where the servers are.
const ENDPOINT_VARIABLES: &[(&str, &str)] = &[
    ("MINUTEHAND_KAFKA", "kafka.brokers"),
    ("MINUTEHAND_CASSANDRA", "cassandra.contact_points"),
    ("MINUTEHAND_ETCD", "etcd.endpoints"),
];

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Effective settings, each with where its value comes from. Every value has been checked by itself.
#[derive(Clone)]
pub(crate) struct ClusterSettings {
    /// By full name, `kafka.brokers`.
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl std::fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSettings")
    }
}

impl ClusterSettings {
    /// Reads all sources.
    pub(crate) fn effective(args: &ClusterArgs) -> Result<ClusterSettings, Failure> {
        ClusterSettings::from_sources(
            args,
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    fn from_sources(
        args: &ClusterArgs,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<ClusterSettings, Failure> {
        let default = |known: &Known| (known.name, (known.default.to_owned(), Origin::Default));
        let mut settings = ClusterSettings { values: KNOWN.iter().map(default).collect() };
        if let Some(profile) = &args.profile {
            let (_, changes) = PROFILES
                .iter()
                .find(|(name, _)| name == profile)
                .ok_or_else(|| usage(format!("profile is {profile:?}, which is not known")))?;
            for (name, value) in *changes {
                settings.set(name, value, Origin::Profile)?;
            }
        }
        if let Some(path) = &args.config {
            settings.read_file(path)?;
        }
        settings.read_environment(environment.collect())?;
        for (name, value) in &args.set {
            settings.set(name, value, Origin::Flag)?;
        }
        Ok(settings)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let shown = path.display();
        let within =
            |failure: Failure| Failure { message: format!("{shown}: {}", failure.message), ..failure };
        for (section, value) in read_table(path)? {
            let toml::Value::Table(keys) = value else {
                return Err(usage(format!("{shown}: {section} stands outside a section; {}", sections())));
            };
            if !KNOWN.iter().any(|known| known.section() == section) {
                let near = nearest(&section, KNOWN.iter().map(Known::section));
                let hint = near.map_or_else(sections, |near| format!("did you mean [{near}]?"));
                return Err(usage(format!("{shown}: there is no section [{section}]; {hint}")));
            }
            for (key, value) in keys {
                let name = format!("{section}.{key}");
                let value = text_of(&value)
                    .ok_or_else(|| within(usage(format!("{name} is a {}", value.type_str()))))?;
                self.set(&name, &value, Origin::File).map_err(within)?;
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: BTreeMap<String, String>) -> Result<(), Failure> {
        for (variable, name) in ENDPOINT_VARIABLES {
            if let Some(value) = environment.get(*variable).filter(|value| !value.is_empty()) {
                self.set(name, value, Origin::Environment)?;
            }
        }
        for known in KNOWN {
            if let Some(value) = environment.get(&known.variable()) {
                self.set(known.name, value, Origin::Environment)?;
            }
        }
        let variables: Vec<String> = KNOWN.iter().map(Known::variable).collect();
        let is_ours = |name: &&String| name.starts_with("MINUTEHAND_") && !variables.contains(name);
        for name in environment.keys().filter(is_ours) {
            // Others may have variables that begin like ours (a cluster manager's, `dev`'s): only what looks like an error
            // of typing is refused.
            if let Some(near) = misspelt(name, variables.iter().map(String::as_str)) {
                return Err(usage(format!("there is no variable {name}; did you mean {near}?")));
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), Failure> {
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            let near = nearest(name, KNOWN.iter().map(|known| known.name));
            let message = match near {
                Some(near) => format!("there is no setting {name:?}; did you mean {near}?"),
                None => format!("there is no setting {name:?}"),
            };
            return Err(usage(message).with_hint("minutehand config show --cluster lists them"));
        };
        known.check(value).map_err(|wanted| {
            let given = if known.is_secret() { HIDDEN.to_owned() } else { format!("{value:?}") };
            usage(format!("{name} is {given}; it must be {wanted}"))
        })?;
        self.values.insert(known.name, (value.to_owned(), origin));
        Ok(())
    }

    /// Everything that `config show` prints, secrets hidden.
    pub(crate) fn shown(&self) -> Vec<Setting> {
        let shown = |known: &Known| {
            let (value, origin) = &self.values[known.name];
            let is_hidden = known.is_secret() && !value.is_empty();
            Setting {
                name: known.name.to_owned(),
                value: if is_hidden { HIDDEN.to_owned() } else { value.clone() },
                origin: *origin,
                help: known.help.to_owned(),
            }
        };
        KNOWN.iter().map(shown).collect()
    }
}

#[cfg(any(feature = "cluster", test))]
impl ClusterSettings {
    /// The text of a value; empty when it is not set.
    pub(crate) fn text(&self, name: &str) -> &str {
        &self.values.get(name).expect("every known setting has a value").0
    }

    /// The text, unless it is not set.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A list, without blanks and empty parts.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let parts = self.text(name).split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    /// A file, unless it is not set.
    pub(crate) fn path(&self, name: &str) -> Option<std::path::PathBuf> {
        self.given(name).map(Into::into)
    }

    /// A secret: its own value, or what stands in the file that `NAME_file` names, without the end of its last line.
    ///
    /// # Errors
    /// When both are set, or the file cannot be read.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<String>, Failure> {
        let file_name = format!("{name}_file");
        match (self.given(name), self.path(&file_name)) {
            (Some(_), Some(_)) => Err(usage(format!("{name} and {file_name} are both set; set one of them"))),
            (Some(secret), None) => Ok(Some(secret.to_owned())),
            (None, None) => Ok(None),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => {
                    Err(usage(format!("could not read {file_name} in {}: {error}", path.display())))
                }
            },
        }
    }
}

#[cfg(feature = "cluster")]
impl ClusterSettings {
    /// A number; the known limits make it fit whatever it is for.
    pub(crate) fn number<N: TryFrom<i64>>(&self, name: &str) -> N {
        let number: i64 = self.text(name).parse().expect("numbers were checked when they were set");
        N::try_from(number).ok().expect("the limits of a setting fit its use")
    }

    /// A switch.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// An address to listen on.
    pub(crate) fn address(&self, name: &str) -> std::net::SocketAddr {
        self.text(name).parse().expect("addresses were checked when they were set")
    }
}

/// Whether a file of settings is one of a cluster: it has sections.
pub(crate) fn has_sections(path: &Path) -> Result<bool, Failure> {
    Ok(read_table(path)?.values().any(toml::Value::is_table))
}

fn read_table(path: &Path) -> Result<toml::Table, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| usage(format!("could not read the settings in {shown}: {error}")))?;
    text.parse().map_err(|error| usage(format!("{shown} is not TOML: {error}")))
}

/// A value as it would be written on a command line; lists with commas.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(parts) => {
            let parts: Option<Vec<&str>> = parts.iter().map(toml::Value::as_str).collect();
            parts.map(|parts| parts.join(","))
        }
        _ => None,
    }
}

fn sections() -> String {
    let mut names: Vec<&str> = KNOWN.iter().map(Known::section).collect();
    names.dedup();
    format!("the sections are {}", names.join(", "))
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests;
