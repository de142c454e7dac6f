//! The committer's state from the rows: a few keys for each partition, queue and group, whatever is
//! stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fjall::Keyspace;
use minutehand_model::{Epoch, LogOffset, PartitionId, QueueName, Timestamp};
use minutehand_ports::LogBounds;
use minutehand_record::checkpoint;

use crate::config::{Config, OpenError};
use crate::queue::{self, GroupLane, Spent};
use crate::scan;
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::state::{DeadLetterCount, HistoryBounds, PartitionState, State};
use crate::successes::{Remembered, Successes};
use crate::survey::{self, Inventory};
use crate::tail::LogView;
use crate::writes::{pair, pair_of};
use crate::{keys, row};

/// The format of the folder as a whole.
const FORMAT: u32 = 1;

/// Reads the state, or creates it in a new folder.
pub(crate) fn load(config: &Config, spaces: Spaces) -> Result<State, OpenError> {
    let loader = Loader {
        config,
        spaces: &spaces,
    };
    loader.check_format()?;
    let partitions = (0..config.partitions)
        .map(|partition| loader.partition(PartitionId::own(partition)))
        .collect::<Result<Vec<PartitionState>, OpenError>>()?;
    let view = |partition: &PartitionState| {
        let bounds = LogBounds {
            start: partition.log_start,
            end: partition.log_end,
        };
        LogView::new(bounds, config.log_tail_bytes)
    };
    let logs = partitions.iter().map(view).collect();
    let (first_sequence, last_letter) = loader.pair(queue::NUMBERED)?.unwrap_or((0, 0));
    let generation = loader.opened_once_more()?;
    let shared = Shared::new(
        config.data_dir.clone(),
        logs,
        config.queue_resident_bytes,
        first_sequence,
        generation,
    );
    let shared = Arc::new(shared);
    loader.skips(&shared)?;
    loader.rules(&shared)?;
    let sequences = loader.lanes(&shared)?;
    loader.groups(&shared)?;
    let dead_letters = loader.dead_letters(&shared)?;
    let history = loader.history()?;
    let (successes, remembered) = loader.successes(&shared)?;
    shared.successes.replace(remembered);
    shared
        .queues()
        .iter()
        .filter(|queue| queue.keeps_any())
        .for_each(|queue| shared.note_unserved(&queue.name));
    Ok(State {
        shared,
        now: config.now.clone(),
        partitions,
        sequences,
        dead_letters,
        last_letter,
        spent: Spent::starting_at((config.now)()),
        inventory: Inventory::default(),
        history,
        successes,
        history_rows_max: config.history_rows_max,
        changed_groups: BTreeSet::new(),
        changed_lanes: BTreeSet::new(),
        spaces,
    })
}

/// Whether every task in the timetable is in its index: not for ever after the index was once
/// switched off.
pub(crate) fn has_whole_index(config: &Config, spaces: &Spaces) -> Result<bool, OpenError> {
    const GAP: &[u8] = b"task_index_gap";
    let loader = Loader { config, spaces };
    let has_gap = loader.get(&spaces.meta, GAP)?.is_some();
    if !config.task_index && !has_gap {
        loader.put(GAP, pair(1, 0))?;
    }
    Ok(config.task_index && !has_gap)
}

struct Loader<'a> {
    config: &'a Config,
    spaces: &'a Spaces,
}

