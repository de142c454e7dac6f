//! Clusters that cannot be reached or used: one clear error each.

use std::net::TcpListener;

use minutehand_cassandra::{CassandraConfig, CassandraTimetable, SchemaError};
use minutehand_ports::{ErrorClass, PortError};

use crate::support::fresh_region;

async fn refused(config: &CassandraConfig) -> PortError {
    match CassandraTimetable::connect(config).await {
        Ok(_) => panic!("it was connected"),
        Err(SchemaError::Cluster(error)) => error,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_worth_another_try_and_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = refused(&CassandraConfig::new(
        vec![nobody.clone()],
        "minutehand",
        "north",
    ))
    .await;
    assert_eq!(error.class, ErrorClass::Retry, "{error}");
    assert!(error.action.contains(&nobody), "{error}");
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_named() {
    let host = "no-such-host.invalid:9042".to_owned();
    let error = refused(&CassandraConfig::new(
        vec![host.clone()],
        "minutehand",
        "north",
    ))
    .await;
    assert!(error.to_string().contains(&host), "{error}");
}

#[tokio::test]
async fn an_unknown_datacenter_is_reported_with_the_known_ones() {
    let config = CassandraConfig {
        local_datacenter: Some("atlantis".to_owned()),
        ..fresh_region().await
    };
    let error = refused(&config).await;
    assert_eq!(error.class, ErrorClass::Fatal);
    assert!(
        error.reason.contains("'atlantis'") && error.reason.contains("it has "),
        "{error}"
    );
}
