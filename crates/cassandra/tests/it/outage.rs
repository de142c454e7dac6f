//! A cluster that goes away and comes back, under a store that stays.

use minutehand_cassandra::CassandraConfig;
use minutehand_model::Timestamp;
use minutehand_ports::{ErrorClass, Timetable};
use minutehand_testkit::{Cassandra, CassandraOptions};

use crate::support::{MINUTE, P0, apply, at, block, connect, entry, offsets};

#[tokio::test]
async fn a_store_survives_an_outage_without_loss() {
    let start = || Cassandra::start(&CassandraOptions::default()).unwrap();
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let points = server
        .contact_points()
        .split(',')
        .map(str::to_owned)
        .collect();
    let config = CassandraConfig {
        request_timeout_ms: 2_000,
        ..CassandraConfig::new(points, "minutehand", "north")
    };
    apply(&config).await;
    let store = connect(&config).await;
    let one = |offset: u64| block(vec![entry(&format!("t-{offset}"), at(MINUTE), offset)]);
    store.write_blocks(vec![one(1)]).await.unwrap();

    let server = tokio::task::spawn_blocking(move || {
        server.nodes()[0].stop().unwrap();
        server
    });
    let server = server.await.unwrap();
    let errors = [
        store.write_blocks(vec![one(2)]).await.unwrap_err(),
        store
            .read(P0.range(Timestamp::MIN, Timestamp::MAX), 1)
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class, ErrorClass::Retry, "{error}");
    }

    let _server = tokio::task::spawn_blocking(move || {
        server.nodes()[0].start().unwrap();
        server
    })
    .await
    .unwrap();
    // The caller's own repetition; the driver finds its way back meanwhile.
    while let Err(error) = store.write_blocks(vec![one(2)]).await {
        assert_eq!(error.class, ErrorClass::Retry, "{error}");
        tokio::task::spawn_blocking(std::thread::yield_now)
            .await
            .unwrap();
    }
    let page = store
        .read(P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [1, 2]);
}
