//! What ran and succeeded, in brief: "did my task run?" has an answer for a day, for some bytes a
//! task.
//!
//! A row for each would cost more than the rest of a task. So a commit writes one row for all its
//! successes, the *tail*, which is also kept in memory. When the tail is long enough it becomes a
//! *run*: the same entries in order of their tasks, some hundred in a row, so that a task is found
//! by reading one row of each run. The oldest runs are forgotten, by count and by age.

mod row;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Mutex;

use minutehand_model::time::DAY_MS;
use minutehand_model::{EndedTask, Outcome, TaskKey, Timestamp};

pub(crate) use row::Success;
use row::{decode, encode};

use crate::spaces::Spaces;
use crate::writes::{Writes, pair};

/// Most entries of the tail before it becomes a run.
const RUN_ENTRIES_MAX: usize = 32_768;
/// Runs that what is remembered is made of, at least: whole runs are forgotten.
const RUNS_MIN: u64 = 8;
/// Entries in a row of a run: what one look-up reads.
const ROW_ENTRIES: usize = 128;
/// How long a success is remembered, unless too many follow it.
const KEEP_MS: i64 = DAY_MS;
/// Most successes of one task that are told.
const TOLD_MAX: usize = 1_000;

/// Entries with their numbers, in the order in which they came. A look-up reads all of it: that
/// costs some ten microseconds, and keeping it in order of its tasks would cost every success more.
type Tail = Vec<(u64, Success)>;

/// What readers share with the committer.
#[derive(Default)]
pub(crate) struct View(Mutex<Remembered>);

/// The tail, and the numbers of the runs.
#[derive(Default)]
pub(crate) struct Remembered {
    tail: Tail,
    runs: Vec<u64>,
}

/// What the committer knows.
pub(crate) struct Successes {
    /// The number of the next entry; a row of the tail has that of its first.
    next: u64,
    /// Where the rows of the tail begin.
    tail_from: u64,
    /// Entries since.
    tail_entries: usize,
    /// Oldest first.
    runs: VecDeque<Run>,
    entries_max: u64,
    /// Entries of the tail before it becomes a run.
    run_entries: usize,
}

/// How many entries make a run, of so many that are remembered.
fn run_entries(entries_max: u64) -> usize {
    let entries = usize::try_from(entries_max / RUNS_MIN).unwrap_or(usize::MAX);
    entries.clamp(ROW_ENTRIES, RUN_ENTRIES_MAX)
}

#[derive(Clone, Copy)]
struct Run {
    number: u64,
    entries: u64,
    ended_at: Timestamp,
}

/// The key under which the end of a run is kept, with how many entries it has.
fn run_key(number: u64) -> Vec<u8> {
    [RUN_PREFIX, &number.to_be_bytes()].concat()
}

const RUN_PREFIX: &[u8] = b"successes/";

/// A row of a run: its number, the task of its first entry, and its place among the rows.
fn row_key(run: u64, first: TaskKey, index: u32) -> Vec<u8> {
    [
        &run.to_be_bytes()[..],
        &first.0.to_be_bytes(),
        &index.to_be_bytes(),
    ]
    .concat()
}

impl Successes {
    /// From the rows; what cannot be understood is told to `damaged`, and forgotten.
    pub(crate) fn load(
        spaces: &Spaces,
        entries_max: u64,
        mut damaged: impl FnMut(String, String),
    ) -> fjall::Result<(Successes, Remembered)> {
        let mut runs = VecDeque::new();
        let mut next = 0;
        for guard in spaces.meta.prefix(RUN_PREFIX) {
            let (key, value) = guard.into_inner()?;
            let (Some(number), Some((entries, ended_at))) =
                (crate::keys::number_of(&key), crate::writes::pair_of(&value))
            else {
                continue;
            };
            next = next.max(number + entries);
            runs.push_back(Run {
                number,
                entries,
                ended_at: Timestamp::from_millis(ended_at as i64),
            });
        }
        let (mut tail, tail_from) = (Tail::new(), next);
        for guard in spaces.success_tail.range(tail_from.to_be_bytes()..) {
            let (key, value) = guard.into_inner()?;
            let Some(first) = crate::keys::number_of(&key) else {
                continue;
            };
            match decode(first, &value) {
                Ok(entries) => {
                    next = next.max(first + entries.len() as u64);
                    tail.extend(entries);
                }
                Err(reason) => damaged(format!("successes from number {first} on"), reason),
            }
        }
        let remembered = Remembered {
            runs: runs.iter().map(|run| run.number).collect(),
            tail,
        };
        let tail_entries = remembered.tail.len();
        Ok((
            Successes {
                next,
                tail_from,
                tail_entries,
                runs,
                entries_max,
                run_entries: run_entries(entries_max),
            },
            remembered,
        ))
    }

