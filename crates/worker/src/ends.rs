//! How deliveries end: what follows from a verdict, or from no run at all, becomes part of the next
//! commit.

use std::time::Duration;

use minutehand_model::{Command, EndedTask, Outcome, OutcomeKind, PartitionId, QueueName, TaskKey};
use minutehand_ports::{DeadLetter, Delivery, Output, Report, Settlement};
use minutehand_record::{DecodeError, command};
use tracing::warn;

use crate::attempt::{Prepared, Ticket};
use crate::commit::Batch;
use crate::decide::{Decision, Ended, NOT_BEGUN, decide, shortened};
use crate::handler::Verdict;
use crate::observer::EndedRun;
use crate::refused::Told;
use crate::run::Run;
use crate::settings::Settings;

/// What follows from the end of a delivery.
#[derive(Default)]
struct End {
    commands: Vec<(PartitionId, bytes::Bytes)>,
    dead_letter: Option<DeadLetter>,
    outcome: Option<(TaskKey, Outcome)>,
    /// Records that it leaves.
    output: Output,
    /// The run succeeded, or was cancelled.
    is_well: bool,
}

impl Batch {
    /// A run has ended.
    pub(crate) fn settle(
        &mut self,
        settings: &Settings,
        queue: &QueueName,
        ticket: &Ticket,
        run: &Run,
        verdict: Verdict,
    ) {
        let Settings {
            observer,
            random,
            history,
            ..
        } = settings;
        let (task, ended_at, partition) = (run.task(), settings.now(), ticket.delivery.partition);
        // Most runs succeed, and need no number.
        let random = if matches!(verdict, Verdict::Failure { .. }) {
            random()
        } else {
            0
        };
        let ended = Ended {
            task,
            encoded: &ticket.encoded,
            group: &settings.group,
            partition,
            at: ended_at,
            random,
        };
        let mut decision = decide(ended, verdict, |due| settings.dues.give(ticket.key, due));
        if decision.kind == OutcomeKind::Cancelled && !run.has_begun() {
            NOT_BEGUN.clone_into(&mut decision.detail);
        }
        settings
            .gates
            .ended(settings, queue, ticket.delivery, decision.kind);
        observer.ended(
            queue,
            EndedRun {
                task,
                kind: decision.kind,
                detail: &decision.detail,
                has_begun: run.has_begun(),
                started_at: run.started_at(),
                ended_at,
            },
        );
        let output = match decision.kind {
            OutcomeKind::Succeeded => output(settings, queue, run, &decision.detail),
            _ => Output::default(),
        };
        let commands = what_follows(settings, ended, &decision);
        let outcome = history
            .wants(decision.kind, task.origin.is_some())
            .then(|| Outcome {
                execution: run.execution().id,
                attempt: task.attempt,
                kind: decision.kind,
                detail: decision.detail,
                due: task.due,
                started_at: run.started_at(),
                ended_at,
                task: Some(Box::new(EndedTask::of(task))),
            });
        let end = End {
            commands,
            dead_letter: decision.dead_letter,
            outcome: outcome.map(|outcome| (ticket.key, outcome)),
            output,
            is_well: matches!(
                decision.kind,
                OutcomeKind::Succeeded | OutcomeKind::Cancelled
            ),
        };
        self.tell_end(ticket, end);
    }

    /// A run goes back to the scheduler without having begun: the same attempt, due after a delay, for
    /// this group alone. That is told in one step with its settlement, or behind its claim.
    pub(crate) fn put_off(&mut self, settings: &Settings, prepared: Prepared, delay_ms: i64) {
        let Prepared { ticket, execution } = prepared;
        let due = settings
            .now()
            .plus_millis(delay_ms)
            .max(execution.task.due.plus_millis(1));
        let (due, attempt) = (settings.dues.give(ticket.key, due), execution.task.attempt);
        let task = execution.task.continued(&settings.group, due, attempt);
        let command = Command::Create(minutehand_record::task::record(&task));
        let end = End {
            commands: encoded(ticket.delivery.partition, &[command]),
            ..End::default()
        };
        self.tell_end(&ticket, end);
    }

    /// The same for what was not claimed, also where it would be before it runs.
    pub(crate) fn put_off_whole(
        &mut self,
        settings: &Settings,
        prepared: Prepared,
        delay: Duration,
    ) {
        let Prepared { ticket, execution } = prepared;
        let ticket = Ticket {
            is_claimed: false,
            ..ticket
        };
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        self.put_off(settings, Prepared { ticket, execution }, delay_ms);
    }

