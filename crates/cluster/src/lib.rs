//! The roles of a cluster, assembled: what a scheduler, a gateway and a worker are made of when log,
//! ticks, queues and history are Kafka's, the timetable is in a store of its own and etcd says who
//! owns what.
//!
//! A program reads the settings ([`Config`]), listens, and begins a role on its [`Servers`]:
//! [`Scheduler`], [`Callers`] or [`Queues`]. Each waits for the servers that it works with.

mod callers;
mod config;
mod error;
mod health;
mod queues;
mod scheduler;
mod schema;
mod servers;
mod timetable;
mod waiting;

pub use callers::Callers;
pub use config::Config;
pub use error::StartError;
/// What is said of etcd's and Kafka's settings, and who a scheduler is.
pub use minutehand_etcd::{EtcdConfig, MemberConfig};
/// The adapter itself is for whoever speaks to the topics beside the roles, as tests do.
pub use minutehand_kafka::{self as kafka, KafkaConfig};
/// How the processes of a cluster reach each other.
pub use minutehand_peers::{LeasePeers, PeerToken, RemoteConfig};
pub use queues::Queues;
pub use scheduler::{Ended, Scheduler, Standing};
pub use schema::SchemaPart;
pub use servers::Servers;
pub use timetable::{CassandraConfig, TimetableConfig, TimetableKind};
pub use waiting::Waiting;
