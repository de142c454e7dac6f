//! The servers of a cluster, waited for at the start.

use std::sync::Arc;
use std::time::Duration;

use minutehand_cli::Failure;
use minutehand_etcd::StartError;
use minutehand_kafka::{BrokerClock, Client};
use minutehand_ports::{Connected, ErrorClass, StoreDescription, TimetableStore};

use super::failure;
use super::waiting::{Server, Waiting};
use crate::settings::Settings;

fn server(name: &'static str, endpoints: &[String]) -> Server {
    Server {
        name,
        endpoints: endpoints.to_vec(),
    }
}

/// Kafka, with its topics as they must be.
pub(super) async fn kafka(
    waiting: &Waiting,
    settings: &Settings,
    client: &Client,
) -> Result<(), Failure> {
    let check = || async {
        client
            .check_topics()
            .await
            .map_err(|error| failure::store(&error))
    };
    waiting
        .until(server("Kafka", &settings.kafka.brokers), check)
        .await
}

/// The brokers' clock, and ours near enough to it.
pub(super) async fn clock(
    waiting: &Waiting,
    settings: &Settings,
    clock: &Arc<BrokerClock>,
) -> Result<(), Failure> {
    let compare = || async {
        clock
            .compare()
            .await
            .map_err(|error| failure::store(&error))
    };
    waiting
        .until(server("Kafka", &settings.kafka.brokers), compare)
        .await
}

/// How often a scheduler compares its clock with the brokers', whether or not it owns anything:
/// what it owns is compared at every tick as well.
const CLOCK_LOOK: Duration = Duration::from_secs(15);

/// Waits until this machine's clock is too far from the brokers' to own anything by it; what is
/// wrong.
pub(super) async fn clock_goes_wrong(clock: &Arc<BrokerClock>) -> String {
    loop {
        tokio::time::sleep(CLOCK_LOOK).await;
        match clock.compare().await {
            Err(error) if error.class == ErrorClass::Fatal => return error.to_string(),
            Err(error) => tracing::debug!(error = %error, "could not compare clocks"),
            Ok(()) => {}
        }
    }
}

/// The store of the timetable, with what lies there as it must be.
pub(super) async fn timetable(
    waiting: &Waiting,
    store: &dyn TimetableStore,
) -> Result<Connected, Failure> {
    let StoreDescription {
        name, endpoints, ..
    } = store.describe();
    let connect = || async {
        let connected = store.connect().await;
        connected.map_err(|error| failure::timetable(&error))
    };
    waiting.until(server(name, &endpoints), connect).await
}

/// etcd, by whatever is to be begun there.
pub(super) async fn etcd<T, F>(
    waiting: &Waiting,
    settings: &Settings,
    begin: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, StartError>> + Send,
{
    let begin = || {
        let begun = begin();
        async move { begun.await.map_err(|error| failure::etcd(&error)) }
    };
    waiting
        .until(server("etcd", &settings.etcd.endpoints), begin)
        .await
}
