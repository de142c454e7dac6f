//! Partitions whose owners stop for good: how long each is left alone, and what is told meanwhile.
//!
//! A partition that stopped stays this node's while it is left alone, so that its reason can be
//! seen and what it fell over does not go round the cluster. After some panics in a row it is not
//! tried again by itself: neither the log nor the store changes by waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use minutehand_model::{LogOffset, PartitionId};

/// Pause before a partition that stopped for good while others here go on is tried again: by then
/// an operator may have acted.
pub(super) const STOPPED_AGAIN: Duration = Duration::from_secs(30);

/// Panics in a row after which a partition is not tried again by itself.
pub(super) const PANICS_MAX: u32 = 3;

/// An owner that worked for so long before it panicked has got past what its predecessor fell over.
const STEADY: Duration = Duration::from_secs(600);

/// How long a partition is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Not at all.
    Now,
    /// For [`STOPPED_AGAIN`].
    LaterOn,
    /// Until the record at this offset is to be passed over, or the process starts anew.
    Skipped(LogOffset),
}

/// Panics in a row, by partition.
#[derive(Debug, Default)]
pub(super) struct Panics(BTreeMap<PartitionId, u32>);

impl Panics {
    /// One more, of an owner that had worked for a while: how many there are in a row.
    pub(super) fn count(&mut self, partition: PartitionId, worked_for: Duration) -> u32 {
        let count = self.0.entry(partition).or_default();
        *count = if worked_for < STEADY {
            count.saturating_add(1)
        } else {
            1
        };
        *count
    }

    /// Somebody has acted: the next panic is the first again.
    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.0.remove(&partition);
    }
}

/// How long a partition is left alone after so many panics in a row, the last while A stood at an
/// offset.
pub(super) fn until(panics_in_row: u32, at: LogOffset) -> Until {
    if panics_in_row < PANICS_MAX {
        Until::LaterOn
    } else {
        Until::Skipped(at)
    }
}

/// What operators are told of a panic.
pub(super) fn told(
    partition: PartitionId,
    at: LogOffset,
    panics_in_row: u32,
    said: &str,
) -> String {
    let position = at.position();
    let tried = match until(panics_in_row, at) {
        Until::Now | Until::LaterOn => {
            format!("it is tried again in {} s", STOPPED_AGAIN.as_secs())
        }
        Until::Skipped(_) => "it is not tried again by itself".to_owned(),
    };
    format!(
        "its owner panicked {panics_in_row} times in a row, the last time with the log applied up to offset {at}: {said}; {tried}. \
         When it is the record there, pass it over: minutehand partition skip {partition} --offset {position} --reason TEXT. \
         Else it is a row of the store or a fault of this release: keep the log of this process for a report, \
         and restart it when the cause is gone"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: PartitionId = PartitionId::own(3);
    const AT: LogOffset = LogOffset::at(17);

    #[test]
    fn panics_in_a_row_end_in_quarantine() {
        let mut panics = Panics::default();
        let mut after = |worked_for| until(panics.count(PARTITION, worked_for), AT);
        let brief = Duration::from_secs(1);
        assert_eq!(
            [brief; 3].map(&mut after),
            [Until::LaterOn, Until::LaterOn, Until::Skipped(AT)]
        );
        assert_eq!(
            after(STEADY),
            Until::LaterOn,
            "it has worked for long since"
        );
    }

    #[test]
    fn the_reason_says_what_to_do() {
        let told = told(PARTITION, AT, PANICS_MAX, "index out of bounds");
        assert!(told.contains("index out of bounds"), "{told}");
        assert!(
            told.contains("minutehand partition skip 3 --offset 17 "),
            "{told}"
        );
        assert!(told.contains("not tried again by itself"), "{told}");
    }
}
