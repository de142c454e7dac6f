//! Whoever takes a region's right to speak away knows, by the horizon alone, how far F can have
//! come: until the region has the right again, neither F nor anything that goes out is beyond that,
//! whatever its clocks showed, however long its owners stood still, and whatever became of what was
//! on its way.

use crate::journal::{Closing, Journal, PartitionJournal, TickEntry};

pub(super) fn check(journal: &Journal, about: &PartitionJournal) -> Result<(), String> {
    journal
        .closings
        .iter()
        .try_for_each(|closing| is_kept(closing, about))
}

fn is_kept(closing: &Closing, about: &PartitionJournal) -> Result<(), String> {
    let is_bound = |tick: &TickEntry| {
        closing
            .reopened_at_ms
            .is_none_or(|reopened_at_ms| tick.committed_at_ms < reopened_at_ms)
    };
    let ahead = about
        .ticks
        .iter()
        .find(|tick| is_bound(tick) && tick.head.due.as_millis() > closing.horizon_ms);
    if let Some(tick) = ahead {
        return Err(format!(
            "tick {} of epoch {} put F at {}, beyond {}",
            tick.number,
            tick.epoch,
            tick.head.due,
            told(closing)
        ));
    }
    let early = about.publications.iter().find(|published| {
        published.due.as_millis() > closing.horizon_ms && is_bound(about.tick_of(published))
    });
    match early {
        Some(published) => Err(format!(
            "tick {} published {:016x} due {}, beyond {}",
            about.tick_of(published).number,
            published.key.low(),
            published.due,
            told(closing)
        )),
        None => Ok(()),
    }
}

fn told(closing: &Closing) -> String {
    let Closing {
        at_ms, horizon_ms, ..
    } = closing;
    format!("the horizon {horizon_ms} of the right that was taken away at {at_ms}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::story::Story;

    /// What is said when the right was taken away with a horizon, and given back at 300.
    fn ask(story: &Story, horizon_ms: i64) -> Result<(), String> {
        let mut journal = story.journal();
        journal.closings = vec![Closing {
            at_ms: 150,
            horizon_ms,
            reopened_at_ms: Some(300),
        }];
        check(&journal, &journal.partitions[0])
    }

    /// F at 100 and then later.
    fn closed(horizon_ms: i64, later_ms: i64) -> Result<(), String> {
        ask(
            &Story::default().ticks(100, &[]).ticks(later_ms, &[]),
            horizon_ms,
        )
    }

    #[test]
    fn f_beyond_the_horizon_of_a_lost_right_is_noticed() {
        assert_eq!(closed(200, 200), Ok(()));
        assert!(closed(199, 200).is_err());
    }

    #[test]
    fn a_right_that_came_back_is_not_bound_by_the_old_horizon() {
        assert_eq!(closed(180, 400), Ok(()));
    }

    #[test]
    fn what_goes_out_beyond_the_horizon_is_noticed_wherever_f_is() {
        let publishes = |due_ms| {
            let story = Story::default().creates(1, 7, due_ms);
            story.ticks(160, &[(7, due_ms, 1)])
        };
        assert_eq!(ask(&publishes(200), 200), Ok(()));
        assert!(ask(&publishes(201), 200).is_err());
    }
}
