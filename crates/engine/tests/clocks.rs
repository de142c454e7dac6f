//! An owner whose clock is not the sink's fires nothing.

use minutehand_engine::{Config, Effect, Input, InputRecord, Moment, Partition, StopReason};
use minutehand_model::{Command, Epoch, LogOffset, Tick, Timestamp, TimetablePage};

#[allow(dead_code, reason = "each file of tests uses its own part")]
mod support;

use support::{at, task};

/// An owner, and a sink whose clock goes right.
struct Pair {
    partition: Partition,
    /// By how much the owner's clock is ahead.
    ahead_ms: i64,
    passed_ms: i64,
    ticks: Vec<Tick>,
    stopped: Option<StopReason>,
}

impl Pair {
    /// The owner of a partition with one task, due at a time; so many milliseconds have passed
    /// since the beginning.
    fn begin(due_ms: i64) -> Pair {
        let partition = Partition::new(Config::default(), minutehand_model::PartitionId::default());
        let mut pair = Pair {
            partition,
            ahead_ms: 0,
            passed_ms: 0,
            ticks: Vec::new(),
            stopped: None,
        };
        pair.partition
            .handle(pair.moment(), Input::Acquired { epoch: Epoch(1) });
        pair.settle(due_ms);
        pair
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: at(self.passed_ms + self.ahead_ms),
            steady_ms: self.passed_ms,
        }
    }

    fn pass(&mut self, until_ms: i64, due_ms: i64) {
        self.passed_ms = until_ms;
        let at = self.moment().wall;
        self.partition
            .handle(self.moment(), Input::LeaseConfirmed { at });
        self.settle(due_ms);
    }

    fn settle(&mut self, due_ms: i64) {
        loop {
            self.partition.advance(self.moment());
            let mut answers = Vec::new();
            while let Some(effect) = self.partition.poll_effect() {
                answers.extend(self.carry_out(effect, due_ms));
            }
            if answers.is_empty() {
                return;
            }
            for answer in answers {
                self.partition.handle(self.moment(), answer);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, due_ms: i64) -> Option<Input> {
        let (begin, end) = (LogOffset::START, LogOffset::START.next());
        let taken_at: Option<Timestamp> = Some(at(self.passed_ms));
        Some(match effect {
            Effect::Open { request, .. } => Input::Opened {
                request,
                checkpoint: None,
                schedule_states: Vec::new(),
                log_end: end,
                taken_at,
                prepared_from: None,
            },
            Effect::ReadRevisions { request } => Input::Revisions {
                request,
                entries: Vec::new(),
            },
            Effect::ReadTimetable { request, until, .. } => Input::Page {
                request,
                page: TimetablePage {
                    complete_until: until,
                    ..Default::default()
                },
            },
            Effect::ReadLog { request, from, .. } => {
                let command = Ok(Command::Create(task("task", due_ms)));
                let record = InputRecord {
                    offset: begin,
                    appended_at: at(0),
                    command,
                };
                let records = if from == begin {
                    vec![record]
                } else {
                    Vec::new()
                };
                Input::Records {
                    request,
                    records,
                    next: end,
                    end,
                }
            }
            Effect::Commit { request, tick, .. } => {
                self.ticks.push(*tick);
                Input::Committed {
                    request,
                    derived_end: None,
                    taken_at,
                }
            }
            Effect::Stopped { reason } => {
                self.stopped = Some(reason);
                return None;
            }
            _ => return None,
        })
    }

    fn published(&self) -> usize {
        self.ticks.iter().map(|tick| tick.publications.len()).sum()
    }
}

#[test]
fn a_jump_of_the_clock_fires_nothing() {
    let due_ms = 20_000;
    for ahead_ms in [due_ms, 3_600_000, -3_600_000] {
        let mut pair = Pair::begin(due_ms);
        pair.pass(1_000, due_ms);
        let frontier = pair.partition.status().frontier;
        pair.ahead_ms = ahead_ms;
        pair.pass(1_001, due_ms);
        assert!(
            matches!(pair.stopped, Some(StopReason::ClockOff { .. })),
            "{ahead_ms} ms ahead"
        );
        let last = pair.ticks.last().expect("one asked for the time");
        assert_eq!(
            (pair.published(), &last.checkpoint.frontier.gaps),
            (0, &frontier.gaps)
        );
        assert!(
            last.checkpoint.frontier.head <= frontier.head,
            "F did not go by that clock"
        );
    }
}

#[test]
fn a_clock_within_the_limit_is_gone_by() {
    let due_ms = 20_000;
    let mut pair = Pair::begin(due_ms);
    pair.pass(1_000, due_ms);
    pair.ahead_ms = 4_000;
    pair.pass(16_000, due_ms);
    assert_eq!((pair.published(), &pair.stopped), (1, &None));
}
