//! The timetable: blocks by due time, an index of their tasks, and the revisions of schedules.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use minutehand_model::{
    Block, BucketLoad, LogOffset, Namespace, PartitionId, Revision, RevisionEntry, ScheduleId,
    SetAside, TaskKey, TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use minutehand_ports::{ErrorClass, PortError, Timetable};
use minutehand_record::{block, revision};
use xxhash_rust::xxh3::xxh3_64;

use crate::keys::{self, BlockKey};
use crate::scan::{self, Lost, Met};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::state::State;
use crate::store::{Applied, EmbeddedStore};
use crate::writes::Writes;

/// Entries that go into one commit: what else is written must not wait behind a large flush.
const ENTRIES_PER_COMMIT: usize = 4_096;
/// Blocks that one step of an expiry removes.
const EXPIRE_BLOCKS: usize = 256;

#[async_trait]
impl Timetable for EmbeddedStore {
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        let action = format!("write {} blocks to the timetable", blocks.len());
        for block in &blocks {
            self.shared().log(block.partition, &action)?;
            if block.entries.is_empty() {
                return Err(PortError::new(
                    ErrorClass::Fatal,
                    action,
                    "a block has no entries",
                ));
            }
        }
        let with_index = self.has_task_index();
        let encoded = self
            .read(&action, move || Ok(encode_all(&blocks, with_index)))
            .await?;
        for rows in encoded {
            let bytes = rows.iter().map(BlockRows::bytes).sum();
            self.submit(action.clone(), bytes, false, move |state, writes| {
                write_rows(state, writes, rows);
                Ok(Applied::now(()))
            })
            .await?;
        }
        Ok(())
    }

    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError> {
        let action = format!("read the timetable of {range}");
        self.shared().log(range.partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || {
            read_page(&spaces, &shared, range, bytes_max)
        })
        .await
    }

    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        let action = format!("find a task in the timetable of partition {partition}");
        self.shared().log(partition, &action)?;
        if !self.has_task_index() {
            let reason = "the index of tasks is switched off (task_index)";
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || find(&spaces, &shared, partition, key))
            .await
            .map(|(found, _)| found)
    }

    async fn find_due(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        if !self.has_whole_index {
            return self.find_in_minute(partition, key, due).await;
        }
        let action = format!("find a task in the timetable of partition {partition}");
        self.shared().log(partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let (mut found, is_whole) = self
            .read(&action, move || find(&spaces, &shared, partition, key))
            .await?;
        if !is_whole {
            // Owners decide by the answer: what the index has lost, the minute still knows.
            return self.find_in_minute(partition, key, due).await;
        }
        found.retain(|entry| entry.due == due);
        Ok(found)
    }

    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        let action = format!("count the tasks of {range}");
        self.shared().log(range.partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || loads(&spaces, &shared, range))
            .await
    }

    async fn expire(&self, partition: PartitionId, before: Timestamp) -> Result<(), PortError> {
        let action = format!("expire the timetable of partition {partition} before {before}");
        let view = self.shared().log(partition, &action)?;
        // The minute that `before` lies in is kept whole.
        let before = before
            .max(Timestamp::from_millis(i64::MIN / 2))
            .floor_to_minute();
        let with_index = self.has_task_index();
        while view.expired_before() < before {
            let (spaces, shared, from) = (
                self.spaces().clone(),
                Arc::clone(self.shared()),
                view.expired_before(),
            );
            let passed = self
                .read(&action, move || {
                    passed_rows(&spaces, &shared, partition, from, before, with_index)
                })
                .await?;
            let reached = passed.reached;
            if !passed.is_empty() {
                self.submit(
                    action.clone(),
                    64 * passed.index.len(),
                    false,
                    move |state, writes| {
                        passed.remove(state, writes);
                        Ok(Applied::now(()))
                    },
                )
                .await?;
            }
            view.expired(reached);
        }
        Ok(())
    }

    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        let action = format!(
            "write {} revisions of partition {partition}",
            revisions.len()
        );
        self.shared().log(partition, &action)?;
        let rows: Vec<(Vec<u8>, Bytes)> = revisions
            .iter()
            .map(|entry| {
                (
                    keys::offset(partition, entry.offset),
                    revision::encode(entry),
                )
            })
            .collect();
        let bytes = rows.iter().map(|(_, value)| value.len()).sum();
        self.submit(action, bytes, false, move |state, writes| {
            rows.into_iter()
                .for_each(|(key, value)| writes.insert(&state.spaces.revisions, key, value));
            Ok(Applied::now(()))
        })
        .await
    }

    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError> {
        let action = format!(
            "forget {} revisions of partition {partition}",
            offsets.len()
        );
        self.shared().log(partition, &action)?;
        let keys: Vec<Vec<u8>> = offsets
            .into_iter()
            .map(|offset| keys::offset(partition, offset))
            .collect();
        self.submit(action, 16 * keys.len(), false, move |state, writes| {
            keys.into_iter()
                .for_each(|key| writes.remove(&state.spaces.revisions, key));
            Ok(Applied::now(()))
        })
        .await
    }

    async fn read_revisions(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let action = format!("read the revisions of partition {partition}");
        self.shared().log(partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || {
            read_revisions(&spaces, &shared, partition, |_| true)
        })
        .await
    }

    async fn read_revisions_of(
        &self,
        partition: PartitionId,
        namespace: &Namespace,
        schedule: &ScheduleId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let action = format!("read the revisions of schedule {namespace}/{schedule}");
        self.shared().log(partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let (namespace, schedule) = (namespace.clone(), schedule.clone());
        self.read(&action, move || {
            read_revisions(&spaces, &shared, partition, |revision| {
                revision.is_of(&namespace, &schedule)
            })
        })
        .await
    }
}

