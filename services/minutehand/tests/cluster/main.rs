//! The roles of a cluster as processes, on real Kafka, Cassandra and etcd.

mod bad_input;
mod hostile;
mod leases;
mod load;
mod producers;
mod runs;
mod schema;
mod start;
mod support;
