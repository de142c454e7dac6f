//! What is told of an at-most-once run when its worker dies before it can tell the end.

use minutehand_model::{Command, Execution, LastWord, Outcome, OutcomeKind, Timestamp};
use minutehand_ports::DeliveryId;
use minutehand_record::command;

use crate::settings::HistoryPolicy;

/// The last word of a run that is about to be claimed. `None` when nobody would hear of a success
/// either: then a run costs no second write.
pub(crate) fn last_word(
    delivery: DeliveryId,
    execution: &Execution,
    history: HistoryPolicy,
    now: Timestamp,
) -> Option<LastWord> {
    let task = &execution.task;
    let is_of_a_schedule = task.origin.is_some();
    let completion = Command::completed(task, OutcomeKind::Lost);
    if completion.is_none() && !history.wants(OutcomeKind::Succeeded, is_of_a_schedule) {
        return None;
    }
    let commands = completion
        .iter()
        .map(|told| (delivery.partition, command::encode(told)))
        .collect();
    let outcome = history
        .wants(OutcomeKind::Lost, is_of_a_schedule)
        .then(|| Outcome {
            execution: execution.id,
            attempt: task.attempt,
            kind: OutcomeKind::Lost,
            detail: "its worker ended before the run had; nobody knows how far it had come"
                .to_owned(),
            due: task.due,
            started_at: now,
            ended_at: now,
        });
    Some(LastWord {
        commands,
        outcome: outcome.map(|outcome| (task.key(), outcome)),
    })
}