/// The rows of one block.
struct BlockRows {
    partition: PartitionId,
    key: BlockKey,
    value: Bytes,
    load: Bytes,
    /// Keys of the index; their value is the block's key.
    index: Vec<Vec<u8>>,
}

/// Encodes blocks, gathered into what is committed together.
fn encode_all(blocks: &[Block], with_index: bool) -> Vec<Vec<BlockRows>> {
    let mut commits: Vec<Vec<BlockRows>> = Vec::new();
    let mut entries = ENTRIES_PER_COMMIT;
    for block in blocks {
        if entries >= ENTRIES_PER_COMMIT {
            commits.push(Vec::new());
            entries = 0;
        }
        entries += block.entries.len();
        if let Some(commit) = commits.last_mut() {
            commit.push(encode_block(block, with_index));
        }
    }
    commits
}

fn encode_block(block: &Block, with_index: bool) -> BlockRows {
    let (partition, value) = (block.partition, block::encode(block));
    let creates = block
        .entries
        .iter()
        .filter(|entry| matches!(entry.fact, minutehand_model::Fact::Runs(_)));
    let load = [
        (creates.count() as u32).to_be_bytes(),
        (value.len() as u32).to_be_bytes(),
    ]
    .concat();
    let index_key =
        |entry: &TimetableEntry| keys::task_entry(partition, entry.key, entry.due, entry.offset);
    BlockRows {
        partition,
        key: block_key(block, &value),
        value,
        load: load.into(),
        index: if with_index {
            block.entries.iter().map(index_key).collect()
        } else {
            Vec::new()
        },
    }
}

fn block_key(block: &Block, content: &[u8]) -> BlockKey {
    BlockKey {
        first_due: block.first_due(),
        first_offset: block.first_offset,
        last_offset: block.last_offset,
        content: xxh3_64(content),
    }
}

impl BlockRows {
    /// About how many bytes are written for it.
    fn bytes(&self) -> usize {
        self.value.len() + self.index.len() * 64
    }
}

fn write_rows(state: &mut State, writes: &mut Writes, rows: Vec<BlockRows>) {
    for row in rows {
        let (key, suffix) = (row.key.bytes(row.partition), Bytes::from(row.key.suffix()));
        state.shared.logs[row.partition.index()].filled(row.key.first_due);
        writes.insert(&state.spaces.blocks, key.clone(), row.value);
        writes.insert(&state.spaces.block_loads, key, row.load);
        for index_key in row.index {
            writes.insert(&state.spaces.task_index, index_key, suffix.clone());
        }
    }
}

/// Where a block stands, for an operator.
fn position(partition: PartitionId, key: &BlockKey) -> String {
    let BlockKey {
        first_due,
        first_offset,
        last_offset,
        ..
    } = key;
    format!(
        "timetable of partition {partition}, block at {first_due}, offsets {first_offset} to {last_offset}"
    )
}

