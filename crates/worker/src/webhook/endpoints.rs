//! What holds for some hosts alone: their secrets, ports and networks, from a file that is read
//! again when it has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Url;
use serde::Deserialize;
use tracing::warn;

use super::networks::Network;
use super::sign::{Secret, SecretError};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most secrets of an endpoint: the newest, and those that receivers still know.
const SECRETS_MAX: usize = 8;

/// A file of endpoints that was refused. Says nothing of its secrets.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// It cannot be read.
    #[error("webhook.endpoints_file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is too long.
    #[error("webhook.endpoints_file {} has {bytes} bytes; at most {FILE_BYTES_MAX} are read", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// It is not in the form of one.
    #[error("webhook.endpoints_file {}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, without the line that it is in.
        reason: String,
    },
    /// An entry cannot be used.
    #[error("webhook.endpoints_file {}: host {host:?}: {reason}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The host of the entry.
        host: String,
        /// Why.
        reason: EntryError,
    },
}

/// Why an entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The host is none.
    #[error("it is no host; give a name, an address, or *.NAME for all names below it")]
    Host,
    /// Another entry has the same host.
    #[error("it stands there twice")]
    Twice,
    /// A port is none.
    #[error("port 0 is none")]
    Port,
    /// Too many secrets.
    #[error("it has {given} secrets; at most {SECRETS_MAX} sign")]
    Secrets {
        /// How many there are.
        given: usize,
    },
    /// A secret that nothing can be signed with.
    #[error("secret {number}: {reason}")]
    Secret {
        /// Which of its secrets, from 1.
        number: usize,
        /// Why.
        reason: SecretError,
    },
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    endpoint: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A name, an address, or `*.NAME`.
    host: String,
    /// The ports that may be reached there, in place of `webhook.ports`.
    ports: Option<Vec<u16>>,
    /// Networks that the name may lead to, besides public addresses and `webhook.allow_cidrs`.
    #[serde(default)]
    allow_cidrs: Vec<Network>,
    /// What requests are signed with, the newest first, in place of `webhook.secret`.
    secrets: Option<Vec<String>>,
}

/// What holds for an endpoint.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) ports: Option<Vec<u16>>,
    pub(super) networks: Vec<Network>,
    pub(super) secrets: Option<Vec<Secret>>,
}

/// The rules of a file.
#[derive(Debug, Default)]
struct Rules {
    exact: HashMap<String, Arc<Rule>>,
    /// By the name that stands behind `*.`.
    below: HashMap<String, Arc<Rule>>,
}

impl Rules {
    fn parse(path: &Path, text: &str) -> Result<Rules, EndpointsError> {
        let file: File = toml::from_str(text).map_err(|error| EndpointsError::Form {
            path: path.to_owned(),
            // Its own words repeat the line, which may hold a secret.
            reason: error.message().to_owned(),
        })?;
        let mut rules = Rules::default();
        for entry in file.endpoint {
            let host = entry.host.chars().take(100).collect();
            rules.add(entry).map_err(|reason| EndpointsError::Entry {
                path: path.to_owned(),
                host,
                reason,
            })?;
        }
        Ok(rules)
    }

    fn add(&mut self, entry: Entry) -> Result<(), EntryError> {
        let (rules, name) = match entry.host.strip_prefix("*.") {
            Some(name) => (&mut self.below, name),
            None => (&mut self.exact, &*entry.host),
        };
        let name = normal(name).ok_or(EntryError::Host)?;
        if entry.ports.as_ref().is_some_and(|ports| ports.contains(&0)) {
            return Err(EntryError::Port);
        }
        let secrets = entry.secrets.map(|given| secrets(&given)).transpose()?;
        let rule = Rule {
            ports: entry.ports,
            networks: entry.allow_cidrs,
            secrets,
        };
        match rules.insert(name, Arc::new(rule)) {
            None => Ok(()),
            Some(_) => Err(EntryError::Twice),
        }
    }

    /// The rule of a host: its own, else that of the nearest name above it.
    fn of(&self, host: &str) -> Option<Arc<Rule>> {
        let host = host.trim_end_matches('.');
        if let Some(rule) = self.exact.get(host) {
            return Some(Arc::clone(rule));
        }
        let mut rest = host;
        while let Some((_, above)) = rest.split_once('.') {
            if let Some(rule) = self.below.get(above) {
                return Some(Arc::clone(rule));
            }
            rest = above;
        }
        None
    }
}

fn secrets(given: &[String]) -> Result<Vec<Secret>, EntryError> {
    if given.len() > SECRETS_MAX {
        return Err(EntryError::Secrets { given: given.len() });
    }
    let parsed = given.iter().enumerate().map(|(index, text)| {
        Secret::parse(text.trim()).map_err(|reason| EntryError::Secret {
            number: index + 1,
            reason,
        })
    });
    parsed.collect()
}

/// A host as it stands in a URL that was parsed.
fn normal(host: &str) -> Option<String> {
    if host.is_empty() || host.contains(['/', '?', '#', '@', '\\', '*']) {
        return None;
    }
    // A port is told apart by hand: a parsed URL does not say that it named the usual one.
    let name = host
        .strip_prefix('[')
        .map_or(host, |rest| rest.trim_end_matches(']'));
    if name.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return None;
    }
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    Some(url.host_str()?.trim_end_matches('.').to_owned())
}

/// The rules of the file that the settings name, if any.
pub(super) struct Endpoints {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    rules: Arc<Rules>,
    /// When the file had been written that they are from.
    version: Option<SystemTime>,
    looked_at: Instant,
}

