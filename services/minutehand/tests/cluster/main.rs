//! The roles of a cluster as processes, on real Kafka, Cassandra and etcd.

mod producers;
mod runs;
mod schema;
mod start;
mod support;
