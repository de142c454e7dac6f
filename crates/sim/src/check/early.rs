//! Nothing is published before it is due, by the owner's own clock; and no owner claims a later
//! time than its clock shows.
//!
//! Where clocks are set during a run, an execution may be on its way already when its owner's clock
//! is set back: then what that clock had shown before counts, or true time if that is later. And a
//! run of a schedule that had to wait for another had been due when it began to wait, by the clock
//! of that time.
//!
//! Where the sink has a clock of its own, no jump of an owner's brings anything forward by more
//! than that clock may be off.
//!
//! A trigger means "now" by the log's clock, and has no due time that an owner's clock could be
//! held against.

use crate::journal::{Journal, PartitionJournal, Published, Said};

/// Clocks that are further off than this have been set.
const SKEW_MS_MAX: i64 = 200;

/// Whether an earlier owner's clock had reached the time of a schedule's run.
fn had_come(about: &PartitionJournal, published: &Published, due_ms: i64) -> bool {
    let is_of_schedule = about
        .record(published.offset)
        .is_some_and(|record| matches!(record.said, Said::Revise(_)));
    is_of_schedule
        && about.ticks[..published.tick]
            .iter()
            .any(|tick| tick.published_at_ms >= due_ms)
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
        about
            .record(published.offset)
            .is_some_and(|record| matches!(record.said, Said::Trigger { .. }))
    };
    for published in about
        .publications
        .iter()
        .filter(|published| !is_triggered(published))
    {
        let tick = about.tick_of(published);
        let due_ms = published.due.as_millis();
        let ahead_ms = due_ms - tick.committed_at_ms;
        if journal
            .clock_skew_ms_max
            .is_some_and(|skew_ms_max| ahead_ms > skew_ms_max)
        {
            return Err(format!(
                "{:016x} due {} was published {ahead_ms} ms early by the sink's clock, in tick {}",
                published.key.low(),
                published.due,
                tick.number
            ));
        }
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
    use crate::journal::Journal;

    #[test]
    fn a_clock_that_is_ahead_is_no_excuse_where_the_sink_has_one() {
        let story = Story::default()
            .creates(1, 7, 5_000)
            .ticks(5_000, &[(7, 5_000, 1)]);
        let ahead = |ms: i64| story.clone().but(|tick| tick.committed_at_ms = 5_000 - ms);
        for (ahead_ms, is_fine) in [(500, true), (501, false)] {
            let story = ahead(ahead_ms);
            let journal = Journal {
                clock_skew_ms_max: Some(500),
                ..story.journal()
            };
            assert_eq!(
                check(&journal, &story.partition).is_ok(),
                is_fine,
                "{ahead_ms}"
            );
        }
    }

    #[test]
    fn one_millisecond_early_is_early() {
        let story = Story::default().creates(1, 7, 50);
        assert_eq!(story.clone().ticks(50, &[(7, 50, 1)]).ask(check), Ok(()));
        assert!(story.clone().ticks(49, &[(7, 50, 1)]).ask(check).is_err());
        let claims_later = story
            .ticks(60, &[(7, 50, 1)])
            .but(|tick| tick.clock_ms = 59);
        assert!(claims_later.ask(check).is_err());
    }
}
