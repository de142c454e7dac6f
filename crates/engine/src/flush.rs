//! Blocks and revisions on their way to the timetable.

use minutehand_model::{Block, Fact, Phase, Timestamp, TimetableEntry};

use crate::effect::Effect;
use crate::fact::flag;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::retry::{Content, Write};
use crate::rules::Rules;
use crate::task_store::TaskIndex;

/// Most facts in one write, so that a write is acknowledged soon.
const FACTS_PER_WRITE_MAX: usize = 8_192;

impl<R: Rules> Partition<R> {
    /// Sends what is ripe, and again what failed.
    pub(crate) fn flush(&mut self) {
        while let Some(write) = self
            .writes
            .take_to_resend(self.now, self.config.block_writes_max)
        {
            self.send(write);
        }
        let revisions = self.revisions.take_unwritten();
        if !revisions.is_empty() {
            self.send(Write::new(Content::Revisions(revisions)));
        }
        if self.may_write_blocks() {
            self.flush_blocks();
            self.blocks_sent_for_hand_over();
        } else if self.writes.pending().has_grown() {
            self.drop_passed();
        }
    }

    /// Whether more blocks may be sent. While the timetable is away there is a bounded number of
    /// writes to be tried again, and what comes during a hand-over is left to the successor.
    pub(crate) fn may_write_blocks(&self) -> bool {
        self.hand_over_sends_blocks() && self.writes.unacknowledged() < self.config.block_writes_max
    }

    /// While the store takes no more, nobody waits for it with what has run.
    fn drop_passed(&mut self) {
        let tasks = &mut self.tasks;
        self.writes.pending_mut().retain(|index| {
            let bytes = tasks.get(index).bytes();
            (!tasks.leaves_unwritten(index)).then_some(bytes)
        });
    }

    /// A fact of the log waits for its block from now on.
    pub(crate) fn await_block(&mut self, index: TaskIndex) {
        self.tasks.get_mut(index).flags |= flag::WRITING;
        let fact = self.tasks.get(index);
        self.writes
            .pending_mut()
            .push(fact.due, index, fact.bytes(), self.now);
    }

    fn flush_blocks(&mut self) {
        let may_not_wait = self.phase() == Phase::HandingOver || self.is_short_of_memory();
        let (bytes, waited_since) = match may_not_wait {
            true => (0, Timestamp::MAX),
            false => (
                self.config.block_bytes_max,
                self.now.plus_millis(-self.config.flush_interval_ms),
            ),
        };
        let mut write = Vec::new();
        for (_, facts) in self.writes.pending_mut().take_ripe(bytes, waited_since) {
            write.extend(facts);
            if write.len() >= FACTS_PER_WRITE_MAX {
                self.send(Write::new(Content::Blocks(std::mem::take(&mut write))));
            }
        }
        if !write.is_empty() {
            self.send(Write::new(Content::Blocks(write)));
        }
    }

    fn send(&mut self, mut write: Write) {
        if let Content::Blocks(facts) = &mut write.content
            && !self.breaks(PlantedBug::PassedWritten)
        {
            self.leave_out_passed(facts);
            if facts.is_empty() {
                return;
            }
        }
        let request = self.request();
        match &write.content {
            Content::Blocks(facts) => {
                let blocks = self.pack(facts.clone());
                self.effects.push(Effect::WriteBlocks { request, blocks });
                if self.breaks(PlantedBug::Ack) {
                    for index in facts {
                        self.settle(*index);
                    }
                }
            }
            Content::Revisions(revisions) => {
                self.effects.push(Effect::WriteRevisions {
                    request,
                    revisions: revisions.clone(),
                });
            }
        }
        self.writes.start(request, write);
    }

    /// What has run meanwhile is not written (again): its task is gone, and it settles when it is
    /// forgotten.
    fn leave_out_passed(&mut self, facts: &mut Vec<TaskIndex>) {
        let tasks = &mut self.tasks;
        facts.retain(|index| !tasks.leaves_unwritten(*index));
    }

    /// Sorts facts into blocks: one minute each, by due time, of about the configured size. A block
    /// of what is near is not read again by this owner, so what is far has blocks of its own.
    fn pack(&self, mut facts: Vec<TaskIndex>) -> Vec<Block> {
        facts.sort_unstable_by_key(|index| self.tasks.get(*index).place());
        let mut blocks: Vec<Block> = Vec::new();
        let (mut bytes, mut was_near) = (0, false);
        for index in facts {
            let fact = self.tasks.get(index);
            let bucket = fact.due.floor_to_minute();
            let is_near = fact.is(flag::NEAR) && !self.breaks(PlantedBug::MixedBlocks);
            let fits = bytes < self.config.block_bytes_max && is_near == was_near;
            was_near = is_near;
            if !blocks
                .last()
                .is_some_and(|block| block.bucket == bucket && fits)
            {
                bytes = 0;
                blocks.push(Block {
                    partition: self.id,
                    bucket,
                    first_offset: fact.offset,
                    last_offset: fact.offset,
                    entries: Vec::new(),
                });
            }
            if let Some(block) = blocks.last_mut() {
                bytes += fact.bytes();
                block.first_offset = block.first_offset.min(fact.offset);
                block.last_offset = block.last_offset.max(fact.offset);
                block.entries.push(self.entry(index));
            }
        }
        blocks
    }

    fn entry(&self, index: TaskIndex) -> TimetableEntry {
        let fact = self.tasks.get(index);
        let says = match self.tasks.body(index) {
            Some(encoded) if !fact.is(flag::VOID) => Fact::Runs(self.task_record(fact, encoded)),
            _ => Fact::Void,
        };
        TimetableEntry {
            key: fact.key(),
            due: fact.due,
            offset: fact.offset,
            appended_at: fact.appended_at,
            fact: says,
        }
    }

    /// A write is durable: its facts need not be replayed any more.
    pub(crate) fn written(&mut self, write: Write) {
        match write.content {
            Content::Revisions(revisions) => {
                for entry in revisions {
                    self.revisions.stored(entry.offset);
                    self.unsettled.remove(entry.offset);
                }
            }
            Content::Blocks(facts) => {
                for index in facts {
                    self.settle(index);
                    self.tasks.leave_write(index);
                    if self.tasks.get(index).is_far() {
                        self.note_leaving(index);
                        self.tasks.remove(index);
                    }
                }
            }
        }
    }
}
