//! One-shot tasks: nothing is lost, nothing is published twice, and a change that came in time is
//! kept to.
//!
//! The log alone says which tasks there are. Read in order, a create of (key, due time) opens a
//! generation unless one is open; further creates are the same task. A cancel, a replace and a
//! resolved move close it. An open generation is published exactly once, a closed one at most once.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{Guarantee, LogOffset, Place, TaskKey, Timestamp};

use crate::journal::{Journal, Logged, PartitionJournal, Published, Said};

/// How far ahead of its due time a move must come to be carried out for certain, beyond the
/// recovery bound.
const MOVE_MARGIN_MS: i64 = 30_000;

/// What ended a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Cancelled,
    Replaced,
    Moved,
}

#[derive(Clone, Debug)]
struct Generation {
    key: TaskKey,
    due: Timestamp,
    opened: LogOffset,
    opened_at_ms: i64,
    closed: Option<(LogOffset, Closed)>,
    /// Repeated creates that came after the dedupe window: each may be a task of its own.
    stale_repeats: usize,
    /// Indices of the publications that belong to it.
    published: Vec<usize>,
}

/// A fact of the log about one (key, due).
struct Fact {
    key: TaskKey,
    due: Timestamp,
    offset: LogOffset,
    /// A record may close and open at the same offset: it closes first.
    opens: bool,
    appended_at_ms: i64,
    closing: Closed,
}

fn facts(log: &[Logged]) -> Vec<Fact> {
    let mut facts = Vec::with_capacity(log.len() + 16);
    for record in log {
        let mut add = |key: &TaskKey, due: &Timestamp, opens, closing| {
            facts.push(Fact {
                key: *key,
                due: *due,
                offset: record.offset,
                opens,
                appended_at_ms: record.appended_at_ms,
                closing,
            });
        };
        match &record.said {
            Said::Create { key, due, .. } => add(key, due, true, Closed::Cancelled),
            Said::Cancel { key, due } => add(key, due, false, Closed::Cancelled),
            Said::Replace { key, due, to, .. } => {
                add(key, due, false, Closed::Replaced);
                add(key, to, true, Closed::Replaced);
            }
            Said::Moved { key, due, to, .. } => {
                add(key, due, false, Closed::Moved);
                add(key, to, true, Closed::Moved);
            }
            _ => {}
        }
    }
    facts.sort_by_key(|fact| (fact.key, fact.due, fact.offset, fact.opens));
    facts
}

/// Every generation in order of (key, due, offset), with the publications that belong to it.
fn generations(journal: &Journal, about: &PartitionJournal) -> Vec<Generation> {
    let mut all: Vec<Generation> = Vec::new();
    for fact in facts(&about.log) {
        let last = all
            .last_mut()
            .filter(|last| (last.key, last.due) == (fact.key, fact.due));
        match last {
            Some(open) if open.closed.is_none() => {
                if !fact.opens {
                    open.closed = Some((fact.offset, fact.closing));
                } else if is_stale_repeat(journal, open, &fact) {
                    open.stale_repeats += 1;
                }
            }
            _ if fact.opens => all.push(Generation {
                key: fact.key,
                due: fact.due,
                opened: fact.offset,
                opened_at_ms: fact.appended_at_ms,
                closed: None,
                stale_repeats: 0,
                published: Vec::new(),
            }),
            _ => {}
        }
    }
    assign(&mut all, &about.publications);
    all
}

/// Whether a repeated create came so late that it may count as a task of its own.
fn is_stale_repeat(journal: &Journal, open: &Generation, fact: &Fact) -> bool {
    let window_ms = journal.dedupe_window_ms - 2 * journal.clock_error_ms - 1_000;
    fact.appended_at_ms > open.due.as_millis().max(open.opened_at_ms) + window_ms
}

fn assign(all: &mut [Generation], publications: &[Published]) {
    for (index, published) in publications.iter().enumerate() {
        let place = (published.key, published.due, published.offset);
        let behind = all.partition_point(|one| (one.key, one.due, one.opened) <= place);
        let Some(one) = behind.checked_sub(1).map(|before| &mut all[before]) else {
            continue;
        };
        if (one.key, one.due) == (published.key, published.due) {
            one.published.push(index);
        }
    }
}

