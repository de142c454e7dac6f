//! `--crontab FILE`: every line becomes a schedule, kept in step with the file at each start.

use std::path::PathBuf;

use minutehand_cli::{CrontabFile, Exit, Failure, Planned, PlannedKind, plan};
use minutehand_model::{Namespace, Origin, QueueName, Task, TaskId, Timestamp};
use minutehand_node::{CreateScheduleError, Gateway, ReviseError, RevisionChange, ScheduleName};

use super::workers::CRONTAB_QUEUE;

/// What the ids of crontab schedules begin with.
const PREFIX: &str = "crontab";
/// Who a revision is from, as its history shows it.
const AUTHOR: &str = "crontab";

/// Reads crontabs; refused lines are told one by one, the others go on.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Planned>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::new(Exit::Failed, format!("could not read the crontab {}: {error}", path.display()))
        })?;
        files.push(CrontabFile { path: path.display().to_string(), bytes, format: None });
    }
    let queue = QueueName::parse(CRONTAB_QUEUE).expect("a valid name");
    let (planned, refused) = plan(&files, PREFIX, &queue, &minutehand_cli::machine_zone());
    for (path, error) in refused {
        eprintln!("{path}: {error}");
    }
    Ok(planned)
}

/// Brings the schedules in line with the crontabs; answers how many there are.
pub(super) async fn apply(
    gateway: &Gateway,
    planned: Vec<Planned>,
    now: Timestamp,
) -> Result<usize, Failure> {
    let namespace = Namespace::parse(Namespace::DEFAULT).expect("a valid name");
    let mut count = 0;
    for line in planned {
        match line.kind {
            PlannedKind::AtStart => run_at_start(gateway, &namespace, &line, now).await?,
            PlannedKind::Recurring => {
                count += 1;
                put(gateway, &namespace, line).await?;
            }
        }
    }
    Ok(count)
}

/// A line `@reboot` runs once for each start.
async fn run_at_start(
    gateway: &Gateway,
    namespace: &Namespace,
    line: &Planned,
    now: Timestamp,
) -> Result<(), Failure> {
    let action = &line.definition.action;
    let id = TaskId::parse(&format!("{}@{now}", line.id)).map_err(|error| failed(line, &error))?;
    let task = Task {
        namespace: namespace.clone(),
        id,
        queue: action.queue.clone(),
        due: now,
        payload: action.payload.clone(),
        headers: action.headers.clone(),
        retry: action.retry,
        guarantee: action.guarantee,
        precision: action.precision,
        attempt: 1,
        first_due: now,
        replay_of: None,
        // Says that the line made it; no caller can say that of a task.
        origin: Some(Origin { schedule: line.id.clone(), nominal: now, completion_wanted: false }),
        verbatim: None,
    };
    let answers = gateway.create(vec![task]).await;
    answers.into_iter().try_for_each(|answer| answer.map(drop)).map_err(|error| failed(line, &error))
}

async fn put(gateway: &Gateway, namespace: &Namespace, line: Planned) -> Result<(), Failure> {
    let name = ScheduleName { namespace: namespace.clone(), id: line.id.clone() };
    let change = |paused| RevisionChange {
        definition: Some(line.definition.clone()),
        paused,
        note: format!("from {}", line.path),
        author: AUTHOR.to_owned(),
    };
    match gateway.create_schedule(&name, change(false)).await {
        Ok(_) => Ok(()),
        Err(CreateScheduleError::Exists { .. }) => {
            // A schedule that somebody paused stays paused when its line has changed.
            let revised =
                gateway.revise::<ReviseError>(&name, None, |current| Ok(change(current.paused))).await;
            revised.map(drop).map_err(|error| failed(&line, &error))
        }
        Err(error) => Err(failed(&line, &error)),
    }
}

fn failed(line: &Planned, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{}, schedule {}: {error}", line.path, line.id))
}
