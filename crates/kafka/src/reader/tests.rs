//! A reader that dies, on a real broker.

use std::time::Duration;

use minutehand_ports::CommandLog;
use rdkafka::error::RDKafkaErrorCode;

use super::*;
use crate::log::KafkaLog;
use crate::tests::queue_topic;

/// What a reader dies of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Error,
    Panic,
}

impl Worker {
    pub(super) fn meet_fault(&self) -> KafkaResult<()> {
        let fault = self.shared.state().fault.take();
        match fault {
            None => Ok(()),
            Some(Fault::Error) => Err(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown)),
            Some(Fault::Panic) => panic!("a reader that is to panic"),
        }
    }
}

/// Longest that a broker may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_when_its_reader_dies() {
    let (client, _) = queue_topic("reader-dies").await;
    let partition = PartitionId::own(0);
    let log = KafkaLog::new(Arc::clone(&client));
    let reader = Reader::new(client, partition);
    let mut end = reader.watch_end();
    for fault in [Fault::Error, Fault::Panic, Fault::Error] {
        let before = log.bounds(partition).await.unwrap().end;
        reader.shared.state().fault = Some(fault);
        let told = async {
            loop {
                let news = reader.shared.news.notified();
                if reader.shared.state().fault.is_none() {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("it dies");
        log.append(partition, vec!["a record".into()])
            .await
            .unwrap();
        let grew = end.wait_for(|end| *end > before);
        let grew = tokio::time::timeout(PATIENCE, grew).await;
        grew.unwrap_or_else(|_| panic!("no news after {fault:?}"))
            .expect("the watch goes on");
    }
    let batch = log
        .read(partition, LogOffset::START, 1 << 20)
        .await
        .unwrap();
    assert_eq!(batch.records.len(), 3);
    let mut next = reader.read(LogOffset::START, 1 << 20).await;
    if next.is_err() {
        next = reader.read(LogOffset::START, 1 << 20).await;
    }
    assert_eq!(next.unwrap().records.len(), 3, "whoever reads goes on too");
}