fn in_words(one: &Generation) -> String {
    format!(
        "{:016x} due {} (created at offset {})",
        one.key.low(),
        one.due,
        one.opened
    )
}

/// Nothing is published more often than its generation allows.
pub(super) fn check_once(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let damaged: BTreeSet<_> = about.damaged_tasks.iter().copied().collect();
    for one in generations(journal, about) {
        // In a damaged block may have stood that it has run; then a repetition runs, but no record
        // twice.
        let records: BTreeSet<_> = one
            .published
            .iter()
            .map(|index| about.publications[*index].offset)
            .collect();
        let is_forgiven =
            damaged.contains(&(one.key, one.due)) && one.published.len() == records.len();
        if one.published.len() > 1 + one.stale_repeats && !is_forgiven {
            let ticks: Vec<String> = one
                .published
                .iter()
                .filter_map(|index| about.ticks.get(about.publications[*index].tick))
                .map(|tick| format!("epoch {} tick {}", tick.epoch, tick.number))
                .collect();
            return Err(format!(
                "{} was published {} times: {}",
                in_words(&one),
                one.published.len(),
                ticks.join(", ")
            ));
        }
    }
    Ok(())
}

/// A task that may run at most once is never published twice from one record, whatever else
/// happened.
pub(super) fn check_at_most_once(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for published in about
        .publications
        .iter()
        .filter(|one| one.guarantee == Guarantee::AtMostOnce)
    {
        let is_task = about.record(published.offset).is_some_and(|record| {
            matches!(
                record.said,
                Said::Create { .. } | Said::Replace { .. } | Said::Moved { .. }
            )
        });
        if is_task && !seen.insert((published.key, published.due, published.offset)) {
            return Err(format!(
                "{:016x} due {} went out twice",
                published.key.low(),
                published.due
            ));
        }
    }
    Ok(())
}

/// What an owner knew to be cancelled, replaced or moved before its time it did not publish; what
/// was moved away did not run at its old time; and a move that came well before its time was
/// carried out.
pub(super) fn check_updates(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let all = generations(journal, about);
    let damaged: BTreeSet<_> = about.damaged_tasks.iter().copied().collect();
    for one in &all {
        let Some((closed_at, closed)) = one.closed else {
            continue;
        };
        // In a damaged block the void may be gone, and what it voided is back.
        if damaged.contains(&(one.key, one.due)) {
            continue;
        }
        for index in &one.published {
            let published = &about.publications[*index];
            let Some(tick) = about.ticks.get(published.tick) else {
                continue;
            };
            // A repetition after the window may have been moved as a task of its own, when the one
            // before it had run.
            if closed == Closed::Moved && one.published.len() > one.stale_repeats {
                return Err(format!(
                    "{} was moved at offset {closed_at}, and ran",
                    in_words(one)
                ));
            }
            // Late ones are on their way out as soon as they are read; what follows them does not
            // stop them. It was not late when the last tick before had applied it and F had not
            // reached it yet.
            let was_timely = published.tick.checked_sub(1).is_some_and(|last| {
                let last = &about.ticks[last];
                let place = Place {
                    due: one.due,
                    offset: one.opened,
                };
                let is_behind = last.backlog.iter().any(|stretch| stretch.owes(place));
                last.applied > one.opened && (last.head.due < one.due || is_behind)
            });
            if tick.applied > closed_at && was_timely {
                return Err(format!(
                    "{} was {closed:?} at offset {closed_at}, and tick {} with A {} published it",
                    in_words(one),
                    tick.number,
                    tick.applied
                ));
            }
        }
    }
    check_moved(about, &all, &damaged)?;
    check_moves(journal, about, &all)
}

