//! What must be known to reach a cluster and to write to it.

use minutehand_model::time::DAY_MS;
use minutehand_settings::{ClientTls, Login, SettingsError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of a keyspace that Cassandra allows.
const KEYSPACE_BYTES_MAX: usize = 48;

/// How to reach Cassandra, and how to write to it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CassandraConfig {
    /// `host:port` of some nodes; the others are learned from them.
    pub contact_points: Vec<String>,
    /// The keyspace that `minutehand schema apply` created.
    pub keyspace: String,
    /// Copies of a keyspace that is made, `dc1:3,dc2:3`; by its nodes unless given.
    pub replication: Option<String>,
    /// Whose rows are read and written: the first part of every key.
    #[serde(skip)]
    pub region: String,
    /// The datacenter whose replicas are asked (LOCAL_QUORUM). Needed where there are several.
    pub local_datacenter: Option<String>,
    /// How long a connection may take to be established, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub connect_timeout_ms: u64,
    /// How long a request may take with all its attempts, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub request_timeout_ms: u64,
    /// How long rows are kept after they were due, in milliseconds. Must be longer than the dedupe
    /// window.
    #[schemars(range(min = 60_000, max = 365 * DAY_MS))]
    pub retention_ms: i64,
    /// How long a task is remembered after it was due, in milliseconds: what the owner still asks
    /// for.
    #[serde(skip)]
    pub dedupe_window_ms: i64,
    /// Most requests under way at once that write blocks.
    #[schemars(range(min = 1, max = 4_096))]
    pub writes_in_flight_max: usize,
    /// Keep an index of tasks, so that they are found by name. Costs a row for every 64 tasks or
    /// so, and some 20 bytes a task.
    pub task_index: bool,
    /// How connections are encrypted.
    #[serde(flatten)]
    pub tls: ClientTls,
    /// Check that a node's certificate names the address it was reached at. Switch off only where
    /// certificates cannot carry addresses; the chain is checked all the same.
    pub tls_verify_hostnames: bool,
    /// Who we are.
    #[serde(flatten)]
    pub login: Login,
}

impl Default for CassandraConfig {
    fn default() -> CassandraConfig {
        CassandraConfig {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "minutehand".to_owned(),
            replication: None,
            region: "local".to_owned(),
            local_datacenter: None,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 10_000,
            retention_ms: 7 * DAY_MS,
            dedupe_window_ms: 30_000,
            writes_in_flight_max: 32,
            task_index: true,
            tls: ClientTls::default(),
            tls_verify_hostnames: true,
            login: Login::default(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nowhere to begin.
    #[error("cassandra.contact_points is empty; name at least one node as host:port")]
    NoContactPoints,
    /// Not a keyspace's name.
    #[error(
        "cassandra.keyspace is '{given}'; it must begin with a lower-case letter, followed by lower-case letters, \
         digits and '_', at most {KEYSPACE_BYTES_MAX} in all"
    )]
    Keyspace {
        /// What was given.
        given: String,
    },
    /// A region without a name.
    #[error("cassandra.region is empty")]
    Region,
    /// Rows would expire while they are still asked for.
    #[error(
        "cassandra.retention_ms is {retention_ms}; it must be longer than the dedupe window of {dedupe_window_ms} ms"
    )]
    Retention {
        /// What was given.
        retention_ms: i64,
        /// The lower limit.
        dedupe_window_ms: i64,
    },
    /// Nothing could ever be written.
    #[error("cassandra.writes_in_flight_max is 0; it must be at least 1")]
    WritesInFlight,
}

impl CassandraConfig {
    /// The usual settings for a cluster and a region.
    pub fn new(contact_points: Vec<String>, keyspace: &str, region: &str) -> CassandraConfig {
        let (keyspace, region) = (keyspace.to_owned(), region.to_owned());
        CassandraConfig {
            contact_points,
            keyspace,
            region,
            ..CassandraConfig::default()
        }
    }

    /// These settings with the password that a file may hold, when what comes together is set
    /// together.
    ///
    /// # Errors
    /// When it is not, or the file cannot be read.
    pub fn checked(self) -> Result<CassandraConfig, SettingsError> {
        self.tls.check("cassandra")?;
        let login = self.login.checked("cassandra")?;
        Ok(CassandraConfig { login, ..self })
    }

    /// Refuses settings that contradict themselves.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.contact_points.is_empty() {
            return Err(ConfigError::NoContactPoints);
        }
        check_keyspace(&self.keyspace)?;
        if self.region.is_empty() {
            return Err(ConfigError::Region);
        }
        let (retention_ms, dedupe_window_ms) = (self.retention_ms, self.dedupe_window_ms);
        if retention_ms <= dedupe_window_ms {
            return Err(ConfigError::Retention {
                retention_ms,
                dedupe_window_ms,
            });
        }
        if self.writes_in_flight_max == 0 {
            return Err(ConfigError::WritesInFlight);
        }
        Ok(())
    }
}

/// The name goes into statements as it is: only what needs no quotes.
pub(crate) fn check_keyspace(name: &str) -> Result<(), ConfigError> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= KEYSPACE_BYTES_MAX
        && name.chars().all(is_allowed);
    if is_good {
        Ok(())
    } else {
        Err(ConfigError::Keyspace {
            given: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use minutehand_settings::Secret;

    use super::*;

    fn config() -> CassandraConfig {
        CassandraConfig::new(vec!["127.0.0.1:9042".to_owned()], "minutehand", "north")
    }

    #[test]
    fn each_setting_that_cannot_be_used_is_named() {
        assert_eq!(config().check(), Ok(()));
        let refused = |change: fn(&mut CassandraConfig)| {
            let mut config = config();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(|c| c.contact_points.clear()).contains("contact_points"));
        for name in ["", "Upper", "9lives", "a;drop", "a-b", &"x".repeat(49)] {
            assert!(check_keyspace(name).is_err(), "{name}");
        }
        assert!(refused(|c| c.region.clear()).contains("region"));
        assert!(refused(|c| c.retention_ms = c.dedupe_window_ms).contains("30000"));
        assert!(refused(|c| c.writes_in_flight_max = 0).contains("writes_in_flight_max"));
        let half = CassandraConfig {
            tls: ClientTls {
                cert_file: Some("client.pem".into()),
                ..ClientTls::default()
            },
            ..config()
        };
        let words =
            "cassandra.tls_cert_file is set and cassandra.tls_key_file is not; set both or none";
        assert_eq!(half.checked().unwrap_err().to_string(), words);
    }

    #[test]
    fn a_password_is_never_shown() {
        let login = Login::new("minutehand", Secret::new("canary"));
        let config = CassandraConfig { login, ..config() };
        let shown = format!("{config:?}");
        assert!(
            shown.contains("minutehand") && !shown.contains("canary"),
            "{shown}"
        );
    }
}
