//! The tables: numbered migrations, what they have done to a keyspace, and whether it is as it
//! should be.
//!
//! Migrations only ever create and add, and may be applied again. A keyspace that a later release
//! has migrated is refused, and so is one whose migrations or tables are not those of this build.

mod apply;
mod expected;
mod replication;

use std::collections::BTreeMap;

use minutehand_model::Timestamp;
use minutehand_ports::PortError;
use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{CassandraConfig, ConfigError};
use crate::connect;
use crate::error::failed;
pub use replication::{Replication, ReplicationError};

/// One numbered file of `schema/cql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// From 1, without holes.
    pub number: u32,
    /// The file's name without number and ending.
    pub name: &'static str,
    /// The statements, with `{keyspace}` and `{compaction}` to be filled in.
    pub text: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal, $file:literal) => {
        Migration {
            number: $number,
            name: $name,
            text: include_str!(concat!("../../../../schema/cql/", $file)),
        }
    };
}

/// Every migration of this build, in order.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "timetable", "0001_timetable.cql"),
    migration!(2, "schedules", "0002_schedules.cql"),
    migration!(3, "regions", "0003_regions.cql"),
    migration!(4, "executions", "0004_executions.cql"),
    migration!(5, "ledger", "0005_ledger.cql"),
];

impl Migration {
    /// A fingerprint of the text, 32 hexadecimal digits.
    pub fn checksum(&self) -> String {
        format!("{:032x}", xxh3_128(self.text.as_bytes()))
    }
}

/// Why a schema cannot be used, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster did not answer, or refused.
    #[error(transparent)]
    Cluster(#[from] PortError),
    /// There is no such keyspace.
    #[error("Cassandra has no keyspace '{keyspace}'; run `minutehand schema apply`")]
    NoKeyspace {
        /// Its name.
        keyspace: String,
    },
    /// A migration of this build has not been applied.
    #[error(
        "keyspace '{keyspace}' lacks migration {number} ({name}); run `minutehand schema apply`"
    )]
    Pending {
        /// The keyspace.
        keyspace: String,
        /// The first one that is missing.
        number: u32,
        /// Its name.
        name: &'static str,
    },
    /// A later release has been here.
    #[error(
        "keyspace '{keyspace}' has migration {number} ({name}), which this build does not know (it knows up to \
         {newest}); use the release that applied it, or a later one"
    )]
    Later {
        /// The keyspace.
        keyspace: String,
        /// The unknown migration.
        number: i32,
        /// Its name.
        name: String,
        /// The newest this build knows.
        newest: u32,
    },
    /// What was applied under a number is not what this build has under it.
    #[error(
        "migration {number} of keyspace '{keyspace}' was applied as '{applied_name}' with checksum {applied}; this \
         build has '{name}' with {known}. One of the two was changed after its release"
    )]
    Changed {
        /// The keyspace.
        keyspace: String,
        /// The migration.
        number: u32,
        /// Its name in this build.
        name: &'static str,
        /// Its checksum in this build.
        known: String,
        /// Its name in the keyspace.
        applied_name: String,
        /// Its checksum in the keyspace.
        applied: String,
    },
    /// A table that the migrations made is not there.
    #[error(
        "keyspace '{keyspace}' has no table '{table}', which its migrations made; somebody dropped it"
    )]
    NoTable {
        /// The keyspace.
        keyspace: String,
        /// The table.
        table: String,
    },
    /// A column that the migrations made is not there.
    #[error(
        "table '{keyspace}.{table}' has no column '{column}' ({kind}); somebody dropped it, or made the table"
    )]
    NoColumn {
        /// The keyspace.
        keyspace: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The type it should have.
        kind: String,
    },
    /// A column has another type.
    #[error("column '{column}' of table '{keyspace}.{table}' is {found} instead of {kind}")]
    OtherType {
        /// The keyspace.
        keyspace: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The type it should have.
        kind: String,
        /// The type it has.
        found: String,
    },
}

