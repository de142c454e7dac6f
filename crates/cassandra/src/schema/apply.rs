//! Carrying migrations out.

use std::sync::Arc;

use minutehand_ports::PortError;
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::frame::types::Consistency;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Statement;
use scylla::value::CqlTimestamp;

use super::{Migration, Replication, SchemaError, check_applied, status};
use crate::clock;
use crate::error::failed;
use crate::retry::BoundedRetries;

/// The table that remembers what was applied.
pub(super) const TABLE: &str = "schema_migrations";

/// What differs between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dialect {
    /// How the large tables are compacted. Rows expire by due time, so a file holds rows of many
    /// ages: files are rewritten alone, to free what has expired, without waiting for others to
    /// overlap.
    compaction: &'static str,
    /// Blocks are compressed already. Doing it again cost a third of the server's time and saved
    /// nothing.
    uncompressed: &'static str,
}

const CASSANDRA_5: Dialect = Dialect {
    compaction: "{'class': 'UnifiedCompactionStrategy', 'unchecked_tombstone_compaction': 'true'}",
    uncompressed: "{'enabled': 'false'}",
};
const CASSANDRA_4: Dialect = Dialect {
    compaction: "{'class': 'SizeTieredCompactionStrategy', 'unchecked_tombstone_compaction': 'true'}",
    uncompressed: "{'enabled': 'false'}",
};
const SCYLLA: Dialect = Dialect {
    compaction: "{'class': 'SizeTieredCompactionStrategy'}",
    uncompressed: "{'sstable_compression': ''}",
};

/// Creates the keyspace and applies what is pending.
pub(super) async fn apply(
    session: &Session,
    keyspace: &str,
    replication: &Replication,
) -> Result<(), SchemaError> {
    let profile = single_coordinator(session);
    let run = |text: String, action: String| {
        let mut statement = Statement::new(text);
        statement.set_is_idempotent(true);
        statement.set_execution_profile_handle(Some(profile.clone()));
        async move {
            session
                .query_unpaged(statement, ())
                .await
                .map(drop)
                .map_err(|error| failed(&action, error))
        }
    };
    let create =
        format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
    run(create, format!("create keyspace {keyspace}")).await?;
    let remember = format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{TABLE} \
         (number int PRIMARY KEY, name text, checksum text, applied_at timestamp)"
    );
    run(remember, format!("create table {keyspace}.{TABLE}")).await?;
    let status = status(session, keyspace).await?;
    check_applied(&status)?;
    let dialect = dialect(session).await?;
    for migration in &status.pending {
        let action = format!(
            "apply migration {} ({}) to {keyspace}",
            migration.number, migration.name
        );
        for statement in statements(migration) {
            let statement = dialect.fill_in(&statement, keyspace);
            run(statement, action.clone()).await?;
        }
        remember_applied(session, keyspace, migration, &action).await?;
    }
    Ok(())
}

/// Statements that change the schema go through one and the same node, whoever sends them: there
/// they follow each other. Sent to two nodes at once, two `CREATE TABLE IF NOT EXISTS` may both
/// create the table, each with an id of its own.
fn single_coordinator(session: &Session) -> ExecutionProfileHandle {
    let state = session.get_cluster_state();
    let usual = session.get_default_execution_profile_handle();
    let candidates = state
        .get_nodes_info()
        .iter()
        .filter(|node| node.is_connected());
    let Some(first) = candidates.min_by_key(|node| node.host_id) else {
        return usual.clone();
    };
    let target = NodeIdentifier::Node(Arc::clone(first));
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .request_timeout(usual.to_profile().get_request_timeout())
        .retry_policy(Arc::new(BoundedRetries))
        .load_balancing_policy(SingleTargetLoadBalancingPolicy::new(target, None))
        .build()
        .into_handle()
}

