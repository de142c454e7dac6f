//! Lines about single runs: what ran, what failed, what was given up. Each kind has so many a
//! second, and those that are left out are counted and told.

use std::sync::Mutex;

use minutehand_model::{OutcomeKind, QueueName, Timestamp};
use minutehand_worker::EndedRun;

/// Lines of one kind in one second; more would cost more than the runs.
const LINES_PER_SECOND_MAX: u64 = 20;
/// How much of a text one line shows.
const TEXT_CHARS_MAX: usize = 200;

/// Tells of runs.
pub(crate) struct RunLines {
    /// Whether runs that succeeded are told as well.
    tells_successes: bool,
    budgets: Mutex<[Budget; KINDS.len()]>,
    put_off: Mutex<Budget>,
}

/// The kinds of lines, in the order of their budgets.
const KINDS: [OutcomeKind; 6] = [
    OutcomeKind::Succeeded,
    OutcomeKind::Retried,
    OutcomeKind::Dead,
    OutcomeKind::Cancelled,
    OutcomeKind::Lost,
    OutcomeKind::Expired,
];

impl RunLines {
    pub(crate) fn new(tells_successes: bool) -> RunLines {
        RunLines {
            tells_successes,
            budgets: Mutex::default(),
            put_off: Mutex::default(),
        }
    }

    /// Tells of the end of a run.
    pub(crate) fn ended(&self, queue: &QueueName, run: EndedRun<'_>) {
        if run.kind == OutcomeKind::Succeeded && !self.tells_successes {
            return;
        }
        let Some(index) = KINDS.iter().position(|kind| *kind == run.kind) else {
            return;
        };
        let (may_tell, left_out) = self.budgets.lock().expect("no panic while it is held")[index]
            .ask(run.ended_at.as_millis().div_euclid(1_000));
        tell_left_out(run.kind, left_out);
        if may_tell {
            tell(queue, run);
        }
    }

    /// Tells that runs of a queue are put off, once a second.
    pub(crate) fn put_off(&self, queue: &QueueName, now: Timestamp) {
        let mut budget = self.put_off.lock().expect("no panic while it is held");
        budget.begin(now.as_millis().div_euclid(1_000));
        budget.asked += 1;
        if budget.asked == 1 {
            tracing::warn!(%queue, "runs are put off: their target has been busy for seconds with all that it is given at once");
        }
    }

    /// Tells what was left out before this second; to be called now and then, so that it is told
    /// though nothing follows.
    pub(crate) fn flush(&self, now: Timestamp) {
        let second = now.as_millis().div_euclid(1_000);
        let left_out = self
            .budgets
            .lock()
            .expect("no panic while it is held")
            .each_mut()
            .map(|budget| budget.begin(second));
        KINDS
            .into_iter()
            .zip(left_out)
            .for_each(|(kind, left_out)| tell_left_out(kind, left_out));
    }
}

fn tell(queue: &QueueName, run: EndedRun<'_>) {
    let EndedRun {
        task,
        kind,
        detail,
        started_at,
        ..
    } = run;
    let late_ms = started_at.millis_since(task.due);
    let (id, attempt) = (&task.id, task.attempt);
    match kind {
        OutcomeKind::Succeeded if detail.is_empty() => {
            let payload = shown(&String::from_utf8_lossy(
                &task.payload[..task.payload.len().min(TEXT_CHARS_MAX)],
            ));
            tracing::info!(%queue, %id, late_ms, payload, "ran a task");
        }
        OutcomeKind::Succeeded => {
            tracing::info!(%queue, %id, late_ms, answer = shown(detail), "ran a task")
        }
        OutcomeKind::Retried => {
            tracing::warn!(%queue, %id, attempt, reason = shown(detail), "a run failed and is tried again");
        }
        OutcomeKind::Dead => {
            tracing::warn!(%queue, %id, attempt, reason = shown(detail), "gave a task up: it is a dead letter now");
        }
        OutcomeKind::Cancelled => tracing::info!(%queue, %id, attempt, "a run was cancelled"),
        OutcomeKind::Lost | OutcomeKind::Expired => {
            tracing::warn!(%queue, %id, attempt, reason = shown(detail), "a run was lost");
        }
    }
}

fn tell_left_out(kind: OutcomeKind, count: u64) {
    match (count, kind) {
        (0, _) => {}
        (_, OutcomeKind::Succeeded | OutcomeKind::Cancelled) => {
            tracing::info!(
                count,
                kind = kind.as_str(),
                "more runs ended than are told one by one"
            );
        }
        _ => tracing::warn!(
            count,
            kind = kind.as_str(),
            "more runs ended than are told one by one"
        ),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Counts the lines of one kind by the second.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    second: i64,
    asked: u64,
}

impl Budget {
    /// Whether a line may be told in this second, and how many were left out in the one before it.
    fn ask(&mut self, second: i64) -> (bool, u64) {
        let left_out = self.begin(second);
        self.asked += 1;
        (self.asked <= LINES_PER_SECOND_MAX, left_out)
    }

    /// Begins a second; answers how many lines were left out in the one before it. A clock that
    /// goes back begins one too.
    fn begin(&mut self, second: i64) -> u64 {
        if self.second == second {
            return 0;
        }
        self.second = second;
        std::mem::take(&mut self.asked).saturating_sub(LINES_PER_SECOND_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_budget_are_counted_and_told_later() {
        let mut budget = Budget::default();
        let told = (0..50).filter(|_| budget.ask(7).0).count() as u64;
        assert_eq!(told, LINES_PER_SECOND_MAX);
        assert_eq!(budget.ask(8), (true, 30));
        assert_eq!(budget.ask(8), (true, 0));
        assert_eq!(budget.begin(9), 0);
        (0..25).for_each(|_| assert_eq!(budget.ask(9).1, 0));
        assert_eq!(
            (budget.begin(9), budget.begin(5), budget.begin(6)),
            (0, 5, 0),
            "a clock may go back"
        );
    }
}
