//! The terms that all benchmarks of the cluster share: where tasks go, how large they are, and work
//! on threads of its own.

use std::sync::Arc;
use std::time::Duration;

use minutehand_kafka::Client;
use minutehand_model::QueueName;

use super::Failure;
use super::generator::{self, Load};

/// The queue that every benchmark publishes to.
pub fn queue() -> QueueName {
    QueueName::parse("bench").expect("a good name")
}

/// Bytes of every payload.
pub const PAYLOAD_BYTES: usize = 300;
/// How long the raw pipeline runs: as long as it takes for what it writes to reach the disk as
/// well.
pub const CEILING_LASTS: Duration = Duration::from_secs(30);
/// Work that blocks, beside what goes on here.
pub(crate) fn on_a_thread<T: Send + 'static, E: Into<Failure>>(
    client: &Arc<Client>,
    work: impl FnOnce(&Client) -> Result<T, E> + Send + 'static,
) -> tokio::task::JoinHandle<Result<T, Failure>> {
    let client = Arc::clone(client);
    tokio::task::spawn_blocking(move || work(&client).map_err(Into::into))
}

/// What came of it.
pub(crate) async fn joined<T>(
    handle: tokio::task::JoinHandle<Result<T, Failure>>,
) -> Result<T, Failure> {
    handle
        .await
        .map_err(|error| Failure::new(error.to_string()))?
}

/// Sends a whole load; answers how many tasks it was.
pub(crate) async fn send(client: &Arc<Client>, load: Load) -> Result<u64, Failure> {
    joined(on_a_thread(client, move |client| {
        generator::run(client, &load)
    }))
    .await
}
