//! Places, and what lies between them, as messages: of checkpoints, and of whoever tells of a
//! partition.

use minutehand_model::{Frontier, Gap, Place, Stretch, Timestamp};
use prost::Message;

use crate::envelope::log_offset;
use crate::error::{DecodeError, Fault};

/// A place in a partition's order of executions.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct PlaceMessage {
    #[prost(sint64, tag = "1")]
    due_ms: i64,
    #[prost(uint64, tag = "2")]
    offset: u64,
}

/// A gap below a partition's head.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct GapMessage {
    #[prost(message, required, tag = "1")]
    after: PlaceMessage,
    #[prost(message, required, tag = "2")]
    through: PlaceMessage,
    #[prost(uint64, tag = "3")]
    from_offset: u64,
}

/// A stretch of a partition's backlog.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct StretchMessage {
    #[prost(message, required, tag = "1")]
    after: PlaceMessage,
    #[prost(message, required, tag = "2")]
    through: PlaceMessage,
}

/// What messages carry of a frontier, each under numbers of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontierParts {
    /// The newest place that has been passed; a message without it is refused.
    pub head: Option<PlaceMessage>,
    /// The stretches below it that are still being drained.
    pub gaps: Vec<GapMessage>,
    /// The stretches that were left behind.
    pub backlog: Vec<StretchMessage>,
    /// After which place schedules owe occurrences.
    pub owed_after: Option<PlaceMessage>,
}

impl From<&Frontier> for FrontierParts {
    fn from(frontier: &Frontier) -> FrontierParts {
        FrontierParts {
            head: Some(frontier.head.into()),
            gaps: frontier.gaps.iter().map(Into::into).collect(),
            backlog: frontier.backlog.iter().map(Into::into).collect(),
            owed_after: frontier.owed_after.map(Into::into),
        }
    }
}

impl TryFrom<FrontierParts> for Frontier {
    type Error = DecodeError;

    fn try_from(parts: FrontierParts) -> Result<Frontier, DecodeError> {
        let missing = || Fault::from("head is missing").of("frontier");
        let gaps = parts.gaps.into_iter().map(Gap::try_from);
        let backlog = parts.backlog.into_iter().map(Stretch::try_from);
        Ok(Frontier {
            head: parts.head.ok_or_else(missing)?.try_into()?,
            gaps: gaps.collect::<Result<_, _>>()?,
            backlog: backlog.collect::<Result<_, _>>()?,
            owed_after: parts.owed_after.map(Place::try_from).transpose()?,
        })
    }
}

impl From<Place> for PlaceMessage {
    fn from(place: Place) -> PlaceMessage {
        PlaceMessage {
            due_ms: place.due.as_millis(),
            offset: place.offset.bits(),
        }
    }
}

impl TryFrom<PlaceMessage> for Place {
    type Error = DecodeError;

    fn try_from(message: PlaceMessage) -> Result<Place, DecodeError> {
        let offset = log_offset("its offset", message.offset).map_err(|fault| fault.of("place"))?;
        Ok(Place {
            due: Timestamp::from_millis(message.due_ms),
            offset,
        })
    }
}

impl From<&Gap> for GapMessage {
    fn from(gap: &Gap) -> GapMessage {
        GapMessage {
            after: gap.after.into(),
            through: gap.through.into(),
            from_offset: gap.from_offset.bits(),
        }
    }
}

impl TryFrom<GapMessage> for Gap {
    type Error = DecodeError;

    fn try_from(message: GapMessage) -> Result<Gap, DecodeError> {
        let from_offset = log_offset("from_offset", message.from_offset);
        Ok(Gap {
            after: message.after.try_into()?,
            through: message.through.try_into()?,
            from_offset: from_offset.map_err(|fault| fault.of("gap"))?,
        })
    }
}

impl From<&Stretch> for StretchMessage {
    fn from(stretch: &Stretch) -> StretchMessage {
        StretchMessage {
            after: stretch.after.into(),
            through: stretch.through.into(),
        }
    }
}

impl TryFrom<StretchMessage> for Stretch {
    type Error = DecodeError;

    fn try_from(message: StretchMessage) -> Result<Stretch, DecodeError> {
        Ok(Stretch {
            after: message.after.try_into()?,
            through: message.through.try_into()?,
        })
    }
}
