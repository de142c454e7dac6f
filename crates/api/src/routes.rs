//! The paths of the API. Parameters stand in braces; [`fill`] puts values in their places.

use std::fmt::Write as _;

use minutehand_model::choice;

/// Namespaces.
pub const NAMESPACES: &str = "/v1/namespaces";
/// Tasks of a namespace.
pub const TASKS: &str = "/v1/namespaces/{ns}/tasks";
/// Creation of many tasks: the one route whose body may be lines.
pub const TASKS_BULK: &str = "/v1/namespaces/{ns}/tasks:bulk";
/// A task.
pub const TASK: &str = "/v1/namespaces/{ns}/tasks/{id}";
/// Schedules of a namespace.
pub const SCHEDULES: &str = "/v1/namespaces/{ns}/schedules";
/// The times of a schedule that is not saved: the one route that is a POST and changes nothing.
pub const SCHEDULES_PREVIEW: &str = "/v1/namespaces/{ns}/schedules:preview";
/// A schedule. What is done to it has a colon and a [`ScheduleAction`] behind it.
pub const SCHEDULE: &str = "/v1/namespaces/{ns}/schedules/{id}";
/// [`ScheduleAction::Pause`].
pub const SCHEDULE_PAUSE: &str = "/v1/namespaces/{ns}/schedules/{id}:pause";
/// [`ScheduleAction::Resume`].
pub const SCHEDULE_RESUME: &str = "/v1/namespaces/{ns}/schedules/{id}:resume";
/// [`ScheduleAction::Trigger`].
pub const SCHEDULE_TRIGGER: &str = "/v1/namespaces/{ns}/schedules/{id}:trigger";
/// [`ScheduleAction::Backfill`].
pub const SCHEDULE_BACKFILL: &str = "/v1/namespaces/{ns}/schedules/{id}:backfill";
/// [`ScheduleAction::StopBackfill`].
pub const SCHEDULE_STOP_BACKFILL: &str = "/v1/namespaces/{ns}/schedules/{id}:stop-backfill";
/// [`ScheduleAction::ForgetRuns`].
pub const SCHEDULE_FORGET_RUNS: &str = "/v1/namespaces/{ns}/schedules/{id}:forget-runs";
/// [`ScheduleAction::Rollback`].
pub const SCHEDULE_ROLLBACK: &str = "/v1/namespaces/{ns}/schedules/{id}:rollback";
/// The revisions of a schedule.
pub const REVISIONS: &str = "/v1/namespaces/{ns}/schedules/{id}/revisions";
/// The next times of a schedule.
pub const PREVIEW: &str = "/v1/namespaces/{ns}/schedules/{id}/preview";
/// The backfills of a schedule.
pub const BACKFILLS: &str = "/v1/namespaces/{ns}/schedules/{id}/backfills";
/// Queues.
pub const QUEUES: &str = "/v1/queues";
/// A queue. What is done with it has a colon and a [`QueueAction`] behind it.
pub const QUEUE: &str = "/v1/queues/{queue}";
/// [`QueueAction::Lease`].
pub const QUEUE_LEASE: &str = "/v1/queues/{queue}:lease";
/// [`QueueAction::Pause`].
pub const QUEUE_PAUSE: &str = "/v1/queues/{queue}:pause";
/// [`QueueAction::Resume`].
pub const QUEUE_RESUME: &str = "/v1/queues/{queue}:resume";
/// [`QueueAction::Purge`].
pub const QUEUE_PURGE: &str = "/v1/queues/{queue}:purge";
/// [`QueueAction::Limit`].
pub const QUEUE_LIMIT: &str = "/v1/queues/{queue}:limit";
/// [`QueueAction::Ack`].
pub const QUEUE_ACK: &str = "/v1/queues/{queue}:ack";
/// [`QueueAction::Nack`].
pub const QUEUE_NACK: &str = "/v1/queues/{queue}:nack";
/// [`QueueAction::Extend`].
pub const QUEUE_EXTEND: &str = "/v1/queues/{queue}:extend";
/// [`QueueAction::Snooze`].
pub const QUEUE_SNOOZE: &str = "/v1/queues/{queue}:snooze";
/// The dead letters of a queue.
pub const DEAD_LETTERS: &str = "/v1/queues/{queue}/dead-letters";
/// Running dead letters again.
pub const DEAD_LETTERS_REPLAY: &str = "/v1/queues/{queue}/dead-letters:replay";
/// Taking dead letters away.
pub const DEAD_LETTERS_DISCARD: &str = "/v1/queues/{queue}/dead-letters:discard";
/// Partitions.
pub const PARTITIONS: &str = "/v1/partitions";
/// Records of a partition's log that are passed over.
pub const SKIPS: &str = "/v1/partitions/{partition}/skips";
/// What the store has met damaged.
pub const DAMAGE: &str = "/v1/damage";
/// What was decided about a minute.
pub const LEDGER: &str = "/v1/ledger";
/// The load per minute.
pub const BUCKETS: &str = "/v1/buckets";

