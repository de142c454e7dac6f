//! Minutes that had been closed by a clock that was ahead, and are counted once more when it has
//! come back: F goes through a gap there, and what is created from then on runs in it.
//!
//! What is counted so is a row of its own, which comes on top of the others of its minute.

use minutehand_model::{Tally, Timestamp};

/// Most of them at the end of a tick: four hours. Beyond it the oldest are given up.
const SUPPLEMENTS_MAX: usize = 240;

/// The open one of a minute.
pub(crate) fn open_of(supplements: &mut Vec<Tally>, minute: Timestamp) -> &mut Tally {
    let is_meant = |tally: &Tally| tally.minute == minute && tally.closed_by == 0;
    let at = supplements.iter().rposition(is_meant).unwrap_or_else(|| {
        supplements.push(Tally::supplement(minute));
        supplements.len() - 1
    });
    &mut supplements[at]
}

/// The end of the first open one.
pub(crate) fn first_end(supplements: &[Tally]) -> Option<Timestamp> {
    let open = supplements.iter().filter(|tally| tally.closed_by == 0);
    open.map(Tally::end).min()
}

/// Closes those that end at or before a time.
pub(crate) fn close(supplements: &mut [Tally], through: Timestamp, tick: u64) {
    supplements
        .iter_mut()
        .filter(|tally| tally.closed_by == 0 && tally.end() <= through)
        .for_each(|tally| tally.closed_by = tick);
}

/// Whether one was closed by a committed tick.
pub(crate) fn is_closed(tally: &Tally, committed: u64) -> bool {
    (1..=committed).contains(&tally.closed_by)
}

/// Those beyond the most are given up. The answer: how many.
pub(crate) fn give_up(supplements: &mut Vec<Tally>) -> u64 {
    let count = supplements.len().saturating_sub(SUPPLEMENTS_MAX);
    supplements.drain(..count);
    assert!(
        supplements.len() <= SUPPLEMENTS_MAX,
        "a checkpoint has room for them"
    );
    count as u64
}
