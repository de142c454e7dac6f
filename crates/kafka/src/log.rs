//! The command log on the topic `commands`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::{Appended, CommandLog, ErrorClass, LogBatch, LogBounds, PortError};
use tokio::sync::watch;

use crate::append::Appender;
use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::reader::Reader;
use crate::skips::{self, Skips};

/// The command log of every partition. Readers work for those that are read or watched, and rest
/// when nobody watches them any more.
pub struct KafkaLog {
    client: Arc<Client>,
    appender: Appender,
    readers: Mutex<HashMap<PartitionId, Arc<Reader>>>,
}

impl KafkaLog {
    /// The log of a cluster.
    pub fn new(client: Arc<Client>) -> KafkaLog {
        let appender = Appender::new(Arc::clone(&client));
        KafkaLog {
            client,
            appender,
            readers: Mutex::default(),
        }
    }

    fn reader(&self, partition: PartitionId) -> Arc<Reader> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Reader::new(Arc::clone(&self.client), partition));
        Arc::clone(readers.entry(partition).or_insert_with(new))
    }
}

#[async_trait]
impl CommandLog for KafkaLog {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        self.appender.append(partition, records).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        self.reader(partition).read(from, bytes_max).await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        let client = Arc::clone(&self.client);
        blocking(move || {
            let action = format!("find the bounds of the log of partition {partition}");
            let topic = &client.names().commands;
            let marks = client
                .bounds(topic, partition)
                .map_err(|error| port_error(action, error))?;
            let offset = |position| client.config().command_offset(position);
            Ok(LogBounds {
                start: offset(marks.0),
                end: offset(marks.1),
            })
        })
        .await
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        self.reader(partition).watch_end()
    }

    /// Kafka forgets by the topic's retention: the log may keep more than it must. That it does not
    /// keep less is measured.
    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError> {
        self.reader(partition).replays_from(below);
        Ok(())
    }

    async fn skip(
        &self,
        partition: PartitionId,
        offsets: RangeInclusive<LogOffset>,
        reason: &str,
    ) -> Result<(), PortError> {
        let (client, reason) = (Arc::clone(&self.client), reason.to_owned());
        let log = client.config().log_generation;
        if offsets.start().generation() != log || offsets.end().generation() != log {
            let action = format!("have records of partition {partition} passed over");
            let reason = format!(
                "{} to {} are not in the log of generation {log}",
                offsets.start(),
                offsets.end()
            );
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let positions = offsets.start().position()..=offsets.end().position();
        blocking(move || skips::write(&client, partition, &positions, &reason)).await
    }

    async fn is_skipped(
        &self,
        partition: PartitionId,
        offset: LogOffset,
    ) -> Result<bool, PortError> {
        let client = Arc::clone(&self.client);
        if offset.generation() != client.config().log_generation {
            return Ok(false);
        }
        blocking(move || {
            let action = format!(
                "ask whether offset {offset} of partition {partition} is to be passed over"
            );
            let skips =
                Skips::read(&client, partition).map_err(|error| port_error(action, error))?;
            Ok(skips.at(offset.position()).is_some())
        })
        .await
    }
}
