//! What must be known to reach a cluster and to write to it.

use std::fmt;
use std::path::PathBuf;

/// Longest name of a keyspace that Cassandra allows.
const KEYSPACE_BYTES_MAX: usize = 48;

/// How to reach a cluster, and how to write to it.
#[derive(Clone, Debug)]
pub struct CassandraConfig {
    /// Nodes to begin with, as `host:port`; the others are learned from them.
    pub contact_points: Vec<String>,
    /// The keyspace that `minutehand schema apply` created.
    pub keyspace: String,
    /// Whose rows are read and written: the first part of every key.
    pub region: String,
    /// The datacenter whose replicas are asked (LOCAL_QUORUM). May be left out where there is only one.
    pub local_datacenter: Option<String>,
    /// User and password, when the cluster asks for them.
    pub credentials: Option<Credentials>,
    /// Connect by TLS.
    pub tls: Option<Tls>,
    /// How long a connection may take to be established, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a request may take with all its attempts, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long rows are kept after they were due, in milliseconds. Must be longer than the dedupe window.
    pub retention_ms: i64,
    /// How long a task is remembered after it was due, in milliseconds: what the owner still asks for.
    pub dedupe_window_ms: i64,
    /// Most requests under way at once that write blocks.
    pub writes_in_flight_max: usize,
    /// Keep an index of tasks, so that they are found by name. Costs a row for every 64 tasks or so, and some 20 bytes a task.
    pub task_index: bool,
}

/// A user and a password.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password; never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates (PEM) that the servers' certificates are checked against; the system's when left out.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate chain (PEM), when the servers ask for one.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// Check that a server's certificate names the address it was reached at. Switch off only where certificates
    /// cannot carry addresses; the chain is checked all the same.
    pub verify_hostnames: bool,
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
    /// A certificate without its key, or the other way round.
    #[error("cassandra.tls has only one of certificate_file and key_file; a client certificate needs both")]
    ClientCertificate,
}

impl CassandraConfig {
    /// The usual settings for a cluster and a region.
    pub fn new(contact_points: Vec<String>, keyspace: &str, region: &str) -> CassandraConfig {
        CassandraConfig {
            contact_points,
            keyspace: keyspace.to_owned(),
            region: region.to_owned(),
            local_datacenter: None,
            credentials: None,
            tls: None,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 10_000,
            retention_ms: 7 * minutehand_model::time::DAY_MS,
            dedupe_window_ms: 30_000,
            writes_in_flight_max: 32,
            task_index: true,
        }
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
            return Err(ConfigError::Retention { retention_ms, dedupe_window_ms });
        }
        if self.writes_in_flight_max == 0 {
            return Err(ConfigError::WritesInFlight);
        }
        let one_of_two = |tls: &Tls| tls.certificate_file.is_some() != tls.key_file.is_some();
        if self.tls.as_ref().is_some_and(one_of_two) {
            return Err(ConfigError::ClientCertificate);
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
    if is_good { Ok(()) } else { Err(ConfigError::Keyspace { given: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
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
        let half = Tls {
            ca_file: None,
            certificate_file: Some("client.pem".into()),
            key_file: None,
            verify_hostnames: true,
        };
        let config = CassandraConfig { tls: Some(half), ..config() };
        assert_eq!(config.check(), Err(ConfigError::ClientCertificate));
    }

    #[test]
    fn a_password_is_never_shown() {
        let credentials = Credentials { username: "minutehand".to_owned(), password: "canary".to_owned() };
        let config = CassandraConfig { credentials: Some(credentials), ..config() };
        let shown = format!("{config:?}");
        assert!(shown.contains("minutehand") && !shown.contains("canary"), "{shown}");
    }
}
