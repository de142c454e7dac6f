//! Everything is out in time: within the bound after healing, and within its class where nothing
//! went wrong.

use crate::journal::{Journal, PartitionJournal, Said};

/// Most of the time between two ticks that counts as spent on the first of them.
const TICK_MS_MAX: i64 = 20;

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let owed_ms = spent_on_owed_occurrences_ms(journal, about);
    for published in &about.publications {
        let Some(tick) = about.ticks.get(published.tick) else {
            continue;
        };
        let Some(record) = about.record(published.offset) else {
            continue;
        };
        let is_task = matches!(
            record.said,
            Said::Create { .. } | Said::Replace { .. } | Said::Moved { .. }
        );
        if !is_task {
            continue;
        }
        let asked_ms = published.due.as_millis().max(record.appended_at_ms);
        let late_ms = tick.committed_at_ms - asked_ms.max(journal.healed_at_ms);
        let bound_ms = journal.recovery_bound_ms + owed_ms[published.tick];
        if late_ms > bound_ms {
            return Err(format!(
                "{:016x} due {} came {late_ms} ms after everything was healed; the bound is {}",
                published.key.low(),
                published.due,
                bound_ms
            ));
        }
        let healthy_ms = journal.healthy_lateness_ms.unwrap_or(i64::MAX);
        if tick.committed_at_ms - asked_ms > healthy_ms {
            return Err(format!(
                "{:016x} due {} came {} ms late although nothing was wrong",
                published.key.low(),
                published.due,
                tick.committed_at_ms - asked_ms
            ));
        }
    }
    check_alive(journal, about)
}

/// For every tick, how long the ticks since healing were busy with runs that schedules owed from
/// before: they are decided in the order of their times, and what is due later in their partition
/// waits for them (docs/GUARANTEES.md, *After an outage*).
fn spent_on_owed_occurrences_ms(journal: &Journal, about: &PartitionJournal) -> Vec<i64> {
    let mut is_busy = vec![false; about.ticks.len()];
    for published in &about.publications {
        let is_owed = published.due.as_millis() < journal.healed_at_ms;
        let is_run = || {
            about
                .record(published.offset)
                .is_some_and(|record| matches!(record.said, Said::Revise { .. }))
        };
        if let Some(busy) = is_busy.get_mut(published.tick)
            && is_owed
            && is_run()
        {
            *busy = true;
        }
    }
    let mut spent_ms = 0;
    let mut before_ms = journal.healed_at_ms;
    let ticks = about.ticks.iter().zip(is_busy);
    ticks
        .map(|(tick, is_busy)| {
            if is_busy && tick.committed_at_ms > journal.healed_at_ms {
                spent_ms += (tick.committed_at_ms - before_ms).clamp(0, TICK_MS_MAX);
            }
            before_ms = tick.committed_at_ms;
            spent_ms
        })
        .collect()
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
    fn commands_that_nobody_applied_are_a_standstill() {
        let story = Story::default().ticks(5, &[]).creates(10, 7, 50);
        assert!(story.ask(check).is_err());
        assert!(Story::default().creates(10, 7, 50).ask(check).is_err());
        assert_eq!(story.ticks(60, &[(7, 50, 10)]).ask(check), Ok(()));
    }
}