impl Loader<'_> {
    fn database(&self, error: fjall::Error) -> OpenError {
        if scan::is_lasting(&error) {
            return survey::culprit(&self.config.data_dir).unwrap_or_else(|| {
                self.damaged("a table that is read at the start", scan::describe(&error))
            });
        }
        OpenError::Database {
            folder: self.config.data_dir.clone(),
            source: Box::new(error),
        }
    }

    /// What operators want passed over in the logs.
    fn skips(&self, shared: &Shared) -> Result<(), OpenError> {
        let words = ("skips", "a row about records to be passed over");
        let load = |key: &[u8], value: &[u8]| shared.skips.load(key, value);
        self.rows_of(keys::SKIP, shared, words, load)
    }

    /// What operators have said of queues.
    fn rules(&self, shared: &Shared) -> Result<(), OpenError> {
        let words = (
            "what holds for queues",
            "a row about what holds for a queue",
        );
        let load = |key: &[u8], value: &[u8]| shared.rules.load(key, value);
        self.rows_of(keys::RULES, shared, words, load)
    }

    /// Loads each row under a prefix; one that is none is noted.
    fn rows_of(
        &self,
        prefix: &[u8],
        shared: &Shared,
        (rows, a_row): (&str, &str),
        load: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<(), OpenError> {
        let lost = |lost: scan::Lost| shared.note_lost(rows, &lost);
        for row in scan::prefixed(&self.spaces.meta, prefix).readable(lost) {
            let (key, value) = row.map_err(|error| self.database(error))?;
            if !load(&key, &value) {
                shared.note_corruption(a_row.to_owned(), "it is none".to_owned());
            }
        }
        Ok(())
    }

    fn damaged(&self, what: impl Into<String>, reason: impl Into<String>) -> OpenError {
        let folder = self.config.data_dir.clone();
        OpenError::Damaged {
            folder,
            what: what.into(),
            reason: reason.into(),
        }
    }

    fn get(&self, space: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, OpenError> {
        space
            .get(key)
            .map(|value| value.map(Bytes::from))
            .map_err(|error| self.database(error))
    }

    fn put(&self, key: &[u8], value: Bytes) -> Result<(), OpenError> {
        let mut writes = self.spaces.database.batch();
        writes.insert(&self.spaces.meta, key, value);
        let writes = writes.durability(Some(fjall::PersistMode::SyncAll));
        writes.commit().map_err(|error| self.database(error))
    }

    fn pair(&self, key: &[u8]) -> Result<Option<(u64, u64)>, OpenError> {
        let Some(value) = self.get(&self.spaces.meta, key)? else {
            return Ok(None);
        };
        let damaged = || self.damaged(String::from_utf8_lossy(key), "it is not a pair of numbers");
        pair_of(&value).map(Some).ok_or_else(damaged)
    }

    /// Every row of a small table.
    fn rows(&self, space: &Keyspace) -> Result<Vec<(Bytes, Bytes)>, OpenError> {
        space
            .iter()
            .map(|guard| {
                guard
                    .into_inner()
                    .map(|(key, value)| (key.into(), value.into()))
            })
            .collect::<fjall::Result<_>>()
            .map_err(|error| self.database(error))
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let folder = self.config.data_dir.clone();
        let given = self.config.partitions;
        match self.pair(b"format")? {
            None => self.put(b"format", pair(u64::from(FORMAT), u64::from(given))),
            Some((format, _)) if format != u64::from(FORMAT) => Err(OpenError::Format {
                folder,
                found: format as u32,
                known: FORMAT,
            }),
            Some((_, stored)) if stored != u64::from(given) => Err(OpenError::PartitionsChanged {
                folder,
                stored: stored as u32,
                given,
            }),
            Some(_) => Ok(()),
        }
    }

    fn partition(&self, partition: PartitionId) -> Result<PartitionState, OpenError> {
        let (log_start, kept_time) = self
            .pair(&keys::partition("log_start", partition))?
            .unwrap_or((0, i64::MIN as u64));
        let log_start = LogOffset::from_bits(log_start).ok_or_else(|| {
            self.damaged(
                format!("start of the log of partition {partition}"),
                "it is not an offset",
            )
        })?;
        let (granted, opened) = self
            .pair(&keys::partition("epochs", partition))?
            .unwrap_or((0, 0));
        let tick = match self.get(&self.spaces.checkpoints, &partition.bits().to_be_bytes())? {
            None => 0,
            Some(value) => {
                let what = format!("checkpoint of partition {partition}");
                checkpoint::decode(&value)
                    .map_err(|error| self.damaged(what, error.reason))?
                    .tick
            }
        };
        let mut state = PartitionState {
            log_start,
            log_end: log_start,
            appended_at: Timestamp::from_millis(kept_time as i64),
            opened: Epoch(opened),
            tick,
            granted: Epoch(granted),
            held: None,
        };
        let mut rows = self.spaces.log.range(
            keys::offset(partition, LogOffset::START)..keys::offset(partition, LogOffset::MAX),
        );
        if let Some(last) = rows.next_back() {
            let (key, value) = last.into_inner().map_err(|error| self.database(error))?;
            let damaged =
                || self.damaged(format!("log of partition {partition}"), "a key is not one");
            (_, state.log_end) = keys::log_row_of(&key).ok_or_else(damaged)?;
            // A damaged row is met, and passed over, when it is read.
            if let Ok(head) = row::head(&value) {
                state.appended_at = state.appended_at.max(head.appended_at);
            }
        }
        Ok(state)
    }

    fn lanes(&self, shared: &Shared) -> Result<BTreeMap<QueueName, Vec<u64>>, OpenError> {
        let mut sequences: BTreeMap<QueueName, Vec<u64>> = BTreeMap::new();
        for (key, value) in self.rows(&self.spaces.lanes)? {
            let (Some((queue, partition, _)), Some((next, kept_from))) =
                (keys::lane_of(&key), pair_of(&value))
            else {
                return Err(self.damaged(format!("lane {key:?}"), "it is not one"));
            };
            shared
                .queue(&queue)
                .restore_lane(partition, next, kept_from);
            let lanes = sequences
                .entry(queue)
                .or_insert_with(|| vec![0; self.config.partitions as usize]);
            lanes[partition.index()] = next;
        }
        Ok(sequences)
    }

    fn groups(&self, shared: &Shared) -> Result<(), OpenError> {
        for (key, value) in self.rows(&self.spaces.groups)? {
            let (Some((queue, partition, group)), Some((lane, seen_at))) =
                (keys::lane_of(&key), GroupLane::decode(&value))
            else {
                return Err(self.damaged(format!("place of the group {key:?}"), "it is not one"));
            };
            let group = std::str::from_utf8(group).map_err(|_| {
                self.damaged(
                    format!("place of the group {key:?}"),
                    "its name is not text",
                )
            })?;
            shared
                .queue(&queue)
                .restore_group(partition, group, lane, seen_at);
        }
        Ok(())
    }

    fn dead_letters(
        &self,
        shared: &Shared,
    ) -> Result<BTreeMap<QueueName, DeadLetterCount>, OpenError> {
        let mut counts = BTreeMap::new();
        for guard in self.spaces.meta.prefix(keys::DEAD_LETTER_COUNT) {
            let (key, value) = guard.into_inner().map_err(|error| self.database(error))?;
            let name = std::str::from_utf8(&key[keys::DEAD_LETTER_COUNT.len()..])
                .ok()
                .and_then(|name| QueueName::parse(name).ok());
            let (Some(queue), Some((last, kept))) = (name, pair_of(&value)) else {
                return Err(self.damaged(format!("count of dead letters {key:?}"), "it is not one"));
            };
            shared.queue(&queue).set_dead_letters(kept);
            counts.insert(queue, DeadLetterCount { last, kept });
        }
        Ok(counts)
    }

    /// Counts that the store is opened; how often it has been.
    fn opened_once_more(&self) -> Result<u32, OpenError> {
        const OPENED: &[u8] = b"opened";
        let count = self.pair(OPENED)?.map_or(0, |(count, _)| count) + 1;
        self.put(OPENED, pair(count, 0))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn successes(&self, shared: &Shared) -> Result<(Successes, Remembered), OpenError> {
        let note = |position, reason| shared.note_corruption(position, reason);
        Successes::load(self.spaces, self.config.history_rows_max, note)
            .map_err(|error| self.database(error))
    }

    fn history(&self) -> Result<HistoryBounds, OpenError> {
        let (next, oldest) = self.pair(b"history")?.unwrap_or((0, 0));
        let last = self
            .spaces
            .outcome_order
            .last_key_value()
            .map(|guard| guard.key())
            .transpose();
        let last = last.map_err(|error| self.database(error))?;
        let behind_last = last
            .and_then(|key| keys::number_of(&key))
            .map_or(0, |number| number + 1);
        Ok(HistoryBounds {
            oldest,
            next: next.max(behind_last),
        })
    }
}
