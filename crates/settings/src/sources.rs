//! Where values come from, each source over the one before.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::SettingsError;
use crate::known::{Kind, Known, variable};
use crate::nearest::{misspelt, nearest};
use crate::secret::HIDDEN;

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built in.
    Default,
    /// Chosen by the profile.
    Profile,
    /// From the file of settings.
    File,
    /// From an environment variable.
    Environment,
    /// From the command line.
    Flag,
}

impl Origin {
    /// The word used in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::Profile => "profile",
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        }
    }
}

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its section and its name, unit included: `engine.look_ahead_ms`.
    pub name: String,
    /// Its value as it would be written on a command line; secrets are hidden.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// What it does.
    pub help: String,
}

/// Names beside those of the types.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names {
    /// Short names of variables: `MINUTEHAND_KAFKA` for `kafka.brokers`.
    pub short: &'static [(&'static str, &'static str)],
    /// Former names and what they are now. They still work, with a warning. What ends with `*`
    /// stands for every setting whose name begins so: `("worker_*", "worker.*")`.
    pub former: &'static [(&'static str, &'static str)],
}

/// The sources of a tree of settings, filled from the weakest to the strongest.
#[derive(Clone)]
pub struct Sources {
    known: Vec<Known>,
    short: &'static [(&'static str, &'static str)],
    /// Former name and name.
    former: Vec<(String, String)>,
    given: BTreeMap<String, Given>,
    warnings: Vec<String>,
}

#[derive(Clone)]
struct Given {
    text: String,
    origin: Origin,
    /// For an error: where it stands, with a colon; empty for flags.
    place: String,
}

/// Settings from all sources.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The settings themselves.
    pub settings: T,
    /// All of them by section and key, for whoever wants to see them.
    pub shown: Vec<Setting>,
    /// What should be written otherwise, in words.
    pub warnings: Vec<String>,
}

impl<T> Loaded<T> {
    /// Where a value comes from, by its full name.
    pub fn origin(&self, name: &str) -> Origin {
        let found = self.shown.iter().find(|setting| setting.name == name);
        found.map_or(Origin::Default, |setting| setting.origin)
    }
}

