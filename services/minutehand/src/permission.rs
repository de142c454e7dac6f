//! Which tasks may run commands here.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use minutehand_model::{ActionTemplate, Namespace, ScheduleId, Task};

/// Who may run commands: tasks, where the setting `process_executor` says so, and the lines of the
/// crontabs that this process follows. Clones are one.
///
/// A line is known by what no caller can give a task: that its schedule made it. It runs what the
/// file says and nothing else, so a schedule that somebody has changed since, or that a former
/// start has left behind, runs no command.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandPermission {
    may_tasks: bool,
    lines: Arc<RwLock<Lines>>,
}

/// The lines of the files as they are, and as they were before their last change: what was due then
/// may still wait in its queue.
#[derive(Debug, Default)]
struct Lines {
    now: BTreeMap<ScheduleId, Line>,
    before: BTreeMap<ScheduleId, Line>,
}

/// What a line of a crontab runs.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    headers: Vec<(String, String)>,
    payload: Bytes,
}

impl CommandPermission {
    /// Tasks may run commands, or not.
    pub(crate) fn of_tasks(may_tasks: bool) -> CommandPermission {
        CommandPermission {
            may_tasks,
            lines: Arc::default(),
        }
    }

    /// From now on these lines of crontabs, by the ids of their schedules, may run what they say,
    /// whether or not tasks may.
    pub(crate) fn grant_lines<'a>(
        &self,
        lines: impl Iterator<Item = (&'a ScheduleId, &'a ActionTemplate)>,
    ) {
        let line = |action: &ActionTemplate| Line {
            headers: action.headers.clone(),
            payload: action.payload.clone(),
        };
        let granted = lines
            .map(|(schedule, action)| (schedule.clone(), line(action)))
            .collect();
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        lines.before = std::mem::replace(&mut lines.now, granted);
    }

    /// Whether a task is a line of a crontab of this process.
    pub(crate) fn is_line(&self, task: &Task) -> bool {
        let Some(origin) = task
            .origin
            .as_ref()
            .filter(|_| task.namespace.as_str() == Namespace::DEFAULT)
        else {
            return false;
        };
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = [&lines.now, &lines.before]
            .into_iter()
            .filter_map(|lines| lines.get(&origin.schedule));
        known.any(|line| line.headers == task.headers && line.payload == task.payload)
    }

    /// Whether a task may run a command.
    pub(crate) fn allows(&self, task: &Task) -> bool {
        self.may_tasks || self.is_line(task)
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{
        Guarantee, Origin, Precision, QueueName, RetryPolicy, TaskId, Timestamp,
    };

    use super::*;

    fn action() -> ActionTemplate {
        ActionTemplate {
            queue: QueueName::parse("crontab").expect("a name"),
            payload: Bytes::from_static(br#"{"argv":["/bin/true"]}"#),
            headers: vec![("minutehand-user".to_owned(), "me".to_owned())],
            retry: RetryPolicy::NEVER,
            guarantee: Guarantee::AtMostOnce,
            precision: Precision::Normal,
            priority: Default::default(),
            order_key: None,
            verbatim: None,
        }
    }

    fn id() -> ScheduleId {
        ScheduleId::parse("crontab/backup").expect("an id")
    }

    /// A run of a schedule with an action.
    fn run_of(schedule: ScheduleId, action: ActionTemplate) -> Task {
        let due = Timestamp::from_millis(1);
        let namespace = Namespace::parse(Namespace::DEFAULT).expect("a name");
        let id = TaskId::parse("crontab/backup@2026-11-29T14:01:30Z").expect("an id");
        let origin = Origin {
            schedule,
            nominal: due,
            completion_wanted: false,
        };
        Task {
            origin: Some(origin),
            ..action.into_task(namespace, id, due)
        }
    }

    #[test]
    fn a_line_of_the_crontab_runs_and_nothing_that_resembles_it() {
        let permission = CommandPermission::of_tasks(false);
        permission.grant_lines([(&id(), &action())].into_iter());
        let line = run_of(id(), action());
        assert!(permission.allows(&line));
        let elsewhere = QueueName::parse("other").expect("a name");
        assert!(
            permission.allows(&Task {
                queue: elsewhere,
                ..line.clone()
            }),
            "the queue says nothing"
        );
        let changed = Bytes::from_static(br#"{"argv":["/bin/false"]}"#);
        let others = [
            (
                "created by a caller under the same id",
                Task {
                    origin: None,
                    ..line.clone()
                },
            ),
            (
                "of a schedule that was changed",
                Task {
                    payload: changed,
                    ..line.clone()
                },
            ),
            (
                "with another user",
                Task {
                    headers: Vec::new(),
                    ..line.clone()
                },
            ),
            (
                "of another schedule",
                run_of(ScheduleId::parse("crontab/other").expect("an id"), action()),
            ),
            (
                "of another namespace",
                Task {
                    namespace: Namespace::parse("tenant").expect("a name"),
                    ..line.clone()
                },
            ),
        ];
        for (what, task) in &others {
            assert!(!permission.allows(task), "{what}");
        }
        assert!(
            !CommandPermission::of_tasks(false).allows(&line),
            "without --crontab nothing may"
        );
        assert!(
            others
                .iter()
                .all(|(_, task)| CommandPermission::of_tasks(true).allows(task))
        );
    }

    #[test]
    fn a_line_that_was_edited_runs_until_the_next_edit() {
        let permission = CommandPermission::of_tasks(false);
        let edited = ActionTemplate {
            payload: Bytes::from_static(br#"{"argv":["/bin/false"]}"#),
            ..action()
        };
        let (old, new) = (run_of(id(), action()), run_of(id(), edited.clone()));
        permission.grant_lines([(&id(), &action())].into_iter());
        let of_executors = permission.clone();
        permission.grant_lines([(&id(), &edited)].into_iter());
        assert!(
            of_executors.allows(&old) && of_executors.allows(&new),
            "it may have been due before the edit"
        );
        permission.grant_lines([(&id(), &edited)].into_iter());
        assert!(!of_executors.allows(&old) && of_executors.allows(&new));
        permission.grant_lines(std::iter::empty());
        permission.grant_lines(std::iter::empty());
        assert!(!of_executors.allows(&new));
    }
}
