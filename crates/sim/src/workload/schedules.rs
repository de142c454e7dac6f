//! Commands about schedules: create, revise, pause, delete, trigger, backfill.

use bytes::Bytes;
use minutehand_model::time::{MINUTE_MS, SECOND_MS};
use minutehand_model::{
    ActionTemplate, Command, Guarantee, MisfirePolicy, MisfireRule, Namespace, OverlapPolicy, PartitionId,
    Precision, RecurrenceSpec, RetryPolicy, Revision, ScheduleDefinition, ScheduleId, Timestamp,
};

use super::{Addressed, NAMESPACE, queue};
use crate::options::Setup;
use crate::rng::Rng;

/// One schedule, as its caller sees it.
struct Known {
    id: ScheduleId,
    partition: PartitionId,
    revision: u64,
    definition: Option<ScheduleDefinition>,
    is_paused: bool,
    /// Kept over its revisions in most cases, so that what it promises can be checked over its whole life.
    overlap: OverlapPolicy,
    is_plain: bool,
}

/// What the producer knows of its schedules.
pub(crate) struct ScheduleBook {
    known: Vec<Known>,
    wanted: usize,
    partitions: u32,
    namespace: Namespace,
    ends_ms: i64,
}

impl ScheduleBook {
    pub(crate) fn new(setup: &Setup) -> ScheduleBook {
        ScheduleBook {
            known: Vec::new(),
            wanted: setup.mix.schedules,
            partitions: setup.partitions as u32,
            namespace: Namespace::parse(NAMESPACE).expect("a valid name"),
            ends_ms: setup.faults_end_ms + setup.drain_ms,
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
        let index = rng.below(self.known.len() as u64) as usize;
        let dice = rng.below(100);
        Some(match dice {
            0..45 => self.revise(index, now_ms, rng),
            45..60 => self.pause(index),
            60..65 => self.delete(index),
            65..85 => self.trigger(index, rng),
            _ => self.backfill(index, now_ms, rng),
        })
    }

    fn create(&mut self, now_ms: i64, rng: &mut Rng) -> Addressed {
        let number = self.known.len();
        let id = ScheduleId::parse(&format!("schedule-{number}")).expect("a valid id");
        let partition = PartitionId::of(&self.namespace, id.as_str(), self.partitions);
        // Half of the schedules promise every occurrence: nothing is skipped, missed or counted.
        let is_plain = rng.chance(0.5);
        let overlap = if is_plain { OverlapPolicy::AllowAll } else { rng.pick(OverlapPolicy::ALL) };
        self.known.push(Known {
            id,
            partition,
            revision: 0,
            definition: None,
            is_paused: false,
            overlap,
            is_plain,
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
        let (is_plain, overlap) = (self.known[index].is_plain, self.known[index].overlap);
        let definition = draw_definition(now_ms, self.ends_ms, is_plain, overlap, rng);
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
        let overlap = rng.chance(0.1).then(|| rng.pick(OverlapPolicy::ALL));
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (known.partition, Command::Trigger { namespace, schedule, overlap })
    }

    fn backfill(&mut self, index: usize, now_ms: i64, rng: &mut Rng) -> Addressed {
        let known = &self.known[index];
        let from = Timestamp::from_millis(now_ms - rng.range(0, 10 * MINUTE_MS));
        let to = from.plus_millis(rng.range(0, 4 * MINUTE_MS));
        let (namespace, schedule) = (self.namespace.clone(), known.id.clone());
        (known.partition, Command::Backfill { namespace, schedule, from, to })
    }
}

fn draw_recurrence(now_ms: i64, rng: &mut Rng) -> RecurrenceSpec {
    if rng.chance(0.6) {
        let every_ms = rng.pick(&[1, 2, 3, 5, 7, 15, 30, 60]) * SECOND_MS;
        let anchor = Timestamp::from_millis(now_ms - rng.range(0, 100_000));
        return RecurrenceSpec::Interval { every_ms, anchor, zone: "UTC".to_owned() };
    }
    let expression =
        rng.pick(&["*/5 * * * * *", "0,20,41 * * * * *", "* * * * *", "*/2 * * * *", "13 */3 * * * *"]);
    RecurrenceSpec::Cron {
        expression: expression.to_owned(),
        zone: rng.pick(&["UTC", "Europe/Berlin", "Australia/Lord_Howe"]).to_owned(),
        dst: rng.pick(&["vixie", "skip", "literal"]).to_owned(),
    }
}

fn draw_definition(
    now_ms: i64,
    ends_ms: i64,
    is_plain: bool,
    overlap: OverlapPolicy,
    rng: &mut Rng,
) -> ScheduleDefinition {
    let misfire = if is_plain || rng.chance(0.5) {
        MisfirePolicy::default()
    } else {
        MisfirePolicy {
            rule: rng.pick(MisfireRule::ALL),
            window_ms: rng.pick(&[5_000, 60_000]),
            grace_ms: rng.pick(&[500, 3_000]),
        }
    };
    // No occurrence after the end of the run is of use; that nothing comes after `end` is checked with it.
    let end = now_ms + rng.range(20_000, 200_000);
    ScheduleDefinition {
        recurrence: draw_recurrence(now_ms, rng),
        exclude: if rng.chance(0.15) { vec!["* * * * * 0".to_owned()] } else { Vec::new() },
        start: rng.chance(0.3).then(|| Timestamp::from_millis(now_ms + rng.range(-20_000, 20_000))),
        end: Some(Timestamp::from_millis(end.min(ends_ms - 60_000))),
        runs_max: (!is_plain && rng.chance(0.25)).then(|| rng.below(12) + 1),
        jitter_ms: if rng.chance(0.3) { rng.range(0, 4_000) } else { 0 },
        misfire,
        overlap,
        pause_on_failure: !is_plain && rng.chance(0.1),
        run_timeout_ms: None,
        action: ActionTemplate {
            queue: queue(rng),
            payload: Bytes::from_static(b"run"),
            headers: Vec::new(),
            retry: RetryPolicy::NEVER,
            guarantee: rng.pick(Guarantee::ALL),
            precision: rng.pick(Precision::ALL),
            verbatim: None,
        },
    }
}
