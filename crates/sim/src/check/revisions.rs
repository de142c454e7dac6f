//! What the log says about schedules: which revision governs which nominal times, and what ran.
//!
//! A brute force over the calendar; the engine's own bookkeeping is not asked.

use std::collections::BTreeMap;

use minutehand_calendar::{Exclusions, Interval, Recurrence, Zone};
use minutehand_model::{
    LogOffset, MisfirePolicy, Namespace, RecurrenceSpec, Revision, RunCause, ScheduleDefinition,
    ScheduleId, TaskKey, Timestamp,
};

use super::policies::promises;
use crate::journal::{Journal, Logged, PartitionJournal, Said, TickEntry};

/// How far the log's clock may be ahead of an owner's and still say from when on a revision rules:
/// docs/GUARANTEES.md, *Clocks*.
const LOG_AHEAD_MS_MAX: i64 = 5_000;

/// The calendar of one definition.
pub(super) struct Times {
    recurrence: Recurrence,
    exclusions: Exclusions,
    start: Timestamp,
    end: Timestamp,
}

impl Times {
    fn of(definition: &ScheduleDefinition) -> Option<Times> {
        let zone = Zone::parse(definition.recurrence.zone()).ok()?;
        let recurrence = match &definition.recurrence {
            RecurrenceSpec::Cron {
                expression, dst, ..
            } => {
                let anchor = Timestamp::from_millis(0);
                Recurrence::parse(expression, Some(&zone), *dst, anchor).ok()?
            }
            RecurrenceSpec::Interval {
                every_ms, anchor, ..
            } => Recurrence::Interval(Interval::new(*every_ms, *anchor).ok()?),
        };
        let exclusions = Exclusions::parse(zone, &definition.exclude).ok()?;
        let (start, end) = (
            definition.start.unwrap_or(Timestamp::MIN),
            definition.end.unwrap_or(Timestamp::MAX),
        );
        Some(Times {
            recurrence,
            exclusions,
            start,
            end,
        })
    }

    /// Every nominal time after `after`, up to and including `through`.
    pub(super) fn between(&self, after: Timestamp, through: Timestamp) -> Vec<Timestamp> {
        let through = through.min(self.end);
        let mut found = Vec::new();
        let mut at = after.max(self.start.plus_millis(-1));
        while let Some(next) = self
            .recurrence
            .next_after(at)
            .filter(|next| *next <= through)
        {
            at = next;
            if !self.exclusions.excludes(next) {
                found.push(next);
            }
        }
        found
    }
}

/// A revision that was accepted.
pub(super) struct Reign {
    pub(super) offset: LogOffset,
    /// It governs the nominal times after this one.
    pub(super) after: Timestamp,
    /// It governs for certain those after this one: the owner's clock counts where the log's time
    /// is far ahead of it.
    pub(super) certain_after: Timestamp,
    /// It may govern those after this one: the owner that applied it may have had a clock that was
    /// behind, and what the jitter held over a rest before is its own.
    pub(super) first: Timestamp,
    /// Up to and including this one.
    pub(super) until: Timestamp,
    /// And for certain up to and including this one.
    pub(super) certain_until: Timestamp,
    /// F had passed at most this when the revision took effect: up to here the old one may still
    /// have ruled.
    pub(super) unsure_until: Timestamp,
    /// What is due at or before this has certainly been owed: later, a rest or a deletion may have
    /// come first.
    pub(super) owed_until: Timestamp,
    pub(super) definition: Option<ScheduleDefinition>,
    pub(super) is_paused: bool,
    pub(super) times: Option<Times>,
}

/// One schedule over all its revisions.
pub(super) struct Life {
    pub(super) namespace: Namespace,
    pub(super) schedule: ScheduleId,
    pub(super) reigns: Vec<Reign>,
}

/// An occurrence that may or must run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) nominal: Timestamp,
    /// False where one revision takes over from another.
    pub(super) is_certain: bool,
    /// Index of the reign.
    pub(super) reign: usize,
}

