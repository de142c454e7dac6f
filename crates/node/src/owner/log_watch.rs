//! News of a log's growth, from a watch that is taken up anew whenever it ends.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::CommandLog;
use tokio::sync::watch;
use tokio::time::Instant;

/// Pause before a watch that has ended is taken up anew: a log that cannot watch at the moment is
/// not asked all the time.
const WATCH_AGAIN: Duration = Duration::from_millis(500);

/// The end of a partition's log, as its reader tells it. When the reader dies its successor tells
/// it through another watch.
pub(super) struct LogWatch {
    log: Arc<dyn CommandLog>,
    partition: PartitionId,
    end: watch::Receiver<LogOffset>,
    /// When the watch is taken up anew, if it has ended.
    again_at: Option<Instant>,
}

impl LogWatch {
    pub(super) fn new(log: Arc<dyn CommandLog>, partition: PartitionId) -> LogWatch {
        let end = log.watch_end(partition);
        LogWatch {
            log,
            partition,
            end,
            again_at: None,
        }
    }

    /// The end of the log as it was told last.
    pub(super) fn end(&mut self) -> LogOffset {
        *self.end.borrow_and_update()
    }

    /// The new end, if it was told and not taken yet.
    pub(super) fn news(&mut self) -> Option<LogOffset> {
        self.end.has_changed().unwrap_or(false).then(|| self.end())
    }

    /// Waits for news. Giving up waiting loses none.
    pub(super) async fn grew(&mut self) -> LogOffset {
        if self.again_at.is_none() && self.end.changed().await.is_ok() {
            return self.end();
        }
        let again_at = *self
            .again_at
            .get_or_insert_with(|| Instant::now() + WATCH_AGAIN);
        tokio::time::sleep_until(again_at).await;
        tracing::debug!(partition = %self.partition, "the watch on the log has ended and is taken up anew");
        self.again_at = None;
        self.end = self.log.watch_end(self.partition);
        self.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use minutehand_ports::{Appended, LogBatch, LogBounds, PortError};

    use super::*;

    /// A log whose readers are known from the start.
    struct Readers(Mutex<Vec<watch::Receiver<LogOffset>>>);

    #[async_trait]
    impl CommandLog for Readers {
        async fn append(&self, _: PartitionId, _: Vec<Bytes>) -> Result<Appended, PortError> {
            unreachable!("nothing is appended")
        }

        async fn read(
            &self,
            _: PartitionId,
            _: LogOffset,
            _: usize,
        ) -> Result<LogBatch, PortError> {
            unreachable!("nothing is read")
        }

        async fn bounds(&self, _: PartitionId) -> Result<LogBounds, PortError> {
            unreachable!("nobody asks for the bounds")
        }

        fn watch_end(&self, _: PartitionId) -> watch::Receiver<LogOffset> {
            self.0.lock().unwrap().remove(0)
        }

        async fn truncate(&self, _: PartitionId, _: LogOffset) -> Result<(), PortError> {
            unreachable!("nothing is truncated")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_a_reader_dies_its_successor_is_listened_to() {
        let (first, first_end) = watch::channel(LogOffset::default());
        let (second, second_end) = watch::channel(LogOffset::default());
        let log = Arc::new(Readers(Mutex::new(vec![first_end, second_end])));
        let mut watch = LogWatch::new(log, PartitionId::default());
        first.send_replace(LogOffset::MAX);
        assert_eq!(watch.grew().await, LogOffset::MAX);
        drop(first);
        assert_eq!(watch.news(), None);
        assert_eq!(
            watch.grew().await,
            LogOffset::default(),
            "what the new reader says at once"
        );
        second.send_replace(LogOffset::MAX);
        assert_eq!(watch.news(), Some(LogOffset::MAX));
    }
}
