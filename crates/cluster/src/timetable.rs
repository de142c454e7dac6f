//! Which store the timetable lies in, as the settings have it.

pub use minutehand_cassandra::CassandraConfig;
use minutehand_cassandra::CassandraStore;
use minutehand_ports::TimetableStore;
use minutehand_settings::SettingsError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Where tasks lie that are due beyond the look-ahead.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimetableConfig {
    /// The store; the section of its name says how to reach it.
    pub store: TimetableKind,
}

/// The stores that a timetable can lie in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimetableKind {
    /// Apache Cassandra or ScyllaDB.
    #[default]
    Cassandra,
}

/// These settings, with the store's section complete.
///
/// # Errors
/// When settings of its section do not fit each other.
pub(crate) fn checked(config: Config) -> Result<Config, SettingsError> {
    match config.timetable {
        TimetableKind::Cassandra => {
            let cassandra = CassandraConfig {
                region: config.region.clone(),
                dedupe_window_ms: config.engine.dedupe_window_ms,
                ..config.cassandra
            };
            let cassandra = cassandra.checked()?;
            Ok(Config {
                cassandra,
                ..config
            })
        }
    }
}

/// The store; it is not reached yet.
pub(crate) fn store(config: &Config) -> Box<dyn TimetableStore> {
    match config.timetable {
        TimetableKind::Cassandra => Box::new(CassandraStore::new(config.cassandra.clone())),
    }
}
