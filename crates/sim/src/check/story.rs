//! Journals made by hand, for the tests of the checkers.

use bytes::Bytes;
use minutehand_model::{Guarantee, LogOffset, Place, TaskKey, Timestamp};

use crate::journal::{Journal, Logged, PartitionJournal, Published, Said, TickEntry};

pub(crate) fn ms(at_ms: i64) -> Timestamp {
    Timestamp::from_millis(at_ms)
}

/// Builds the journal of one partition.
#[derive(Clone, Default)]
pub(crate) struct Story {
    pub(crate) partition: PartitionJournal,
}

impl Story {
    /// The log takes a record at offset and time `at`.
    pub(crate) fn says(mut self, at: u64, said: Said) -> Story {
        self.partition.log.push(Logged {
            offset: LogOffset::at(at),
            appended_at_ms: at as i64,
            said,
        });
        self
    }

    pub(crate) fn creates(self, at: u64, key: u128, due_ms: i64) -> Story {
        self.says(
            at,
            Said::Create {
                key: TaskKey(key),
                due: ms(due_ms),
                encoded: Bytes::new(),
            },
        )
    }

    pub(crate) fn cancels(self, at: u64, key: u128, due_ms: i64) -> Story {
        self.says(
            at,
            Said::Cancel {
                key: TaskKey(key),
                due: ms(due_ms),
            },
        )
    }

    /// A tick at a time, under epoch 1, with A and F at that time, that publishes (key, due,
    /// offset).
    pub(crate) fn ticks(mut self, at_ms: i64, published: &[(u128, i64, u64)]) -> Story {
        let tick = self.partition.ticks.len();
        self.partition.ticks.push(TickEntry {
            epoch: 1,
            number: tick as u64 + 1,
            applied: LogOffset::at(at_ms as u64),
            replay_from: LogOffset::START,
            head: Place::end_of(ms(at_ms)),
            backlog: Vec::new(),
            owed_after: None,
            published_at_ms: at_ms,
            clock_ms: at_ms,
            latest_clock_ms: at_ms,
            committed_at_ms: at_ms,
            declared: published.len(),
            visible: published.len(),
        });
        let publications = published.iter().map(|(key, due_ms, offset)| Published {
            tick,
            key: TaskKey(*key),
            due: ms(*due_ms),
            offset: LogOffset::at(*offset),
            guarantee: Guarantee::AtMostOnce,
            encoded: Bytes::new(),
        });
        self.partition.publications.extend(publications);
        self
    }

    /// Changes the last tick.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut TickEntry)) -> Story {
        change(self.partition.ticks.last_mut().expect("there is a tick"));
        self
    }

    /// The journal of a run that was healthy at all times.
    pub(crate) fn journal(&self) -> Journal {
        Journal {
            healed_at_ms: 0,
            ended_at_ms: 1_000_000,
            recovery_bound_ms: 1_000,
            healthy_lateness_ms: None,
            on_time_ms: None,
            dedupe_window_ms: 1_000,
            clock_skew_ms_max: None,
            clock_error_ms: 0,
            closings: Vec::new(),
            partitions: vec![self.partition.clone()],
        }
    }

    pub(crate) fn ask(&self, checker: super::Checker) -> Result<(), String> {
        checker(&self.journal(), &self.partition)
    }
}

/// Schedules in stories.
pub(crate) mod schedules {
    use bytes::Bytes;
    use minutehand_model::{
        ActionTemplate, LogOffset, MisfirePolicy, Namespace, Origin, OutcomeKind, OverlapPolicy,
        QueueName, RecurrenceSpec, RetryPolicy, Revision, RunCause, ScheduleDefinition, ScheduleId,
        Task, TaskId, TaskKey,
    };

    use super::{Story, ms};
    use crate::journal::{Published, Said};

    pub(crate) fn names() -> (Namespace, ScheduleId) {
        (
            Namespace::parse("default").expect("valid"),
            ScheduleId::parse("s").expect("valid"),
        )
    }

    pub(crate) fn every(seconds: i64) -> RecurrenceSpec {
        RecurrenceSpec::Interval {
            every_ms: seconds * 1_000,
            anchor: ms(0),
            zone: "UTC".to_owned(),
        }
    }

    pub(crate) fn definition(recurrence: RecurrenceSpec) -> ScheduleDefinition {
        ScheduleDefinition {
            recurrence,
            exclude: Vec::new(),
            start: None,
            end: None,
            runs_max: None,
            jitter_ms: 0,
            misfire: MisfirePolicy::default(),
            overlap: OverlapPolicy::AllowAll,
            pause_on_failure: false,
            run_timeout_ms: None,
            action: ActionTemplate {
                retry: RetryPolicy::NEVER,
                ..ActionTemplate::new(QueueName::parse("q").expect("valid"), Bytes::new())
            },
        }
    }

