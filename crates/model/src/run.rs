//! Runs of schedules: how they came about, what they are called, and what is remembered of those
//! that have not ended.

use crate::limits::{RUN_TIMEOUT_MS_DEFAULT, STOP_REPEAT_MS_MAX, STOP_REPEAT_MS_MIN};
use crate::name::{Namespace, QueueName, ScheduleId, TaskId};
use crate::offset::LogOffset;
use crate::task::TaskKey;
use crate::time::{HOUR_MS, Timestamp};

/// The header that says how long one attempt of a task may take, in milliseconds.
pub const RUN_TIMEOUT_HEADER: &str = "minutehand-timeout-ms";

/// How a run of a schedule came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunCause {
    /// Its calendar named the time.
    #[default]
    Calendar,
    /// Somebody asked for a run, now.
    Trigger,
    /// Somebody asked for the times of a range.
    Backfill,
}

impl RunCause {
    /// Every cause.
    pub const ALL: &'static [RunCause] =
        &[RunCause::Calendar, RunCause::Trigger, RunCause::Backfill];

    /// What a run's task id ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            RunCause::Calendar => "",
            RunCause::Trigger => "/trigger",
            RunCause::Backfill => "/backfill",
        }
    }

    /// The task id of a run: the schedule's id, `@`, the nominal time, and the suffix of its cause.
    pub fn task_id(self, schedule: &ScheduleId, nominal: Timestamp) -> TaskId {
        TaskId::parse(&format!("{schedule}@{nominal}{}", self.suffix()))
            .expect("a schedule id leaves room for a time, and a time has allowed characters only")
    }

    /// The fingerprint of that id.
    pub fn task_key(
        self,
        namespace: &Namespace,
        schedule: &ScheduleId,
        nominal: Timestamp,
    ) -> TaskKey {
        TaskKey::of(namespace.as_str(), self.task_id(schedule, nominal).as_str())
    }
}

/// Whether an id has the form of a run's task id. No caller may name a task so.
pub fn names_a_run(id: &str) -> bool {
    let Some((schedule, rest)) = id.rsplit_once('@') else {
        return false;
    };
    let time = ["/trigger", "/backfill"]
        .iter()
        .find_map(|suffix| rest.strip_suffix(suffix))
        .unwrap_or(rest);
    !schedule.is_empty() && is_a_time(time)
}

/// Whether a text has the form in which a [`Timestamp`] is displayed.
fn is_a_time(text: &str) -> bool {
    const FORMS: [&str; 2] = ["0000-00-00T00:00:00Z", "0000-00-00T00:00:00.000Z"];
    let has_form = |form: &str| {
        let mut pairs = form.bytes().zip(text.bytes());
        form.len() == text.len()
            && pairs.all(|(wanted, byte)| {
                if wanted == b'0' {
                    byte.is_ascii_digit()
                } else {
                    byte == wanted
                }
            })
    };
    FORMS.into_iter().any(has_form)
}

/// That a run was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StopAsked {
    /// It is killed, and nothing waits for it any more.
    pub kill: bool,
    /// When it was asked first.
    pub at: Timestamp,
    /// When it is asked again, because a worker may have died that knew of it.
    pub again_at: Timestamp,
}

impl StopAsked {
    /// Asked for the first time.
    pub const fn now(kill: bool, now: Timestamp) -> StopAsked {
        StopAsked {
            kill,
            at: now,
            again_at: now.plus_millis(STOP_REPEAT_MS_MIN),
        }
    }

    /// Asked again: ever more rarely.
    pub fn again(self, now: Timestamp) -> StopAsked {
        let pause_ms = now
            .millis_since(self.at)
            .clamp(STOP_REPEAT_MS_MIN, STOP_REPEAT_MS_MAX);
        StopAsked {
            again_at: now.plus_millis(pause_ms),
            ..self
        }
    }
}

/// A run that has been published and of whose end nothing has been heard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunInProgress {
    /// The fingerprint of its namespace and task id.
    pub key: TaskKey,
    /// Its nominal time.
    pub nominal: Timestamp,
    /// How it came about.
    pub cause: RunCause,
    /// When its first attempt was due; with the key, this names the run.
    pub due: Timestamp,
    /// The queue that it was published to.
    pub queue: QueueName,
    /// When it was published.
    pub started_at: Timestamp,
    /// How long it may stay unheard of, in milliseconds.
    pub timeout_ms: i64,
    /// When it is given up if nothing is heard of it.
    pub deadline: Timestamp,
    /// When its newest retry is due, if it had one.
    pub retry_due: Option<Timestamp>,
    /// Whether it was asked to stop.
    pub stop: Option<StopAsked>,
}

