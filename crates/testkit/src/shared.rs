//! The servers that the tests of one process share: those that the environment names, else a set of its own.
//!
//! Starting servers takes a quarter of a minute, so tests do not have their own: they keep apart by names that no other
//! test uses (a keyspace, a prefix of topics, a prefix of keys). Tests that break servers start their own.

use std::sync::LazyLock;
use std::thread;

use crate::endpoints::{CASSANDRA_VARIABLE, ETCD_VARIABLE, KAFKA_VARIABLE, given};
use crate::site::StartError;
use crate::{Cassandra, CassandraOptions, Endpoints, Etcd, EtcdOptions, Kafka, KafkaOptions};

/// Kafka's bootstrap servers, `host:port,…`.
///
/// # Panics
/// When the environment names none and none can be started; the message says why.
pub fn kafka() -> &'static str {
    static SERVER: LazyLock<Shared<Kafka>> = LazyLock::new(|| {
        Shared::find(KAFKA_VARIABLE, || Kafka::start(&KafkaOptions::default()), Kafka::bootstrap)
    });
    SERVER.endpoint()
}

/// Cassandra's contact points, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn cassandra() -> &'static str {
    static SERVER: LazyLock<Shared<Cassandra>> = LazyLock::new(|| {
        let start = || Cassandra::start(&CassandraOptions::default());
        Shared::find(CASSANDRA_VARIABLE, start, Cassandra::contact_points)
    });
    SERVER.endpoint()
}

/// etcd's endpoints, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn etcd() -> &'static str {
    static SERVER: LazyLock<Shared<Etcd>> = LazyLock::new(|| {
        Shared::find(ETCD_VARIABLE, || Etcd::start(&EtcdOptions::default()), Etcd::endpoint)
    });
    SERVER.endpoint()
}

/// All three, those that have to be started at the same time.
///
/// # Panics
/// As [`kafka`].
pub fn endpoints() -> Endpoints {
    thread::scope(|scope| {
        // One that fails panics again below, in this thread.
        scope.spawn(|| drop(std::panic::catch_unwind(kafka)));
        scope.spawn(|| drop(std::panic::catch_unwind(cassandra)));
    });
    Endpoints { kafka: kafka().to_owned(), cassandra: cassandra().to_owned(), etcd: etcd().to_owned() }
}

/// A server that somebody else started, or that lives as long as this process.
struct Shared<S> {
    found: Result<(String, Option<S>), StartError>,
}

impl<S> Shared<S> {
    fn find(
        variable: &str,
        start: impl FnOnce() -> Result<S, StartError>,
        endpoint: impl FnOnce(&S) -> String,
    ) -> Shared<S> {
        let found = match given(variable) {
            Some(endpoint) => Ok((endpoint, None)),
            None => start().map(|server| (endpoint(&server), Some(server))),
        };
        Shared { found }
    }

    fn endpoint(&self) -> &str {
        match &self.found {
            Ok((endpoint, _server)) => endpoint,
            Err(error) => panic!("{}", with_causes(error)),
        }
    }
}

/// An error and what caused it, in one text.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
