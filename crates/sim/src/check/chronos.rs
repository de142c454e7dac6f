//! The Chronos matching: every expected run of an interval schedule has a window, every actual run
//! may fill one, and every window must be filled.
//!
//! Runs in windows are a convex bipartite graph, so the greedy way is optimal: the runs in order,
//! each to the open window that ends first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use minutehand_model::{RecurrenceSpec, RunCause, Timestamp};

use super::occurrences::may_have_ended;
use super::revisions::lives_with_runs;
use crate::journal::{Journal, PartitionJournal};

/// When a run is expected: from the first to the second time, both inclusive, in milliseconds.
pub(super) type Window = (i64, i64);

/// Windows that no run can be found for, when runs are assigned as well as possible.
pub(super) fn unfilled(windows: &[Window], runs_ms: &[i64]) -> Vec<Window> {
    let mut windows = windows.to_vec();
    let mut runs_ms = runs_ms.to_vec();
    windows.sort_unstable();
    runs_ms.sort_unstable();
    let mut opening = windows.into_iter().peekable();
    let mut open: BinaryHeap<Reverse<(i64, i64)>> = BinaryHeap::new();
    let mut unfilled = Vec::new();
    for run_ms in runs_ms {
        while let Some((from_ms, to_ms)) = opening.next_if(|(from_ms, _)| *from_ms <= run_ms) {
            open.push(Reverse((to_ms, from_ms)));
        }
        while let Some(Reverse((to_ms, from_ms))) = open.pop() {
            if to_ms >= run_ms {
                break;
            }
            unfilled.push((from_ms, to_ms));
        }
    }
    unfilled.extend(
        open.into_iter()
            .map(|Reverse((to_ms, from_ms))| (from_ms, to_ms)),
    );
    unfilled.extend(opening);
    unfilled.sort_unstable();
    unfilled
}

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for (life, runs) in lives_with_runs(journal, about)? {
        let is_interval = |spec: &RecurrenceSpec| matches!(spec, RecurrenceSpec::Interval { .. });
        if !life.is_transparent() || !life.definitions().all(|one| is_interval(&one.recurrence)) {
            continue;
        }
        // A job's window reaches from its time to the end of what is allowed after faults, or after
        // its time.
        let slack_ms = journal.clock_error_ms;
        let healthy_ms = journal.healthy_lateness_ms;
        let window = |nominal: Timestamp| {
            let last_ms = nominal.as_millis() + life.jitter_ms_max();
            let end_ms = match healthy_ms {
                Some(lateness_ms) => last_ms + lateness_ms,
                None => last_ms.max(journal.healed_at_ms) + journal.recovery_bound_ms,
            };
            (nominal.as_millis() - slack_ms, end_ms + slack_ms)
        };
        let cutoff = Timestamp::from_millis(
            journal.ended_at_ms - journal.recovery_bound_ms - life.jitter_ms_max(),
        );
        let expected = life.expected(cutoff);
        let windows: Vec<Window> = expected
            .iter()
            .filter(|one| one.is_certain && !may_have_ended(about, &life, one))
            .map(|one| window(one.nominal))
            .collect();
        let calendar = runs.iter().filter(|run| run.cause == RunCause::Calendar);
        let runs_ms: Vec<i64> = calendar
            .map(|run| about.ticks[run.tick].committed_at_ms)
            .collect();
        if let Some((from_ms, to_ms)) = unfilled(&windows, &runs_ms).first() {
            return Err(format!(
                "schedule {}: no run for the window {} .. {}",
                life.schedule,
                Timestamp::from_millis(*from_ms),
                Timestamp::from_millis(*to_ms)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::story::Story;
    use crate::check::story::schedules::{definition, every, revise, run};
    use crate::rng::Rng;

    /// Kuhn's augmenting paths: slow, and known to be right.
    fn unfilled_by_augmenting(windows: &[Window], runs_ms: &[i64]) -> usize {
        fn fill(
            window: usize,
            windows: &[Window],
            runs_ms: &[i64],
            taken: &mut [Option<usize>],
            seen: &mut [bool],
        ) -> bool {
            for (index, run_ms) in runs_ms.iter().enumerate() {
                let (from_ms, to_ms) = windows[window];
                if seen[index] || !(from_ms..=to_ms).contains(run_ms) {
                    continue;
                }
                seen[index] = true;
                let is_free = match taken[index] {
                    None => true,
                    Some(other) => fill(other, windows, runs_ms, taken, seen),
                };
                if is_free {
                    taken[index] = Some(window);
                    return true;
                }
            }
            false
        }
        let mut taken = vec![None; runs_ms.len()];
        let filled = (0..windows.len())
            .filter(|window| {
                fill(
                    *window,
                    windows,
                    runs_ms,
                    &mut taken,
                    &mut vec![false; runs_ms.len()],
                )
            })
            .count();
        windows.len() - filled
    }

    #[test]
    fn the_greedy_way_is_optimal() {
        let mut rng = Rng::new(5);
        for round in 0..3_000 {
            let windows: Vec<Window> = (0..rng.below(8))
                .map(|_| {
                    let from_ms = rng.range(0, 30);
                    (from_ms, from_ms + rng.range(0, 12))
                })
                .collect();
            let runs_ms: Vec<i64> = (0..rng.below(9)).map(|_| rng.range(0, 40)).collect();
            let expected = unfilled_by_augmenting(&windows, &runs_ms);
            let found = unfilled(&windows, &runs_ms).len();
            assert_eq!(found, expected, "round {round}: {windows:?} {runs_ms:?}");
        }
    }

    #[test]
    fn the_unit_test_of_the_original() {
        // Windows of 15 s; one run fills one window only.
        assert_eq!(unfilled(&[(0, 15), (60, 75)], &[3, 61]), []);
        assert_eq!(unfilled(&[(0, 15), (60, 75)], &[3, 4]), [(60, 75)]);
        assert_eq!(unfilled(&[(0, 15), (60, 75)], &[16, 60]), [(0, 15)]);
        assert_eq!(unfilled(&[(0, 15), (10, 20)], &[12, 14]), []);
    }

    #[test]
    fn a_run_that_comes_too_late_leaves_its_window_empty() {
        let story = revise(Story::default(), 0, 1, Some(definition(every(10)))).ticks(1, &[]);
        let first = run(story.ticks(10_000, &[]), 10_000, 0);
        let ask = |story: &Story| {
            let mut journal = story.journal();
            journal.ended_at_ms = 25_000;
            check(&journal, &story.partition)
        };
        assert_eq!(
            ask(&run(first.clone().ticks(20_900, &[]), 20_000, 0)),
            Ok(())
        );
        assert!(ask(&run(first.ticks(21_100, &[]), 20_000, 0)).is_err());
    }
}
