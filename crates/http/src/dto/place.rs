//! Partitions and log offsets as callers get to see them: a number, or two with a slash between them.

use minutehand_model::{LogGeneration, LogOffset, PartitionId};
use serde::Serialize;
use utoipa::ToSchema;

/// A log offset: the position in the partition's first log, or `generation/position` in a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OffsetDto {
    /// In the first log.
    Position(u64),
    /// In a later one.
    Later(String),
}

impl From<LogOffset> for OffsetDto {
    fn from(offset: LogOffset) -> OffsetDto {
        match offset.generation() {
            LogGeneration::FIRST => OffsetDto::Position(offset.position()),
            _ => OffsetDto::Later(offset.to_string()),
        }
    }
}

/// A partition: its number, or `region/number` of one that another region is home to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PartitionNumberDto {
    /// Of the own region.
    Own(u32),
    /// Of another region.
    Foreign(String),
}

impl From<PartitionId> for PartitionNumberDto {
    fn from(partition: PartitionId) -> PartitionNumberDto {
        match partition.region() {
            0 => PartitionNumberDto::Own(partition.number()),
            _ => PartitionNumberDto::Foreign(partition.to_string()),
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
        assert_eq!(text(&OffsetDto::from(LogOffset::at(17))), "17");
        assert_eq!(text(&OffsetDto::from(later)), r#""2/17""#);
        assert_eq!(text(&PartitionNumberDto::from(PartitionId::own(3))), "3");
        assert_eq!(text(&PartitionNumberDto::from(PartitionId::of_region(1, 3).unwrap())), r#""1/3""#);
    }
}