/// A published run of a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScheduleRun {
    pub(super) key: TaskKey,
    pub(super) nominal: Timestamp,
    pub(super) due: Timestamp,
    pub(super) cause: RunCause,
    pub(super) offset: LogOffset,
    /// Index into the ticks.
    pub(super) tick: usize,
    /// Whether its end is to be told.
    pub(super) is_awaited: bool,
}

impl Life {
    pub(super) fn definitions(&self) -> impl Iterator<Item = &ScheduleDefinition> {
        self.reigns
            .iter()
            .filter_map(|reign| reign.definition.as_ref())
    }

    /// Nothing is ever skipped, missed or counted: every occurrence runs.
    pub(super) fn is_transparent(&self) -> bool {
        self.definitions().all(|definition| {
            promises(definition.overlap).runs_side_by_side
                && definition.misfire == MisfirePolicy::default()
                && definition.runs_max.is_none()
                && !definition.pause_on_failure
        })
    }

    /// How long a run of which nothing is heard is waited for, at least.
    pub(super) fn run_timeout_ms_min(&self) -> i64 {
        self.definitions()
            .map(ScheduleDefinition::run_timeout_ms)
            .min()
            .unwrap_or(i64::MAX)
    }

    pub(super) fn jitter_ms_max(&self) -> i64 {
        self.definitions()
            .map(|definition| definition.jitter_ms)
            .max()
            .unwrap_or(0)
    }

    /// Every occurrence up to a time, in order.
    pub(super) fn expected(&self, through: Timestamp) -> Vec<Expected> {
        let mut all: BTreeMap<Timestamp, Expected> = BTreeMap::new();
        for (index, reign) in self.reigns.iter().enumerate() {
            let Some(times) = reign.times.as_ref().filter(|_| !reign.is_paused) else {
                continue;
            };
            let jitter_ms = reign
                .definition
                .as_ref()
                .map_or(0, |definition| definition.jitter_ms);
            let next_unsure = self
                .reigns
                .get(index + 1..)
                .into_iter()
                .flatten()
                .map(|next| next.unsure_until);
            let slack_ms = Some(reign.after.millis_since(reign.first))
                .filter(|ms| *ms > LOG_AHEAD_MS_MAX)
                .unwrap_or(0);
            let until = reign.until.plus_millis(slack_ms);
            let last = until
                .max(next_unsure.max().unwrap_or(Timestamp::MIN))
                .min(through);
            for nominal in times.between(reign.first.plus_millis(-jitter_ms), last) {
                let is_certain = nominal > reign.certain_after.max(reign.unsure_until)
                    && nominal <= reign.certain_until
                    && nominal.plus_millis(jitter_ms) <= reign.owed_until;
                let known = all.entry(nominal).or_insert(Expected {
                    nominal,
                    is_certain,
                    reign: index,
                });
                if is_certain {
                    *known = Expected {
                        nominal,
                        is_certain,
                        reign: index,
                    };
                }
            }
        }
        all.into_values().collect()
    }

    /// The offsets of the revisions that deleted it.
    pub(super) fn deletions(&self) -> impl Iterator<Item = LogOffset> {
        self.reigns
            .iter()
            .filter(|reign| reign.definition.is_none())
            .map(|reign| reign.offset)
    }

    /// The revision in force when a record was appended.
    pub(super) fn reign_at(&self, offset: LogOffset) -> Option<&Reign> {
        self.reigns.iter().rev().find(|reign| reign.offset < offset)
    }

    /// Whether a record asks something of this schedule.
    pub(super) fn is_asked(&self, said: &Said) -> bool {
        match said {
            Said::Trigger {
                namespace,
                schedule,
                ..
            }
            | Said::Backfill {
                namespace,
                schedule,
                ..
            }
            | Said::StopBackfill {
                namespace,
                schedule,
                ..
            } => (namespace, schedule) == (&self.namespace, &self.schedule),
            _ => false,
        }
    }
}

