//! Real servers for tests and for cargo xtask up: Kafka, Cassandra and etcd as child processes on
//! free ports.
//!
//! Most tests want any Kafka, Cassandra or etcd: [`kafka`], [`cassandra`], [`etcd`] and
//! [`endpoints`] answer where one is, starting it where the environment names none. Tests that
//! break servers have their own, [`Kafka::start`] and so on, and each process of them is a
//! [`Server`] that can be killed, paused, denied disk space and started again. [`Proxy`] breaks
//! connections.
//!
//! [`Language`] makes clients of the API with other people's generators.
//!
//! What is fetched lies in a [`Cache`] outside the repository. No server outlives the process that
//! started it, except those of [`up`], which [`down`] stops.

mod cache;
mod cassandra;
mod cql;
mod detached;
mod endpoints;
mod etcd;
mod fetch;
mod full_disk;
mod generators;
mod health;
mod kafka;
mod ports;
mod prerequisites;
mod program;
mod programs;
mod proxy;
mod record;
mod security;
mod server;
mod servers;
mod service;
mod shared;
mod site;
mod size;
mod supervisor;

pub use cache::{CACHE_VARIABLE, Cache};
pub use cassandra::{Cassandra, CassandraOptions};
pub use detached::{UpError, down, up};
pub use endpoints::Endpoints;
pub use etcd::{Etcd, EtcdOptions};
pub use fetch::{CASSANDRA_VERSION, ETCD_VERSION, FetchError, KAFKA_VERSION};
pub use generators::Language;
pub use kafka::{Kafka, KafkaOptions};
pub use prerequisites::{InstallError, Missing, install, missing};
pub use program::Program;
pub use programs::java;
pub use proxy::Proxy;
pub use security::{CertificateError, Certificates, PASSWORD, USER};
pub use server::{Server, ServerError};
pub use servers::Servers;
pub use service::Service;
pub use shared::{Available, cassandra, endpoints, etcd, kafka, with_causes};
pub use site::StartError;
pub use size::{NODES_MAX, Size, SizeError};
