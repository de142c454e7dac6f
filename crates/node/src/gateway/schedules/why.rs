//! Why a schedule has not run, in words.

use minutehand_engine::{CATCH_UP_AFTER_MS_DEFAULT, Phase};
use minutehand_model::{ScheduleEvent, ScheduleEventKind, Timestamp};

use super::view::{RunView, ScheduleHead};
use crate::gateway::TaskState;
use crate::gateway::wait::is_ready;

/// A schedule whose next occurrence is later than this is behind, in milliseconds: what its owner
/// takes for behind unless it is set otherwise, which a gateway is not told.
const BEHIND_MS: i64 = CATCH_UP_AFTER_MS_DEFAULT;

/// The reasons, the weightiest first.
pub(super) fn why(
    schedule: &ScheduleHead,
    owner_phase: Phase,
    runs: &[RunView],
    now: Timestamp,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let partition = schedule.partition;
    match owner_phase {
        Phase::Unowned => reasons.push(format!("partition {partition} has no owner")),
        phase if is_ready(phase) => {}
        phase => reasons.push(format!(
            "partition {partition} is not firing yet: its owner is {phase}"
        )),
    }
    reasons.extend(halted(schedule, now));
    reasons.extend(waiting(schedule));
    if let Some(event) = schedule
        .state
        .events
        .back()
        .filter(|event| left_something_out(event.kind))
    {
        reasons.push(explained(event));
    }
    if let Some(run) = runs.first().filter(|run| run.state == TaskState::Published) {
        reasons.push(format!(
            "the run of {} was published and has not ended",
            run.nominal
        ));
    }
    let next = schedule.next.map(|occurrence| runs_next(occurrence, now));
    reasons.extend(next);
    reasons
}

/// The nominal time of what is decided next, and when it is due.
fn runs_next((nominal, due): (Timestamp, Timestamp), now: Timestamp) -> String {
    let late_ms = now.millis_since(due);
    if late_ms > BEHIND_MS {
        let late_s = late_ms / 1_000;
        return format!(
            "it is {late_s} s behind: {nominal} is decided next, and what it names meanwhile comes after what it owes"
        );
    }
    match due.millis_since(nominal) {
        0 => format!("runs next at {nominal}"),
        jitter_ms => format!("runs next at {due} ({nominal} and {jitter_ms} ms of jitter)"),
    }
}

/// What keeps it from having a next run at all.
fn halted(schedule: &ScheduleHead, now: Timestamp) -> Vec<String> {
    let mut reasons = Vec::new();
    let revision = &schedule.head.revision;
    if revision.paused {
        let note = if revision.note.is_empty() {
            String::new()
        } else {
            format!(": {}", revision.note)
        };
        reasons.push(format!(
            "it is paused since {} by {}{note}",
            schedule.head.appended_at, revision.author
        ));
    }
    if let Some(at) = schedule.state.paused_by_failure_at {
        reasons.push(format!(
            "it paused itself after a run failed for the last time (at {at}); resume it to go on"
        ));
    }
    let Some(definition) = &revision.definition else {
        return reasons;
    };
    if let Some(max) = definition
        .runs_max
        .filter(|max| schedule.state.runs_taken() >= *max)
    {
        let waiting = schedule.state.buffered.len();
        reasons.push(match waiting {
            0 => format!("it has had all of its {max} runs"),
            _ => format!("the last {waiting} of its {max} runs wait"),
        });
    }
    match (definition.start, definition.end) {
        (Some(start), _) if start > now => reasons.push(format!("it starts at {start}")),
        (_, Some(end)) if end < now => reasons.push(format!("it ended at {end}")),
        _ if schedule.next.is_none() && reasons.is_empty() => {
            reasons.push("its calendar names no further time".to_owned());
        }
        _ => {}
    }
    reasons
}

/// Runs that wait for another.
fn waiting(schedule: &ScheduleHead) -> Option<String> {
    let (running, buffered) = (
        schedule.state.runs_that_count().count(),
        schedule.state.buffered.len(),
    );
    let oldest = schedule.state.runs_that_count().next()?;
    let (nominal, deadline) = (oldest.nominal, oldest.deadline);
    (buffered > 0).then(|| {
        format!(
            "{buffered} occurrences wait for the end of {running} running (the oldest of {nominal}, which is given up at \
             {deadline} if nothing is heard of it)"
        )
    })
}

fn left_something_out(kind: ScheduleEventKind) -> bool {
    use ScheduleEventKind::{
        Ended, Expired, Lost, MissedRule, MissedWindow, RunsExhausted, SkippedOverlap, TimedOut,
    };
    matches!(
        kind,
        Ended
            | Expired
            | Lost
            | MissedRule
            | MissedWindow
            | RunsExhausted
            | SkippedOverlap
            | TimedOut
    )
}

fn explained(event: &ScheduleEvent) -> String {
    format!(
        "the occurrence of {} was {}",
        event.nominal,
        event.kind.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_behind_does_not_say_that_it_runs_in_the_past() {
        let at = |ms: i64| Timestamp::from_millis(ms);
        let words = |due_ms, now_ms| runs_next((at(10_000), at(due_ms)), at(now_ms));
        assert_eq!(words(10_000, 12_000), "runs next at 1970-01-01T00:00:10Z");
        assert_eq!(
            words(10_500, 12_000),
            "runs next at 1970-01-01T00:00:10.500Z (1970-01-01T00:00:10Z and 500 ms of jitter)"
        );
        assert_eq!(
            words(10_000, 75_500),
            "it is 65 s behind: 1970-01-01T00:00:10Z is decided next, and what it names meanwhile comes after what it owes"
        );
    }
}
