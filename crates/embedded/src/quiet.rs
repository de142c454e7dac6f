//! Quiet times: what the database holds in memory to be written out is written then, so that it costs neither memory for as
//! long as nothing happens nor time at the next start.

use fjall::Keyspace;
use minutehand_model::Timestamp;
use minutehand_model::time::MINUTE_MS;

use crate::spaces::Spaces;

/// How often is looked.
const LOOK_EVERY_MS: i64 = MINUTE_MS;
/// With less in memory there is nothing to gain, in bytes.
const WORTH_BYTES: u64 = 1 << 20;
/// It is quiet when no more than this comes from one look to the next, in bytes.
const QUIET_BYTES: u64 = 256 << 10;

/// When was looked, and what was in memory then.
#[derive(Debug)]
pub(crate) struct Quiet {
    looked_at: Timestamp,
    bytes: u64,
}

impl Quiet {
    pub(crate) fn since(now: Timestamp) -> Quiet {
        Quiet { looked_at: now, bytes: u64::MAX }
    }

    /// Looks now and then; has the tables written out when little has come since the last look.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn look(&mut self, spaces: &Spaces, now: Timestamp) -> fjall::Result<()> {
        if (0..LOOK_EVERY_MS).contains(&now.millis_since(self.looked_at)) {
            return Ok(());
        }
        let bytes = spaces.database.write_buffer_size();
        let is_quiet = is_quiet(self.bytes, bytes);
        (self.looked_at, self.bytes) = (now, bytes);
        if is_quiet {
            self.bytes = u64::MAX;
            spaces.all().try_for_each(|space| Keyspace::rotate_memtable(space).map(drop))?;
        }
        Ok(())
    }
}

/// Whether what was in memory then, and is now, shows a quiet time that is worth something.
fn is_quiet(before: u64, now: u64) -> bool {
    now >= WORTH_BYTES && now >= before && now - before <= QUIET_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_time_is_told_from_a_busy_one() {
        const MIB: u64 = 1 << 20;
        for (before, now, expected) in [
            (u64::MAX, 9 * MIB, false),
            (9 * MIB, 9 * MIB, true),
            (9 * MIB, 9 * MIB + QUIET_BYTES, true),
            (9 * MIB, 9 * MIB + QUIET_BYTES + 1, false),
            (9 * MIB, 2 * MIB, false),
            (MIB / 2, MIB / 2, false),
        ] {
            assert_eq!(is_quiet(before, now), expected, "{before}, then {now}");
        }
    }
}