    /// Writes successes; they are to be shown once they are durable.
    pub(crate) fn add(
        &mut self,
        spaces: &Spaces,
        writes: &mut Writes,
        entries: Vec<Success>,
    ) -> Shown {
        let first = self.next;
        if entries.is_empty() || self.entries_max == 0 {
            return Shown {
                first,
                entries: Vec::new(),
            };
        }
        writes.insert(
            &spaces.success_tail,
            first.to_be_bytes(),
            encode(
                first,
                entries
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| (first + index as u64, entry)),
            ),
        );
        self.next += entries.len() as u64;
        self.tail_entries += entries.len();
        Shown { first, entries }
    }

    /// Makes a run of a tail that is long enough. Only what is durable is in the view, and only
    /// that becomes a run.
    pub(crate) fn roll(
        &mut self,
        spaces: &Spaces,
        view: &View,
        writes: &mut Writes,
    ) -> Option<Rolled> {
        if self.tail_entries < self.run_entries {
            return None;
        }
        let mut entries = view.lock().tail.clone();
        let (from, end) = (self.tail_from, entries.last()?.0 + 1);
        entries.sort_unstable_by_key(|(number, entry)| (entry.task, *number));
        for (index, row) in (0..).zip(entries.chunks(ROW_ENTRIES)) {
            let value = encode(from, row.iter().map(|(number, entry)| (*number, entry)));
            writes.insert(
                &spaces.success_runs,
                row_key(from, row[0].1.task, index),
                value,
            );
        }
        for guard in spaces
            .success_tail
            .range(from.to_be_bytes()..end.to_be_bytes())
        {
            // What cannot be read is behind every later tail, and costs nothing but its room.
            let Ok(key) = guard.key() else { break };
            writes.remove(&spaces.success_tail, key);
        }
        let ended_at = entries.iter().map(|(_, entry)| entry.ended_at).max()?;
        let run = Run {
            number: from,
            entries: end - from,
            ended_at,
        };
        writes.insert(
            &spaces.meta,
            run_key(from),
            pair(run.entries, ended_at.as_millis() as u64),
        );
        self.runs.push_back(run);
        self.tail_from = end;
        self.tail_entries = usize::try_from(self.next - end).unwrap_or(usize::MAX);
        Some(Rolled { run: from, end })
    }

    /// Forgets the oldest run when there are too many entries, or it is old; its number.
    pub(crate) fn forget(
        &mut self,
        spaces: &Spaces,
        writes: &mut Writes,
        now: Timestamp,
    ) -> Option<u64> {
        let oldest = *self.runs.front()?;
        let behind_it = self.next - (oldest.number + oldest.entries);
        let too_many = behind_it >= self.entries_max;
        if !too_many && now.millis_since(oldest.ended_at) < KEEP_MS {
            return None;
        }
        for guard in spaces.success_runs.prefix(oldest.number.to_be_bytes()) {
            let Ok(key) = guard.key() else { break };
            writes.remove(&spaces.success_runs, key);
        }
        writes.remove(&spaces.meta, run_key(oldest.number));
        self.runs.pop_front();
        Some(oldest.number)
    }
}

/// Entries that are written and not yet durable.
pub(crate) struct Shown {
    first: u64,
    entries: Vec<Success>,
}

/// A tail that has become a run, once that is durable.
pub(crate) struct Rolled {
    run: u64,
    end: u64,
}

impl View {
    /// Takes over what was read when the store was opened.
    pub(crate) fn replace(&self, remembered: Remembered) {
        *self.lock() = remembered;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.0
            .lock()
            .expect("nothing panics while it holds this lock")
    }

    /// Shows entries that are durable.
    pub(crate) fn show(&self, shown: Shown) {
        self.lock().tail.extend((shown.first..).zip(shown.entries));
    }

