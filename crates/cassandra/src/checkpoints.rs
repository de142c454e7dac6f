//! Copies of checkpoints, for operators and for a region that adopts another.
//!
//! The truth is the log's compacted topic. A copy is a row of its own, named by epoch and tick, so
//! a stale owner cannot replace a newer one; the newest is read first. Copies expire: who writes
//! them repeats the last one once a day.

use minutehand_model::{Checkpoint, PartitionId, Timestamp, time};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_record::checkpoint;
use scylla::value::CqlTimestamp;

use crate::clock;
use crate::error::failed;
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;

/// How long a copy is kept, in seconds: 30 days.
const COPY_TTL_SECONDS: i32 = (30 * time::DAY_MS / time::SECOND_MS) as i32;

/// A copy of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointCopy {
    /// When it was copied.
    pub copied_at: Timestamp,
    /// What was copied.
    pub checkpoint: Checkpoint,
}

impl CassandraTimetable {
    /// Keeps a copy of a partition's checkpoint for 30 days. Copying it again renews it.
    ///
    /// # Errors
    /// A cluster that does not answer, or refuses.
    pub async fn copy_checkpoint(
        &self,
        partition: PartitionId,
        copied: &Checkpoint,
    ) -> Result<(), PortError> {
        let action = format!("copy the checkpoint of partition {partition}");
        let values = (
            &self.region,
            number(partition),
            copied.epoch.0 as i64,
            copied.tick as i64,
            cql(clock::now()),
            copied.applied.bits() as i64,
            copied.replay_from.bits() as i64,
            cql(copied.frontier.head.due),
            checkpoint::encode(copied),
            COPY_TTL_SECONDS,
        );
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_checkpoint, values)
            .await;
        answer.map(drop).map_err(|error| failed(&action, error))
    }

    /// The newest copy of a checkpoint of any region's partition: of the highest epoch, the highest
    /// tick.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses, or a copy that cannot be understood.
    pub async fn checkpoint_copy(
        &self,
        region: &str,
        partition: PartitionId,
    ) -> Result<Option<CheckpointCopy>, PortError> {
        let action =
            format!("read the copied checkpoint of partition {partition} of region {region}");
        let values = (region, number(partition));
        let answer = self
            .session
            .execute_unpaged(&self.statements.read_checkpoint, values)
            .await;
        let rows = answer.map_err(|error| failed(&action, error))?;
        let rows = rows
            .into_rows_result()
            .map_err(|error| failed(&action, error))?;
        let mut rows = rows
            .rows::<(Option<CqlTimestamp>, Option<&[u8]>)>()
            .map_err(|error| failed(&action, error))?;
        let Some(row) = rows.next() else {
            return Ok(None);
        };
        let (copied_at, content) = row.map_err(|error| failed(&action, error))?;
        let content = content.unwrap_or_default().to_vec().into();
        let checkpoint = checkpoint::decode(&content)
            .map_err(|error| PortError::new(ErrorClass::Fatal, &action, error.to_string()))?;
        let copied_at = Timestamp::from_millis(copied_at.map_or(0, |at| at.0));
        Ok(Some(CheckpointCopy {
            copied_at,
            checkpoint,
        }))
    }
}
