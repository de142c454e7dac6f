//! What the next clock changes do to a calendar, in words for its owner.

use minutehand_model::Timestamp;

use crate::calendar::Calendar;
use crate::civil::{Date, clock_text};
use crate::cron::Cron;
use crate::recurrence::Recurrence;
use crate::transitions::Segment;
use crate::{LAST_SECOND, at_second, second_after};

/// Clock changes looked at: twenty years of two.
const CHANGE_LIMIT: usize = 40;
/// Wall times named in one note.
const NAMED_LIMIT: usize = 3;

/// What a clock change does to the wall times it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DstNoteKind {
    /// They do not exist that day; the schedule fires once, where the gap ends.
    GapMoved,
    /// They do not exist that day; the schedule does not fire.
    GapSkipped,
    /// They come twice; the schedule fires in the first pass.
    OverlapOnce,
    /// They come twice; the schedule fires in both passes.
    OverlapTwice,
}

/// One clock change that touches a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DstNote {
    /// The instant of the change.
    pub at: Timestamp,
    /// What it does.
    pub kind: DstNoteKind,
    /// One line of English that begins with the local date.
    pub message: String,
}

impl Calendar {
    /// The next `n` clock changes at or after `from` that touch this calendar, in rising order.
    ///
    /// Looks at forty changes at most, about twenty years. Changes outside the start and end or on
    /// an excluded day are left out. An interval has none.
    #[must_use]
    pub fn notes(&self, from: Timestamp, n: usize) -> Vec<DstNote> {
        let Recurrence::Cron(cron) = &self.recurrence else {
            return Vec::new();
        };
        if from > Timestamp::END_OF_YEAR_9999 {
            return Vec::new();
        }
        let transitions = cron.zone.transitions();
        let mut segment = transitions.segment_at(second_after(from.plus_millis(-1)) - 1);
        let mut notes = Vec::new();
        for _ in 0..CHANGE_LIMIT {
            let Some(next) = transitions.after(&segment) else {
                break;
            };
            if notes.len() >= n || next.start_s > LAST_SECOND {
                break;
            }
            let at = at_second(next.start_s);
            if self.end.is_some_and(|end| at > end) {
                break;
            }
            let wanted =
                self.start.is_none_or(|start| at >= start) && !self.exclusions.excludes(at);
            if wanted && let Some(note) = note(cron, &segment, &next) {
                notes.push(note);
            }
            segment = next;
        }
        notes
    }
}

/// The note on the change between two segments, if a matching wall time is in the gap or overlap.
fn note(cron: &Cron, before: &Segment, after: &Segment) -> Option<DstNote> {
    let at_s = after.start_s;
    let (reads, then_reads) = (at_s + before.offset_s, at_s + after.offset_s);
    let (from, to) = (reads.min(then_reads), reads.max(then_reads));
    let touched: Vec<i64> = std::iter::successors(cron.expression.next_local(from), |reading| {
        cron.expression.next_local(reading + 1)
    })
    .take_while(|reading| *reading < to)
    .take(NAMED_LIMIT + 1)
    .collect();
    if touched.is_empty() {
        return None;
    }
    let gap = then_reads > reads;
    let kind = match gap {
        true if cron.moves_gap_times(to - from) => DstNoteKind::GapMoved,
        true => DstNoteKind::GapSkipped,
        false if to - from <= cron.repeat_limit_s() => DstNoteKind::OverlapOnce,
        false => DstNoteKind::OverlapTwice,
    };
    let many = touched.len() > 1;
    let (first, second) = (
        cron.zone.abbreviation_at(at_s - 1),
        cron.zone.abbreviation_at(at_s),
    );
    let fate = match (gap, many) {
        (true, false) => "does not exist",
        (true, true) => "do not exist",
        (false, false) => "comes twice",
        (false, true) => "come twice",
    };
    let outcome = match kind {
        DstNoteKind::GapMoved => format!("runs once, at {} {second}", clock_text(then_reads)),
        DstNoteKind::GapSkipped => "does not run".to_owned(),
        DstNoteKind::OverlapOnce => format!("runs in the first pass only ({first})"),
        DstNoteKind::OverlapTwice => format!("runs in both passes ({first} and {second})"),
    };
    let message = format!(
        "{}: {} {fate} in {} (clocks go {} -> {}); {outcome}",
        Date::of_local(touched[0]),
        named(&touched),
        cron.zone,
        clock_text(reads),
        clock_text(then_reads),
    );
    Some(DstNote {
        at: at_second(at_s),
        kind,
        message,
    })
}

/// `02:00`, `02:00 and 02:30`, `02:00, 02:10, 02:20 and others`.
fn named(readings: &[i64]) -> String {
    let texts: Vec<String> = readings
        .iter()
        .take(NAMED_LIMIT)
        .map(|reading| clock_text(*reading))
        .collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) if readings.len() <= NAMED_LIMIT => {
            format!("{} and {last}", others.join(", "))
        }
        _ => format!("{} and others", texts.join(", ")),
    }
}
