//! Commands about one-shot tasks: creates, repeated creates, cancels, moves, replaces.

use bytes::Bytes;
use minutehand_model::time::SECOND_MS;
use minutehand_model::{
    Command, Guarantee, Namespace, PartitionId, Precision, QueueName, RetryPolicy, Task, TaskId,
    TaskRecord, Timestamp,
};

use super::{Addressed, NAMESPACE};
use crate::rng::Rng;
use crate::setup::{Mix, Setup};

/// How many tasks the producer remembers to do something about.
const REMEMBERED_MAX: usize = 400;
/// A repeated create keeps this far away from the end of the dedupe window.
const DEDUPE_MARGIN_MS: i64 = 2_500;

/// A task that was created.
#[derive(Clone, Debug)]
struct Known {
    number: u64,
    due_ms: i64,
    sent_ms: i64,
    partition: PartitionId,
    is_cancelled: bool,
}

/// What the producer knows of its tasks.
pub(crate) struct TaskBook {
    mix: Mix,
    partitions: u32,
    dedupe_window_ms: i64,
    known: Vec<Known>,
    created: u64,
    versions: u64,
    /// Creates left of a burst, and their due time.
    burst: (u64, i64),
    namespace: Namespace,
    queues: [QueueName; 3],
}

impl TaskBook {
    pub(crate) fn new(setup: &Setup) -> TaskBook {
        let queue = |name| QueueName::parse(name).expect("a valid name");
        TaskBook {
            mix: setup.mix.clone(),
            partitions: setup.partitions as u32,
            dedupe_window_ms: setup.engine.dedupe_window_ms,
            known: Vec::new(),
            created: 0,
            versions: 0,
            burst: (0, 0),
            namespace: Namespace::parse(NAMESPACE).expect("a valid name"),
            queues: [queue("mail"), queue("reports"), queue("webhooks")],
        }
    }

    /// The next command.
    pub(crate) fn next(&mut self, now_ms: i64, rng: &mut Rng) -> Addressed {
        let Mix {
            cancels,
            moves,
            replaces,
            repeats,
            ..
        } = self.mix;
        if self.burst.0 > 0 || self.known.is_empty() {
            return self.create(now_ms, rng);
        }
        let dice = rng.below(100);
        let index = rng.below(self.known.len() as u64) as usize;
        if dice < cancels {
            self.cancel(index)
        } else if dice < cancels + moves {
            self.change(index, now_ms, rng, false)
        } else if dice < cancels + moves + replaces {
            self.change(index, now_ms, rng, true)
        } else if dice < cancels + moves + replaces + repeats {
            self.repeat(index, now_ms, rng)
        } else {
            self.create(now_ms, rng)
        }
    }

    fn draw_due(&mut self, now_ms: i64, rng: &mut Rng) -> i64 {
        let ahead_ms = match rng.below(10) {
            0 => rng.range(-self.mix.late_ms_max, 0),
            1 => 0,
            2 => rng.range(0, 2_000),
            3..=5 => rng.range(0, self.mix.horizon_ms.min(30_000)),
            _ => rng.range(0, self.mix.horizon_ms),
        };
        let due_ms = now_ms + ahead_ms;
        if rng.chance(self.mix.round_due) {
            due_ms - due_ms.rem_euclid(SECOND_MS)
        } else {
            due_ms
        }
    }

    fn record(&mut self, number: u64, due_ms: i64, rng: &mut Rng) -> TaskRecord {
        self.versions += 1;
        let due = Timestamp::from_millis(due_ms);
        let id = TaskId::parse(&format!("task-{number}")).expect("a valid id");
        let queue = self.queues[rng.below(3) as usize].clone();
        let task = Task {
            payload: Bytes::copy_from_slice(&self.versions.to_be_bytes()),
            retry: RetryPolicy::NEVER,
            guarantee: rng.pick(Guarantee::ALL),
            precision: rng.pick(Precision::ALL),
            ..Task::new(self.namespace.clone(), id, queue, due)
        };
        minutehand_record::task::record(&task)
    }

    fn create(&mut self, now_ms: i64, rng: &mut Rng) -> Addressed {
        if self.burst.0 == 0 && rng.chance(self.mix.burst) {
            self.burst = (rng.below(40) + 2, self.draw_due(now_ms, rng));
        }
        let due_ms = if self.burst.0 > 0 {
            self.burst.0 -= 1;
            self.burst.1
        } else {
            self.draw_due(now_ms, rng)
        };
        // A few creates take the id of an older task, at another due time: a retry, or the next of
        // a series.
        let number = match self.known.last() {
            Some(last) if rng.chance(0.05) && last.due_ms != due_ms => last.number,
            _ => {
                self.created += 1;
                self.created
            }
        };
        let record = self.record(number, due_ms, rng);
        let partition =
            PartitionId::of(&self.namespace, &format!("task-{number}"), self.partitions);
        self.remember(
            Known {
                number,
                due_ms,
                sent_ms: now_ms,
                partition,
                is_cancelled: false,
            },
            rng,
        );
        (partition, Command::Create(record))
    }

    fn remember(&mut self, known: Known, rng: &mut Rng) {
        if self.known.len() >= REMEMBERED_MAX {
            let index = rng.below(self.known.len() as u64) as usize;
            self.known.swap_remove(index);
        }
        self.known.push(known);
    }

    fn key(&self, index: usize) -> minutehand_model::TaskKey {
        minutehand_model::TaskKey::of(NAMESPACE, &format!("task-{}", self.known[index].number))
    }

    fn cancel(&mut self, index: usize) -> Addressed {
        let key = self.key(index);
        let known = &mut self.known[index];
        known.is_cancelled = true;
        (
            known.partition,
            Command::Cancel {
                key,
                due: Timestamp::from_millis(known.due_ms),
            },
        )
    }

    /// A move or a replace to another due time.
    fn change(&mut self, index: usize, now_ms: i64, rng: &mut Rng, replaces: bool) -> Addressed {
        let key = self.key(index);
        let Known {
            number,
            due_ms,
            partition,
            ..
        } = self.known[index];
        let mut to_ms = self.draw_due(now_ms, rng);
        if to_ms == due_ms {
            to_ms += 1;
        }
        let task = self.record(number, to_ms, rng);
        let due = Timestamp::from_millis(due_ms);
        if replaces {
            self.known[index] = Known {
                due_ms: to_ms,
                sent_ms: now_ms,
                is_cancelled: false,
                ..self.known[index]
            };
            (partition, Command::Replace { key, due, task })
        } else {
            self.remember(
                Known {
                    number,
                    due_ms: to_ms,
                    sent_ms: now_ms,
                    partition,
                    is_cancelled: true,
                },
                rng,
            );
            (partition, Command::Move { key, due, task })
        }
    }

    /// The same task again, within its dedupe window; or, if it was cancelled, anew.
    fn repeat(&mut self, index: usize, now_ms: i64, rng: &mut Rng) -> Addressed {
        let Known {
            number,
            due_ms,
            sent_ms,
            partition,
            is_cancelled,
        } = self.known[index];
        let window_ends_ms = due_ms.max(sent_ms) + self.dedupe_window_ms - DEDUPE_MARGIN_MS;
        if now_ms > window_ends_ms {
            self.known.swap_remove(index);
            return self.create(now_ms, rng);
        }
        if is_cancelled {
            self.known[index].sent_ms = now_ms;
            self.known[index].is_cancelled = false;
        }
        let record = self.record(number, due_ms, rng);
        (partition, Command::Create(record))
    }
}