fn read_page(
    spaces: &Spaces,
    shared: &Shared,
    range: TimeRange,
    bytes_max: usize,
) -> fjall::Result<TimetablePage> {
    let TimeRange {
        partition,
        from,
        until,
    } = range;
    let mut page = TimetablePage {
        complete_until: until,
        ..TimetablePage::default()
    };
    if from >= until {
        return Ok(page);
    }
    let (mut bytes, mut last_due) = (0, None);
    for met in scan::rows(
        &spaces.blocks,
        keys::blocks_from(partition, from),
        keys::blocks_from(partition, until),
    ) {
        let (key, value) = match met? {
            Met::Row(key, value) => (key, value),
            Met::Lost(lost) => {
                bring_back(spaces, shared, partition, &lost, &mut page)?;
                continue;
            }
        };
        let Some(key) = BlockKey::from_bytes(&key) else {
            continue;
        };
        if bytes >= bytes_max && last_due.is_some_and(|last_due| last_due != key.first_due) {
            page.complete_until = key.first_due;
            break;
        }
        last_due = Some(key.first_due);
        bytes += value.len();
        match block::decode(partition, &value) {
            Ok(block) => page.entries.extend(block.entries),
            Err(error) => {
                let position = position(partition, &key);
                shared.note_corruption(position.clone(), error.reason.clone());
                page.set_aside
                    .push(SetAside::new(position, error.to_string(), value.into()));
            }
        }
    }
    Ok(page)
}

