//! What producers ask for: creations, delays, cancels, moves, replacements, repeats, nonsense, and
//! schedules with overlap policies. A function of the seed and of the clock.

use std::collections::VecDeque;

use bytes::Bytes;
use minutehand_model::{
    ActionTemplate, Command, DstRule, Guarantee, MisfirePolicy, Namespace, OverlapPolicy,
    Precision, QueueName, RecurrenceSpec, RetryPolicy, Revision, ScheduleDefinition, ScheduleId,
    Task, TaskId, Timestamp,
};

use crate::random::Random;

/// The queues that everything goes to.
pub(crate) const QUEUES: [&str; 2] = ["torture-a", "torture-b"];

/// So many tasks are remembered for changes.
const RECENT_MAX: usize = 20_000;
/// A task is due at once up to so much later when it is a delay, in milliseconds.
const DELAY_MS_MAX: i64 = 1_000;

/// A record for a partition of the log.
pub(crate) type Draw = (u32, Bytes);

pub(crate) struct Workload {
    random: Random,
    partitions: u32,
    horizon_ms: i64,
    next: u64,
    recent: VecDeque<(u32, Task)>,
    namespace: Namespace,
    queues: Vec<QueueName>,
    schedules: Vec<(u32, Revision)>,
    /// The latest due time that was asked for.
    latest_due: Timestamp,
    /// Only creations: what comes late then is late because of the schedulers.
    is_plain: bool,
}

fn name<T, E: std::fmt::Debug>(parsed: Result<T, E>) -> T {
    parsed.expect("the names of the workload are valid")
}

impl Workload {
    pub(crate) fn new(seed: u64, partitions: u32, horizon_ms: i64) -> Workload {
        Workload {
            random: Random::fork(seed, 1),
            partitions,
            horizon_ms: horizon_ms.max(DELAY_MS_MAX),
            next: 0,
            recent: VecDeque::new(),
            namespace: name(Namespace::parse("torture")),
            queues: QUEUES
                .iter()
                .map(|queue| name(QueueName::parse(queue)))
                .collect(),
            schedules: Vec::new(),
            latest_due: Timestamp::MIN,
            is_plain: false,
        }
    }

    /// The same without changes, repeats, nonsense and schedules.
    pub(crate) fn plain(self) -> Workload {
        Workload {
            is_plain: true,
            ..self
        }
    }

    pub(crate) fn latest_due(&self) -> Timestamp {
        self.latest_due
    }

    /// The first revisions of all schedules: they end at a time.
    pub(crate) fn schedules(&mut self, now: Timestamp, end: Timestamp) -> Vec<Draw> {
        let every = |seconds: i64| RecurrenceSpec::Interval {
            every_ms: seconds * 1_000,
            anchor: now,
            zone: "UTC".to_owned(),
        };
        let cron = RecurrenceSpec::Cron {
            expression: "*/5 * * * * *".to_owned(),
            zone: "UTC".to_owned(),
            dst: DstRule::Vixie,
        };
        let kinds = [
            (every(3), OverlapPolicy::AllowAll, 0),
            (every(2), OverlapPolicy::Skip, 0),
            (every(4), OverlapPolicy::BufferOne, 0),
            (cron, OverlapPolicy::AllowAll, 700),
        ];
        for partition in (0..self.partitions).filter(|_| !self.is_plain) {
            let payload = Bytes::from_static(b"run of a schedule");
            for (kind, (recurrence, overlap, jitter_ms)) in kinds.iter().enumerate() {
                let definition = ScheduleDefinition {
                    recurrence: recurrence.clone(),
                    exclude: Vec::new(),
                    start: None,
                    end: Some(end),
                    runs_max: None,
                    jitter_ms: *jitter_ms,
                    misfire: MisfirePolicy::default(),
                    overlap: *overlap,
                    pause_on_failure: false,
                    run_timeout_ms: None,
                    action: ActionTemplate {
                        retry: RetryPolicy::NEVER,
                        ..ActionTemplate::new(self.queues[0].clone(), payload.clone())
                    },
                };
                let revision = Revision {
                    namespace: self.namespace.clone(),
                    schedule: name(ScheduleId::parse(&format!("s-{partition}-{kind}"))),
                    number: 1,
                    definition: Some(definition),
                    paused: false,
                    note: String::new(),
                    author: "torture".to_owned(),
                };
                self.schedules.push((partition, revision));
            }
        }
        let revisions = self.schedules.iter();
        revisions
            .map(|(partition, revision)| {
                (
                    *partition,
                    encoded(Command::Revise(Box::new(revision.clone()))),
                )
            })
            .collect()
    }

    /// A change to some schedule.
    pub(crate) fn schedule_change(&mut self, now: Timestamp) -> Option<Draw> {
        let index = self.random.below(self.schedules.len().max(1) as u64) as usize;
        let every_ms = self.random.range(2, 7) * 1_000;
        let is_trigger = self.random.below(3) > 0;
        let (partition, revision) = self.schedules.get_mut(index)?;
        let definition = revision.definition.as_mut()?;
        if definition.overlap != OverlapPolicy::AllowAll
            || definition.end.is_some_and(|end| end <= now)
        {
            return None;
        }
        if is_trigger {
            let (namespace, schedule) = (revision.namespace.clone(), revision.schedule.clone());
            return Some((
                *partition,
                encoded(Command::Trigger {
                    namespace,
                    schedule,
                    overlap: None,
                }),
            ));
        }
        if let RecurrenceSpec::Interval {
            every_ms: present, ..
        } = &mut definition.recurrence
        {
            *present = every_ms;
        }
        revision.number += 1;
        Some((
            *partition,
            encoded(Command::Revise(Box::new(revision.clone()))),
        ))
    }