impl RunInProgress {
    /// Whether others wait for it: not once it was killed.
    pub fn counts(&self) -> bool {
        !self.stop.is_some_and(|stop| stop.kill)
    }

    /// Whether the run of that key and first due time is meant.
    pub fn is(&self, key: TaskKey, due: Timestamp) -> bool {
        self.key == key && self.due == due
    }

    /// When time alone brings something about: it is given up, or asked to stop again.
    pub fn wakes_at(&self) -> Timestamp {
        self.stop
            .map_or(self.deadline, |stop| self.deadline.min(stop.again_at))
    }

    /// It was heard of: a retry is due then.
    pub fn retried(&mut self, due: Timestamp, now: Timestamp) {
        self.retry_due = Some(due);
        self.deadline = due.max(now).plus_millis(self.timeout_ms);
    }

    /// No time in it lies further ahead than it may. A clock that was ahead has left them there.
    pub fn clock_went_back(&mut self, now: Timestamp) {
        let latest = self
            .retry_due
            .map_or(now, |due| due.max(now))
            .plus_millis(self.timeout_ms);
        self.deadline = self.deadline.min(latest);
        if let Some(stop) = &mut self.stop {
            stop.at = stop.at.min(now);
            stop.again_at = stop.again_at.min(now.plus_millis(STOP_REPEAT_MS_MAX));
        }
    }
}

/// A run that waits for the end of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitingRun {
    /// Its nominal time.
    pub nominal: Timestamp,
    /// The log offset of the trigger that asked for it; `None` when its calendar did.
    pub trigger: Option<LogOffset>,
    /// Its trigger brought the policy by which it waits: it does so also where its schedule lets
    /// all run side by side.
    pub is_alone: bool,
}

impl WaitingRun {
    /// A run that the calendar owes.
    pub const fn of_calendar(nominal: Timestamp) -> WaitingRun {
        WaitingRun {
            nominal,
            trigger: None,
            is_alone: false,
        }
    }
}

/// A range of nominal times that is to be run by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backfill {
    /// The log offset of the request: what it is called.
    pub offset: LogOffset,
    /// What has been run of it: every nominal time at or before this.
    pub after: Timestamp,
    /// The last nominal time, inclusive.
    pub to: Timestamp,
}

/// How long a run may stay unheard of when its schedule does not say: the time that an attempt may
/// take and an hour for its way through the queue, at least [`RUN_TIMEOUT_MS_DEFAULT`].
pub(crate) fn run_timeout_ms(headers: &[(String, String)]) -> i64 {
    let header = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(RUN_TIMEOUT_HEADER));
    let attempt_ms = header
        .and_then(|(_, text)| text.parse::<i64>().ok())
        .unwrap_or(0);
    attempt_ms
        .saturating_add(HOUR_MS)
        .clamp(RUN_TIMEOUT_MS_DEFAULT, crate::limits::RUN_TIMEOUT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_is_called_names_a_run() {
        let schedule = ScheduleId::parse("nightly@home").expect("an id");
        for cause in RunCause::ALL {
            for ms in [0, 1, 1_798_761_600_123, 253_402_300_799_999] {
                let id = cause.task_id(&schedule, Timestamp::from_millis(ms));
                assert!(names_a_run(id.as_str()), "{id}");
            }
        }
    }

    #[test]
    fn other_ids_name_no_run() {
        for id in [
            "order-1",
            "user@example.com",
            "a@2027-01-01",
            "a@2027-01-01T00:00Z",
            "@2027-01-01T00:00:00Z",
            "a@2027-01-01T00:00:00",
            "a@2027-01-01T00:00:00Z/x",
            "a@b:c:dT1-2-3Z",
            "a2027-01-01T00:00:00Z",
        ] {
            assert!(!names_a_run(id), "{id}");
        }
        assert!(names_a_run("a@2027-01-01T00:00:00.005Z/trigger"));
    }

    #[test]
    fn the_default_leaves_room_for_an_attempt_that_may_take_long() {
        let headers = |ms: &str| vec![("Minutehand-Timeout-Ms".to_owned(), ms.to_owned())];
        assert_eq!(run_timeout_ms(&[]), RUN_TIMEOUT_MS_DEFAULT);
        assert_eq!(run_timeout_ms(&headers("1000")), RUN_TIMEOUT_MS_DEFAULT);
        assert_eq!(run_timeout_ms(&headers("36000000")), 11 * HOUR_MS);
        assert_eq!(run_timeout_ms(&headers("nonsense")), RUN_TIMEOUT_MS_DEFAULT);
    }
}
