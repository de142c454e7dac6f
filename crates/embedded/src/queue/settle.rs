//! Settlements: the group's place, commands, dead letters and outcomes in one commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_model::{DeadLetter, Outcome, PartitionId, QueueName, TaskKey};
use minutehand_ports::{Claim, DeliveryId, ErrorClass, PortError, Report, Settlement};
use minutehand_record::{dead_letter, last_word, outcome};

use crate::keys;
use crate::state::{NewRows, State};
use crate::store::Applied;
use crate::successes::Success;
use crate::writes::Writes;

/// A settlement, a claim or a report whose parts are encoded.
pub(super) struct Prepared {
    id: DeliveryId,
    kind: Kind,
    commands: Vec<(PartitionId, Bytes)>,
    dead_letter: Option<(QueueName, Bytes)>,
    outcome: Option<Kept>,
}

enum Kind {
    /// It settles a delivery.
    Settlement,
    /// It settles a delivery that is to run, with its last word.
    Claim(Option<Bytes>),
    /// It settles nothing, and withdraws the last word.
    Report,
}

/// What is kept of an outcome.
enum Kept {
    Brief(Success),
    Whole(TaskKey, Bytes),
}

impl Kept {
    fn of(key: TaskKey, outcome: Outcome) -> Kept {
        match Success::of(key, outcome) {
            Ok(success) => Kept::Brief(success),
            Err(outcome) => Kept::Whole(key, outcome::encode(&outcome)),
        }
    }
}

impl Prepared {
    /// Encodes what must be encoded, on the caller's time.
    pub(super) fn new(settlement: Settlement) -> Prepared {
        // There is one process: a delivery does not leave it.
        let Settlement {
            id,
            held_as: _,
            commands,
            dead_letter,
            outcome,
            output: _,
        } = settlement;
        let report = Report {
            id,
            commands,
            dead_letter,
            outcome,
        };
        Prepared {
            kind: Kind::Settlement,
            ..Prepared::reported(report)
        }
    }

    /// The same of a claim.
    pub(super) fn claimed(claim: &Claim) -> Prepared {
        let word = claim.last_word.as_ref().map(last_word::encode);
        Prepared {
            kind: Kind::Claim(word),
            ..Prepared::new(Settlement::bare(claim.id))
        }
    }

    /// The same of a report.
    pub(super) fn reported(report: Report) -> Prepared {
        let letter = |letter: DeadLetter| {
            let bytes = dead_letter::encode(&letter);
            (letter.queue, bytes)
        };
        Prepared {
            id: report.id,
            kind: Kind::Report,
            commands: report.commands,
            dead_letter: report.dead_letter.map(letter),
            outcome: report.outcome.map(|(key, outcome)| Kept::of(key, outcome)),
        }
    }

    /// About how much it writes.
    pub(super) fn bytes(&self) -> usize {
        let commands: usize = self.commands.iter().map(|(_, command)| command.len()).sum();
        let word = if let Kind::Claim(Some(word)) = &self.kind {
            word.len()
        } else {
            0
        };
        let outcome = match &self.outcome {
            Some(Kept::Whole(_, encoded)) => encoded.len(),
            Some(Kept::Brief(_)) | None => 0,
        };
        64 + word
            + outcome
            + commands
            + self
                .dead_letter
                .as_ref()
                .map_or(0, |(_, letter)| letter.len())
    }

    fn is_report(&self) -> bool {
        matches!(self.kind, Kind::Report)
    }
}

/// Refuses partitions that do not exist.
pub(crate) fn check_commands<'a>(
    state: &State,
    mut commands: impl Iterator<Item = &'a (PartitionId, Bytes)>,
    action: &str,
) -> Result<(), PortError> {
    commands.try_for_each(|(partition, _)| state.shared.log(*partition, action).map(drop))
}

/// Applies the settlements, claims or reports of one call: all of them or none.
pub(super) fn apply(
    state: &mut State,
    writes: &mut Writes,
    queue: &QueueName,
    group: String,
    settlements: Vec<Prepared>,
    action: &str,
) -> Result<Applied<()>, PortError> {
    let view = state.shared.queue(queue);
    let settled = settlements
        .iter()
        .filter(|settlement| !settlement.is_report());
    let ids: Vec<DeliveryId> = settled.map(|settlement| settlement.id).collect();
    view.check_settlement(&group, &ids)
        .map_err(|reason| PortError::new(ErrorClass::Fatal, action, reason))?;
    check_commands(
        state,
        settlements
            .iter()
            .flat_map(|settlement| &settlement.commands),
        action,
    )?;
    let mut commands: BTreeMap<PartitionId, Vec<Bytes>> = BTreeMap::new();
    let mut letters: Vec<QueueName> = Vec::new();
    let mut successes = Vec::new();
    for settlement in settlements {
        let id = settlement.id;
        if !settlement.is_report() {
            // Settled once and for all: what comes with a repetition was said before.
            if !view.settle(&group, id) {
                continue;
            }
            state
                .changed_groups
                .insert((queue.clone(), id.partition, group.clone()));
        }
        match settlement.kind {
            Kind::Claim(Some(word)) => {
                writes.insert(
                    &state.spaces.last_words,
                    keys::last_word(queue, id, &group),
                    word,
                );
            }
            Kind::Report => {
                writes.remove(&state.spaces.last_words, keys::last_word(queue, id, &group))
            }
            Kind::Claim(None) | Kind::Settlement => {}
        }
        for (partition, command) in settlement.commands {
            commands.entry(partition).or_default().push(command);
        }
        if let Some((letter_queue, encoded)) = settlement.dead_letter {
            state.add_dead_letter(writes, &letter_queue, encoded);
            letters.push(letter_queue);
        }
        match settlement.outcome {
            None => {}
            Some(Kept::Brief(success)) => successes.push(success),
            Some(Kept::Whole(key, encoded)) => state.add_outcome(writes, key, encoded),
        }
    }
    let mut rows = NewRows::default();
    state.append_commands(writes, commands, &mut rows);
    let successes = state.successes.add(&state.spaces, writes, successes);
    let shared = state.shared.clone();
    let counts: Vec<(QueueName, u64)> = letters
        .into_iter()
        .map(|queue| {
            let kept = state.dead_letters.get(&queue).map_or(0, |count| count.kept);
            (queue, kept)
        })
        .collect();
    Ok(Applied::then((), move || {
        rows.publish(&shared);
        shared.successes.show(successes);
        counts
            .iter()
            .for_each(|(queue, kept)| shared.queue(queue).set_dead_letters(*kept));
    }))
}
