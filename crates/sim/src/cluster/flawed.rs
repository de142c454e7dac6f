//! What planted flaws make of what the stores are given, and of what they answer.

use minutehand_model::{Checkpoint, Fact, LogOffset, Tick, TimetableEntry};

use crate::planted::Flaw;
use crate::store::ReadRecords;

impl super::World {
    fn has(&self, flaw: Flaw) -> bool {
        self.setup.flaw == Some(flaw)
    }

    /// An offset as one of the stores tells it. Planted: without its log.
    pub(super) fn told_by(&self, flaw: Flaw, offset: LogOffset) -> LogOffset {
        if self.has(flaw) {
            LogOffset::at(offset.position())
        } else {
            offset
        }
    }

    /// Rows of the timetable on their way to their reader.
    pub(super) fn spoil_rows(&self, entries: &mut [TimetableEntry]) {
        for entry in &mut *entries {
            entry.offset = self.told_by(Flaw::GenerationOfRows, entry.offset);
            if self.has(Flaw::DueRounded) {
                entry.due = entry
                    .due
                    .plus_millis(-entry.due.as_millis().rem_euclid(1_000));
            }
        }
        if self.has(Flaw::BodiesSwapped)
            && let [first, .., last] = entries
            && let (Fact::Runs(one), Fact::Runs(other)) = (&mut first.fact, &mut last.fact)
        {
            std::mem::swap(&mut one.encoded, &mut other.encoded);
        }
    }

    /// What is known about one task, on its way to whoever asked.
    pub(super) fn spoil_found(&self, entries: &mut Vec<TimetableEntry>) {
        if self.has(Flaw::FindMisses) {
            entries.truncate(1);
        }
        self.spoil_rows(entries);
    }

    /// Records of the log on their way to their reader.
    pub(super) fn spoil_records(&mut self, from: LogOffset, read: &mut ReadRecords) {
        for record in &mut read.records {
            record.offset = self.told_by(Flaw::GenerationOfRecords, record.offset);
        }
        if self.has(Flaw::RecordsSkipped) && read.next < read.end {
            read.next = read.next.next();
        }
        if self.has(Flaw::LogEndsEarly) && self.rng.chance(0.2) {
            read.records.clear();
            (read.next, read.end) = (from, from);
        }
    }

    /// A checkpoint as an owner gets it when it opens the sink.
    pub(super) fn spoil_checkpoint(&self, partition: usize) -> Option<Checkpoint> {
        let sink = &self.stores.sinks[partition];
        let kept = if self.has(Flaw::CheckpointStale) {
            sink.checkpoint_before()
        } else {
            sink.checkpoint()
        };
        let mut checkpoint = kept?.clone();
        checkpoint.applied = self.told_by(Flaw::GenerationOfCheckpoint, checkpoint.applied);
        checkpoint.replay_from = self.told_by(Flaw::GenerationOfCheckpoint, checkpoint.replay_from);
        if self.has(Flaw::GapsUnsaved) {
            checkpoint.frontier.gaps.clear();
        }
        if self.has(Flaw::PlacesRounded) {
            checkpoint.frontier.head.offset = LogOffset::MAX;
        }
        Some(checkpoint)
    }

    /// A tick on its way into the sink.
    pub(super) fn spoil_tick(&mut self, tick: &mut Tick) {
        if self.has(Flaw::SetAsideLost) {
            tick.set_aside.clear();
        }
        if self.has(Flaw::PublishedTwice) && self.rng.chance(0.05) {
            let again = tick.publications.first().cloned();
            tick.publications.extend(again);
        }
    }
}