/// Every schedule that was ever accepted.
pub(super) fn lives(journal: &Journal, about: &PartitionJournal) -> Vec<Life> {
    let mut lives: BTreeMap<(Namespace, ScheduleId), (u64, Life)> = BTreeMap::new();
    for record in &about.log {
        let Said::Revise(revision) = &record.said else {
            continue;
        };
        let name = (revision.namespace.clone(), revision.schedule.clone());
        let newest = lives.get(&name).map_or(0, |(number, _)| *number);
        let times = revision.definition.as_ref().map(Times::of);
        let is_refused = revision.number != newest + 1
            || (newest == 0 && revision.definition.is_none())
            || (!revision.paused && matches!(times, Some(None)));
        if is_refused {
            continue;
        }
        let (number, life) = lives.entry(name.clone()).or_insert_with(|| {
            (
                0,
                Life {
                    namespace: name.0,
                    schedule: name.1,
                    reigns: Vec::new(),
                },
            )
        });
        *number = revision.number;
        let reign = reign(
            journal,
            about,
            record,
            revision,
            times.flatten(),
            life.reigns.last(),
        );
        let owed_until = owed_until(journal, about, &reign);
        let is_deleted = reign.definition.is_none();
        // Where clocks jumped, the owner's decided from when on the next one rules.
        let slack_ms = if journal.clock_error_ms > LOG_AHEAD_MS_MAX {
            journal.clock_error_ms
        } else {
            0
        };
        for old in &mut life.reigns {
            old.until = old.until.min(reign.after);
            old.certain_until = old.certain_until.min(reign.after.plus_millis(-slack_ms));
            let had_time = !is_deleted || has_come_further(about, old.offset, reign.offset);
            old.owed_until = old
                .owed_until
                .min(if had_time { owed_until } else { Timestamp::MIN });
        }
        life.reigns.push(reign);
    }
    lives.into_values().map(|(_, life)| life).collect()
}

fn reign(
    journal: &Journal,
    about: &PartitionJournal,
    record: &Logged,
    revision: &Revision,
    times: Option<Times>,
    before: Option<&Reign>,
) -> Reign {
    let after = Timestamp::from_millis(record.appended_at_ms);
    let took_effect = about.ticks.iter().find(|tick| tick.applied > record.offset);
    // Of two that were applied at once the first has decided nothing before the second came.
    let heard_with =
        |before: &Reign| about.applied_by(before.offset) == about.applied_by(record.offset);
    let in_force = |before: &Reign| before.definition.is_some() && !before.is_paused;
    let own = after.plus_millis(-journal.clock_error_ms);
    // The latest that its owner's clock may have shown when the revision was applied.
    let shown = took_effect
        .map(|tick| Timestamp::from_millis(tick.published_at_ms.max(tick.latest_clock_ms)));
    let is_ahead = |shown: &Timestamp| after.millis_since(*shown) > LOG_AHEAD_MS_MAX;
    let by_owner = shown.filter(is_ahead).filter(|_| before.is_none());
    Reign {
        offset: record.offset,
        after,
        certain_after: by_owner.unwrap_or(after),
        // What the jitter held over the rest before runs after it.
        first: before
            .filter(|before| before.is_paused && revision.definition.is_some())
            .map_or(own, |rest| rest.first),
        until: Timestamp::MAX,
        certain_until: Timestamp::MAX,
        unsure_until: match before {
            // From its own time on, although it may have been applied later.
            None => Timestamp::MIN,
            Some(before) if !in_force(before) || heard_with(before) => before.unsure_until,
            Some(_) => took_effect.map_or(Timestamp::MAX, |tick| tick.head.due),
        },
        owed_until: Timestamp::MAX,
        definition: revision.definition.clone(),
        is_paused: revision.paused,
        times,
    }
}