    /// Takes over what has become a run.
    pub(crate) fn rolled(&self, rolled: &Rolled) {
        let mut seen = self.lock();
        seen.tail.retain(|(number, _)| *number >= rolled.end);
        seen.runs.push(rolled.run);
    }

    /// Takes note that a run is gone.
    pub(crate) fn forgot(&self, run: u64) {
        self.lock().runs.retain(|number| *number != run);
    }

    /// The successes of a task, oldest first.
    pub(crate) fn find(
        &self,
        spaces: &Spaces,
        task: TaskKey,
        mut damaged: impl FnMut(String, String),
    ) -> fjall::Result<Vec<Outcome>> {
        // The tail before the runs: what leaves the one has entered the other.
        let (tail, runs) = {
            let seen = self.lock();
            let of_task = seen.tail.iter().filter(|(_, entry)| entry.task == task);
            let tail: Vec<Success> = of_task.map(|(_, entry)| entry.clone()).collect();
            (tail, seen.runs.clone())
        };
        let mut found = Vec::new();
        for run in runs {
            let ahead = spaces
                .success_runs
                .range(row_key(run, TaskKey(0), 0)..row_key(run, task, 0))
                .next_back();
            let from = match ahead {
                Some(guard) => guard.key()?.to_vec(),
                None => row_key(run, TaskKey(0), 0),
            };
            for guard in spaces
                .success_runs
                .range(from..=row_key(run, task, u32::MAX))
            {
                match decode(run, &guard.value()?) {
                    Ok(entries) => {
                        let entries = entries.into_iter().map(|(_, entry)| entry);
                        found.extend(entries.filter(|entry| entry.task == task));
                    }
                    Err(reason) => damaged(damaged_run(run), reason),
                }
            }
        }
        found.extend(tail);
        let begin = found.len().saturating_sub(TOLD_MAX);
        Ok(found[begin..].iter().map(Success::outcome).collect())
    }

    /// Successes before a number whose tasks' names are `wanted`, the newest first. Looks at the
    /// tail, or at one run: whoever wants more asks again.
    pub(crate) fn before(
        &self,
        spaces: &Spaces,
        number: u64,
        count_max: usize,
        wanted: impl Fn(&EndedTask) -> bool,
        mut damaged: impl FnMut(String, String),
    ) -> fjall::Result<NewestFirst> {
        let is_wanted = |(entry_number, entry): &&(u64, Success)| {
            *entry_number < number && entry.names.as_deref().is_some_and(&wanted)
        };
        let run = {
            let seen = self.lock();
            let tail_from = seen.tail.first().map_or(u64::MAX, |(first, _)| *first);
            let run = seen.runs.iter().copied().filter(|run| *run < number).max();
            let Some(run) = run.filter(|_| number <= tail_from) else {
                let entries = seen.tail.iter().rev().filter(is_wanted);
                let found = entries.take(count_max).cloned().collect();
                let behind = run.map(|_| tail_from);
                return Ok(NewestFirst::of(found, count_max, behind));
            };
            run
        };
        let mut found = Vec::new();
        for guard in spaces.success_runs.prefix(run.to_be_bytes()) {
            match decode(run, &guard.value()?) {
                Ok(entries) => found.extend(entries.into_iter().filter(|entry| is_wanted(&entry))),
                Err(reason) => damaged(damaged_run(run), reason),
            }
        }
        found.sort_unstable_by_key(|(number, _)| Reverse(*number));
        found.truncate(count_max);
        Ok(NewestFirst::of(found, count_max, Some(run)))
    }
}

/// Some of the successes before a number, the newest first.
#[derive(Default)]
pub(crate) struct NewestFirst {
    /// Each with its number.
    pub(crate) found: Vec<(u64, Outcome)>,
    /// There may be more before this number; `None`: there is nothing.
    pub(crate) before: Option<u64>,
}

impl NewestFirst {
    /// What was found in one place, behind which others may lie.
    fn of(found: Vec<(u64, Success)>, count_max: usize, behind: Option<u64>) -> NewestFirst {
        let is_full = found.len() >= count_max;
        let last = found.last().map(|(number, _)| *number);
        let whole = |(number, entry): (u64, Success)| (number, entry.outcome());
        NewestFirst {
            found: found.into_iter().map(whole).collect(),
            before: last.filter(|_| is_full).or(behind),
        }
    }
}

fn damaged_run(run: u64) -> String {
    format!("a row of the successes from number {run} on")
}
