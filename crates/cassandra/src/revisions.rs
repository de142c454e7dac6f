//! Revisions of schedules: a row each, by the offset of its record, without expiry; those of
//! deleted schedules are deleted in the end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt, stream};
use minutehand_model::{LogOffset, PartitionId, Revision, RevisionEntry};
use minutehand_ports::PortError;
use minutehand_record::revision;

use crate::error::failed;
use crate::pages::{each, fetch_all};
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;

/// Rows of one page.
const REVISIONS_PER_PAGE: i32 = 1_000;

impl CassandraTimetable {
    pub(crate) async fn append_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        let action = format!(
            "write {} revisions of partition {partition}",
            revisions.len()
        );
        stream::iter(revisions)
            .map(Ok)
            .try_for_each_concurrent(self.writes_in_flight_max, |entry| {
                self.append_revision(partition, entry, &action)
            })
            .await
    }

    async fn append_revision(
        &self,
        partition: PartitionId,
        entry: RevisionEntry,
        action: &str,
    ) -> Result<(), PortError> {
        let _permit = self.writes.acquire().await;
        let revision = &entry.revision;
        let values = (
            &self.region,
            number(partition),
            entry.offset.bits() as i64,
            revision.namespace.as_str(),
            revision.schedule.as_str(),
            revision.number as i64,
            &revision.author,
            &revision.note,
            cql(entry.appended_at),
            revision::encode(&entry),
        );
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_revision, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }

    /// Deletes revisions, the newest last: without the others it says only that a schedule is gone.
    pub(crate) async fn delete_revisions(
        &self,
        partition: PartitionId,
        offsets: &[LogOffset],
    ) -> Result<(), PortError> {
        let action = format!(
            "forget {} revisions of partition {partition}",
            offsets.len()
        );
        for offset in offsets {
            let _permit = self.writes.acquire().await;
            let values = (&self.region, number(partition), offset.bits() as i64);
            let answer = self
                .session
                .execute_unpaged(&self.statements.delete_revision, values)
                .await;
            answer.map_err(|error| failed(&action, error))?;
        }
        Ok(())
    }

    /// All that are asked for. A revision that cannot be understood is passed over and told of:
    /// where it was the newest of its schedule, the one before it is in force, though it may have
    /// been a deletion.
    pub(crate) async fn revisions(
        &self,
        partition: PartitionId,
        is_asked_for: impl Fn(&Revision) -> bool + Send + Sync,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let action = format!("read the revisions of partition {partition}");
        let mut found: BTreeMap<LogOffset, RevisionEntry> = BTreeMap::new();
        let values = (&self.region, number(partition));
        let statement = &self.statements.read_revisions;
        let mut take = |(offset, content): (i64, Option<&[u8]>)| {
            match revision::decode(&content.unwrap_or_default().to_vec().into()) {
                Ok(entry) if is_asked_for(&entry.revision) => {
                    found.insert(entry.offset, entry);
                }
                Ok(_) => {}
                Err(error) => {
                    let position = format!("revision of partition {partition} at offset {offset}");
                    let reason = error.reason;
                    tracing::warn!(
                        position,
                        reason,
                        "a revision cannot be understood: an older one of its schedule may be in force"
                    );
                    self.damage.met();
                    self.damage_met.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        let rows_max = REVISIONS_PER_PAGE;
        fetch_all(self, statement, values, rows_max, &action, |rows| {
            each(rows, &action, &mut take)
        })
        .await?;
        Ok(found.into_values().collect())
    }
}
