//! Nothing is published before it is due, by the owner's own clock; and no owner claims a later time than its clock shows.
//!
//! Where clocks are set during a run, an execution may be on its way already when its owner's clock is set back: then what
//! that clock had shown before counts, or true time if that is later. And a run of a schedule that had to wait for
//! another had been due when it began to wait, by the clock of that time.
//!
//! A trigger means "now" by the log's clock, and has no due time that an owner's clock could be held against.

use crate::journal::{Journal, PartitionJournal, Published, Said};

/// Clocks that are further off than this have been set.
const SKEW_MS_MAX: i64 = 200;

/// Whether an earlier owner's clock had reached the time of a schedule's run.
fn had_come(about: &PartitionJournal, published: &Published, due_ms: i64) -> bool {
    let is_of_schedule =
        about.record(published.offset).is_some_and(|record| matches!(record.said, Said::Revise(_)));
    is_of_schedule && about.ticks[..published.tick].iter().any(|tick| tick.published_at_ms >= due_ms)
}

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for tick in &about.ticks {
        if tick.published_at_ms > tick.clock_ms {
            return Err(format!(
                "tick {} says it was built at {} when its owner's clock showed {}",
                tick.number, tick.published_at_ms, tick.clock_ms
            ));
        }
    }
    let is_triggered = |published: &Published| {
        about.record(published.offset).is_some_and(|record| matches!(record.said, Said::Trigger { .. }))
    };
    for published in about.publications.iter().filter(|published| !is_triggered(published)) {
        let tick = about.tick_of(published);
        let due_ms = published.due.as_millis();
        let was_on_its_way = journal.clock_error_ms > SKEW_MS_MAX
            && (due_ms <= tick.committed_at_ms.max(tick.latest_clock_ms)
                || had_come(about, published, due_ms));
        if due_ms > tick.published_at_ms && !was_on_its_way {
            return Err(format!(
                "{:016x} due {} was published {} ms early, in tick {}",
                published.key.low(),
                published.due,
                due_ms - tick.published_at_ms,
                tick.number
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::check::story::Story;

    #[test]
    fn one_millisecond_early_is_early() {
        let story = Story::default().creates(1, 7, 50);
        assert_eq!(story.clone().ticks(50, &[(7, 50, 1)]).ask(check), Ok(()));
        assert!(story.clone().ticks(49, &[(7, 50, 1)]).ask(check).is_err());
        let claims_later = story.ticks(60, &[(7, 50, 1)]).but(|tick| tick.clock_ms = 59);
        assert!(claims_later.ask(check).is_err());
    }
}
