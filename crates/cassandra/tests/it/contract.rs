//! The ports' contract, as every adapter is held to it.

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_cassandra::{CassandraConfig, CassandraTimetable};
use minutehand_ports::contract::{Harness, Stores};
use minutehand_ports::contract_tests;

use crate::support::fresh_region;

/// Regions of their own in one keyspace.
struct Cassandra;

async fn stores(config: CassandraConfig) -> Stores {
    let timetable: Arc<CassandraTimetable> = CassandraTimetable::connect(&config).await.unwrap();
    Stores {
        timetable: timetable.clone(),
        ledger: timetable,
        keep: Box::new(config),
        ..Stores::absent()
    }
}

#[async_trait]
impl Harness for Cassandra {
    async fn fresh(&self) -> Stores {
        stores(fresh_region().await).await
    }

    async fn reopen(&self, before: Stores) -> Stores {
        let config = before
            .keep
            .downcast::<CassandraConfig>()
            .expect("made by this harness");
        drop((before.timetable, before.ledger));
        stores(*config).await
    }
}

contract_tests!(timetable, ledger: Cassandra);
