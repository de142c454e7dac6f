//! `--crontab FILE`: the schedules of the lines follow the files, at each start and when one
//! changes.
//!
//! A line keeps its schedule when it is edited. The schedule of a removed line is deleted, and
//! those of a file that was not given this time rest until it is given again. Only schedules that
//! this verb has made are touched: their history has a revision by [`AUTHOR`].

use std::collections::BTreeMap;
use std::fmt::Display;

use minutehand_cli::{
    CrontabFile, DevArgs, Exit, Failure, KnownBy, PlanError, Planned, PlannedFile, PlannedKind,
    known_line, plan,
};
use minutehand_model::limits::CRONTAB_BYTES_MAX;
use minutehand_model::{
    ActionTemplate, Namespace, Origin, QueueName, Revision, ScheduleId, Task, TaskId, Timestamp,
};
use minutehand_node::{
    CreateScheduleError, DefinitionChange, Gateway, ReviseError, RevisionChange, ScheduleHead,
    ScheduleName, ValidDefinition, ValidTask,
};

use super::workers::CRONTAB_QUEUE;

/// What the ids of crontab schedules begin with.
const PREFIX: &str = "crontab";
/// Who a revision is from, as its history shows it.
const AUTHOR: &str = "crontab";
/// Why a schedule rests, as its history shows it.
const RESTING: &str = "no line of the crontabs given makes it";
/// Schedules asked for at once.
const PAGE_SCHEDULES: usize = 1_000;

/// Reads crontabs; refused lines are told one by one, the others go on.
pub(super) fn read(args: &DevArgs) -> Result<Vec<PlannedFile>, Failure> {
    let mut files = Vec::new();
    for path in &args.crontab {
        let bytes = minutehand_cli::read_file(path, CRONTAB_BYTES_MAX)?;
        files.push(CrontabFile {
            path: path.display().to_string(),
            bytes,
            format: args.crontab_format,
        });
    }
    let queue = QueueName::parse(CRONTAB_QUEUE).expect("a valid name");
    let zone = minutehand_cli::machine_zone();
    let planned = plan(&files, (PREFIX, KnownBy::Path), &queue, &zone);
    let mut planned = planned.map_err(|error| not_planned(&error))?;
    for file in &mut planned {
        for error in &file.refused {
            crate::say::error(&format!("{}: {error}", file.path));
        }
    }
    Ok(planned)
}

fn not_planned(error: &PlanError) -> Failure {
    Failure::new(Exit::Refused, error.to_string()).with_hint(match error {
        PlanError::Undecided { .. } => {
            "say which it is: --crontab-format user or --crontab-format system"
        }
        PlanError::SameLabel { .. } => "give each file once",
    })
}

/// The lines that were understood: the ids of their schedules, and what they run.
pub(super) fn lines(files: &[PlannedFile]) -> impl Iterator<Item = (&ScheduleId, &ActionTemplate)> {
    files
        .iter()
        .flat_map(|file| &file.lines)
        .map(|line| (&line.id, &line.definition.action))
}

/// The schedules that were made of crontabs before, by id.
type Made = BTreeMap<ScheduleId, ScheduleHead>;

/// Finds each line's schedule, and says what becomes of the others. Afterwards the ids of the lines
/// are settled.
pub(super) async fn follow(
    gateway: &Gateway,
    files: &mut [PlannedFile],
) -> Result<Changes, Failure> {
    let namespace = Namespace::parse(Namespace::DEFAULT).expect("a valid name");
    let mut made = made_before(gateway, &namespace).await?;
    let mut changes = Changes {
        namespace,
        removed: Vec::new(),
        resting: Vec::new(),
    };
    for file in files {
        let (of_file, others): (Made, Made) =
            made.into_iter().partition(|(id, _)| file.may_have_made(id));
        made = others;
        let known: Vec<_> = of_file
            .iter()
            .filter_map(|(id, head)| known_line(id, head.head.revision.definition.as_ref()?))
            .collect();
        let gone = file.follow(&known);
        // The schedule may be that of a line with a typing error: it rests until the file is right
        // again.
        let target = if file.refused.is_empty() {
            &mut changes.removed
        } else {
            &mut changes.resting
        };
        target.extend(gone);
    }
    changes.resting.extend(made.into_keys());
    Ok(changes)
}

/// What becomes of the schedules that no line makes.
pub(super) struct Changes {
    namespace: Namespace,
    removed: Vec<ScheduleId>,
    resting: Vec<ScheduleId>,
}

/// Whether lines `@reboot` run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtStart {
    /// The process starts.
    Now,
    /// It has started before.
    HasBeen,
}

/// What became of schedules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// All that there are of lines.
    pub(super) schedules: usize,
    /// Those of them that are new or say something else.
    pub(super) changed: usize,
    /// Those whose lines are gone.
    pub(super) deleted: usize,
    /// Those whose lines may be gone.
    pub(super) resting: usize,
}

impl Changes {
    /// Brings the schedules in line with the crontabs.
    pub(super) async fn apply(
        self,
        gateway: &Gateway,
        files: Vec<PlannedFile>,
        at_start: AtStart,
        now: Timestamp,
    ) -> Result<Followed, Failure> {
        let (deleted, resting) = (self.removed.len(), self.resting.len());
        let mut followed = Followed {
            deleted,
            resting,
            ..Followed::default()
        };
        for id in &self.removed {
            let change = |_: &Revision| {
                Ok(self.change(DefinitionChange::Deleted, false, "its line is gone"))
            };
            self.revise(gateway, id, change).await?;
        }
        for id in &self.resting {
            self.rest(gateway, id).await?;
        }
        for line in files.into_iter().flat_map(|file| file.lines) {
            match line.kind {
                PlannedKind::AtStart if at_start == AtStart::Now => {
                    run_at_start(gateway, &self.namespace, &line, now).await?;
                }
                PlannedKind::AtStart => {}
                PlannedKind::Recurring => {
                    followed.schedules += 1;
                    followed.changed += usize::from(self.put(gateway, &line).await?);
                }
            }
        }
        Ok(followed)
    }

