//! Commands about schedules: create, revise, pause, delete, trigger, backfill.

use bytes::Bytes;
use minutehand_model::time::{MINUTE_MS, SECOND_MS};
use minutehand_model::{
    ActionTemplate, Command, DstRule, Guarantee, LogOffset, MisfirePolicy, MisfireRule, Namespace,
    OverlapPolicy, PartitionId, Precision, RecurrenceSpec, RetryPolicy, Revision,
    ScheduleDefinition, ScheduleId, Timestamp,
};

use super::{Addressed, NAMESPACE, queue};
use crate::rng::Rng;
use crate::setup::Setup;

/// What a schedule is like over its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// It promises every occurrence: nothing is skipped, missed or counted.
    Plain,
    /// It keeps its overlap policy, so that what it promises can be checked over its whole life.
    Steady(OverlapPolicy),
    /// Each revision has a policy of its own.
    Restless,
}

/// One schedule, as its caller sees it.
struct Known {
    id: ScheduleId,
    partition: PartitionId,
    revision: u64,
    definition: Option<ScheduleDefinition>,
    is_paused: bool,
    nature: Nature,
    /// Whether none of its revisions has a misfire policy or a number of runs.
    is_simple: bool,
    /// Whether its triggers bring policies of their own.
    has_own_policies: bool,
    /// The last range that was asked for.
    range: Option<(Timestamp, Timestamp)>,
    /// The backfills that were asked for.
    backfills: Vec<LogOffset>,
}

/// What the producer knows of its schedules.
pub(crate) struct ScheduleBook {
    known: Vec<Known>,
    wanted: usize,
    /// Of a hundred.
    restless: u64,
    forgetful: u64,
    partitions: u32,
    namespace: Namespace,
    ends_ms: i64,
    /// Whose runs were forgotten just now: they are asked for again next.
    forgotten: Option<usize>,
}

impl ScheduleBook {
    pub(crate) fn new(setup: &Setup) -> ScheduleBook {
        ScheduleBook {
            known: Vec::new(),
            wanted: setup.mix.schedules,
            restless: setup.mix.restless,
            forgetful: setup.mix.forgetful,
            partitions: setup.partitions as u32,
            namespace: Namespace::parse(NAMESPACE).expect("a valid name"),
            ends_ms: setup.faults_end_ms + setup.drain_ms,
            forgotten: None,
        }
    }

    /// The next change; `None` when the run has no schedules.
    pub(crate) fn next(&mut self, now_ms: i64, rng: &mut Rng) -> Option<Addressed> {
        if self.known.len() < self.wanted {
            return Some(self.create(now_ms, rng));
        }
        if self.known.is_empty() {
            return None;
        }
        if let Some(index) = self.forgotten.take() {
            return Some(self.backfill(index, now_ms, 1.0, rng));
        }
        let index = rng.below(self.known.len() as u64) as usize;
        let dice = rng.below(100);
        if self.known[index].definition.is_none() && dice < 60 {
            return Some(self.revise(index, now_ms, rng));
        }
        if dice >= 100 - self.forgetful {
            return Some(self.forget_runs(index));
        }
        Some(match dice {
            0..32 => self.revise(index, now_ms, rng),
            32..50 => self.pause(index),
            50..56 => self.delete(index),
            56..76 => self.trigger(index, rng),
            76..91 => self.backfill(index, now_ms, 0.5, rng),
            _ => self.stop_backfill(index, now_ms, rng),
        })
    }

    /// The log has taken a command at an offset.
    pub(crate) fn was_appended(&mut self, command: &Command, offset: LogOffset) {
        if let Command::Backfill { schedule, .. } = command
            && let Some(known) = self.known.iter_mut().find(|known| known.id == *schedule)
        {
            known.backfills.push(offset);
        }
    }

    fn create(&mut self, now_ms: i64, rng: &mut Rng) -> Addressed {
        let number = self.known.len();
        let id = ScheduleId::parse(&format!("schedule-{number}")).expect("a valid id");
        let partition = PartitionId::of(&self.namespace, id.as_str(), self.partitions);
        let nature = if rng.below(100) < self.restless {
            Nature::Restless
        } else if rng.chance(0.4) {
            Nature::Plain
        } else {
            Nature::Steady(rng.pick(OverlapPolicy::ALL))
        };
        self.known.push(Known {
            id,
            partition,
            revision: 0,
            definition: None,
            is_paused: false,
            nature,
            is_simple: nature == Nature::Plain || rng.chance(0.5),
            has_own_policies: rng.chance(0.3),
            range: None,
            backfills: Vec::new(),
        });
        self.revise(number, now_ms, rng)
    }

    fn revision(&mut self, index: usize) -> Addressed {
        let known = &mut self.known[index];
        known.revision += 1;
        let revision = Revision {
            namespace: self.namespace.clone(),
            schedule: known.id.clone(),
            number: known.revision,
            definition: known.definition.clone(),
            paused: known.is_paused,
            note: String::new(),
            author: "simulator".to_owned(),
        };
        (known.partition, Command::Revise(Box::new(revision)))
    }

    fn revise(&mut self, index: usize, now_ms: i64, rng: &mut Rng) -> Addressed {
        let Known {
            nature, is_simple, ..
        } = self.known[index];
        let mut definition = draw_definition(now_ms, self.ends_ms, nature, rng);
        if is_simple {
            (definition.misfire, definition.runs_max) = (MisfirePolicy::default(), None);
        }
        self.known[index].definition = Some(definition);
        self.revision(index)
    }

