//! Records that operators have passed over.

use std::ops::RangeInclusive;

use minutehand_model::limits::{REASON_BYTES_MAX, SKIP_OFFSETS_MAX};
use minutehand_model::{LogOffset, PartitionId};

use super::{Gateway, InvalidField, QueryError, Unavailable};

impl Gateway {
    /// Has records of a partition's log passed over, by their positions in it: see
    /// `CommandLog::skip`.
    ///
    /// # Errors
    /// When there is no such partition or record, and when the log does not do it.
    pub async fn skip(
        &self,
        partition: u32,
        positions: RangeInclusive<u64>,
        reason: &str,
    ) -> Result<PartitionId, QueryError> {
        let count = self.partitions_count();
        if partition >= count {
            let limit = format!("0 to {}", count.saturating_sub(1));
            return Err(InvalidField::new("partition", "does not exist", limit, partition).into());
        }
        if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
            let limit = format!("1 to {REASON_BYTES_MAX} bytes");
            let given = format!("{} bytes", reason.len());
            return Err(
                InvalidField::new("reason", "has not the right length", limit, given).into(),
            );
        }
        let (first, last) = positions.into_inner();
        if first > last || last - first >= SKIP_OFFSETS_MAX {
            let limit = format!("offset, or up to {SKIP_OFFSETS_MAX} records from it on");
            return Err(InvalidField::new("through", "is not accepted", limit, last).into());
        }
        let partition = PartitionId::own(partition);
        let bounds = self
            .stores
            .log
            .bounds(partition)
            .await
            .map_err(Unavailable::from)?;
        let offset = |position| LogOffset::of_log(bounds.end.generation(), position);
        let ends = offset(first).zip(offset(last));
        let Some((first, last)) =
            ends.filter(|(first, last)| *first >= bounds.start && *last < bounds.end)
        else {
            let limit = format!("{} to {}, the last not included", bounds.start, bounds.end);
            return Err(InvalidField::new(
                "offset",
                "is not in the log",
                limit,
                format!("{first} to {last}"),
            )
            .into());
        };
        self.stores
            .log
            .skip(partition, first..=last, reason)
            .await
            .map_err(Unavailable::from)?;
        tracing::warn!(%partition, %first, %last, reason, "records are passed over from now on, as an operator asked");
        Ok(partition)
    }
}
