//! Ticks are whole, and what is published is what the log said.

use minutehand_model::{TaskKey, Timestamp};

use crate::journal::{Journal, PartitionJournal, Said};

/// Every tick's executions can all be read.
pub(super) fn check_torn(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let mut readable = vec![0_usize; about.ticks.len()];
    for published in &about.publications {
        match readable.get_mut(published.tick) {
            Some(count) => *count += 1,
            None => {
                return Err(format!(
                    "{:016x} was published without a checkpoint",
                    published.key.low()
                ));
            }
        }
    }
    for (tick, readable) in about.ticks.iter().zip(readable) {
        if tick.declared != readable || tick.visible != readable {
            return Err(format!(
                "tick {} has {} executions, of which {readable} can be read",
                tick.number, tick.declared
            ));
        }
    }
    Ok(())
}

/// No phantom: the record that an execution stems from lies before A, and says just this.
pub(super) fn check_content(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for published in &about.publications {
        let name = format!(
            "{:016x} due {} offset {}",
            published.key.low(),
            published.due,
            published.offset
        );
        let Some(tick) = about.ticks.get(published.tick) else {
            continue;
        };
        if published.offset >= tick.applied {
            return Err(format!(
                "{name} was published by a tick with A {}",
                tick.applied
            ));
        }
        let Some(record) = about.record(published.offset) else {
            return Err(format!("{name} was published, but there is no such record"));
        };
        let says = |key: TaskKey, due: Timestamp, encoded: &bytes::Bytes| {
            key == published.key && due == published.due && *encoded == published.encoded
        };
        let agrees = match &record.said {
            Said::Create { key, due, encoded } => says(*key, *due, encoded),
            Said::Replace {
                key, to, encoded, ..
            }
            | Said::Moved {
                key, to, encoded, ..
            } => says(*key, *to, encoded),
            // The checkers of schedules look into these.
            Said::Revise(_) | Said::Trigger { .. } | Said::Backfill { .. } => true,
            _ => false,
        };
        if !agrees {
            return Err(format!(
                "{name} was published, but that record says {:?}",
                record.said
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::{check_content, check_torn};
    use crate::check::story::Story;

    #[test]
    fn an_execution_must_be_backed_by_its_record() {
        let story = Story::default().creates(1, 7, 50).cancels(2, 7, 50);
        assert_eq!(
            story.clone().ticks(60, &[(7, 50, 1)]).ask(check_content),
            Ok(())
        );
        for wrong in [(8, 50, 1), (7, 51, 1), (7, 50, 2), (7, 50, 3)] {
            assert!(
                story
                    .clone()
                    .ticks(60, &[wrong])
                    .ask(check_content)
                    .is_err(),
                "{wrong:?}"
            );
        }
        let beyond_a = story
            .ticks(60, &[(7, 50, 1)])
            .but(|tick| tick.applied = LogOffset::at(1));
        assert!(beyond_a.ask(check_content).is_err());
    }

    #[test]
    fn a_torn_tick_is_seen() {
        let story = Story::default().creates(1, 7, 50).ticks(60, &[(7, 50, 1)]);
        assert_eq!(story.ask(check_torn), Ok(()));
        assert!(
            story
                .clone()
                .but(|tick| tick.declared = 2)
                .ask(check_torn)
                .is_err()
        );
        let mut without_checkpoint = story;
        without_checkpoint.partition.ticks.pop();
        assert!(without_checkpoint.ask(check_torn).is_err());
    }
}