async fn remember_applied(
    session: &Session,
    keyspace: &str,
    migration: &Migration,
    action: &str,
) -> Result<(), PortError> {
    let insert = format!(
        "INSERT INTO {keyspace}.{TABLE} (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)"
    );
    let now = CqlTimestamp(clock::now().as_millis());
    let values = (
        migration.number as i32,
        migration.name,
        migration.checksum(),
        now,
    );
    session
        .query_unpaged(insert, values)
        .await
        .map(drop)
        .map_err(|error| failed(action, error))
}

/// The statements of a migration, without comments.
pub(super) fn statements(migration: &Migration) -> impl Iterator<Item = String> {
    let lines = migration
        .text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> = text
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    statements.into_iter()
}

impl Dialect {
    fn fill_in(&self, statement: &str, keyspace: &str) -> String {
        statement
            .replace("{keyspace}", keyspace)
            .replace("{compaction}", self.compaction)
            .replace("{uncompressed}", self.uncompressed)
    }

    /// By the major releases of all nodes: the oldest has to understand it.
    fn of_cassandra(releases: impl Iterator<Item = u32>) -> Dialect {
        if releases.min().is_some_and(|oldest| oldest >= 5) {
            CASSANDRA_5
        } else {
            CASSANDRA_4
        }
    }
}

/// What the cluster's servers understand.
async fn dialect(session: &Session) -> Result<Dialect, PortError> {
    let action = "read the releases of the cluster's nodes";
    let scylla = "SELECT table_name FROM system_schema.tables \
                  WHERE keyspace_name = 'system_schema' AND table_name = 'scylla_tables'";
    let answer = session
        .query_unpaged(scylla, ())
        .await
        .map_err(|error| failed(action, error))?;
    if answer
        .into_rows_result()
        .map_err(|error| failed(action, error))?
        .rows_num()
        > 0
    {
        return Ok(SCYLLA);
    }
    let mut releases = Vec::new();
    for table in ["system.local", "system.peers"] {
        let select = format!("SELECT release_version FROM {table}");
        let answer = session
            .query_unpaged(select, ())
            .await
            .map_err(|error| failed(action, error))?;
        let answer = answer
            .into_rows_result()
            .map_err(|error| failed(action, error))?;
        for row in answer
            .rows::<(Option<String>,)>()
            .map_err(|error| failed(action, error))?
        {
            let (release,) = row.map_err(|error| failed(action, error))?;
            releases.push(major(release.as_deref().unwrap_or_default()));
        }
    }
    Ok(Dialect::of_cassandra(releases.into_iter()))
}

/// The first number of a release; 0 when there is none.
fn major(release: &str) -> u32 {
    let digits: String = release.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::MIGRATIONS;
    use super::*;

    #[test]
    fn migrations_only_create_and_may_be_repeated() {
        for migration in MIGRATIONS {
            let statements: Vec<String> = statements(migration).collect();
            assert!(!statements.is_empty());
            for statement in statements {
                assert!(
                    statement.starts_with("CREATE TABLE IF NOT EXISTS {keyspace}."),
                    "{statement}"
                );
            }
        }
    }

    #[test]
    fn the_release_decides_by_its_first_number() {
        let cases = [
            ("5.0.5", 5),
            ("4.1.10", 4),
            ("11.2", 11),
            ("", 0),
            ("unknown", 0),
        ];
        for (release, expected) in cases {
            assert_eq!(major(release), expected, "{release}");
        }
        assert_eq!(Dialect::of_cassandra([5, 5].into_iter()), CASSANDRA_5);
        assert_eq!(
            Dialect::of_cassandra([5, 4].into_iter()),
            CASSANDRA_4,
            "in the middle of an upgrade"
        );
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for migration in MIGRATIONS {
            for (statement, dialect) in statements(migration)
                .flat_map(|text| [CASSANDRA_5, CASSANDRA_4, SCYLLA].map(|d| (text.clone(), d)))
            {
                let filled = dialect.fill_in(&statement, "minutehand");
                assert!(
                    !filled.contains("{keyspace}") && !filled.contains("{compaction}"),
                    "{filled}"
                );
                assert!(!filled.contains("{uncompressed}"), "{filled}");
            }
        }
    }
}