    /// Gives up a run that may have been claimed before: whether it has run is for a person to find
    /// out.
    pub(crate) fn doubt(&mut self, settings: &Settings, queue: &QueueName, prepared: Prepared) {
        let Prepared { ticket, execution } = prepared;
        assert!(
            execution.task.guarantee.settles_first(),
            "only what runs at most once may have been claimed"
        );
        let run = Run::new(execution, settings.now());
        let reason = "it runs at most once, and may have run: the queue has lost its group's place; \
            replay it if it has not run";
        let ticket = Ticket {
            is_claimed: false,
            ..ticket
        };
        self.settle(settings, queue, &ticket, &run, Verdict::discard(reason));
    }

    /// A delivery that cannot be understood becomes a dead letter.
    pub(crate) fn set_aside(
        &mut self,
        settings: &Settings,
        queue: &QueueName,
        delivery: Delivery,
        error: &DecodeError,
    ) {
        warn!(%queue, delivery = ?delivery.id, %error, "set aside");
        settings.observer.set_aside(queue);
        let letter = DeadLetter {
            queue: queue.clone(),
            partition: delivery.id.partition,
            key: delivery.key,
            at: settings.now(),
            attempts: 0,
            reason: shortened(format!("the execution cannot be understood: {error}")),
            encoded: delivery.encoded.clone(),
        };
        let commands = encoded(delivery.id.partition, &gone(delivery.key));
        let settlement = Settlement {
            commands,
            dead_letter: Some(letter),
            ..Settlement::bare(delivery.id)
        };
        let Delivery { key, encoded, .. } = delivery;
        self.settlements.push(Told {
            settlement,
            key,
            encoded,
            is_well: false,
            _hold: None,
        });
    }

    fn tell_end(&mut self, ticket: &Ticket, end: End) {
        let End {
            commands,
            dead_letter,
            outcome,
            output,
            is_well,
        } = end;
        if !ticket.is_claimed {
            let Ticket {
                delivery: id,
                held_as,
                ..
            } = *ticket;
            let settlement = Settlement {
                id,
                held_as,
                commands,
                dead_letter,
                outcome,
                output,
            };
            let (key, encoded) = (ticket.key, ticket.encoded.clone());
            self.settlements.push(Told {
                settlement,
                key,
                encoded,
                is_well,
                _hold: ticket.hold.clone(),
            });
        } else if !commands.is_empty() || dead_letter.is_some() || outcome.is_some() {
            self.reports.push(Report {
                id: ticket.delivery,
                commands,
                dead_letter,
                outcome,
            });
        }
    }
}

/// What a run that succeeded leaves: what its handler asked for, and its result where its queue has
/// a topic for those.
fn output(settings: &Settings, queue: &QueueName, run: &Run, result: &str) -> Output {
    let topics = &settings.result_topics;
    match topics.record(queue, run.execution(), result) {
        Some(record) => run.take_output().with_result(record),
        None => run.take_output(),
    }
}

/// What a schedule hears when the execution of that task cannot be read: nothing else would end the
/// run.
fn gone(key: TaskKey) -> Vec<Command> {
    // A record of somebody else has no task.
    let is_ours = key != TaskKey(0);
    let completed = Command::Completed {
        key,
        due: None,
        kind: OutcomeKind::Expired,
    };
    is_ours.then_some(completed).into_iter().collect()
}

/// Commands for the log of a run's partition, and for the homes of tasks that follow its end.
fn what_follows(
    settings: &Settings,
    ended: Ended<'_>,
    decision: &Decision,
) -> Vec<(PartitionId, bytes::Bytes)> {
    let next = decision.chained.as_ref();
    let letter = decision.dead_letter.as_ref();
    let mut commands = encoded(ended.partition, &decision.commands);
    commands.extend(next.map(|next| settings.creation_at_home(next)));
    commands.extend(letter.and_then(|letter| settings.told_of(ended.task, letter)));
    commands
}

fn encoded(partition: PartitionId, commands: &[Command]) -> Vec<(PartitionId, bytes::Bytes)> {
    commands
        .iter()
        .map(|command| (partition, command::encode(command)))
        .collect()
}
