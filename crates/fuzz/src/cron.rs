//! Cron expressions and intervals, as a caller writes them.

use minutehand_calendar::{ANCHOR_DEFAULT, DstRule, Recurrence, Zone};
use minutehand_model::Timestamp;
use minutehand_model::limits::CRON_BYTES_MAX;

/// Times looked at of each expression.
const TIMES: usize = 4;
const FROM: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A recurrence that is accepted describes itself, and its times are in order, nominal and found
/// again from just before.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Longer ones are refused before anything looks at them.
    if text.len() > CRON_BYTES_MAX {
        return;
    }
    let zone = Zone::utc();
    for (zone, dst) in [(None, DstRule::Vixie), (Some(&zone), DstRule::Skip)] {
        let Ok(recurrence) = Recurrence::parse(text, zone, dst, ANCHOR_DEFAULT) else {
            continue;
        };
        assert!(
            !recurrence.describe().is_empty(),
            "{text:?} describes itself"
        );
        let mut after = FROM;
        for _ in 0..TIMES {
            let Some(next) = recurrence.next_after(after) else {
                break;
            };
            assert!(next > after, "{text:?}: {next} comes after {after}");
            let again = recurrence.next_after(next.plus_millis(-1));
            assert_eq!(
                again,
                Some(next),
                "{text:?}: the time is found again from just before it"
            );
            after = next;
        }
    }
}