    pub(crate) fn revise(
        story: Story,
        at: u64,
        number: u64,
        definition: Option<ScheduleDefinition>,
    ) -> Story {
        let (namespace, schedule) = names();
        let (note, author) = (String::new(), String::new());
        let revision = Revision {
            namespace,
            schedule,
            number,
            definition,
            paused: false,
            note,
            author,
        };
        story.says(at, Said::Revise(Box::new(revision)))
    }

    /// The last tick publishes the occurrence of a nominal time.
    pub(crate) fn run(story: Story, nominal_ms: i64, offset: u64) -> Story {
        run_as(story, nominal_ms, nominal_ms, offset, "")
    }

    pub(crate) fn run_as(
        mut story: Story,
        nominal_ms: i64,
        due_ms: i64,
        offset: u64,
        suffix: &str,
    ) -> Story {
        let (namespace, schedule) = names();
        let action = definition(every(1)).action;
        let id = format!("s@{}{suffix}", ms(nominal_ms));
        let id = TaskId::parse(&id).expect("valid");
        let task = Task {
            origin: Some(Origin {
                schedule,
                nominal: ms(nominal_ms),
                completion_wanted: true,
            }),
            ..action.into_task(namespace, id, ms(due_ms))
        };
        let record = minutehand_record::task::record(&task);
        let tick = story.partition.ticks.len() - 1;
        story.partition.publications.push(Published {
            tick,
            key: record.key,
            due: record.due,
            offset: LogOffset::at(offset),
            guarantee: record.guarantee,
            encoded: record.encoded,
        });
        story
    }

    /// A revision that is paused, or not.
    pub(crate) fn pause(
        story: Story,
        at: u64,
        number: u64,
        definition: ScheduleDefinition,
    ) -> Story {
        let (namespace, schedule) = names();
        let (definition, note, author) = (Some(definition), String::new(), String::new());
        let revision = Revision {
            namespace,
            schedule,
            number,
            definition,
            paused: true,
            note,
            author,
        };
        story.says(at, Said::Revise(Box::new(revision)))
    }

    /// The last tick asks the run of a nominal time to stop.
    pub(crate) fn stops(
        mut story: Story,
        nominal_ms: i64,
        due_ms: i64,
        queue: &str,
        kill: bool,
    ) -> Story {
        let (namespace, schedule) = names();
        let key = RunCause::Calendar.task_key(&namespace, &schedule, ms(nominal_ms));
        let queue = QueueName::parse(queue).expect("valid");
        let tick = story.partition.ticks.len() - 1;
        let stop = minutehand_model::StopRequest {
            queue,
            key,
            due: ms(due_ms),
            kill,
        };
        story
            .partition
            .stops
            .get_or_insert_default()
            .push((tick, stop));
        story
    }

    /// The log takes the next attempt of the run of a nominal time, which was due then.
    pub(crate) fn retries(story: Story, at: u64, nominal_ms: i64, due_ms: i64) -> Story {
        let run = run_as(story.clone().ticks(0, &[]), nominal_ms, nominal_ms, 0, "");
        let first = run
            .partition
            .publications
            .last()
            .expect("it was just added");
        let first = minutehand_record::task::decode(&first.encoded).expect("it was just encoded");
        let record = minutehand_record::task::record(&Task {
            due: ms(due_ms),
            attempt: 2,
            ..first
        });
        story.says(
            at,
            Said::Create {
                key: record.key,
                due: record.due,
                encoded: record.encoded,
            },
        )
    }

    pub(crate) fn completes(story: Story, at: u64, nominal_ms: i64) -> Story {
        completes_as(story, at, RunCause::Calendar, nominal_ms, nominal_ms)
    }

    pub(crate) fn completes_as(
        story: Story,
        at: u64,
        cause: RunCause,
        nominal_ms: i64,
        due_ms: i64,
    ) -> Story {
        let (namespace, schedule) = names();
        let key = cause.task_key(&namespace, &schedule, ms(nominal_ms));
        story.says(
            at,
            Said::Completed {
                key,
                due: Some(ms(due_ms)),
                kind: OutcomeKind::Succeeded,
            },
        )
    }

    pub(crate) fn fails(story: Story, at: u64, nominal_ms: i64) -> Story {
        let key = key_of(nominal_ms);
        story.says(
            at,
            Said::Completed {
                key,
                due: Some(ms(nominal_ms)),
                kind: OutcomeKind::Dead,
            },
        )
    }

    /// What the run of a nominal time is called.
    pub(crate) fn key_of(nominal_ms: i64) -> TaskKey {
        let (namespace, schedule) = names();
        RunCause::Calendar.task_key(&namespace, &schedule, ms(nominal_ms))
    }

    /// A trigger, and the policy that it brings.
    pub(crate) fn triggers(story: Story, at: u64, overlap: Option<OverlapPolicy>) -> Story {
        let (namespace, schedule) = names();
        story.says(
            at,
            Said::Trigger {
                namespace,
                schedule,
                overlap,
            },
        )
    }
}
