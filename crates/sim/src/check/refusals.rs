//! What a tick did not publish is a dead letter, or comes again; never both, never neither. Who
//! waits for it is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Journal, PartitionJournal, Said, Unpublished};

pub(super) fn check(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let mut fates: BTreeMap<usize, Unpublished> = BTreeMap::new();
    for (index, fate) in &about.unpublished {
        let known = fates.entry(*index).or_default();
        if known.is_letter || known.again_at.is_some() {
            return Err(format!(
                "execution {index} is a dead letter and comes again, or does so twice"
            ));
        }
        *known = *fate;
    }
    each_at_a_time_of_its_own(about, &fates)?;
    for (index, fate) in fates {
        let Some(published) = about.publications.get(index) else {
            continue;
        };
        let name = format!("{:016x} due {}", published.key.low(), published.due);
        match (fate.is_letter, fate.again_at) {
            (false, None) => return Err(format!("{name} was not published, and is kept nowhere")),
            (false, Some(due)) if due <= published.due => {
                return Err(format!(
                    "{name} comes again at {due}, when it counts as published"
                ));
            }
            (false, Some(due)) => {
                let comes = about.log.iter().any(|record| {
                    matches!(&record.said, Said::Create { key, due: at, .. } if *key == published.key && *at == due)
                });
                if !comes {
                    return Err(format!(
                        "{name} was put off to {due}, and the log does not say so"
                    ));
                }
            }
            (true, _) => told(about, &published.encoded).map_err(|schedule| {
                format!("{name} was not published, and schedule {schedule} still waits for it")
            })?,
        }
    }
    Ok(())
}

/// Two that come again as one task are one run less.
fn each_at_a_time_of_its_own(
    about: &PartitionJournal,
    fates: &BTreeMap<usize, Unpublished>,
) -> Result<(), String> {
    let mut given = BTreeSet::new();
    for (index, fate) in fates {
        let (Some(published), Some(due)) = (about.publications.get(*index), fate.again_at) else {
            continue;
        };
        if !given.insert((published.key, due)) {
            return Err(format!(
                "{:016x} due {} was put off to {due}, when another of its id comes again",
                published.key.low(),
                published.due
            ));
        }
    }
    Ok(())
}

/// Whether the schedule that waits for a task, if one does, hears that it has ended.
fn told(about: &PartitionJournal, encoded: &bytes::Bytes) -> Result<(), String> {
    let Ok(task) = minutehand_record::task::decode(encoded) else {
        return Ok(());
    };
    let key = task.key();
    let Some(origin) = task.origin.filter(|origin| origin.completion_wanted) else {
        return Ok(());
    };
    let is_told = about.log.iter().any(|record| {
        matches!(&record.said, Said::Completed { key: ended, due, .. }
            if *ended == key && *due == Some(task.first_due))
    });
    if is_told {
        Ok(())
    } else {
        Err(origin.schedule.to_string())
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::Timestamp;

    use super::check;
    use crate::check::story::Story;
    use crate::journal::Unpublished;

    #[test]
    fn what_was_not_published_is_kept_in_one_place() {
        let story = Story::default()
            .creates(1, 7, 50)
            .creates(2, 7, 90)
            .ticks(60, &[(7, 50, 1)]);
        let asked = |fates: &[Unpublished]| {
            let mut story = story.clone();
            story.partition.unpublished = fates.iter().map(|fate| (0, *fate)).collect();
            story.ask(check).is_ok()
        };
        let letter = Unpublished {
            is_letter: true,
            again_at: None,
        };
        let again = |due| Unpublished {
            is_letter: false,
            again_at: Some(Timestamp::from_millis(due)),
        };
        assert!(asked(&[]) && asked(&[letter]) && asked(&[again(90)]));
        assert!(!asked(&[Unpublished::default()]), "kept nowhere");
        assert!(!asked(&[again(50)]), "under its old due time");
        assert!(!asked(&[again(91)]), "the log does not say so");
        assert!(!asked(&[letter, again(90)]), "both");
    }

    #[test]
    fn two_that_come_again_as_one_are_found() {
        let mut story = Story::default()
            .creates(1, 7, 50)
            .creates(2, 7, 51)
            .creates(3, 7, 90)
            .ticks(60, &[(7, 50, 1), (7, 51, 2)]);
        let again = Unpublished {
            is_letter: false,
            again_at: Some(Timestamp::from_millis(90)),
        };
        story.partition.unpublished = vec![(0, again), (1, again)];
        assert!(story.ask(check).is_err());
    }
}
