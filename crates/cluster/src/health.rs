//! Whether the stores answer, asked once a second for readiness.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::PartitionId;
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{CommandLog, ExecutionQueue, PortError, Timetable};
use tokio::sync::watch;
use tokio::time::timeout;

/// Pause between two questions.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A store that has not answered for so long does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Something whose health can be asked.
#[async_trait]
pub(crate) trait Probe: Send + Sync {
    /// What it is called in a sentence.
    fn name(&self) -> &'static str;

    /// A question that costs little.
    async fn ask(&self) -> Result<(), PortError>;
}

/// Kafka, by the bounds of one log.
struct LogProbe(Arc<dyn CommandLog>);

#[async_trait]
impl Probe for LogProbe {
    fn name(&self) -> &'static str {
        "Kafka"
    }

    async fn ask(&self) -> Result<(), PortError> {
        self.0.bounds(PartitionId::own(0)).await.map(drop)
    }
}

/// Kafka, by its queues.
pub(crate) struct QueueProbe(pub(crate) Arc<dyn ExecutionQueue>);

#[async_trait]
impl Probe for QueueProbe {
    fn name(&self) -> &'static str {
        "Kafka"
    }

    async fn ask(&self) -> Result<(), PortError> {
        self.0.queues().await.map(drop)
    }
}

/// The store of the timetable, by its own question.
struct TimetableProbe {
    /// The store's name.
    name: &'static str,
    timetable: Arc<dyn Timetable>,
}

#[async_trait]
impl Probe for TimetableProbe {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn ask(&self) -> Result<(), PortError> {
        self.timetable.probe(SystemClock.now()).await
    }
}

/// Asks the log and the timetable, which has a name, for as long as somebody listens: what does not
/// answer, in words.
pub(crate) fn watch(
    log: Arc<dyn CommandLog>,
    (name, timetable): (&'static str, Arc<dyn Timetable>),
) -> watch::Receiver<Vec<String>> {
    watch_stores(vec![
        Box::new(LogProbe(log)),
        Box::new(TimetableProbe { name, timetable }),
    ])
}

/// Asks for as long as somebody listens: what does not answer, in words.
pub(crate) fn watch_stores(probes: Vec<Box<dyn Probe>>) -> watch::Receiver<Vec<String>> {
    let (tell, troubles) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while !tell.is_closed() {
            let mut found = Vec::new();
            for probe in &probes {
                match timeout(ANSWER_TIMEOUT, probe.ask()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        found.push(format!("{} does not answer: {error}", probe.name()))
                    }
                    Err(_) => found.push(format!("{} does not answer", probe.name())),
                }
            }
            let has_changed = |known: &mut Vec<String>| {
                let is_news = *known != found;
                if is_news {
                    match found.is_empty() {
                        true => tracing::info!("every store answers again"),
                        false => {
                            tracing::warn!(troubles = found.join("; "), "a store does not answer")
                        }
                    }
                    known.clone_from(&found);
                }
                is_news
            };
            tell.send_if_modified(has_changed);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    });
    troubles
}