impl Endpoints {
    /// Reads the file.
    pub(super) fn new(path: Option<PathBuf>) -> Result<Endpoints, EndpointsError> {
        let version = path.as_deref().and_then(version);
        let rules = path.as_deref().map(read).transpose()?.unwrap_or_default();
        let state = State {
            rules: Arc::new(rules),
            version,
            looked_at: Instant::now(),
        };
        Ok(Endpoints {
            path,
            state: Mutex::new(state),
        })
    }

    /// The rule of a host, as the file says it now, or some seconds ago.
    pub(super) fn rule(&self, host: &str) -> Option<Arc<Rule>> {
        self.rules(Instant::now()).of(host)
    }

    fn rules(&self, now: Instant) -> Arc<Rules> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else {
            return Arc::clone(&state.rules);
        };
        if now.duration_since(state.looked_at) >= LOOK_INTERVAL {
            state.looked_at = now;
            let version = version(path);
            if version != state.version {
                state.version = version;
                match read(path) {
                    Ok(rules) => state.rules = Arc::new(rules),
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "the endpoints of webhooks stay as they were"
                    ),
                }
            }
        }
        Arc::clone(&state.rules)
    }
}

fn version(path: &Path) -> Option<SystemTime> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.modified().ok()
}

fn read(path: &Path) -> Result<Rules, EndpointsError> {
    let failed = |source| EndpointsError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let path = path.to_owned();
        return Err(EndpointsError::Length { path, bytes });
    }
    Rules::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn parse(text: &str) -> Result<Rules, String> {
        Rules::parse(Path::new("e.toml"), text).map_err(|error| error.to_string())
    }

    fn port_of(rules: &Rules, host: &str) -> Option<u16> {
        rules.of(host)?.ports.as_ref()?.first().copied()
    }

    #[test]
    fn the_nearest_rule_holds() {
        let entry =
            |host: &str, port: u16| format!("[[endpoint]]\nhost = \"{host}\"\nports = [{port}]\n");
        let text = [
            ("hooks.example.com", 1),
            ("*.example.com", 2),
            ("*.eu.example.com", 3),
            ("10.2.0.7", 4),
            ("[fd00::7]", 5),
            ("B\u{fc}cher.example", 6),
        ]
        .map(|(host, port)| entry(host, port));
        let rules = parse(&text.concat()).unwrap();
        for (host, port) in [
            ("hooks.example.com", Some(1)),
            ("hooks.example.com.", Some(1)),
            ("a.example.com", Some(2)),
            ("a.b.example.com", Some(2)),
            ("a.b.eu.example.com", Some(3)),
            ("eu.example.com", Some(2)),
            ("example.com", None),
            ("notexample.com", None),
            ("10.2.0.7", Some(4)),
            ("[fd00::7]", Some(5)),
            ("xn--bcher-kva.example", Some(6)),
        ] {
            assert_eq!(port_of(&rules, host), port, "{host}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_refused_by_name() {
        let short = "[[endpoint]]\nhost=\"a.example\"\nsecrets=[\"whsec_c2hvcnQ=\"]";
        let many = format!(
            "[[endpoint]]\nhost=\"a.example\"\nsecrets={:?}",
            vec![SECRET; 9]
        );
        for (text, reason) in [
            ("[[endpoint]]\nports=[1]", "missing field `host`"),
            ("[[endpoint]]\nhost=\"\"", "it is no host"),
            ("[[endpoint]]\nhost=\"a/b\"", "it is no host"),
            ("[[endpoint]]\nhost=\"a:80\"", "it is no host"),
            ("[[endpoint]]\nhost=\"*\"", "it is no host"),
            ("[[endpoint]]\nhost=\"a.*.b\"", "it is no host"),
            ("[[endpoint]]\nhost=\"a\"\nports=[0]", "port 0"),
            (
                "[[endpoint]]\nhost=\"a\"\nallow_cidrs=[\"10.2\"]",
                "is not a network",
            ),
            (
                "[[endpoint]]\nhost=\"a\"\nsecret=\"x\"",
                "unknown field `secret`",
            ),
            (
                "[[endpoint]]\nhost=\"A.b\"\n[[endpoint]]\nhost=\"a.b.\"",
                "twice",
            ),
            (short, "secret 1: a webhook secret has 5 bytes"),
            (&many, "9 secrets"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("e.toml"),
                "{error}"
            );
            assert!(
                !error.contains("c2hvcnQ") && !error.contains("MfKQ9r8G"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_changed_file_is_read_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints.toml");
        let write = |text: &str, version: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(version);
            file.set_modified(at).unwrap();
        };
        let of_port = |port: u16| format!("[[endpoint]]\nhost = \"a.example\"\nports = [{port}]\n");
        assert!(
            Endpoints::new(Some(path.clone())).is_err(),
            "it is not there"
        );
        write(&of_port(1), 1);
        let endpoints = Endpoints::new(Some(path.clone())).unwrap();
        let later = |looks: u32| Instant::now() + LOOK_INTERVAL * looks;
        write(&of_port(2), 2);
        assert_eq!(
            port_of(&endpoints.rules(Instant::now()), "a.example"),
            Some(1)
        );
        assert_eq!(port_of(&endpoints.rules(later(2)), "a.example"), Some(2));
        write("[[endpoint]]\nhost = 7", 3);
        assert_eq!(port_of(&endpoints.rules(later(4)), "a.example"), Some(2));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(port_of(&endpoints.rules(later(6)), "a.example"), Some(2));
        write(&of_port(3), 4);
        assert_eq!(port_of(&endpoints.rules(later(8)), "a.example"), Some(3));
    }
}
