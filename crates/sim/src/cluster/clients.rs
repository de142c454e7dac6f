//! Producers and workers at work on the cluster.

use std::collections::BTreeSet;

use bytes::Bytes;
use minutehand_model::{Command, LogOffset, ScheduleDefinition, TaskKey};
use minutehand_record::command::encode;

use super::event::Event;
use super::network::Store;
use crate::journal::Said;
use crate::trace::Who;

impl super::World {
    /// A producer sends its next command; another follows.
    pub(crate) fn produce(&mut self) {
        if self.now_ms >= self.setup.faults_end_ms {
            return;
        }
        let mean_us = 1_000_000 / self.setup.tasks_per_second as i64;
        let mut count = 1;
        let mut gap_ms = self.producer.rng.around(mean_us) / 1_000;
        if mean_us < 1_000 {
            (count, gap_ms) = (1_000 / mean_us.max(1), 1);
        }
        for _ in 0..count {
            let (partition, command) = self
                .producer
                .tasks
                .next(self.now_ms, &mut self.producer.rng);
            self.append_from_producer(partition.index(), command);
        }
        self.queue.push(self.now_ms + gap_ms, Event::Produce);
    }

    /// The workload changes a schedule; another change follows.
    pub(crate) fn change_schedule(&mut self) {
        if self.now_ms >= self.setup.faults_end_ms {
            return;
        }
        // A change is made only when it can be stored: revisions are numbered without holes.
        if !self.network.is_out(Store::Log, self.now_ms) {
            let Some((partition, command)) = self
                .producer
                .schedules
                .next(self.now_ms, &mut self.producer.rng)
            else {
                return;
            };
            if let Some(offset) = self.append_from_producer(partition.index(), command.clone()) {
                self.producer.schedules.was_appended(&command, offset);
            }
        }
        let mean_ms = 60_000 / self.setup.mix.schedule_changes_per_minute;
        let gap_ms = self.producer.rng.around(mean_ms) + 1;
        self.queue.push(self.now_ms + gap_ms, Event::ChangeSchedule);
    }

    /// The log's newest offset of the command, unless the log is out.
    fn append_from_producer(&mut self, partition: usize, command: Command) -> Option<LogOffset> {
        if self.network.is_out(Store::Log, self.now_ms) {
            self.counts.refused_requests += 1;
            return None;
        }
        let mut payload = encode(&command);
        if self.rng.chance(self.model.corrupt_record) {
            self.counts.corrupt_records += 1;
            payload = flip_a_bit(&payload, self.rng.next());
        }
        let is_idempotent = !matches!(
            command,
            Command::Trigger { .. } | Command::Backfill { .. } | Command::ForgetRuns { .. }
        );
        let times = if is_idempotent && self.rng.chance(self.model.duplicate_command) {
            2
        } else {
            1
        };
        self.counts.duplicate_commands += times - 1;
        let mut newest = None;
        for _ in 0..times {
            let offset = self.stores.logs[partition].append(self.now_ms, payload.clone());
            newest = Some(offset);
            self.note_append(partition, offset, payload.len() as u64);
        }
        self.tell_of_growth(partition);
        newest
    }

    /// Executions have become visible: workers take those of schedules, and stop what they are
    /// asked to.
    pub(crate) fn executions_published(
        &mut self,
        partition: usize,
        first: usize,
        first_stop: usize,
    ) {
        let mut begun = Vec::new();
        let sink = &self.stores.sinks[partition];
        let unpublished: BTreeSet<usize> = sink
            .unpublished
            .iter()
            .map(|(index, _)| *index)
            .filter(|index| *index >= first)
            .collect();
        for (index, published) in sink.publications.iter().enumerate().skip(first) {
            if unpublished.contains(&index) {
                continue;
            }
            let is_of_schedule = !self.stores.logs[partition].is_of_task(published.offset)
                || self
                    .worker
                    .waits_for(partition, published.key, published.due);
            if !is_of_schedule {
                continue;
            }
            let Ok(task) = minutehand_record::task::decode(&published.encoded) else {
                continue;
            };
            if task
                .origin
                .as_ref()
                .is_some_and(|origin| origin.completion_wanted)
            {
                begun.push(task);
            }
        }
        for task in begun {
            let key = task.key();
            if let Some((number, takes_ms)) = self.worker.begin(partition, task) {
                self.run_ends_in(takes_ms, (partition, key), number);
            }
        }
        for index in first_stop..self.stores.sinks[partition].stops.len() {
            let stop = self.stores.sinks[partition].stops[index].1.clone();
            for (number, soon_ms) in self.worker.stop(partition, stop.key, stop.due) {
                self.run_ends_in(soon_ms, (partition, stop.key), number);
            }
        }
    }