/// A migration as a keyspace remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: String,
    /// The fingerprint of its text.
    pub checksum: String,
    /// When it was applied.
    pub applied_at: Timestamp,
}

/// What has been applied to a keyspace and what has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    /// The keyspace.
    pub keyspace: String,
    /// Whether it exists.
    pub exists: bool,
    /// What it remembers, by number, unknown ones included.
    pub applied: Vec<Applied>,
    /// What this build would apply, by number.
    pub pending: Vec<Migration>,
}

/// The schema of one keyspace.
pub struct Migrations {
    session: Session,
    keyspace: String,
}

impl Migrations {
    /// Connects to a cluster; the keyspace need not exist.
    ///
    /// # Errors
    /// A setting that cannot be used, or a cluster that cannot be reached.
    pub async fn connect(config: &CassandraConfig) -> Result<Migrations, SchemaError> {
        config.check()?;
        let session = connect::session(config).await?;
        Ok(Migrations {
            session,
            keyspace: config.keyspace.clone(),
        })
    }

    /// The datacenters of the cluster and how many nodes each has, for choosing a replication.
    pub fn datacenters(&self) -> BTreeMap<String, usize> {
        connect::datacenters(&self.session)
    }

    /// What has been applied and what has not; changes nothing.
    ///
    /// # Errors
    /// A cluster that does not answer.
    pub async fn status(&self) -> Result<SchemaStatus, SchemaError> {
        Ok(status(&self.session, &self.keyspace).await?)
    }

    /// Creates the keyspace (with this replication, unless it exists) and applies what is pending.
    /// Several processes may do so at the same time.
    ///
    /// # Errors
    /// A keyspace that a later release has migrated, one that is not as its migrations made it, or
    /// a cluster that does not answer; then it may be applied again.
    pub async fn apply(&self, replication: &Replication) -> Result<SchemaStatus, SchemaError> {
        apply::apply(&self.session, &self.keyspace, replication).await?;
        verify(&self.session, &self.keyspace).await?;
        self.status().await
    }

    /// Whether the keyspace is as this build needs it.
    ///
    /// # Errors
    /// The first thing that is not.
    pub async fn verify(&self) -> Result<(), SchemaError> {
        verify(&self.session, &self.keyspace).await
    }
}

/// The first thing about a keyspace that is not as this build needs it.
pub(crate) async fn verify(session: &Session, keyspace: &str) -> Result<(), SchemaError> {
    let status = status(session, keyspace).await?;
    if !status.exists {
        return Err(SchemaError::NoKeyspace {
            keyspace: keyspace.to_owned(),
        });
    }
    check_applied(&status)?;
    if let Some(Migration { number, name, .. }) = status.pending.first() {
        return Err(SchemaError::Pending {
            keyspace: keyspace.to_owned(),
            number: *number,
            name,
        });
    }
    let action = format!("read the columns of keyspace {keyspace}");
    expected::check(keyspace, &columns(session, keyspace, &action).await?)
}

/// Refuses migrations that are unknown or not the same.
fn check_applied(status: &SchemaStatus) -> Result<(), SchemaError> {
    let keyspace = || status.keyspace.clone();
    for Applied {
        number,
        name,
        checksum,
        ..
    } in &status.applied
    {
        let known = MIGRATIONS
            .iter()
            .find(|known| i64::from(known.number) == i64::from(*number));
        let Some(known) = known else {
            let newest = MIGRATIONS.len() as u32;
            return Err(SchemaError::Later {
                keyspace: keyspace(),
                number: *number,
                name: name.clone(),
                newest,
            });
        };
        if known.checksum() != *checksum || known.name != name {
            return Err(SchemaError::Changed {
                keyspace: keyspace(),
                number: known.number,
                name: known.name,
                known: known.checksum(),
                applied_name: name.clone(),
                applied: checksum.clone(),
            });
        }
    }
    Ok(())
}

