//! A partition's checkpoint.

use bytes::Bytes;
use minutehand_model::{Checkpoint, Epoch, Frontier, Timestamp};
use prost::Message;

use crate::envelope::{log_offset, seal, unseal};
use crate::error::{DecodeError, Fault};
use crate::frontier::{FrontierParts, GapMessage, PlaceMessage, StretchMessage};
use crate::ledger::{self, TallyMessage};

const WHAT: &str = "checkpoint";

#[derive(Clone, PartialEq, Eq, Message)]
struct CheckpointMessage {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(uint64, tag = "2")]
    tick: u64,
    #[prost(uint64, tag = "3")]
    applied: u64,
    #[prost(uint64, tag = "4")]
    replay_from: u64,
    #[prost(message, optional, tag = "5")]
    head: Option<PlaceMessage>,
    #[prost(message, repeated, tag = "6")]
    gaps: Vec<GapMessage>,
    #[prost(sint64, tag = "7")]
    remembered_from_ms: i64,
    #[prost(message, repeated, tag = "8")]
    backlog: Vec<StretchMessage>,
    #[prost(sint64, optional, tag = "9")]
    closed_before: Option<i64>,
    #[prost(message, repeated, tag = "10")]
    tallies: Vec<TallyMessage>,
    #[prost(message, repeated, tag = "11")]
    supplements: Vec<TallyMessage>,
    #[prost(message, optional, tag = "12")]
    owed_after: Option<PlaceMessage>,
}

/// The bytes of a checkpoint.
pub fn encode(checkpoint: &Checkpoint) -> Bytes {
    let minutes = ledger::minutes_message(&checkpoint.minutes);
    let FrontierParts {
        head,
        gaps,
        backlog,
        owed_after,
    } = (&checkpoint.frontier).into();
    seal(&CheckpointMessage {
        epoch: checkpoint.epoch.0,
        tick: checkpoint.tick,
        applied: checkpoint.applied.bits(),
        replay_from: checkpoint.replay_from.bits(),
        head,
        gaps,
        remembered_from_ms: checkpoint.remembered_from.as_millis(),
        backlog,
        closed_before: minutes.closed_before,
        tallies: minutes.tallies,
        supplements: minutes.supplements,
        owed_after,
    })
}

/// The checkpoint; one that contradicts itself is refused.
pub fn decode(bytes: &Bytes) -> Result<Checkpoint, DecodeError> {
    let message: CheckpointMessage = unseal(WHAT, bytes)?;
    checkpoint(message).map_err(|fault| fault.of(WHAT))
}

fn checkpoint(message: CheckpointMessage) -> Result<Checkpoint, Fault> {
    let frontier = Frontier::try_from(FrontierParts {
        head: message.head,
        gaps: message.gaps,
        backlog: message.backlog,
        owed_after: message.owed_after,
    })?;
    check(&frontier)?;
    let applied = log_offset("applied", message.applied)?;
    let replay_from = log_offset("replay_from", message.replay_from)?;
    if replay_from > applied {
        return Err(format!("replay_from {replay_from} lies above applied {applied}").into());
    }
    Ok(Checkpoint {
        epoch: Epoch(message.epoch),
        tick: message.tick,
        applied,
        frontier,
        replay_from,
        remembered_from: Timestamp::from_millis(message.remembered_from_ms),
        minutes: ledger::minutes(ledger::MinutesMessage {
            closed_before: message.closed_before,
            tallies: message.tallies,
            supplements: message.supplements,
        })?,
    })
}

/// Refuses a frontier whose parts contradict each other.
fn check(frontier: &Frontier) -> Result<(), Fault> {
    let Frontier {
        head,
        gaps,
        backlog,
        ..
    } = frontier;
    if gaps
        .iter()
        .any(|gap| gap.after > gap.through || gap.through > *head)
    {
        return Err("a gap does not lie below the head".into());
    }
    if gaps.windows(2).any(|pair| pair[0].through > pair[1].after) {
        return Err("the gaps are not in order".into());
    }
    let is_ordered = backlog
        .windows(2)
        .all(|pair| pair[0].through <= pair[1].after);
    if !is_ordered
        || backlog
            .iter()
            .any(|stretch| stretch.after > stretch.through)
    {
        return Err("the stretches of the backlog are not in order".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutehand_model::{LogOffset, Minutes, Place, Stretch, Sum, Tally};

    fn stretch(after_ms: i64, through_ms: i64) -> Stretch {
        let place = |ms| Place {
            due: Timestamp::from_millis(ms),
            offset: LogOffset::at(7),
        };
        Stretch {
            after: place(after_ms),
            through: place(through_ms),
        }
    }

    fn with_backlog(backlog: Vec<Stretch>) -> Checkpoint {
        let frontier = Frontier {
            head: Place::end_of(Timestamp::from_millis(50)),
            backlog,
            ..Frontier::START
        };
        Checkpoint {
            frontier,
            ..Checkpoint::START
        }
    }

    #[test]
    fn a_checkpoint_carries_its_backlog() {
        let mut owing = with_backlog(Vec::new());
        owing.frontier.owed_after = Some(stretch(10, 20).after);
        assert_eq!(decode(&encode(&owing)).unwrap(), owing);
        let kept = with_backlog(vec![stretch(10, 20), stretch(20, 40), stretch(45, 90)]);
        assert_eq!(decode(&encode(&kept)).unwrap(), kept);
        for disordered in [
            vec![stretch(20, 10)],
            vec![stretch(10, 30), stretch(20, 40)],
        ] {
            let refused = decode(&encode(&with_backlog(disordered))).unwrap_err();
            assert!(refused.to_string().contains("backlog"), "{refused}");
        }
    }

    #[test]
    fn a_checkpoint_carries_the_minutes_it_counts() {
        let minute = |number: i64| Timestamp::from_millis(number * 60_000);
        let tally = |number| Tally {
            stored: Sum {
                count: 3,
                digest: u64::MAX,
            },
            due: 4,
            withdrawn: 5,
            published: Sum {
                count: 6,
                digest: 1,
            },
            late: 7,
            recurring: 8,
            early: 9,
            left_out: 10,
            closed_by: 11,
            ..Tally::begin(minute(number), LogOffset::at(12))
        };
        let with = |tallies| Checkpoint {
            minutes: Minutes {
                closed_before: Some(minute(5)),
                tallies,
                supplements: vec![Tally::supplement(minute(4)), Tally::supplement(minute(3))],
            },
            ..Checkpoint::START
        };
        let kept = with(vec![tally(4), tally(9)]);
        assert_eq!(decode(&encode(&kept)).unwrap(), kept);
        let refused = decode(&encode(&with(vec![tally(9), tally(4)]))).unwrap_err();
        assert!(refused.to_string().contains("minutes"), "{refused}");
    }
}