    fn name(&self, id: &ScheduleId) -> ScheduleName {
        ScheduleName {
            order_key: None,
            namespace: self.namespace.clone(),
            id: id.clone(),
        }
    }

    fn change<D>(&self, definition: D, paused: bool, note: impl Into<String>) -> RevisionChange<D> {
        RevisionChange {
            definition,
            paused,
            note: note.into(),
            author: AUTHOR.to_owned(),
        }
    }

    async fn newest(&self, gateway: &Gateway, id: &ScheduleId) -> Result<Revision, Failure> {
        let head = gateway.schedule_head(&self.name(id)).await;
        head.map(|head| head.head.revision)
            .map_err(|error| failed(id, &error))
    }

    async fn revise(
        &self,
        gateway: &Gateway,
        id: &ScheduleId,
        change: impl Fn(&Revision) -> Result<RevisionChange, ReviseError>,
    ) -> Result<(), Failure> {
        let revised = gateway
            .revise::<ReviseError>(&self.name(id), None, change)
            .await;
        revised.map(drop).map_err(|error| failed(id, &error))
    }

    /// Pauses a schedule whose file was not given, or has a line that cannot be read.
    async fn rest(&self, gateway: &Gateway, id: &ScheduleId) -> Result<(), Failure> {
        if self.newest(gateway, id).await?.paused {
            return Ok(());
        }
        let change = |_: &Revision| Ok(self.change(DefinitionChange::Kept, true, RESTING));
        self.revise(gateway, id, change).await
    }

    /// Makes a line's schedule say what the line says; whether it did not before.
    async fn put(&self, gateway: &Gateway, line: &Planned) -> Result<bool, Failure> {
        let note = format!("from {}", line.path);
        let definition = ValidDefinition::new(line.definition.clone());
        let definition = definition.map_err(|error| failed(&line.id, &error))?;
        let change = self.change(definition, false, &note);
        match gateway.create_schedule(&self.name(&line.id), change).await {
            Ok(created) => Ok(!created.existed),
            Err(CreateScheduleError::Exists { .. }) => {
                // What rested for its file goes on; what somebody has paused stays paused.
                let stays_paused = |current: &Revision| current.paused && !is_resting(current);
                let current = self.newest(gateway, &line.id).await?;
                let is_same = current.definition.as_ref() == Some(&line.definition);
                if is_same && current.paused == stays_paused(&current) {
                    return Ok(false);
                }
                let change = |current: &Revision| {
                    let definition = DefinitionChange::to(&line.definition, current);
                    Ok(self.change(definition, stays_paused(current), &note))
                };
                self.revise(gateway, &line.id, change).await.map(|()| true)
            }
            Err(error) => Err(failed(&line.id, &error)),
        }
    }
}

fn is_resting(revision: &Revision) -> bool {
    revision.paused && revision.author == AUTHOR && revision.note == RESTING
}

/// The schedules that earlier starts have made of crontabs.
async fn made_before(gateway: &Gateway, namespace: &Namespace) -> Result<Made, Failure> {
    let unread = |error: &dyn Display| {
        Failure::new(
            Exit::Failed,
            format!("could not look up the schedules of crontabs: {error}"),
        )
    };
    let mut made = Made::new();
    let mut after = None;
    loop {
        let page = gateway
            .schedules(
                namespace,
                &format!("{PREFIX}/"),
                after.as_ref(),
                PAGE_SCHEDULES,
            )
            .await;
        let page = page.map_err(|error| unread(&error))?;
        for head in page.schedules {
            let id = head.head.revision.schedule.clone();
            let definition = head.head.revision.definition.as_ref();
            let order_key = definition.and_then(|known| known.action.order_key.clone());
            let name = ScheduleName {
                order_key,
                namespace: namespace.clone(),
                id: id.clone(),
            };
            let is_ours = head.head.revision.author == AUTHOR || {
                let revisions = gateway
                    .revisions(&name)
                    .await
                    .map_err(|error| unread(&error))?;
                revisions
                    .iter()
                    .any(|entry| entry.revision.author == AUTHOR)
            };
            if is_ours {
                made.insert(id, head);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(made),
        }
    }
}

/// A line `@reboot` runs once for each start.
async fn run_at_start(
    gateway: &Gateway,
    namespace: &Namespace,
    line: &Planned,
    now: Timestamp,
) -> Result<(), Failure> {
    let action = &line.definition.action;
    let id =
        TaskId::parse(&format!("{}@{now}", line.id)).map_err(|error| failed(&line.id, &error))?;
    // Says that the line made it; no caller can say that of a task.
    let origin = Origin {
        schedule: line.id.clone(),
        nominal: now,
        completion_wanted: false,
    };
    let task = Task {
        origin: Some(origin),
        ..action.clone().into_task(namespace.clone(), id, now)
    };
    let task = ValidTask::new(task, now).map_err(|error| failed(&line.id, &error))?;
    gateway
        .create_new(task)
        .await
        .map(drop)
        .map_err(|error| failed(&line.id, &error))
}

/// A crontab could not be read, for a reason that is not its own.
pub(super) fn unread(error: &dyn Display) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("could not read the crontabs: {error}"),
    )
}

fn failed(id: &ScheduleId, error: &dyn Display) -> Failure {
    Failure::new(Exit::Failed, format!("schedule {id} of a crontab: {error}"))
}
