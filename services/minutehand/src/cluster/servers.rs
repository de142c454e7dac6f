//! The servers of a cluster, waited for at the start.

use std::sync::Arc;

use minutehand_cassandra::{CassandraConfig, CassandraTimetable};
use minutehand_cli::Failure;
use minutehand_etcd::StartError;
use minutehand_kafka::Client;

use super::failure;
use super::settings::ClusterSettings;
use super::waiting::{Server, Waiting};

fn server(settings: &ClusterSettings, name: &'static str, endpoints: &str) -> Server {
    Server { name, endpoints: settings.list(endpoints) }
}

/// Kafka, with its topics as they must be.
pub(super) async fn kafka(
    waiting: &Waiting,
    settings: &ClusterSettings,
    client: &Client,
) -> Result<(), Failure> {
    let check = || async { client.check_topics().await.map_err(|error| failure::store(&error)) };
    waiting.until(server(settings, "Kafka", "kafka.brokers"), check).await
}

/// Cassandra, with its tables as they must be.
pub(super) async fn cassandra(
    waiting: &Waiting,
    settings: &ClusterSettings,
    config: &CassandraConfig,
) -> Result<Arc<CassandraTimetable>, Failure> {
    let connect =
        || async { CassandraTimetable::connect(config).await.map_err(|error| failure::cassandra(&error)) };
    waiting.until(server(settings, "Cassandra", "cassandra.contact_points"), connect).await
}

/// etcd, by whatever is to be begun there.
pub(super) async fn etcd<T, F>(
    waiting: &Waiting,
    settings: &ClusterSettings,
    begin: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, StartError>> + Send,
{
    let begin = || {
        let begun = begin();
        async move { begun.await.map_err(|error| failure::etcd(&error)) }
    };
    waiting.until(server(settings, "etcd", "etcd.endpoints"), begin).await
}
