//! The servers of a cluster: opened from the settings, waited for at the start.

use std::sync::Arc;
use std::time::Duration;

use minutehand_kafka::{BrokerClock, Client};
use minutehand_ports::{Connected, ErrorClass, StoreDescription, TimetableStore};

use crate::config::Config;
use crate::error::StartError;
use crate::waiting::{Server, Waiting};

/// The servers of a cluster. Opened, none of them has been reached yet.
pub struct Servers {
    pub(crate) config: Config,
    pub(crate) kafka: Arc<Client>,
    pub(crate) timetable: Box<dyn TimetableStore>,
    waiting: Waiting,
}

impl Servers {
    /// The servers of checked settings; `waiting` tells which of them are waited for. To be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// When a driver refuses its settings.
    pub fn open(config: Config, waiting: Waiting) -> Result<Servers, StartError> {
        Ok(Servers {
            kafka: Client::new(config.kafka.clone())?,
            timetable: config.timetable.store(&config.cassandra),
            config,
            waiting,
        })
    }

    /// The store of the timetable, as people call it.
    pub fn timetable(&self) -> StoreDescription {
        self.timetable.describe()
    }

    /// Waits for Kafka, with its topics as they must be.
    pub(crate) async fn reach_kafka(&self) -> Result<(), StartError> {
        reach_kafka(&self.kafka, &self.waiting).await
    }

    /// Waits for the brokers' clock, and ours near enough to it.
    pub(crate) async fn reach_clock(&self, clock: &Arc<BrokerClock>) -> Result<(), StartError> {
        let compare = || async { Ok(clock.compare().await?) };
        self.waiting.until(kafka_of(&self.kafka), compare).await
    }

    /// Waits for the store of the timetable, with what lies there as it must be.
    pub(crate) async fn reach_timetable(&self) -> Result<Connected, StartError> {
        let StoreDescription {
            name, endpoints, ..
        } = self.timetable.describe();
        let endpoints = &endpoints;
        let connect = || async { Ok(self.timetable.connect().await?) };
        self.waiting
            .until(Server { name, endpoints }, connect)
            .await
    }

    /// Waits for etcd, by whatever is to be begun there.
    pub(crate) async fn reach_etcd<T, F>(&self, begin: impl Fn() -> F) -> Result<T, StartError>
    where
        F: Future<Output = Result<T, minutehand_etcd::StartError>> + Send,
    {
        let server = Server {
            name: "etcd",
            endpoints: &self.config.etcd.endpoints,
        };
        let begin = || {
            let begun = begin();
            async move { Ok(begun.await?) }
        };
        self.waiting.until(server, begin).await
    }
}

/// Waits for Kafka, with its topics as they must be.
pub(crate) async fn reach_kafka(client: &Client, waiting: &Waiting) -> Result<(), StartError> {
    let check = || async { Ok(client.check_topics().await?) };
    waiting.until(kafka_of(client), check).await
}

fn kafka_of(client: &Client) -> Server<'_> {
    Server {
        name: "Kafka",
        endpoints: &client.config().brokers,
    }
}

/// How often a scheduler compares its clock with the brokers', whether or not it owns anything:
/// what it owns is compared at every tick as well.
const CLOCK_LOOK: Duration = Duration::from_secs(15);

/// Waits until this machine's clock is too far from the brokers' to own anything by it; what is
/// wrong.
pub(crate) async fn clock_goes_wrong(clock: &Arc<BrokerClock>) -> String {
    loop {
        tokio::time::sleep(CLOCK_LOOK).await;
        match clock.compare().await {
            Err(error) if error.class == ErrorClass::Fatal => return error.to_string(),
            Err(error) => tracing::debug!(error = %error, "could not compare clocks"),
            Ok(()) => {}
        }
    }
}