/// What was moved had been created, and not been ended, before its move was asked for.
fn check_moved(
    about: &PartitionJournal,
    all: &[Generation],
    damaged: &BTreeSet<(TaskKey, Timestamp)>,
) -> Result<(), String> {
    let mut asked: BTreeMap<(TaskKey, Timestamp, Timestamp), Vec<LogOffset>> = BTreeMap::new();
    for record in &about.log {
        match &record.said {
            Said::Move { key, due, to } => asked
                .entry((*key, *due, *to))
                .or_default()
                .push(record.offset),
            Said::Moved { key, due, to, .. } if !damaged.contains(&(*key, *due)) => {
                let was_waiting = |asked_at: &LogOffset| {
                    let end = all.partition_point(|one| {
                        (one.key, one.due, one.opened) < (*key, *due, *asked_at)
                    });
                    let governed = end.checked_sub(1).map(|index| &all[index]);
                    governed.is_some_and(|one| {
                        (one.key, one.due) == (*key, *due)
                            && one.closed.is_none_or(|(at, _)| at > *asked_at)
                    })
                };
                if asked
                    .get(&(*key, *due, *to))
                    .is_none_or(|offsets| !offsets.iter().any(was_waiting))
                {
                    return Err(format!(
                        "{:016x} due {due} was moved at offset {}, and was not waiting when that was asked for",
                        key.low(),
                        record.offset
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_moves(
    journal: &Journal,
    about: &PartitionJournal,
    all: &[Generation],
) -> Result<(), String> {
    let moved: BTreeSet<(TaskKey, Timestamp)> = about
        .log
        .iter()
        .filter_map(|record| match &record.said {
            Said::Moved { key, due, .. } => Some((*key, *due)),
            _ => None,
        })
        .collect();
    let reach_ms = journal.recovery_bound_ms + MOVE_MARGIN_MS + journal.clock_error_ms;
    let damaged: BTreeSet<_> = about.damaged_tasks.iter().copied().collect();
    for record in &about.log {
        let Said::Move { key, due, .. } = &record.said else {
            continue;
        };
        let certain_from_ms = record.appended_at_ms.max(journal.healed_at_ms) + reach_ms;
        let is_certain =
            due.as_millis() > certain_from_ms && due.as_millis() < journal.ended_at_ms - reach_ms;
        let end =
            all.partition_point(|one| (one.key, one.due, one.opened) < (*key, *due, record.offset));
        let governed = end.checked_sub(1).map(|index| &all[index]);
        let was_waiting =
            governed.is_some_and(|one| (one.key, one.due) == (*key, *due) && one.closed.is_none());
        if is_certain
            && was_waiting
            && !moved.contains(&(*key, *due))
            && !damaged.contains(&(*key, *due))
        {
            return Err(format!(
                "the move of {:016x} due {due} at offset {} was not carried out",
                key.low(),
                record.offset
            ));
        }
    }
    Ok(())
}

/// Every open generation that is due was published.
pub(super) fn check_loss(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let damaged: BTreeSet<_> = about.damaged_tasks.iter().copied().collect();
    let end_ms = journal.ended_at_ms - journal.recovery_bound_ms;
    for one in generations(journal, about) {
        let must_be_out =
            one.closed.is_none() && one.due.as_millis().max(one.opened_at_ms) < end_ms;
        if must_be_out && one.published.is_empty() && !damaged.contains(&(one.key, one.due)) {
            return Err(format!("{} was never published", in_words(&one)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::story::{Story, ms};

    fn moves(at: u64, due_ms: i64, to_ms: i64, resolved: bool) -> impl Fn(Story) -> Story {
        move |story| {
            let (key, due, to) = (TaskKey(7), ms(due_ms), ms(to_ms));
            let said = match resolved {
                true => Said::Moved {
                    key,
                    due,
                    to,
                    encoded: bytes::Bytes::new(),
                },
                false => Said::Move { key, due, to },
            };
            story.says(at, said)
        }
    }

    #[test]
    fn an_open_generation_is_published_once_and_not_less() {
        let story = Story::default().creates(1, 7, 50).creates(2, 7, 50);
        assert_eq!(
            story.clone().ticks(60, &[(7, 50, 1)]).ask(check_loss),
            Ok(())
        );
        assert!(story.clone().ticks(60, &[]).ask(check_loss).is_err());
        let twice = story.ticks(60, &[(7, 50, 1)]).ticks(61, &[(7, 50, 2)]);
        assert!(twice.ask(check_once).is_err());
    }

    #[test]
    fn tasks_of_a_damaged_block_rerun_only_when_recreated() {
        let mut story = Story::default().creates(1, 7, 50).creates(2, 7, 50);
        story.partition.damaged_tasks.push((TaskKey(7), ms(50)));
        let repeated = story.ticks(60, &[(7, 50, 1)]).ticks(61, &[(7, 50, 2)]);
        assert_eq!(repeated.ask(check_once), Ok(()));
        assert!(repeated.ticks(62, &[(7, 50, 2)]).ask(check_once).is_err());
    }

    #[test]
    fn creating_again_after_a_cancel_is_another_generation() {
        let story = Story::default()
            .creates(1, 7, 50)
            .cancels(2, 7, 50)
            .creates(3, 7, 50);
        let both = story
            .clone()
            .ticks(60, &[(7, 50, 1)])
            .ticks(70, &[(7, 50, 3)]);
        assert_eq!(both.ask(check_once), Ok(()));
        assert_eq!(both.ask(check_loss), Ok(()));
        let only_the_first = story.ticks(60, &[(7, 50, 1)]);
        assert!(only_the_first.ask(check_loss).is_err());
    }

    #[test]
    fn a_repeat_after_the_window_may_run_again() {
        let late = Story::default().creates(1, 7, 50).creates(2_000, 7, 50);
        let twice = late
            .ticks(60, &[(7, 50, 1)])
            .ticks(2_100, &[(7, 50, 2_000)]);
        assert_eq!(twice.ask(check_once), Ok(()));
        let thrice = twice.ticks(2_200, &[(7, 50, 2_000)]);
        assert!(thrice.ask(check_once).is_err());
        assert!(thrice.ask(check_at_most_once).is_err());
    }

    #[test]
    fn damaged_tasks_are_not_counted_as_lost() {
        let mut story = Story::default().creates(1, 7, 50).ticks(60, &[]);
        story.partition.damaged_tasks.push((TaskKey(7), ms(50)));
        assert_eq!(story.ask(check_loss), Ok(()));
    }

    #[test]
    fn what_was_known_to_be_cancelled_is_not_published() {
        let story = Story::default()
            .creates(1, 7, 500)
            .ticks(10, &[])
            .cancels(20, 7, 500);
        let unaware = story
            .clone()
            .ticks(505, &[(7, 500, 1)])
            .but(|tick| tick.applied = LogOffset::at(20));
        assert_eq!(unaware.ask(check_updates), Ok(()));
        let aware = story
            .ticks(505, &[(7, 500, 1)])
            .but(|tick| tick.applied = LogOffset::at(21));
        assert!(aware.ask(check_updates).is_err());
    }

    #[test]
    fn a_move_is_carried_out_and_what_was_moved_does_not_run() {
        let waiting = moves(2, 100_000, 200_000, false)(Story::default().creates(1, 7, 100_000));
        assert!(waiting.ask(check_updates).is_err(), "nobody resolved it");
        let moved = moves(3, 100_000, 200_000, true)(waiting);
        assert_eq!(moved.ask(check_updates), Ok(()));
        assert!(
            moved
                .ticks(100_001, &[(7, 100_000, 1)])
                .ask(check_updates)
                .is_err()
        );
    }

    #[test]
    fn only_what_waits_is_moved() {
        let moved = |story: Story| {
            let asked = moves(3, 100_000, 200_000, false)(story);
            moves(4, 100_000, 200_000, true)(asked).ask(check_updates)
        };
        let created = Story::default().creates(1, 7, 100_000);
        assert_eq!(moved(created.clone()), Ok(()));
        assert!(moved(Story::default()).is_err(), "it never was");
        assert!(
            moved(created.clone().cancels(2, 7, 100_000)).is_err(),
            "it had been cancelled"
        );
        let unasked = moves(4, 100_000, 200_000, true)(created);
        assert!(unasked.ask(check_updates).is_err(), "nobody asked for it");
    }
}
