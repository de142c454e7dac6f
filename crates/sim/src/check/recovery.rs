//! Everything is out in time: within the bound after healing, what is on time within moments once
//! owners have settled, and within its class where nothing went wrong.

use minutehand_model::LogOffset;

use crate::journal::{Journal, PartitionJournal, Published, Said, TickEntry};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for published in &about.publications {
        let Some(tick) = about.ticks.get(published.tick) else {
            continue;
        };
        let Some(asked_ms) = asked_ms(about, published) else {
            continue;
        };
        let is_known = is_known_by(about, published.offset, asked_ms);
        let (late_ms, bound_ms, when) = bound(journal, asked_ms, is_known, tick.committed_at_ms);
        if late_ms > bound_ms {
            return Err(format!(
                "{:016x} due {} came {late_ms} ms late {when}; the bound is {bound_ms}",
                published.key.low(),
                published.due,
            ));
        }
    }
    check_alive(journal, about)
}

/// From when on a task could be published: what schedules owe has bounds of its own.
fn asked_ms(about: &PartitionJournal, published: &Published) -> Option<i64> {
    let record = about.record(published.offset)?;
    let is_task = matches!(
        record.said,
        Said::Create { .. } | Said::Replace { .. } | Said::Moved { .. }
    );
    is_task.then(|| published.due.as_millis().max(record.appended_at_ms))
}

/// Whether the owner had applied a command by a time. Beyond the memory that a partition may take
/// commands wait in the log, so that what lies there is not on time yet.
fn is_known_by(about: &PartitionJournal, offset: LogOffset, time_ms: i64) -> bool {
    let is_before = |tick: &TickEntry| tick.applied <= offset;
    let first = about.ticks.get(about.ticks.partition_point(is_before));
    first.is_some_and(|tick| tick.committed_at_ms <= time_ms)
}

/// How late something came, how late it may come, and why.
fn bound(
    journal: &Journal,
    asked_ms: i64,
    is_known: bool,
    out_ms: i64,
) -> (i64, i64, &'static str) {
    let late_ms = out_ms - asked_ms;
    if let Some(healthy_ms) = journal.healthy_lateness_ms {
        return (late_ms, healthy_ms, "although nothing was wrong");
    }
    let settled_ms = journal.healed_at_ms + journal.recovery_bound_ms / 2;
    let is_on_time = is_known && asked_ms >= settled_ms;
    match journal.on_time_ms.filter(|_| is_on_time) {
        Some(on_time_ms) => (late_ms, on_time_ms, "although it was on time"),
        None => {
            let late_ms = out_ms - asked_ms.max(journal.healed_at_ms);
            (
                late_ms,
                journal.recovery_bound_ms,
                "after everything was healed",
            )
        }
    }
}

/// At the end every command has been applied, and F stands near the end.
fn check_alive(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let Some(last_record) = about.log.last() else {
        return Ok(());
    };
    let Some(last_tick) = about.ticks.last() else {
        return Err("there are commands, but there was never a tick".to_owned());
    };
    let is_old = last_record.appended_at_ms < journal.ended_at_ms - journal.recovery_bound_ms;
    if is_old && last_tick.applied <= last_record.offset {
        return Err(format!(
            "A stands at {}, the log ends at {}",
            last_tick.applied,
            last_record.offset.next()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::check::story::Story;

    #[test]
    fn late_after_healing_is_a_violation_and_late_before_is_not() {
        let story = Story::default()
            .creates(1, 7, 50)
            .ticks(5_000, &[(7, 50, 1)]);
        let mut journal = story.journal();
        assert!(check(&journal, &story.partition).is_err());
        journal.healed_at_ms = 4_500;
        assert_eq!(check(&journal, &story.partition), Ok(()));
        journal.healthy_lateness_ms = Some(100);
        assert!(check(&journal, &story.partition).is_err());
    }

    #[test]
    fn what_is_on_time_waits_for_nothing_that_was_missed() {
        let story = |due_ms: i64| {
            let story = Story::default().creates(1, 7, due_ms);
            let story = story.ticks(due_ms, &[]);
            story.ticks(due_ms + 101, &[(7, due_ms, 1)])
        };
        let ask = |due_ms: i64, on_time_ms: Option<i64>| {
            let story = story(due_ms);
            let mut journal = story.journal();
            journal.healed_at_ms = 1_000;
            journal.on_time_ms = on_time_ms;
            check(&journal, &story.partition)
        };
        assert!(ask(1_500, Some(100)).is_err());
        assert_eq!(ask(1_499, Some(100)), Ok(()), "owners may still settle");
        assert_eq!(ask(1_500, Some(101)), Ok(()));
        assert_eq!(ask(1_500, None), Ok(()), "all goes in one order");
    }

    #[test]
    fn what_waits_in_the_log_is_not_on_time_yet() {
        let story = Story::default().creates(1, 7, 1_500);
        let story = story.ticks(1_601, &[(7, 1_500, 1)]);
        let mut journal = story.journal();
        (journal.healed_at_ms, journal.on_time_ms) = (1_000, Some(100));
        assert_eq!(check(&journal, &story.partition), Ok(()));
    }

    #[test]
    fn commands_that_nobody_applied_are_a_standstill() {
        let story = Story::default().ticks(5, &[]).creates(10, 7, 50);
        assert!(story.ask(check).is_err());
        assert!(Story::default().creates(10, 7, 50).ask(check).is_err());
        assert_eq!(story.ticks(60, &[(7, 50, 10)]).ask(check), Ok(()));
    }
}