    fn run_ends_in(&mut self, after_ms: i64, (partition, key): (usize, TaskKey), number: u64) {
        let ends = Event::RunEnds {
            partition,
            key,
            number,
        };
        self.queue.push(self.now_ms + after_ms, ends);
    }

    fn note_append(&mut self, partition: usize, offset: LogOffset, size: u64) {
        let (now_ms, log) = (self.now_ms, &self.stores.logs[partition]);
        let who = Who::Store(partition);
        let say = || {
            let last = log.history.last();
            let said = last.map(|logged| said_in_words(&logged.said));
            format!("offset {offset}: {}", said.unwrap_or_default())
        };
        self.trace
            .note(now_ms, who, "append", [offset.bits(), size], say);
    }

    pub(crate) fn run_ends(&mut self, partition: usize, key: TaskKey, number: u64) {
        for (later_ms, command) in self.worker.end(partition, key, number, self.now_ms) {
            let said = Event::Append {
                partition,
                command: Box::new(command),
            };
            self.queue.push(self.now_ms + later_ms, said);
        }
    }

    /// A worker's command reaches the log; it tries until it does.
    pub(crate) fn append_from_worker(&mut self, partition: usize, command: Command) {
        if self.network.is_out(Store::Log, self.now_ms) {
            let again = Event::Append {
                partition,
                command: Box::new(command),
            };
            self.queue.push(self.now_ms + 700, again);
            return;
        }
        let offset = self.stores.logs[partition].append(self.now_ms, encode(&command));
        self.note_append(partition, offset, 1);
        self.tell_of_growth(partition);
    }
}

fn flip_a_bit(payload: &Bytes, chance: u64) -> Bytes {
    let mut bytes = payload.to_vec();
    let bit = chance % (bytes.len().max(1) as u64 * 8);
    if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
    bytes.into()
}

fn said_in_words(said: &Said) -> String {
    match said {
        Said::Create { key, due, .. } => format!("create {:016x} due {due}", key.low()),
        Said::Cancel { key, due } => format!("cancel {:016x} due {due}", key.low()),
        Said::Move { key, due, to } => format!("move {:016x} due {due} to {to}", key.low()),
        Said::Replace { key, due, to, .. } => {
            format!("replace {:016x} due {due} to {to}", key.low())
        }
        Said::Moved { key, due, to, .. } => format!("moved {:016x} due {due} to {to}", key.low()),
        Said::Revise(revision) => {
            let state = match (&revision.definition, revision.paused) {
                (None, _) => "deleted".to_owned(),
                (Some(_), true) => "paused".to_owned(),
                (Some(definition), false) => definition_in_words(definition),
            };
            format!(
                "revision {} of {}: {state}",
                revision.number, revision.schedule
            )
        }
        Said::Trigger { schedule, .. } => format!("trigger {schedule}"),
        Said::Backfill {
            schedule, from, to, ..
        } => format!("backfill {schedule} {from} .. {to}"),
        Said::Completed { key, kind, .. } => {
            format!("completed {:016x}: {}", key.low(), kind.as_str())
        }
        Said::StopBackfill {
            schedule, backfill, ..
        } => format!("stop backfill {backfill} of {schedule}"),
        Said::ForgetRuns { schedule, .. } => format!("forget the runs of {schedule}"),
        Said::Unreadable { .. } => "unreadable".to_owned(),
    }
}

fn definition_in_words(definition: &ScheduleDefinition) -> String {
    let ScheduleDefinition {
        recurrence,
        overlap,
        misfire,
        ..
    } = definition;
    let mut text = format!(
        "{recurrence:?} {overlap:?} {misfire:?}, jitter {} ms",
        definition.jitter_ms
    );
    if let Some(max) = definition.runs_max {
        text += &format!(", at most {max} runs");
    }
    if let Some(end) = definition.end {
        text += &format!(", ends at {end}");
    }
    if definition.pause_on_failure {
        text += ", pauses on failure";
    }
    text
}
