//! Which store the timetable lies in, as the settings have it.

pub use minutehand_cassandra::CassandraConfig;
use minutehand_cassandra::CassandraStore;
use minutehand_ports::TimetableStore;
use minutehand_settings::SettingsError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

impl TimetableKind {
    /// The section of the store, complete.
    ///
    /// # Errors
    /// When its settings do not fit each other.
    pub(crate) fn checked(
        self,
        cassandra: CassandraConfig,
        region: &str,
        dedupe_window_ms: i64,
    ) -> Result<CassandraConfig, SettingsError> {
        match self {
            TimetableKind::Cassandra => CassandraConfig {
                region: region.to_owned(),
                dedupe_window_ms,
                ..cassandra
            }
            .checked(),
        }
    }

    /// The store of a checked section; it is not reached yet.
    pub(crate) fn store(self, cassandra: &CassandraConfig) -> Box<dyn TimetableStore> {
        match self {
            TimetableKind::Cassandra => Box::new(CassandraStore::new(cassandra.clone())),
        }
    }
}
