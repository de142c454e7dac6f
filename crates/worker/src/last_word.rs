//! What is told of an at-most-once run when its worker dies before it can tell the end.

use minutehand_model::{ChainEnd, Command, EndedTask, Execution, LastWord, Outcome, OutcomeKind};
use minutehand_ports::DeliveryId;
use minutehand_record::command;

use crate::settings::Settings;

const LOST: &str = "its worker ended before the run had; nobody knows how far it had come";

/// The last word of a run that is about to be claimed. `None` when nobody would hear of a success
/// either: then a run costs no second write.
pub(crate) fn last_word(
    delivery: DeliveryId,
    execution: &Execution,
    settings: &Settings,
) -> Option<LastWord> {
    let (task, history, now) = (&execution.task, settings.history, settings.now());
    let is_of_a_schedule = task.origin.is_some();
    let completion = Command::completed(task, OutcomeKind::Lost);
    let chained = task.chained(ChainEnd {
        kind: OutcomeKind::Lost,
        said: LOST,
        at: now,
    });
    let is_heard = completion.is_some() || chained.is_some();
    if !is_heard && !history.wants(OutcomeKind::Succeeded, is_of_a_schedule) {
        return None;
    }
    let commands = completion
        .iter()
        .map(|told| (delivery.partition, command::encode(told)))
        .chain(chained.map(|next| settings.creation_at_home(&next)))
        .collect();
    let outcome = history
        .wants(OutcomeKind::Lost, is_of_a_schedule)
        .then(|| Outcome {
            execution: execution.id,
            attempt: task.attempt,
            kind: OutcomeKind::Lost,
            detail: LOST.to_owned(),
            due: task.due,
            started_at: now,
            ended_at: now,
            task: Some(Box::new(EndedTask::of(task))),
        });
    Some(LastWord {
        commands,
        outcome: outcome.map(|outcome| (task.key(), outcome)),
    })
}
