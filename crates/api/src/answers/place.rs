//! Partitions and log offsets: a number, or two with a slash between them.

use std::fmt;

use minutehand_model::{LogGeneration, LogOffset, PartitionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A log offset: the position in the partition's first log, or `generation/position` in a later
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Offset {
    /// In the first log.
    Position(u64),
    /// In a later one.
    Later(String),
}

impl From<LogOffset> for Offset {
    fn from(offset: LogOffset) -> Offset {
        match offset.generation() {
            LogGeneration::FIRST => Offset::Position(offset.position()),
            _ => Offset::Later(offset.to_string()),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offset::Position(position) => position.fmt(f),
            Offset::Later(text) => text.fmt(f),
        }
    }
}

/// A partition: its number, or `region/number` of one that another region is home to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PartitionNumber {
    /// Of the own region.
    Own(u32),
    /// Of another region.
    Foreign(String),
}

impl From<PartitionId> for PartitionNumber {
    fn from(partition: PartitionId) -> PartitionNumber {
        match partition.region() {
            0 => PartitionNumber::Own(partition.number()),
            _ => PartitionNumber::Foreign(partition.to_string()),
        }
    }
}

impl fmt::Display for PartitionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionNumber::Own(number) => number.fmt(f),
            PartitionNumber::Foreign(text) => text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn one_region_and_one_log_are_shown_as_numbers() {
        let later = LogOffset::of_log(LogGeneration::new(2).unwrap(), 17).unwrap();
        assert_eq!(text(&Offset::from(LogOffset::at(17))), "17");
        assert_eq!(text(&Offset::from(later)), r#""2/17""#);
        assert_eq!(text(&PartitionNumber::from(PartitionId::own(3))), "3");
        assert_eq!(
            text(&PartitionNumber::from(
                PartitionId::of_region(1, 3).unwrap()
            )),
            r#""1/3""#
        );
    }
}
