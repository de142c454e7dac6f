//! Which schedule is which line's, when the file has been edited since the schedules were made.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minutehand_model::ScheduleId;

use crate::id::{FileLabel, NewIds};

/// A line of the file as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it runs: [`Entry::content`](crate::Entry::content).
    pub content: String,
    /// When, as one text: expression and zone.
    pub timing: String,
}

/// A schedule that was made of a line of the file before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: ScheduleId,
    /// The line as it was then.
    pub line: Line,
}

/// Which schedule is which line's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The id of each line's schedule, in their order.
    pub ids: Vec<ScheduleId>,
    /// The schedules that no line makes any more, in their order.
    pub gone: Vec<ScheduleId>,
}

/// Finds each line's schedule: the one that runs the same at the same time, else the one that runs
/// the same (its time was edited), else one that ran something else at the same time (its command
/// was edited). Of several that fit, the first belongs to the first. A line that has none gets an
/// id that none has: `<prefix>/<file>/<n>-<hash>`.
#[must_use]
pub fn follow(prefix: &str, file: &FileLabel, lines: &[Line], known: &[Known]) -> Followed {
    let mut found: Vec<Option<usize>> = vec![None; lines.len()];
    let mut left: BTreeSet<usize> = (0..known.len()).collect();
    for key in KEYS {
        let mut by_key: BTreeMap<(&str, &str), VecDeque<usize>> = BTreeMap::new();
        for index in &left {
            by_key
                .entry(key(&known[*index].line))
                .or_default()
                .push_back(*index);
        }
        for (line, place) in lines
            .iter()
            .zip(&mut found)
            .filter(|(_, place)| place.is_none())
        {
            *place = by_key.get_mut(&key(line)).and_then(VecDeque::pop_front);
            if let Some(index) = place {
                left.remove(index);
            }
        }
    }
    let mut new = NewIds::new(prefix, file, known.iter().map(|known| known.id.clone()));
    let ids = lines.iter().zip(&found).map(|(line, found)| match found {
        Some(index) => known[*index].id.clone(),
        None => new.id_of(&line.content),
    });
    Followed {
        ids: ids.collect(),
        gone: left
            .into_iter()
            .map(|index| known[index].id.clone())
            .collect(),
    }
}

/// A part of a line.
type Key = for<'a> fn(&'a Line) -> (&'a str, &'a str);

/// What two lines must have in common to be one, the strictest first.
const KEYS: [Key; 3] = [
    |line| (&line.content, &line.timing),
    |line| (&line.content, ""),
    |line| ("", &line.timing),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let line = |(timing, content): (&str, &str)| Line {
            content: content.into(),
            timing: timing.into(),
        };
        text.split(',')
            .filter_map(|line| line.split_once(' '))
            .map(line)
            .collect()
    }

    /// The ids that the lines have after each edit of the file; what has gone is left out of the
    /// next one's known.
    fn history(edits: &[&str]) -> Vec<Vec<String>> {
        let mut known: Vec<Known> = Vec::new();
        let mut ids = Vec::new();
        for edit in edits {
            let lines = lines(edit);
            let followed = follow("crontab", &FileLabel::of_name("f"), &lines, &known);
            let named = followed
                .ids
                .iter()
                .map(|id| id.to_string())
                .collect::<Vec<_>>();
            let kept = known
                .iter()
                .filter(|known| followed.ids.contains(&known.id))
                .count();
            assert_eq!(kept + followed.gone.len(), known.len(), "{edit}");
            known = followed
                .ids
                .into_iter()
                .zip(lines)
                .map(|(id, line)| Known { id, line })
                .collect();
            known.sort_by(|a, b| a.id.cmp(&b.id));
            ids.push(named);
        }
        ids
    }

    #[test]
    fn an_edited_line_keeps_its_schedule() {
        let ids = history(&[
            "a one,b two",
            "a one,b three",
            "c one,b three",
            "b three,c one",
            "c one",
        ]);
        assert_eq!(ids[1], ids[0], "a command was edited");
        assert_eq!(ids[2], ids[0], "a time was edited");
        assert_eq!(
            ids[3],
            [ids[0][1].clone(), ids[0][0].clone()],
            "lines were swapped"
        );
        assert_eq!(ids[4], [ids[0][0].clone()], "a line was removed");
    }

    #[test]
    fn a_new_line_never_takes_an_id_that_another_line_has() {
        // The second line runs something new under its old id; then its old command comes back on a
        // line of its own.
        let ids = history(&["a one,b two", "a one,b three", "a one,b three,c two"]);
        assert_eq!(ids[2][..2], ids[0]);
        assert_ne!(ids[2][2], ids[0][1]);
    }

    #[test]
    fn equal_lines_are_told_apart_by_number() {
        let ids = history(&["a one,a one", "a one,a one,a one", "a one,a one"]);
        assert_ne!(ids[0][0], ids[0][1]);
        assert_eq!(ids[1][..2], ids[0]);
        assert_eq!(ids[2], ids[0]);
    }

    #[test]
    fn a_line_whose_time_and_command_are_new_is_a_new_line() {
        let ids = history(&["a one", "b two"]);
        assert_ne!(ids[0], ids[1]);
    }
}