    /// The next record.
    pub(crate) fn draw(&mut self, now: Timestamp) -> Draw {
        let kind = if self.is_plain {
            999
        } else {
            self.random.below(1_000)
        };
        let changed = match kind {
            0 => {
                self.next += 1;
                let nonsense = format!("\u{7f}this is no command {}", self.next);
                return (
                    self.random.below(u64::from(self.partitions)) as u32,
                    Bytes::from(nonsense),
                );
            }
            1..=50 => self.recent().map(|(partition, task)| {
                (
                    partition,
                    Command::Cancel {
                        key: task.key(),
                        due: task.due,
                    },
                )
            }),
            51..=90 => self.change(now, |key, due, task| Command::Move { key, due, task }),
            91..=130 => self.change(now, |key, due, task| Command::Replace { key, due, task }),
            131..=150 => self.recent().map(|(partition, task)| {
                (
                    partition,
                    Command::Create(minutehand_record::task::record(&task)),
                )
            }),
            _ => None,
        };
        let (partition, command) = changed.unwrap_or_else(|| self.create(now));
        (partition, encoded(command))
    }

    fn create(&mut self, now: Timestamp) -> (u32, Command) {
        self.next += 1;
        let due = self.due(now);
        let queue = self.queues[self.random.below(self.queues.len() as u64) as usize].clone();
        let id = name(TaskId::parse(&format!("t-{}", self.next)));
        let task = Task {
            payload: Bytes::from_static(b"torture"),
            retry: RetryPolicy::NEVER,
            guarantee: self.random.pick(Guarantee::ALL),
            // The other classes may wait for company.
            precision: if self.is_plain {
                Precision::High
            } else {
                self.random.pick(Precision::ALL)
            },
            ..Task::new(self.namespace.clone(), id, queue, due)
        };
        let partition = self.random.below(u64::from(self.partitions)) as u32;
        self.remember(partition, task.clone());
        (
            partition,
            Command::Create(minutehand_record::task::record(&task)),
        )
    }

    fn due(&mut self, now: Timestamp) -> Timestamp {
        let is_delay = self.random.below(100) < 15;
        let ahead_ms = self.random.range(
            0,
            if is_delay {
                DELAY_MS_MAX
            } else {
                self.horizon_ms
            },
        );
        let mut due_ms = now.as_millis() + ahead_ms;
        // Many at one time, so that a tick has to stop in the middle of it.
        if self.random.below(4) == 0 {
            due_ms = due_ms / 1_000 * 1_000;
        }
        let due = Timestamp::from_millis(due_ms);
        self.latest_due = self.latest_due.max(due);
        due
    }

    /// Another due time for a known task.
    fn change(
        &mut self,
        now: Timestamp,
        command: impl FnOnce(
            minutehand_model::TaskKey,
            Timestamp,
            minutehand_model::TaskRecord,
        ) -> Command,
    ) -> Option<(u32, Command)> {
        let (partition, mut task) = self.recent()?;
        let before = task.due;
        task.due = self.due(now);
        task.first_due = task.due;
        self.remember(partition, task.clone());
        Some((
            partition,
            command(task.key(), before, minutehand_record::task::record(&task)),
        ))
    }

    fn recent(&mut self) -> Option<(u32, Task)> {
        let index = self.random.below(self.recent.len().max(1) as u64) as usize;
        self.recent.get(index).cloned()
    }

    fn remember(&mut self, partition: u32, task: Task) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((partition, task));
    }

    /// The last task of a partition, due when everything else was.
    pub(crate) fn sentinel(&self, partition: u32, due: Timestamp) -> Bytes {
        let id = name(TaskId::parse(&format!("the-last-of-{partition}")));
        let (namespace, queue) = (self.namespace.clone(), self.queues[0].clone());
        let task = Task {
            retry: RetryPolicy::NEVER,
            guarantee: Guarantee::ExactlyOnce,
            precision: Precision::High,
            ..Task::new(namespace, id, queue, due)
        };
        encoded(Command::Create(minutehand_record::task::record(&task)))
    }
}

pub(crate) fn encoded(command: Command) -> Bytes {
    minutehand_record::command::encode(&command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_asks_for_the_same_again_and_for_every_kind() {
        let draws = || {
            let mut workload = Workload::new(7, 3, 60_000);
            let now = Timestamp::from_millis(1_000_000);
            let mut draws = workload.schedules(now, now.plus_millis(60_000));
            draws.extend((0..5_000).map(|_| workload.draw(now)));
            draws.extend((0..100).filter_map(|_| workload.schedule_change(now)));
            draws
        };
        let first = draws();
        assert_eq!(first, draws());
        let kinds: std::collections::BTreeSet<&str> = first
            .into_iter()
            .map(|(_, record)| {
                minutehand_record::command::decode(record)
                    .map_or("nonsense", |command| command.kind())
            })
            .collect();
        let all = [
            "cancel", "create", "move", "nonsense", "replace", "revise", "trigger",
        ];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    }
}
