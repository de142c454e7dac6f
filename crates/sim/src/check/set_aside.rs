//! What could not be understood was reported, with its place; nothing else was.

use std::collections::BTreeSet;

use minutehand_model::LogOffset;

use crate::journal::{Journal, PartitionJournal, Said};

pub(super) fn check(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let reported: BTreeSet<&str> = about.set_aside.iter().map(String::as_str).collect();
    let applied = about
        .ticks
        .last()
        .map_or(LogOffset::START, |tick| tick.applied);
    let mut unreadable = BTreeSet::new();
    for record in &about.log {
        let Said::Unreadable { position } = &record.said else {
            continue;
        };
        unreadable.insert(position.as_str());
        if record.offset < applied && !reported.contains(position.as_str()) {
            return Err(format!(
                "the record at {position} could not be understood, and nobody was told"
            ));
        }
    }
    for position in reported {
        // Revisions whose definition has no meaning are reported with more than their offset.
        let is_plain = position
            .strip_prefix("log offset ")
            .is_some_and(|rest| LogOffset::parse(rest).is_some());
        if is_plain && !unreadable.contains(position) {
            return Err(format!(
                "{position} was set aside, but it can be understood"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::check::story::Story;
    use crate::journal::Said;

    #[test]
    fn every_unreadable_record_is_reported_and_no_other() {
        let unreadable = Said::Unreadable {
            position: "log offset 3".to_owned(),
        };
        let mut story = Story::default()
            .creates(1, 7, 50)
            .says(3, unreadable)
            .ticks(60, &[]);
        assert!(story.ask(check).is_err());
        story.partition.set_aside.push("log offset 3".to_owned());
        assert_eq!(story.ask(check), Ok(()));
        story.partition.set_aside.push("log offset 1".to_owned());
        assert!(story.ask(check).is_err());
    }
}