choice!(
    /// What can be done to a schedule.
    ScheduleAction, "action" {
        /// What falls due until it is resumed does not run.
        Pause = "pause",
        /// It runs again.
        Resume = "resume",
        /// It runs once, now.
        Trigger = "trigger",
        /// The occurrences of a range run.
        Backfill = "backfill",
        /// What is left of a backfill does not run.
        StopBackfill = "stop-backfill",
        /// Nothing waits any longer for its runs in progress.
        ForgetRuns = "forget-runs",
        /// An earlier revision is in force again.
        Rollback = "rollback",
    }
);

choice!(
    /// What can be done with a queue.
    QueueAction, "action" {
        /// Executions are handed out for a while.
        Lease = "lease",
        /// Leased executions have run.
        Ack = "ack",
        /// Leased executions have failed.
        Nack = "nack",
        /// Leases last longer, or are given back.
        Extend = "extend",
        /// Leased executions are to run later.
        Snooze = "snooze",
        /// Nothing is handed out.
        Pause = "pause",
        /// What waits is handed out again.
        Resume = "resume",
        /// What waits is cancelled.
        Purge = "purge",
        /// Only so many executions a second are handed out.
        Limit = "limit",
    }
);

impl QueueAction {
    /// Whether it says what becomes of leases.
    pub const fn answers_leases(self) -> bool {
        use QueueAction::{Ack, Extend, Nack, Snooze};
        matches!(self, Ack | Nack | Extend | Snooze)
    }

    /// Its path.
    pub const fn route(self) -> &'static str {
        match self {
            QueueAction::Lease => QUEUE_LEASE,
            QueueAction::Ack => QUEUE_ACK,
            QueueAction::Nack => QUEUE_NACK,
            QueueAction::Extend => QUEUE_EXTEND,
            QueueAction::Snooze => QUEUE_SNOOZE,
            QueueAction::Pause => QUEUE_PAUSE,
            QueueAction::Resume => QUEUE_RESUME,
            QueueAction::Purge => QUEUE_PURGE,
            QueueAction::Limit => QUEUE_LIMIT,
        }
    }
}

impl ScheduleAction {
    /// Its path.
    pub const fn route(self) -> &'static str {
        match self {
            ScheduleAction::Pause => SCHEDULE_PAUSE,
            ScheduleAction::Resume => SCHEDULE_RESUME,
            ScheduleAction::Trigger => SCHEDULE_TRIGGER,
            ScheduleAction::Backfill => SCHEDULE_BACKFILL,
            ScheduleAction::StopBackfill => SCHEDULE_STOP_BACKFILL,
            ScheduleAction::ForgetRuns => SCHEDULE_FORGET_RUNS,
            ScheduleAction::Rollback => SCHEDULE_ROLLBACK,
        }
    }
}

/// A path with values in the places of its parameters, in order. Of a value everything but RFC
/// 3986's unreserved characters is escaped, so that it is one segment whatever it holds.
pub fn fill(route: &str, values: &[&str]) -> String {
    let mut path = String::with_capacity(route.len());
    let (mut rest, mut values) = (route, values.iter());
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        for byte in values.next().map_or("", |value| value).bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                path.push(char::from(byte));
            } else {
                let _ = write!(path, "%{byte:02X}");
            }
        }
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    path + rest
}

/// The path of a task or a schedule, or of what is done with it. Its key, where it has one, is a
/// part of its name.
pub fn of_named(route: &str, namespace: &str, id: &str, key: Option<&str>) -> String {
    let path = fill(route, &[namespace, id]);
    match key {
        Some(key) => path + &fill("?key={key}", &[key]),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_part_of_the_name_wherever_it_is() {
        let pause = ScheduleAction::Pause.route();
        assert_eq!(
            of_named(pause, "shop", "nightly", Some("team/7")),
            "/v1/namespaces/shop/schedules/nightly:pause?key=team%2F7"
        );
        assert_eq!(
            of_named(TASK, "shop", "a", None),
            "/v1/namespaces/shop/tasks/a"
        );
    }

    #[test]
    fn ids_are_one_segment_whatever_they_hold() {
        assert_eq!(
            fill(TASK, &["a b", "x/y?z#é"]),
            "/v1/namespaces/a%20b/tasks/x%2Fy%3Fz%23%C3%A9"
        );
        assert_eq!(
            fill(ScheduleAction::Pause.route(), &["shop", "crontab/php/1-ab"]),
            "/v1/namespaces/shop/schedules/crontab%2Fphp%2F1-ab:pause"
        );
        assert_eq!(fill(QUEUES, &[]), "/v1/queues");
    }

    #[test]
    fn every_action_stands_behind_its_queue_or_schedule() {
        for action in QueueAction::ALL {
            assert_eq!(action.route(), format!("{QUEUE}:{action}"));
        }
        for action in ScheduleAction::ALL {
            assert_eq!(action.route(), format!("{SCHEDULE}:{action}"));
        }
    }
}
