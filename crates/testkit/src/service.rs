//! The kinds of servers that tests use. One more of them is a variant here, and a file beside
//! `kafka.rs`: whatever starts, finds or names servers goes by this list.

use std::fmt;

use crate::server::Server;
use crate::site::{Site, StartError};
use crate::size::Size;
use crate::{Cassandra, CassandraOptions, Etcd, EtcdOptions, Kafka, KafkaOptions};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Apache Kafka.
    Kafka,
    /// Apache Cassandra.
    Cassandra,
    /// etcd.
    Etcd,
}

/// One that runs: a server, or several that are one.
pub(crate) trait Running: fmt::Debug + Send + Sync {
    /// Where clients begin: `host:port`, several of them with commas between.
    fn endpoint(&self) -> String;

    /// Its processes.
    fn servers(&self) -> Vec<&Server>;
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 3] = [Service::Kafka, Service::Cassandra, Service::Etcd];

    /// Its name, in folders and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Kafka => "kafka",
            Service::Cassandra => "cassandra",
            Service::Etcd => "etcd",
        }
    }

    /// The variable of the environment that says where one is.
    pub const fn variable(self) -> &'static str {
        match self {
            Service::Kafka => "MINUTEHAND_KAFKA",
            Service::Cassandra => "MINUTEHAND_CASSANDRA",
            Service::Etcd => "MINUTEHAND_ETCD",
        }
    }

    /// Starts one of its own, and waits until it is ready.
    pub(crate) fn start_at(self, site: Site, size: Size) -> Result<Box<dyn Running>, StartError> {
        Ok(match self {
            Service::Kafka => {
                let options = KafkaOptions {
                    brokers: size.brokers,
                    ..KafkaOptions::default()
                };
                Box::new(Kafka::start_at(site, &options)?)
            }
            Service::Cassandra => {
                let options = CassandraOptions {
                    nodes: size.cassandra_nodes,
                    datacenters: size.datacenters,
                    ..CassandraOptions::default()
                };
                Box::new(Cassandra::start_at(site, &options)?)
            }
            Service::Etcd => Box::new(Etcd::start_at(site, &EtcdOptions::default())?),
        })
    }
}

impl Running for Kafka {
    fn endpoint(&self) -> String {
        self.bootstrap()
    }

    fn servers(&self) -> Vec<&Server> {
        self.brokers().iter().collect()
    }
}

impl Running for Cassandra {
    fn endpoint(&self) -> String {
        self.contact_points()
    }

    fn servers(&self) -> Vec<&Server> {
        self.nodes().iter().collect()
    }
}

impl Running for Etcd {
    fn endpoint(&self) -> String {
        Etcd::endpoint(self)
    }

    fn servers(&self) -> Vec<&Server> {
        vec![self.server()]
    }
}
