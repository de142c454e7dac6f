//! What operators want passed over in a log: records that nobody can apply, whatever the reason.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{PoisonError, RwLock};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_model::{LogOffset, PartitionId};

use crate::keys;

/// Why records are passed over, by partition and offsets. Who reads a log asks here.
#[derive(Debug, Default)]
pub(crate) struct Skips(RwLock<BTreeMap<(PartitionId, LogOffset), Skip>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Skip {
    last: LogOffset,
    reason: String,
}

impl Skips {
    /// Takes a stored row in; `false` when it is none.
    pub(crate) fn load(&self, key: &[u8], value: &[u8]) -> bool {
        let row = keys::skip_of(key).zip(parse(value));
        let is_row = row.is_some();
        if let Some((at, skip)) = row {
            self.0
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(at, skip);
        }
        is_row
    }

    /// Takes in a row of ours.
    pub(crate) fn add(&self, key: &[u8], value: &[u8]) {
        let is_row = self.load(key, value);
        debug_assert!(is_row, "it was made by `row`");
    }

    /// Why the record at an offset is passed over, if it is.
    pub(crate) fn reason(&self, partition: PartitionId, offset: LogOffset) -> Option<String> {
        let skips = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let begun = skips
            .range((partition, LogOffset::START)..=(partition, offset))
            .rev();
        begun
            .map(|(_, skip)| skip)
            .find(|skip| offset <= skip.last)
            .map(|skip| skip.reason.clone())
    }

    /// Forgets what lies below the start of a partition's log; the keys of the rows.
    pub(crate) fn forget(&self, partition: PartitionId, below: LogOffset) -> Vec<Vec<u8>> {
        let mut skips = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = skips
            .range((partition, LogOffset::START)..(partition, below))
            .filter(|(_, skip)| skip.last < below)
            .map(|(at, _)| *at)
            .collect();
        gone.iter().for_each(|at| drop(skips.remove(at)));
        gone.into_iter()
            .map(|(partition, first)| keys::skip(partition, first))
            .collect()
    }
}

/// The row of a skip.
pub(crate) fn row(
    partition: PartitionId,
    offsets: &RangeInclusive<LogOffset>,
    reason: &str,
) -> (Vec<u8>, Bytes) {
    let mut value = BytesMut::with_capacity(8 + reason.len());
    value.put_u64(offsets.end().bits());
    value.put_slice(reason.as_bytes());
    (keys::skip(partition, *offsets.start()), value.freeze())
}

fn parse(mut value: &[u8]) -> Option<Skip> {
    let last = LogOffset::from_bits(value.try_get_u64().ok()?)?;
    Some(Skip {
        last,
        reason: String::from_utf8_lossy(value).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_of_a_skip_has_its_reason() {
        let (skips, partition) = (Skips::default(), PartitionId::own(2));
        for (first, last, reason) in [(5, 9, "poison"), (7, 7, "more poison")] {
            let (key, value) = row(
                partition,
                &(LogOffset::at(first)..=LogOffset::at(last)),
                reason,
            );
            assert!(skips.load(&key, &value));
        }
        let at = |offset| skips.reason(partition, LogOffset::at(offset));
        let [poison, more] = ["poison", "more poison"].map(|reason| Some(reason.to_owned()));
        assert_eq!(
            [4, 5, 7, 8, 10].map(at),
            [None, poison.clone(), more, poison, None]
        );
        assert_eq!(skips.reason(PartitionId::own(1), LogOffset::at(7)), None);
        assert_eq!(
            skips.forget(partition, LogOffset::at(8)),
            [keys::skip(partition, LogOffset::at(7))]
        );
        assert!(skips.reason(partition, LogOffset::at(8)).is_some());
    }
}
