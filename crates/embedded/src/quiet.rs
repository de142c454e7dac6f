//! Quiet times: what the database holds in memory to be written out is written then, so that it
//! costs neither memory for as long as nothing happens nor time at the next start.
//!
//! The database keeps in memory what it has written out for those who read an older state, and
//! looks whether anybody does only when another table is put aside. So one is at every look, as
//! long as something is held: after that nothing of it is left in memory.

use fjall::{AbstractTree, Keyspace};
use minutehand_model::Timestamp;
use minutehand_model::time::MINUTE_MS;

use crate::spaces::Spaces;

/// How often is looked.
const LOOK_EVERY_MS: i64 = MINUTE_MS;
/// With less in memory there is nothing to gain, in bytes.
const WORTH_BYTES: u64 = 1 << 20;
/// It is quiet when no more than this comes from one look to the next, in bytes.
const QUIET_BYTES: u64 = 256 << 10;

/// The row that is written so that there is a table to put aside.
const WRITTEN_OUT: &str = "written_out";

/// When was looked, and what was in memory then.
#[derive(Debug)]
pub(crate) struct Quiet {
    looked_at: Timestamp,
    bytes: u64,
}

impl Quiet {
    pub(crate) fn since(now: Timestamp) -> Quiet {
        Quiet {
            looked_at: now,
            bytes: u64::MAX,
        }
    }

    /// Looks now and then; has the tables written out when little has come since the last look.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn look(&mut self, spaces: &Spaces, now: Timestamp) -> fjall::Result<()> {
        if (0..LOOK_EVERY_MS).contains(&now.millis_since(self.looked_at)) {
            return Ok(());
        }
        if held(spaces) > 0 {
            let_go(spaces)?;
        }
        let bytes = spaces.database.write_buffer_size();
        let is_quiet = is_quiet(self.bytes, bytes);
        (self.looked_at, self.bytes) = (now, bytes);
        if is_quiet {
            self.bytes = u64::MAX;
            spaces
                .all()
                .try_for_each(|space| Keyspace::rotate_memtable(space).map(drop))?;
        }
        Ok(())
    }
}

/// Tables that were written out, and are still in memory; but for the one that is put aside so that
/// the others go.
fn held(spaces: &Spaces) -> usize {
    let others = spaces
        .all()
        .filter(|space| !std::ptr::eq(*space, &spaces.meta));
    others.map(|space| space.tree.version_free_list_len()).sum()
}

/// Lets go of tables that have been written out.
fn let_go(spaces: &Spaces) -> fjall::Result<()> {
    spaces.meta.insert(WRITTEN_OUT, "")?;
    spaces.meta.rotate_memtable().map(drop)
}

/// Whether what was in memory then, and is now, shows a quiet time that is worth something.
fn is_quiet(before: u64, now: u64) -> bool {
    now >= WORTH_BYTES && now >= before && now - before <= QUIET_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;

    /// So many looks at most, if the database is slow.
    const LOOKS_MAX: usize = 10_000;

    #[test]
    fn nothing_that_was_written_out_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(folder.path(), 1, Arc::new(|| Timestamp::from_millis(0)));
        let spaces = Spaces::open(folder.path(), &config).unwrap();
        let rows = |space: &Keyspace| {
            (0..200_u32).for_each(|number| {
                space
                    .insert(number.to_be_bytes().to_vec(), vec![7; 100])
                    .unwrap()
            });
        };
        let mut now = Timestamp::from_millis(0);
        let mut quiet = Quiet::since(now);
        let mut look = |spaces: &Spaces| {
            now = now.plus_millis(LOOK_EVERY_MS);
            quiet.look(spaces, now).unwrap();
        };
        spaces.all().for_each(rows);
        (0..60_u32).for_each(|number| {
            spaces
                .log
                .insert(number.to_be_bytes().to_vec(), vec![7; 30_000])
                .unwrap()
        });
        look(&spaces);
        look(&spaces);
        // Written out by the database's own thread.
        spaces.all().for_each(|space| {
            while space.tree.sealed_memtable_count() > 0 {
                std::thread::yield_now();
            }
        });
        assert!(
            held(&spaces) > 0,
            "the last one that was written out is held"
        );
        // Tables may still be merged meanwhile, which holds the old ones until the look after that.
        for _ in 0..LOOKS_MAX {
            look(&spaces);
            if held(&spaces) == 0 {
                return;
            }
            std::thread::yield_now();
        }
        panic!("{} tables are held", held(&spaces));
    }

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