impl Sources {
    /// The built-in values of a tree.
    pub fn of<T: JsonSchema>(names: Names) -> Sources {
        let known = Known::all::<T>();
        let mut former = Vec::new();
        for (old, new) in names.former {
            match (old.strip_suffix('*'), new.strip_suffix('*')) {
                (Some(old), Some(new)) => {
                    let rests = known
                        .iter()
                        .filter_map(|known| Some((&known.name, known.name.strip_prefix(new)?)));
                    former.extend(rests.map(|(name, rest)| (format!("{old}{rest}"), name.clone())));
                }
                _ => former.push(((*old).to_owned(), (*new).to_owned())),
            }
        }
        Sources {
            known,
            short: names.short,
            former,
            given: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Every setting there is, by section and key.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// A part of a file that the program brings: the defaults of a mode, or a profile.
    ///
    /// # Errors
    /// When it says what no file may.
    pub fn fragment(&mut self, text: &str, origin: Origin) -> Result<(), SettingsError> {
        self.toml(text, "", origin)
    }

    /// A file.
    ///
    /// # Errors
    /// When it cannot be read, or something in it cannot be used.
    pub fn file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
            what: "the settings".to_owned(),
            file: path.to_owned(),
            source,
        })?;
        self.toml(&text, &path.display().to_string(), Origin::File)
    }

    /// The environment.
    ///
    /// # Errors
    /// When a value cannot be used, or a variable differs from one of ours by one typing error.
    /// Others that begin like ours may be a cluster manager's, and are ignored.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), SettingsError> {
        let given: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with("MINUTEHAND_"))
            .collect();
        let own: Vec<(String, String)> = self
            .known
            .iter()
            .map(|known| (known.variable(), known.name.clone()))
            .collect();
        let is_own = |name: &str| own.iter().any(|(own, _)| own == name);
        let former = self
            .former
            .iter()
            .map(|(old, _)| (variable(old), old.clone()));
        // Former names may share a variable, with each other and with what is called otherwise now.
        let former: BTreeMap<String, String> =
            former.filter(|(variable, _)| !is_own(variable)).collect();
        let is_given = |variable: &str| given.get(variable).is_some_and(|value| !value.is_empty());
        let short = self.short.iter().filter(|(variable, _)| is_given(variable));
        let short = short.map(|(variable, name)| ((*variable).to_owned(), (*name).to_owned()));
        let ordered: Vec<(String, String)> =
            former.into_iter().chain(short).chain(own.clone()).collect();
        for (variable, name) in &ordered {
            if let Some(value) = given.get(variable) {
                self.set(name, value, Origin::Environment, &format!("{variable}: "))?;
            }
        }
        for name in given
            .keys()
            .filter(|name| !ordered.iter().any(|(known, _)| known == *name))
        {
            if let Some(near) = misspelt(name, own.iter().map(|(variable, _)| variable.as_str())) {
                return Err(SettingsError::Variable {
                    given: name.clone(),
                    near: Some(near.to_owned()),
                });
            }
        }
        Ok(())
    }

    /// One setting from the command line, by its full name.
    ///
    /// # Errors
    /// When there is none of that name, or the value does not fit.
    pub fn flag(&mut self, name: &str, value: &str) -> Result<(), SettingsError> {
        self.set(name, value, Origin::Flag, "")
    }

    /// The settings that come of it all.
    ///
    /// # Errors
    /// When the type of a value refuses it.
    pub fn load<T: DeserializeOwned>(self) -> Result<Loaded<T>, SettingsError> {
        let mut tree = toml::Table::new();
        for known in &self.known {
            let section = tree
                .entry(known.section())
                .or_insert_with(|| toml::Table::new().into());
            if let (Some(given), Some(section)) =
                (self.given.get(&known.name), section.as_table_mut())
                && !(known.is_optional && given.text.is_empty())
            {
                let value = known
                    .kind
                    .parse(&given.text)
                    .expect("values were checked when they were set");
                section.insert(known.name[known.section().len() + 1..].to_owned(), value);
            }
        }
        let settings =
            serde_path_to_error::deserialize(toml::Value::Table(tree)).map_err(|error| {
                let path = error.path().to_string();
                let name = path.split('[').next().unwrap_or_default().to_owned();
                let given = self.given.get(&name);
                SettingsError::Refused {
                    place: given.map_or_else(String::new, |given| given.place.clone()),
                    given: given.map_or_else(String::new, |given| format!("{:?}", given.text)),
                    name,
                    reason: error.inner().message().to_owned(),
                }
            })?;
        let shown = self.known.iter().map(|known| self.shown(known)).collect();
        Ok(Loaded {
            settings,
            shown,
            warnings: self.warnings,
        })
    }

    fn toml(&mut self, text: &str, file: &str, origin: Origin) -> Result<(), SettingsError> {
        let table: toml::Table = text.parse().map_err(|source| SettingsError::NotToml {
            place: file.to_owned(),
            source,
        })?;
        let place = if file.is_empty() {
            String::new()
        } else {
            format!("{file}: ")
        };
        let mut flat = Vec::new();
        for (section, value) in table {
            match value {
                // A fragment may be of more than what the program was built with.
                toml::Value::Table(_) if file.is_empty() && !self.has_section(&section) => {}
                toml::Value::Table(keys) => {
                    self.check_section(&section, &keys, &place)?;
                    flat.extend(
                        keys.into_iter()
                            .map(|(key, value)| (format!("{section}.{key}"), value)),
                    );
                }
                _ if self.now(&section).next().is_none() => {
                    let (place, name, hint) = (place, section, self.sections());
                    return Err(SettingsError::Outside { place, name, hint });
                }
                value => flat.push((section, value)),
            }
        }
        // What has its present name wins over what has a former one.
        flat.sort_by_key(|(name, _)| self.is_known(name));
        for (name, value) in flat {
            let text = text_of(&value).ok_or_else(|| SettingsError::Shape {
                place: place.clone(),
                name: name.clone(),
                kind: value.type_str(),
            })?;
            self.set(&name, &text, origin, &place)?;
        }
        Ok(())
    }

    fn check_section(
        &self,
        section: &str,
        keys: &toml::Table,
        place: &str,
    ) -> Result<(), SettingsError> {
        let is_former = keys
            .keys()
            .any(|key| self.now(&format!("{section}.{key}")).next().is_some());
        if is_former || self.has_section(section) {
            return Ok(());
        }
        let near = nearest(section, self.known.iter().map(Known::section));
        let hint = near.map_or_else(|| self.sections(), |near| format!("did you mean [{near}]?"));
        Err(SettingsError::Section {
            place: place.to_owned(),
            given: section.to_owned(),
            hint,
        })
    }

    fn has_section(&self, section: &str) -> bool {
        self.known.iter().any(|known| known.section() == section)
    }

    fn sections(&self) -> String {
        let mut names: Vec<&str> = self.known.iter().map(Known::section).collect();
        names.dedup();
        format!("the sections are {}", names.join(", "))
    }

    fn set(
        &mut self,
        name: &str,
        text: &str,
        origin: Origin,
        place: &str,
    ) -> Result<(), SettingsError> {
        let now: Vec<String> = self.now(name).map(str::to_owned).collect();
        if !self.is_known(name) && !now.is_empty() {
            self.warnings
                .push(format!("{place}{name} is now called {}", now.join(" and ")));
            return now
                .iter()
                .try_for_each(|name| self.set(name, text, origin, place));
        }
        let Some(known) = self.known.iter().find(|known| known.name == name) else {
            let near = nearest(name, self.known.iter().map(|known| known.name.as_str()))
                .map(str::to_owned);
            return Err(SettingsError::Unknown {
                place: place.to_owned(),
                given: name.to_owned(),
                near,
            });
        };
        if let Err(wanted) = known.kind.parse(text)
            && !(known.is_optional && text.is_empty())
        {
            let given = if known.kind == Kind::Secret {
                HIDDEN.to_owned()
            } else {
                format!("{text:?}")
            };
            return Err(SettingsError::Value {
                place: place.to_owned(),
                name: name.to_owned(),
                given,
                wanted,
            });
        }
        let given = Given {
            text: text.to_owned(),
            origin,
            place: place.to_owned(),
        };
        self.given.insert(name.to_owned(), given);
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.known.iter().any(|known| known.name == name)
    }

    /// What a former name stands for.
    fn now(&self, former: &str) -> impl Iterator<Item = &str> {
        self.former
            .iter()
            .filter(move |(old, _)| old == former)
            .map(|(_, new)| new.as_str())
    }

    /// What one kind of source has given: names and values.
    pub(crate) fn given(&self, origin: Origin) -> Vec<(String, String)> {
        let given = self
            .given
            .iter()
            .filter(|(_, given)| given.origin == origin);
        given
            .map(|(name, given)| (name.clone(), given.text.clone()))
            .collect()
    }

    fn shown(&self, known: &Known) -> Setting {
        let (value, origin) = match self.given.get(&known.name) {
            Some(given) => (&given.text, given.origin),
            None => (&known.default, Origin::Default),
        };
        let is_hidden = known.kind == Kind::Secret && !value.is_empty();
        Setting {
            name: known.name.clone(),
            value: if is_hidden {
                HIDDEN.to_owned()
            } else {
                value.clone()
            },
            origin,
            help: known.help.clone(),
        }
    }
}

/// A value as it would be written on a command line; lists with commas.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(text_of).collect();
            parts.map(|parts| parts.join(","))
        }
        _ => None,
    }
}
