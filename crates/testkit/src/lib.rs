//! Real servers for tests and for cargo xtask up: Kafka, Cassandra and etcd as child processes on free ports.