async fn status(session: &Session, keyspace: &str) -> Result<SchemaStatus, PortError> {
    let action = format!("read the migrations of keyspace {keyspace}");
    let exists = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session
        .query_unpaged(exists, (keyspace,))
        .await
        .map_err(|error| failed(&action, error))?;
    let exists = answer
        .into_rows_result()
        .map_err(|error| failed(&action, error))?
        .rows_num()
        > 0;
    let mut applied = Vec::new();
    if exists
        && columns(session, keyspace, &action)
            .await?
            .contains_key(apply::TABLE)
    {
        let select = format!(
            "SELECT number, name, checksum, applied_at FROM {keyspace}.{}",
            apply::TABLE
        );
        let answer = session
            .query_unpaged(select, ())
            .await
            .map_err(|error| failed(&action, error))?;
        let answer = answer
            .into_rows_result()
            .map_err(|error| failed(&action, error))?;
        let rows = answer.rows::<(i32, Option<String>, Option<String>, Option<CqlTimestamp>)>();
        for row in rows.map_err(|error| failed(&action, error))? {
            let (number, name, checksum, at) = row.map_err(|error| failed(&action, error))?;
            let applied_at = Timestamp::from_millis(at.map_or(0, |at| at.0));
            let (name, checksum) = (name.unwrap_or_default(), checksum.unwrap_or_default());
            applied.push(Applied {
                number,
                name,
                checksum,
                applied_at,
            });
        }
    }
    applied.sort_by_key(|applied| applied.number);
    let is_pending = |migration: &&Migration| {
        !applied
            .iter()
            .any(|applied| i64::from(applied.number) == i64::from(migration.number))
    };
    let pending = MIGRATIONS.iter().filter(is_pending).copied().collect();
    Ok(SchemaStatus {
        keyspace: keyspace.to_owned(),
        exists,
        applied,
        pending,
    })
}

/// The tables of a keyspace with their columns and types.
type Columns = BTreeMap<String, BTreeMap<String, String>>;

async fn columns(session: &Session, keyspace: &str, action: &str) -> Result<Columns, PortError> {
    let select =
        "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = ?";
    let answer = session
        .query_unpaged(select, (keyspace,))
        .await
        .map_err(|error| failed(action, error))?;
    let answer = answer
        .into_rows_result()
        .map_err(|error| failed(action, error))?;
    let mut columns = Columns::new();
    for row in answer
        .rows::<(String, String, String)>()
        .map_err(|error| failed(action, error))?
    {
        let (table, column, kind) = row.map_err(|error| failed(action, error))?;
        columns.entry(table).or_default().insert(column, kind);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_with(applied: Vec<(i32, &str, String)>) -> SchemaStatus {
        let remembered = |(number, name, checksum): (i32, &str, String)| Applied {
            number,
            name: name.to_owned(),
            checksum,
            applied_at: Timestamp::from_millis(1),
        };
        let applied = applied.into_iter().map(remembered).collect();
        SchemaStatus {
            keyspace: "minutehand".to_owned(),
            exists: true,
            applied,
            pending: Vec::new(),
        }
    }

    #[test]
    fn migrations_are_numbered_from_one_without_holes() {
        for (number, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.number, number);
            assert!(!migration.text.is_empty());
        }
    }

    #[test]
    fn a_migration_of_a_later_release_is_refused_with_its_number() {
        let first = (1, "timetable", MIGRATIONS[0].checksum());
        assert!(check_applied(&status_with(vec![first.clone()])).is_ok());
        let later = status_with(vec![first, (99, "fancy", "x".to_owned())]);
        let error = check_applied(&later).unwrap_err().to_string();
        assert!(
            error.contains("migration 99 (fancy)") && error.contains("minutehand"),
            "{error}"
        );
    }

    #[test]
    fn a_migration_that_was_changed_is_refused_with_both_checksums() {
        let error =
            check_applied(&status_with(vec![(1, "timetable", "0123".to_owned())])).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("0123") && said.contains(&MIGRATIONS[0].checksum()),
            "{said}"
        );
    }
}