/// Brings back what can be read of a stretch in which the table of blocks is damaged, block by
/// block: the keys of all blocks stand in the table of loads as well. The others are set aside by
/// name.
fn bring_back(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    lost: &Lost,
    page: &mut TimetablePage,
) -> fjall::Result<()> {
    let mut set_aside = |position: String, reason: String| {
        shared.note_corruption(position.clone(), reason.clone());
        page.set_aside
            .push(SetAside::new(position, reason, Bytes::new()));
    };
    for met in scan::rows(&spaces.block_loads, lost.from.clone(), lost.until.clone()) {
        let key = match met? {
            Met::Row(key, _) => key,
            Met::Lost(both) => {
                let when = |key: &[u8]| {
                    keys::due_of_block(key).map_or("the end".to_owned(), |due| due.to_string())
                };
                let position = format!(
                    "timetable of partition {partition}, blocks from {} to {}",
                    when(&both.from),
                    when(&both.until)
                );
                set_aside(position, both.reason);
                continue;
            }
        };
        let Some(block_key) = BlockKey::from_bytes(&key) else {
            continue;
        };
        match spaces.blocks.get(&key) {
            Ok(None) => {}
            Ok(Some(value)) => match block::decode(partition, &value) {
                Ok(block) => page.entries.extend(block.entries),
                Err(error) => set_aside(position(partition, &block_key), error.to_string()),
            },
            Err(error) if scan::is_lasting(&error) => {
                set_aside(position(partition, &block_key), scan::describe(&error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the index knows of a task, and whether it could be read.
fn find(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    task: TaskKey,
) -> fjall::Result<(Vec<TimetableEntry>, bool)> {
    let is_whole = Cell::new(true);
    let lost = |lost: Lost| {
        is_whole.set(false);
        shared.note_lost(&format!("index of tasks of partition {partition}"), &lost);
    };
    // One record may say two things: not at the old time, but at the new one.
    let mut found: BTreeMap<(LogOffset, Timestamp), TimetableEntry> = BTreeMap::new();
    for row in scan::prefixed(&spaces.task_index, keys::task(partition, task)).readable(lost) {
        let (key, value) = row?;
        let (Some((due, offset)), Some(block_key)) =
            (keys::task_entry_of(&key), BlockKey::from_suffix(&value))
        else {
            continue;
        };
        let row = match spaces.blocks.get(block_key.bytes(partition)) {
            Ok(Some(row)) => row,
            Ok(None) => continue,
            Err(error) if scan::is_lasting(&error) => {
                shared.note_corruption(position(partition, &block_key), scan::describe(&error));
                continue;
            }
            Err(error) => return Err(error),
        };
        match block::decode(partition, &row) {
            Ok(block) => {
                let wanted = |entry: &TimetableEntry| {
                    (entry.key, entry.due, entry.offset) == (task, due, offset)
                };
                found.extend(
                    block
                        .entries
                        .into_iter()
                        .find(wanted)
                        .map(|entry| ((offset, due), entry)),
                );
            }
            Err(error) => shared.note_corruption(position(partition, &block_key), error.reason),
        }
    }
    Ok((found.into_values().collect(), is_whole.get()))
}

fn loads(spaces: &Spaces, shared: &Shared, range: TimeRange) -> fjall::Result<Vec<BucketLoad>> {
    let partition = range.partition;
    let (from, until) = (first_minute(range.from), first_minute(range.until));
    let mut loads: Vec<BucketLoad> = Vec::new();
    if from >= until {
        return Ok(loads);
    }
    let lost = |lost: Lost| shared.note_lost(&format!("loads of partition {partition}"), &lost);
    let (first, end) = (
        keys::blocks_from(partition, from),
        keys::blocks_from(partition, until),
    );
    for row in scan::rows(&spaces.block_loads, first, end).readable(lost) {
        let (key, value) = row?;
        let (Some(key), 8) = (BlockKey::from_bytes(&key), value.len()) else {
            continue;
        };
        let mut value = &value[..];
        let (tasks, bytes) = (u64::from(value.get_u32()), u64::from(value.get_u32()));
        let bucket = key.first_due.floor_to_minute();
        match loads.last_mut() {
            Some(last) if last.bucket == bucket => {
                last.tasks += tasks;
                last.bytes += bytes;
            }
            _ => loads.push(BucketLoad {
                bucket,
                tasks,
                bytes,
            }),
        }
    }
    Ok(loads)
}

/// The first minute that starts at or after a time.
fn first_minute(at: Timestamp) -> Timestamp {
    let floor = at
        .max(Timestamp::from_millis(i64::MIN / 2))
        .floor_to_minute();
    if floor < at {
        floor.plus_millis(60_000)
    } else {
        floor
    }
}

/// Rows that lie in the past.
struct Passed {
    blocks: Vec<Vec<u8>>,
    index: Vec<Vec<u8>>,
    /// Everything before this time is among them.
    reached: Timestamp,
}

impl Passed {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn remove(self, state: &mut State, writes: &mut Writes) {
        for key in self.blocks {
            writes.remove(&state.spaces.blocks, key.clone());
            writes.remove(&state.spaces.block_loads, key);
        }
        for key in self.index {
            writes.remove(&state.spaces.task_index, key);
        }
    }
}

fn passed_rows(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    from: Timestamp,
    before: Timestamp,
    with_index: bool,
) -> fjall::Result<Passed> {
    let mut passed = Passed {
        blocks: Vec::new(),
        index: Vec::new(),
        reached: before,
    };
    let lost = |lost: Lost| shared.note_lost(&format!("timetable of partition {partition}"), &lost);
    let (first, end) = (
        keys::blocks_from(partition, from),
        keys::blocks_from(partition, before),
    );
    for row in scan::rows(&spaces.blocks, first, end).readable(lost) {
        let (key, value) = row?;
        let Some(block_key) = BlockKey::from_bytes(&key) else {
            continue;
        };
        if passed.blocks.len() >= EXPIRE_BLOCKS || passed.index.len() >= ENTRIES_PER_COMMIT {
            passed.reached = block_key.first_due;
            break;
        }
        if with_index {
            match block::decode(partition, &value) {
                Ok(block) => {
                    passed.index.extend(block.entries.iter().map(|entry| {
                        keys::task_entry(partition, entry.key, entry.due, entry.offset)
                    }))
                }
                Err(error) => shared.note_corruption(position(partition, &block_key), error.reason),
            }
        }
        passed.blocks.push(key.to_vec());
    }
    Ok(passed)
}

fn read_revisions(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    is_asked_for: impl Fn(&Revision) -> bool,
) -> fjall::Result<Vec<RevisionEntry>> {
    let mut revisions = Vec::new();
    let lost = |lost: Lost| shared.note_lost(&format!("revisions of partition {partition}"), &lost);
    for row in scan::prefixed(&spaces.revisions, partition.bits().to_be_bytes()).readable(lost) {
        let (key, value) = row?;
        match revision::decode(&value.into()) {
            Ok(entry) if is_asked_for(&entry.revision) => revisions.push(entry),
            Ok(_) => {}
            Err(error) => {
                let offset = keys::offset_of(&key).unwrap_or_default();
                let position = format!("revision of partition {partition} at offset {offset}");
                shared.note_corruption(position, error.reason);
            }
        }
    }
    Ok(revisions)
}
