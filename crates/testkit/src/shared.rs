//! The servers that the tests of one process share: those that the environment names, else a set of
//! its own.
//!
//! Starting servers takes a quarter of a minute, so tests do not have their own: they keep apart by
//! names that no other test uses (a keyspace, a prefix of topics, a prefix of keys). Tests that
//! break servers start their own.

use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::thread;

use crate::endpoints::{CASSANDRA_VARIABLE, ETCD_VARIABLE, KAFKA_VARIABLE, given};
use crate::site::StartError;
use crate::{
    Cassandra, CassandraOptions, Endpoints, Etcd, EtcdOptions, Kafka, KafkaOptions, Server,
};

/// A server that somebody else started and the environment names, or one of our own.
#[derive(Debug)]
struct Found<S> {
    endpoint: String,
    own: Option<S>,
}

impl<S> Found<S> {
    fn find(
        variable: &str,
        start: impl FnOnce() -> Result<S, StartError>,
        endpoint: impl FnOnce(&S) -> String,
    ) -> Result<Found<S>, StartError> {
        match given(variable) {
            Some(endpoint) => Ok(Found {
                endpoint,
                own: None,
            }),
            None => start().map(|own| Found {
                endpoint: endpoint(&own),
                own: Some(own),
            }),
        }
    }
}

fn find_kafka() -> Result<Found<Kafka>, StartError> {
    Found::find(
        KAFKA_VARIABLE,
        || Kafka::start(&KafkaOptions::default()),
        Kafka::bootstrap,
    )
}

fn find_cassandra() -> Result<Found<Cassandra>, StartError> {
    let start = || Cassandra::start(&CassandraOptions::default());
    Found::find(CASSANDRA_VARIABLE, start, Cassandra::contact_points)
}

fn find_etcd() -> Result<Found<Etcd>, StartError> {
    Found::find(
        ETCD_VARIABLE,
        || Etcd::start(&EtcdOptions::default()),
        Etcd::endpoint,
    )
}

/// All three, those that the environment does not name started for as long as this lives.
#[derive(Debug)]
pub struct Available {
    kafka: Found<Kafka>,
    cassandra: Found<Cassandra>,
    etcd: Found<Etcd>,
}

impl Available {
    /// Finds or starts them, at the same time.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn find() -> Result<Available, StartError> {
        thread::scope(|scope| {
            let kafka = scope.spawn(find_kafka);
            let cassandra = scope.spawn(find_cassandra);
            let etcd = find_etcd();
            let kafka = kafka.join().unwrap_or_else(|panic| resume_unwind(panic));
            let cassandra = cassandra
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic));
            Ok(Available {
                kafka: kafka?,
                cassandra: cassandra?,
                etcd: etcd?,
            })
        })
    }

    /// Those that were started, not those that the environment names.
    pub fn own_servers(&self) -> Vec<&Server> {
        let kafka = self.kafka.own.iter().flat_map(Kafka::brokers);
        let cassandra = self.cassandra.own.iter().flat_map(Cassandra::nodes);
        kafka
            .chain(cassandra)
            .chain(self.etcd.own.iter().map(Etcd::server))
            .collect()
    }

    /// Where they take requests.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints {
            kafka: self.kafka.endpoint.clone(),
            cassandra: self.cassandra.endpoint.clone(),
            etcd: self.etcd.endpoint.clone(),
        }
    }
}

/// Kafka's bootstrap servers, `host:port,…`.
///
/// # Panics
/// When the environment names none and none can be started; the message says why.
pub fn kafka() -> &'static str {
    static KAFKA: LazyLock<Result<Found<Kafka>, StartError>> = LazyLock::new(find_kafka);
    endpoint(&KAFKA)
}

/// Cassandra's contact points, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn cassandra() -> &'static str {
    static CASSANDRA: LazyLock<Result<Found<Cassandra>, StartError>> =
        LazyLock::new(find_cassandra);
    endpoint(&CASSANDRA)
}

/// etcd's endpoints, `host:port,…`.
///
/// # Panics
/// As [`kafka`].
pub fn etcd() -> &'static str {
    static ETCD: LazyLock<Result<Found<Etcd>, StartError>> = LazyLock::new(find_etcd);
    endpoint(&ETCD)
}

/// All three, those that have to be started at the same time.
///
/// # Panics
/// As [`kafka`].
pub fn endpoints() -> Endpoints {
    thread::scope(|scope| {
        let others = [scope.spawn(kafka), scope.spawn(cassandra)];
        let etcd = etcd().to_owned();
        let [kafka, cassandra] = others.map(|other| {
            other
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
                .to_owned()
        });
        Endpoints {
            kafka,
            cassandra,
            etcd,
        }
    })
}

fn endpoint<S>(found: &'static Result<Found<S>, StartError>) -> &'static str {
    match found {
        Ok(found) => &found.endpoint,
        Err(error) => panic!("{}", with_causes(error)),
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
