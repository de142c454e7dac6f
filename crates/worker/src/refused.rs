//! A settlement that the queue refuses for good: it is set aside with the reason, and the others go
//! on.
//!
//! What is refused may be one record of many that go together: a retry or a dead letter that is too
//! large, or a topic that cannot be made. So a refused batch is divided until the one is found that
//! is refused alone. In its place less is settled: a dead letter that says why, or in the end
//! nothing but the place, which the log tells. Where even that is refused, it is the queue that
//! fails.

use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{ChainEnd, Command, Outcome, OutcomeKind, QueueName, TaskKey, Timestamp};
use minutehand_ports::{DeadLetter, DeliveryId, PortError, Settlement};
use minutehand_record::{command, task};

use crate::decide::{letter_of, shortened};
use crate::gates::Hold;
use crate::settings::Settings;

/// A settlement, and what is needed to set it aside.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) settlement: Settlement,
    pub(crate) key: TaskKey,
    pub(crate) encoded: Bytes,
    /// Whether the run ended well, or was cancelled: then nobody need run it again.
    pub(crate) is_well: bool,
    /// The place of its key: free when this is durable.
    pub(crate) _hold: Option<Arc<Hold>>,
}

/// Where and when a settlement is set aside.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) queue: &'a QueueName,
    pub(crate) now: Timestamp,
    pub(crate) error: &'a PortError,
}

/// What is settled instead, the most first.
pub(crate) fn instead(told: &Told, settings: &Settings, occasion: Occasion<'_>) -> [Settlement; 2] {
    let bare = Settlement {
        held_as: told.settlement.held_as,
        ..Settlement::bare(told.settlement.id)
    };
    let needs_nobody = told.is_well && told.settlement.output.is_empty();
    let less = match needs_nobody {
        true => Settlement {
            outcome: None,
            ..told.settlement.clone()
        },
        false => given_up(told, settings, occasion, bare.clone()),
    };
    [less, bare]
}

/// The dead letter in place of what was refused; a schedule that waits hears that its run is over.
fn given_up(
    told: &Told,
    settings: &Settings,
    occasion: Occasion<'_>,
    bare: Settlement,
) -> Settlement {
    let DeliveryId { partition, .. } = told.settlement.id;
    let task = task::decode(&told.encoded).ok();
    let before = told
        .settlement
        .dead_letter
        .as_ref()
        .map(|letter| letter.reason.as_str());
    let refused = format!("what follows from its end was refused: {}", occasion.error);
    let reason = shortened(match before {
        Some(before) => format!("{refused}; it was given up before that: {before}"),
        None => refused,
    });
    let letter = DeadLetter {
        queue: occasion.queue.clone(),
        partition,
        key: told.key,
        at: occasion.now,
        attempts: task.as_ref().map_or(0, |task| task.attempt),
        reason: reason.clone(),
        encoded: letter_of(&told.encoded, &settings.group),
    };
    let commands = match &task {
        Some(task) => {
            let over = Command::completed(task, OutcomeKind::Dead);
            let chained = task.chained(ChainEnd {
                kind: OutcomeKind::Dead,
                said: &reason,
                at: occasion.now,
            });
            over.iter()
                .map(|over| (partition, command::encode(over)))
                .chain(chained.map(|next| settings.creation_at_home(&next)))
                .chain(settings.told_of(task, &letter))
                .collect()
        }
        // What was to be told of one that cannot be read is all that is known.
        None => told.settlement.commands.clone(),
    };
    let dead = |outcome: Outcome| Outcome {
        kind: OutcomeKind::Dead,
        detail: reason.clone(),
        ..outcome
    };
    let outcome = told
        .settlement
        .outcome
        .clone()
        .map(|(key, outcome)| (key, dead(outcome)));
    Settlement {
        commands,
        dead_letter: Some(letter),
        outcome,
        ..bare
    }
}
