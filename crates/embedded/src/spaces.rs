//! The database and its tables.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::config::Config;
use crate::private;

/// The tables. Rows that belong together are written in one batch over all of them.
#[derive(Clone)]
pub(crate) struct Spaces {
    pub(crate) database: Database,
    /// Small rows: format, bounds of logs, epochs, counters.
    pub(crate) meta: Keyspace,
    /// Partition -> checkpoint.
    pub(crate) checkpoints: Keyspace,
    /// Partition, namespace, schedule -> its state.
    pub(crate) schedule_states: Keyspace,
    /// Partition, first offset -> the records of one append.
    pub(crate) log: Keyspace,
    /// Partition, first due time, offsets -> block.
    pub(crate) blocks: Keyspace,
    /// The same -> tasks and bytes in it.
    pub(crate) block_loads: Keyspace,
    /// Partition, task, due time, offset -> the rest of the block's key.
    pub(crate) task_index: Keyspace,
    /// Partition, offset -> revision.
    pub(crate) revisions: Keyspace,
    /// Partition, minute, the tick that closed it -> row of the ledger.
    pub(crate) ledger: Keyspace,
    /// Queue, partition, first sequence -> what one tick published.
    pub(crate) batches: Keyspace,
    /// Queue, partition -> next sequence and first kept one.
    pub(crate) lanes: Keyspace,
    /// Queue, partition, group -> what it has settled.
    pub(crate) groups: Keyspace,
    /// Queue, partition, sequence, group -> what is told of a claimed run that is lost.
    pub(crate) last_words: Keyspace,
    /// Queue, number -> dead letter.
    pub(crate) dead_letters: Keyspace,
    /// Task, number -> outcome.
    pub(crate) outcomes: Keyspace,
    /// Number -> task: which outcome is the oldest.
    pub(crate) outcome_order: Keyspace,
    /// Number of the first -> successes of one commit, in brief.
    pub(crate) success_tail: Keyspace,
    /// Run, first task, index -> successes in brief, in order of their tasks.
    pub(crate) success_runs: Keyspace,
    /// Partition, tick, index -> what was set aside.
    pub(crate) set_aside: Keyspace,
}

/// Journals that are read again at the next start, in bytes, before tables that hold them back are
/// written out. It bounds the time of a start: some 70 MB a second when they are full of small
/// rows. No less is accepted.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;
/// The memory of the index, in bytes: its many small rows are what takes longest to read again.
const INDEX_MEMTABLE_BYTES: u64 = 8 << 20;
/// Files beside those of tables that are kept open: journals, what is flushed or compacted.
const FILES_BESIDE_TABLES: usize = 14;
/// The fewest files of tables that the database accepts.
const TABLE_FILES_MIN: usize = 10;
/// Threads that write memory to disk and merge tables. With two, the database lets one of them spin
/// for as long as the other merges, and takes a whole core from the scheduler.
const WORKER_THREADS: usize = 1;
/// The memory of a table that holds little, in bytes.
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;

impl Spaces {
    /// Every table.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Keyspace> {
        [
            &self.meta,
            &self.checkpoints,
            &self.schedule_states,
            &self.log,
            &self.blocks,
            &self.block_loads,
            &self.task_index,
            &self.revisions,
            &self.ledger,
            &self.batches,
            &self.lanes,
            &self.groups,
            &self.dead_letters,
            &self.outcomes,
            &self.outcome_order,
            &self.success_tail,
            &self.success_runs,
            &self.set_aside,
        ]
        .into_iter()
    }

    /// Opens or creates them.
    pub(crate) fn open(folder: &Path, config: &Config) -> fjall::Result<Spaces> {
        let table_files = config
            .files_max
            .saturating_sub(FILES_BESIDE_TABLES)
            .max(TABLE_FILES_MIN);
        // Its files are made under the process's umask where a thread may have none of its own: then
        // the folder keeps others out.
        private::create_folder(folder)?;
        let database = Database::builder(folder)
            .cache_size(config.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(table_files))
            .worker_threads(WORKER_THREADS)
            .open()?;
        let space = |name: &str, memtable_bytes: u64| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
            })
        };
        let (large, small) = (config.memtable_bytes, SMALL_MEMTABLE_BYTES);
        Ok(Spaces {
            meta: space("meta", small)?,
            checkpoints: space("checkpoints", small)?,
            schedule_states: space("schedule_states", small)?,
            log: space("log", large)?,
            blocks: space("blocks", large)?,
            block_loads: space("block_loads", small)?,
            task_index: space("task_index", large.min(INDEX_MEMTABLE_BYTES))?,
            revisions: space("revisions", small)?,
            ledger: space("ledger", small)?,
            batches: space("batches", large)?,
            lanes: space("lanes", small)?,
            groups: space("groups", small)?,
            last_words: space("last_words", small)?,
            dead_letters: space("dead_letters", small)?,
            outcomes: space("outcomes", small)?,
            outcome_order: space("outcome_order", small)?,
            success_tail: space("success_tail", large.min(INDEX_MEMTABLE_BYTES))?,
            success_runs: space("success_runs", large.min(INDEX_MEMTABLE_BYTES))?,
            set_aside: space("set_aside", small)?,
            database,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// As where no thread may have a umask of its own.
    #[test]
    fn the_database_keeps_others_out_whatever_the_umask() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("database");
        let spaces = Spaces::open(&folder, &Config::default()).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(spaces);
    }
}