/// Up to which due time the revision before another certainly owes what it governs.
fn owed_until(journal: &Journal, about: &PartitionJournal, next: &Reign) -> Timestamp {
    match (&next.definition, next.is_paused) {
        (Some(_), false) => Timestamp::MAX,
        (Some(_), true) => next.after.plus_millis(-journal.clock_error_ms),
        // What F had not passed by then is gone. It may have stood in the middle of a due time.
        (None, _) => {
            let before = about
                .ticks
                .iter()
                .take_while(|tick| tick.applied <= next.offset);
            let decided = before.filter_map(TickEntry::decided).last();
            let passed = decided.map(|decided| match decided.offset < next.offset {
                true => decided.due.plus_millis(-1),
                false => decided.due,
            });
            passed.map_or(Timestamp::MIN, |passed| passed.min(next.after))
        }
    }
}

/// Whether F moved between the application of one record and that of a later one, and no schedule
/// was behind then: what F had passed when a revision was applied has been decided.
fn has_come_further(about: &PartitionJournal, first: LogOffset, later: LogOffset) -> bool {
    let before = about
        .ticks
        .iter()
        .take_while(|tick| tick.applied <= first)
        .last();
    let stood = before.map(|tick| tick.head);
    let mut between = about
        .ticks
        .iter()
        .filter(|tick| tick.applied > first && tick.applied <= later);
    between.any(|tick| tick.owed_after.is_none() && stood.is_none_or(|stood| tick.head > stood))
}

/// Every schedule that was ever accepted, with its published runs in order. An error: a run that
/// cannot be understood.
pub(super) fn lives_with_runs(
    journal: &Journal,
    about: &PartitionJournal,
) -> Result<Vec<(Life, Vec<ScheduleRun>)>, String> {
    let mut runs = runs(about)?;
    let with_runs = |life: Life| {
        let name = (life.namespace.clone(), life.schedule.clone());
        (life, runs.remove(&name).unwrap_or_default())
    };
    Ok(lives(journal, about).into_iter().map(with_runs).collect())
}

/// Every published run of schedules, in order of publication. An error: a run that cannot be
/// understood.
pub(super) fn runs(
    about: &PartitionJournal,
) -> Result<BTreeMap<(Namespace, ScheduleId), Vec<ScheduleRun>>, String> {
    let mut runs: BTreeMap<_, Vec<ScheduleRun>> = BTreeMap::new();
    if !about
        .log
        .iter()
        .any(|record| matches!(record.said, Said::Revise(_)))
    {
        return Ok(runs);
    }
    for published in &about.publications {
        let record = about.record(published.offset);
        if !record.is_some_and(|record| {
            matches!(
                record.said,
                Said::Revise(_) | Said::Trigger { .. } | Said::Backfill { .. }
            )
        }) {
            continue;
        }
        let task = minutehand_record::task::decode(&published.encoded)
            .map_err(|error| error.to_string())?;
        let Some(origin) = task.origin else {
            return Err(format!(
                "{} was published for a schedule without saying which",
                task.id
            ));
        };
        let cause = match task.id.as_str() {
            id if id.ends_with(RunCause::Trigger.suffix()) => RunCause::Trigger,
            id if id.ends_with(RunCause::Backfill.suffix()) => RunCause::Backfill,
            _ => RunCause::Calendar,
        };
        let run = ScheduleRun {
            key: published.key,
            nominal: origin.nominal,
            due: published.due,
            cause,
            offset: published.offset,
            tick: published.tick,
            is_awaited: origin.completion_wanted,
        };
        runs.entry((task.namespace, origin.schedule))
            .or_default()
            .push(run);
    }
    Ok(runs)
}

/// Whether runs of a schedule were asked for by triggers.
pub(super) fn is_triggered(about: &PartitionJournal, life: &Life) -> bool {
    about.log.iter().any(|record| {
        matches!(&record.said, Said::Trigger { namespace, schedule, .. }
            if (namespace, schedule) == (&life.namespace, &life.schedule))
    })
}