    fn pause(&mut self, index: usize) -> Addressed {
        self.known[index].is_paused ^= true;
        self.revision(index)
    }

    fn delete(&mut self, index: usize) -> Addressed {
        self.known[index].definition = None;
        self.revision(index)
    }

    fn trigger(&mut self, index: usize, rng: &mut Rng) -> Addressed {
        let known = &self.known[index];
        let overlap =
            (known.has_own_policies && rng.chance(0.7)).then(|| rng.pick(OverlapPolicy::ALL));
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (
            known.partition,
            Command::Trigger {
                namespace,
                schedule,
                overlap,
            },
        )
    }

    /// A range of the last minutes; with this probability the one that was asked for before.
    fn backfill(&mut self, index: usize, now_ms: i64, repeats: f64, rng: &mut Rng) -> Addressed {
        let from = Timestamp::from_millis(now_ms - rng.range(0, 10 * MINUTE_MS));
        let longest_ms = rng.pick(&[10 * SECOND_MS, 4 * MINUTE_MS]);
        let to = from.plus_millis(rng.range(0, longest_ms));
        let known = &mut self.known[index];
        let again = known.range.filter(|_| rng.chance(repeats));
        let (from, to) = *known.range.insert(again.unwrap_or((from, to)));
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (
            known.partition,
            Command::Backfill {
                namespace,
                schedule,
                from,
                to,
            },
        )
    }

    /// Stops one of the backfills that were asked for.
    fn stop_backfill(&mut self, index: usize, now_ms: i64, rng: &mut Rng) -> Addressed {
        let known = &self.known[index];
        let Some(backfill) = (!known.backfills.is_empty()).then(|| rng.pick(&known.backfills))
        else {
            return self.backfill(index, now_ms, 0.5, rng);
        };
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (
            known.partition,
            Command::StopBackfill {
                namespace,
                schedule,
                backfill,
            },
        )
    }

    fn forget_runs(&mut self, index: usize) -> Addressed {
        self.forgotten = Some(index);
        let known = &self.known[index];
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (
            known.partition,
            Command::ForgetRuns {
                namespace,
                schedule,
            },
        )
    }
}

fn draw_recurrence(now_ms: i64, rng: &mut Rng) -> RecurrenceSpec {
    if rng.chance(0.6) {
        let every_ms = rng.pick(&[1, 2, 3, 5, 7, 15, 30, 60]) * SECOND_MS;
        let anchor = Timestamp::from_millis(now_ms - rng.range(0, 100_000));
        return RecurrenceSpec::Interval {
            every_ms,
            anchor,
            zone: "UTC".to_owned(),
        };
    }
    let expression = rng.pick(&[
        "*/5 * * * * *",
        "0,20,41 * * * * *",
        "* * * * *",
        "*/2 * * * *",
        "13 */3 * * * *",
    ]);
    RecurrenceSpec::Cron {
        expression: expression.to_owned(),
        zone: rng
            .pick(&["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
            .to_owned(),
        dst: rng.pick(DstRule::ALL),
    }
}

fn draw_action(rng: &mut Rng) -> ActionTemplate {
    let queue = queue(rng);
    ActionTemplate {
        retry: RetryPolicy::NEVER,
        guarantee: rng.pick(Guarantee::ALL),
        precision: rng.pick(Precision::ALL),
        ..ActionTemplate::new(queue, Bytes::from_static(b"run"))
    }
}

fn draw_definition(now_ms: i64, ends_ms: i64, nature: Nature, rng: &mut Rng) -> ScheduleDefinition {
    let is_plain = nature == Nature::Plain;
    let overlap = match nature {
        Nature::Plain => OverlapPolicy::AllowAll,
        Nature::Steady(overlap) => overlap,
        Nature::Restless if rng.chance(0.5) => {
            rng.pick(&[OverlapPolicy::BufferAll, OverlapPolicy::AllowAll])
        }
        Nature::Restless => rng.pick(OverlapPolicy::ALL),
    };
    let misfire = if rng.chance(0.5) {
        MisfirePolicy::default()
    } else {
        MisfirePolicy {
            rule: rng.pick(MisfireRule::ALL),
            window_ms: rng.pick(&[5_000, 60_000]),
            grace_ms: rng.pick(&[500, 3_000]),
        }
    };
    // No occurrence after the end of the run is of use; that nothing comes after `end` is checked
    // with it.
    let end = now_ms + rng.range(5_000, 200_000);
    ScheduleDefinition {
        recurrence: draw_recurrence(now_ms, rng),
        exclude: if rng.chance(0.15) {
            vec!["* * * * * 0".to_owned()]
        } else {
            Vec::new()
        },
        start: rng
            .chance(0.3)
            .then(|| Timestamp::from_millis(now_ms + rng.range(-20_000, 20_000))),
        end: Some(Timestamp::from_millis(end.min(ends_ms - 60_000))),
        runs_max: rng.chance(0.25).then(|| rng.below(12) + 1),
        jitter_ms: if rng.chance(0.3) {
            rng.range(0, 6_000)
        } else {
            0
        },
        misfire,
        overlap,
        pause_on_failure: !is_plain && rng.chance(0.15),
        run_timeout_ms: rng
            .chance(0.5)
            .then(|| rng.pick(&[2, 5, 10, 20, 40]) * SECOND_MS),
        action: draw_action(rng),
    }
}
