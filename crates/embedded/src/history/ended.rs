//! Ends of attempts by how they ended, the newest first.
//!
//! Successes without a word are kept in brief, all others row by row. Both have numbers of their
//! own, so a place among both is two numbers, and the times of their ends put them in one order.

use std::iter::Peekable;

use minutehand_model::{Outcome, OutcomeKind, TaskKey, Timestamp};
use minutehand_ports::{EndedPage, EndedPlace, EndedQuery};
use minutehand_record::outcome;

use crate::keys;
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::successes::NewestFirst;

/// Most rows that are looked at for one page.
const ROWS_LOOKED_AT_MAX: usize = 10_000;

/// A page of ends. What is looked at for it is bounded; whoever wants more asks again.
pub(super) fn page(
    spaces: &Spaces,
    shared: &Shared,
    query: &EndedQuery,
) -> fjall::Result<EndedPage> {
    let from = Before::read(query.before.as_ref());
    let rows = match from.row {
        Some(number) => rows(spaces, shared, query, number)?,
        None => NewestFirst::default(),
    };
    let brief = match from.brief {
        Some(number) if query.kind == OutcomeKind::Succeeded => shared.successes.before(
            spaces,
            number,
            query.count_max,
            |task| query.wants_task(task),
            |position, reason| shared.note_corruption(position, reason),
        )?,
        Some(_) | None => NewestFirst::default(),
    };
    Ok(merged(rows, brief, query.count_max))
}

/// A place: the ends before these numbers are still to come; `None` where there are none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    row: Option<u64>,
    brief: Option<u64>,
}

impl Before {
    /// Of all ends where no place is given. A number that no store gave out is that of the oldest.
    fn read(place: Option<&EndedPlace>) -> Before {
        let Some((row, brief)) = place else {
            let newest = Some(u64::MAX);
            return Before {
                row: newest,
                brief: newest,
            };
        };
        Before {
            row: u64::try_from(*row).ok(),
            brief: brief.parse().ok(),
        }
    }

    fn place(self) -> EndedPlace {
        let row = self.row.and_then(|number| i64::try_from(number).ok());
        let brief = self.brief.map(|number| number.to_string());
        (row.unwrap_or(-1), brief.unwrap_or_default())
    }
}

/// What is kept row by row.
fn rows(
    spaces: &Spaces,
    shared: &Shared,
    query: &EndedQuery,
    before: u64,
) -> fjall::Result<NewestFirst> {
    let mut newest = NewestFirst::default();
    let numbers = spaces
        .outcome_order
        .range(0_u64.to_be_bytes()..before.to_be_bytes())
        .rev();
    for (looked_at, guard) in numbers.enumerate() {
        let (number, key) = guard.into_inner()?;
        let (Some(number), Ok(key)) = (keys::number_of(&number), <[u8; 16]>::try_from(&key[..]))
        else {
            continue;
        };
        if newest.found.len() >= query.count_max || looked_at >= ROWS_LOOKED_AT_MAX {
            newest.before = Some(number + 1);
            break;
        }
        let key = TaskKey(u128::from_be_bytes(key));
        let Some(row) = spaces.outcomes.get(keys::outcome(key, number))? else {
            continue;
        };
        match outcome::decode(&row.into()) {
            Ok(outcome) if query.wants(&outcome) => newest.found.push((number, outcome)),
            Ok(_) => {}
            Err(error) => {
                shared.note_corruption(format!("an outcome of the task {key:?}"), error.reason);
            }
        }
    }
    Ok(newest)
}

/// Both in one order, as far as it is known: behind the last that was found of one side something
/// newer may follow than what the other still has.
fn merged(rows: NewestFirst, brief: NewestFirst, count_max: usize) -> EndedPage {
    let (mut rows, mut brief) = (Side::of(rows), Side::of(brief));
    let mut page = EndedPage::default();
    while page.ended.len() < count_max
        && let (Next::Known(row), Next::Known(success)) = (rows.next(), brief.next())
    {
        let side = match (row, success) {
            (None, None) => break,
            (Some(_), None) => &mut rows,
            (None, Some(_)) => &mut brief,
            (Some(row), Some(success)) if row > success => &mut rows,
            (Some(_), Some(_)) => &mut brief,
        };
        let Some((_, outcome)) = side.found.next() else {
            break;
        };
        page.ended.push((place(&mut rows, &mut brief), outcome));
    }
    let has_more = rows.before().is_some() || brief.before().is_some();
    page.next = has_more.then(|| place(&mut rows, &mut brief));
    page
}

/// Where what is left of both sides begins.
fn place(rows: &mut Side, brief: &mut Side) -> EndedPlace {
    let (row, brief) = (rows.before(), brief.before());
    Before { row, brief }.place()
}

/// When the next end of a side was.
enum Next {
    /// `None`: there is none.
    Known(Option<Timestamp>),
    /// It has not been looked at.
    Unseen,
}

/// One of the two, as far as it has been looked at.
struct Side {
    found: Peekable<std::vec::IntoIter<(u64, Outcome)>>,
    /// What comes behind `found` lies before this number.
    behind: Option<u64>,
}

impl Side {
    fn of(newest: NewestFirst) -> Side {
        Side {
            found: newest.found.into_iter().peekable(),
            behind: newest.before,
        }
    }

    fn next(&mut self) -> Next {
        match (self.found.peek(), self.behind) {
            (Some((_, outcome)), _) => Next::Known(Some(outcome.ended_at)),
            (None, None) => Next::Known(None),
            (None, Some(_)) => Next::Unseen,
        }
    }

    /// What has not been taken lies before this number; `None` when nothing is left.
    fn before(&mut self) -> Option<u64> {
        let next = self.found.peek().map(|(number, _)| number + 1);
        next.or(self.behind)
    }
}
