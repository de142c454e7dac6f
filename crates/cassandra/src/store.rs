//! Cassandra as an operator has it: reached, migrated, looked at, described.

use async_trait::async_trait;
use minutehand_ports::{Connected, StoreDescription, StoreError, StorePart, TimetableStore};

use crate::config::CassandraConfig;
use crate::schema::{Applied, Migration, Migrations, Replication, SchemaError, SchemaStatus};
use crate::timetable::CassandraTimetable;

/// A keyspace of a cluster, by its settings.
pub struct CassandraStore {
    config: CassandraConfig,
}

impl CassandraStore {
    /// The keyspace that these settings name; it is not reached yet.
    pub fn new(config: CassandraConfig) -> CassandraStore {
        CassandraStore { config }
    }
}

#[async_trait]
impl TimetableStore for CassandraStore {
    fn describe(&self) -> StoreDescription {
        StoreDescription {
            name: "Cassandra",
            word: "cassandra",
            endpoints: self.config.contact_points.clone(),
            within: self.config.keyspace.clone(),
        }
    }

    async fn connect(&self) -> Result<Connected, StoreError> {
        let store = CassandraTimetable::connect(&self.config).await?;
        Ok(Connected {
            timetable: store.clone(),
            ledger: store,
        })
    }

    async fn status(&self) -> Result<Vec<StorePart>, StoreError> {
        let migrations = Migrations::connect(&self.config).await?;
        let status = migrations.status().await?;
        if status.exists && status.pending.is_empty() {
            migrations.verify().await?;
        }
        Ok(parts(&status))
    }

    async fn migrate(&self) -> Result<Vec<StorePart>, StoreError> {
        let migrations = Migrations::connect(&self.config).await?;
        let replication = match &self.config.replication {
            Some(text) => Replication::parse(text),
            None => Replication::of_nodes(&migrations.datacenters()),
        };
        let replication = replication
            .map_err(|error| StoreError::Setting(format!("cassandra.replication: {error}")))?;
        Ok(parts(&migrations.apply(&replication).await?))
    }
}

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> StoreError {
        match error {
            SchemaError::Config(error) => StoreError::Setting(error.to_string()),
            SchemaError::Cluster(error) => StoreError::Store(error),
            error => StoreError::Contents(Box::new(error)),
        }
    }
}

fn parts(status: &SchemaStatus) -> Vec<StorePart> {
    let keyspace = StorePart {
        kind: "keyspace",
        name: status.keyspace.clone(),
        is_there: status.exists,
        detail: String::new(),
    };
    let applied = |one: &Applied| StorePart {
        kind: "migration",
        name: format!("{} {}", one.number, one.name),
        is_there: true,
        detail: format!("applied at {}", one.applied_at),
    };
    let pending = |one: &Migration| StorePart {
        kind: "migration",
        name: format!("{} {}", one.number, one.name),
        is_there: false,
        detail: String::new(),
    };
    let migrations = status.applied.iter().map(applied);
    let migrations = migrations.chain(status.pending.iter().map(pending));
    [keyspace].into_iter().chain(migrations).collect()
}
