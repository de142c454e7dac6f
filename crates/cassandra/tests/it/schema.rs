//! Migrations: applied by one or by several, refused where they do not fit.

use minutehand_cassandra::{
    CassandraConfig, CassandraTimetable, MIGRATIONS, Migrations, Replication, SchemaError,
};

use crate::support::{apply, fresh_keyspace, plain};

async fn refused(config: &CassandraConfig) -> SchemaError {
    match CassandraTimetable::connect(config).await {
        Ok(_) => panic!("the keyspace was taken"),
        Err(error) => error,
    }
}

async fn run(config: &CassandraConfig, statement: &str) {
    let statement = statement.replace("{keyspace}", &config.keyspace);
    plain(config)
        .await
        .query_unpaged(statement, ())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_keyspace_is_created_step_by_step_and_may_be_created_again() {
    let config = fresh_keyspace().await;
    let migrations = Migrations::connect(&config).await.unwrap();
    let before = migrations.status().await.unwrap();
    assert!(!before.exists && before.applied.is_empty());
    assert_eq!(before.pending, MIGRATIONS);
    let error = refused(&config).await.to_string();
    assert!(
        error.contains(&config.keyspace) && error.contains("schema apply"),
        "{error}"
    );

    let replication = Replication::of_nodes(&migrations.datacenters()).unwrap();
    let after = migrations.apply(&replication).await.unwrap();
    let names: Vec<&str> = after
        .applied
        .iter()
        .map(|applied| applied.name.as_str())
        .collect();
    assert_eq!(
        names,
        MIGRATIONS
            .iter()
            .map(|migration| migration.name)
            .collect::<Vec<_>>()
    );
    assert!(after.exists && after.pending.is_empty());
    assert_eq!(
        migrations.apply(&replication).await.unwrap(),
        after,
        "nothing is applied twice"
    );
    CassandraTimetable::connect(&config).await.unwrap();
}

#[tokio::test]
async fn several_processes_may_apply_at_the_same_time() {
    let config = fresh_keyspace().await;
    let one = || async {
        let migrations = Migrations::connect(&config).await.unwrap();
        let replication = Replication::of_nodes(&migrations.datacenters()).unwrap();
        migrations.apply(&replication).await
    };
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    for status in [a, b, c, d] {
        assert_eq!(status.unwrap().pending, []);
    }
    CassandraTimetable::connect(&config).await.unwrap();
}

#[tokio::test]
async fn what_a_dead_process_left_half_applied_is_completed() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    run(
        &config,
        "DELETE FROM {keyspace}.schema_migrations WHERE number = 2",
    )
    .await;
    run(&config, "DROP TABLE {keyspace}.schedules").await;
    let error = refused(&config).await.to_string();
    assert!(
        error.contains("migration 2 (schedules)") && error.contains("schema apply"),
        "{error}"
    );
    apply(&config).await;
    CassandraTimetable::connect(&config).await.unwrap();
}

#[tokio::test]
async fn a_keyspace_of_a_later_release_is_refused_and_left_alone() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    run(
        &config,
        "INSERT INTO {keyspace}.schema_migrations (number, name) VALUES (99, 'fancy')",
    )
    .await;
    let error = refused(&config).await;
    assert!(
        matches!(error, SchemaError::Later { number: 99, .. }),
        "{error}"
    );
    let migrations = Migrations::connect(&config).await.unwrap();
    let replication = Replication::of_nodes(&migrations.datacenters()).unwrap();
    let error = migrations
        .apply(&replication)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("migration 99 (fancy)"), "{error}");
    let applied = migrations.status().await.unwrap().applied;
    assert_eq!(
        applied.last().map(|applied| applied.number),
        Some(99),
        "status shows it"
    );
}

#[tokio::test]
async fn a_migration_with_another_checksum_is_refused() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    run(
        &config,
        "UPDATE {keyspace}.schema_migrations SET checksum = 'abc' WHERE number = 1",
    )
    .await;
    let error = refused(&config).await;
    assert!(
        matches!(&error, SchemaError::Changed { number: 1, applied, .. } if applied == "abc"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_column_and_a_missing_table_are_named() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    run(&config, "ALTER TABLE {keyspace}.timetable DROP last_due").await;
    let error = refused(&config).await.to_string();
    let place = format!(
        "'{}.timetable' has no column 'last_due' (timestamp)",
        config.keyspace
    );
    assert!(error.contains(&place), "{error}");
    run(&config, "DROP TABLE {keyspace}.task_index").await;
    run(
        &config,
        "ALTER TABLE {keyspace}.timetable ADD last_due timestamp",
    )
    .await;
    let error = refused(&config).await.to_string();
    assert!(error.contains("has no table 'task_index'"), "{error}");
}

#[tokio::test]
async fn a_column_that_this_build_does_not_know_is_no_harm() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    run(&config, "ALTER TABLE {keyspace}.timetable ADD colour text").await;
    CassandraTimetable::connect(&config).await.unwrap();
}
