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

/// The first release of Cassandra that has the unified strategy.
const UNIFIED_SINCE: u32 = 5;

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
        async move { session.query_unpaged(statement, ()).await.map(drop).map_err(|error| failed(&action, error)) }
    };
    let create = format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
    run(create, format!("create keyspace {keyspace}")).await?;
    let remember = format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{TABLE} \
         (number int PRIMARY KEY, name text, checksum text, applied_at timestamp)"
    );
    run(remember, format!("create table {keyspace}.{TABLE}")).await?;
    let status = status(session, keyspace).await?;
    check_applied(&status)?;
    let compaction = compaction(session).await?;
    for migration in &status.pending {
        let action = format!("apply migration {} ({}) to {keyspace}", migration.number, migration.name);
        for statement in statements(migration) {
            let statement = statement.replace("{keyspace}", keyspace).replace("{compaction}", compaction);
            run(statement, action.clone()).await?;
        }
        remember_applied(session, keyspace, migration, &action).await?;
    }
    Ok(())
}

/// Statements that change the schema go through one and the same node, whoever sends them: there they follow each other.
/// Sent to two nodes at once, two `CREATE TABLE IF NOT EXISTS` may both create the table, each with an id of its own.
fn single_coordinator(session: &Session) -> ExecutionProfileHandle {
    let state = session.get_cluster_state();
    let usual = session.get_default_execution_profile_handle();
    let candidates = state.get_nodes_info().iter().filter(|node| node.is_connected());
    let Some(first) = candidates.min_by_key(|node| node.host_id) else { return usual.clone() };
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
    let insert =
        format!("INSERT INTO {keyspace}.{TABLE} (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)");
    let now = CqlTimestamp(clock::now().as_millis());
    let values = (migration.number as i32, migration.name, migration.checksum(), now);
    session.query_unpaged(insert, values).await.map(drop).map_err(|error| failed(action, error))
}

/// The statements of a migration, without comments.
pub(super) fn statements(migration: &Migration) -> impl Iterator<Item = String> {
    let lines = migration.text.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> =
        text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect();
    statements.into_iter()
}

/// How the large tables are compacted, by the oldest server in the cluster. Rows expire by due time, so a file holds rows of
/// many ages: files are rewritten alone, to free what has expired, without waiting for others to overlap.
async fn compaction(session: &Session) -> Result<&'static str, PortError> {
    let action = "read the releases of the cluster's nodes";
    let mut oldest = u32::MAX;
    for table in ["system.local", "system.peers"] {
        let select = format!("SELECT release_version FROM {table}");
        let answer = session.query_unpaged(select, ()).await.map_err(|error| failed(action, error))?;
        let answer = answer.into_rows_result().map_err(|error| failed(action, error))?;
        for row in answer.rows::<(Option<String>,)>().map_err(|error| failed(action, error))? {
            let (release,) = row.map_err(|error| failed(action, error))?;
            oldest = oldest.min(major(release.as_deref().unwrap_or_default()));
        }
    }
    Ok(if oldest >= UNIFIED_SINCE {
        "{'class': 'UnifiedCompactionStrategy', 'unchecked_tombstone_compaction': 'true'}"
    } else {
        "{'class': 'SizeTieredCompactionStrategy', 'unchecked_tombstone_compaction': 'true'}"
    })
}

/// The first number of a release; 0 when there is none. ScyllaDB says 3, which is the release it stands for.
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
                assert!(statement.starts_with("CREATE TABLE IF NOT EXISTS {keyspace}."), "{statement}");
            }
        }
    }

    #[test]
    fn the_release_decides_by_its_first_number() {
        let cases = [("5.0.5", 5), ("4.1.10", 4), ("3.0.8", 3), ("11.2", 11), ("", 0), ("unknown", 0)];
        for (release, expected) in cases {
            assert_eq!(major(release), expected, "{release}");
        }
    }
}
