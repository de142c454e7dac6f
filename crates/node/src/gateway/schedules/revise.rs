//! Writing revisions: create, change, pause, resume, delete, roll back.

use std::time::Duration;

use minutehand_api::{ValidDefinition, validate_note};
use minutehand_model::{Command, PartitionId, Revision, ScheduleDefinition};
use tokio::time::{Instant, sleep};

use super::read::head;
use super::{ScheduleHead, ScheduleName};
use crate::gateway::{
    CreateScheduleError, Gateway, InvalidField, LookupError, ReviseError, Unavailable,
};

/// How often a change is made again on the newest revision when somebody else was faster and the
/// caller expected none in particular.
const ATTEMPTS_MAX: u32 = 3;
/// How long to wait before looking again for a revision that is not stored yet; twice as long each
/// time, for every look reads the store.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The answer to the creation of a schedule.
#[derive(Clone, Debug)]
pub struct CreatedSchedule {
    /// The schedule.
    pub schedule: ScheduleHead,
    /// It was there before, with the same definition; nothing was written.
    pub existed: bool,
}

/// What a new revision is to say: a [`ValidDefinition`] where it is the first one, else a
/// [`DefinitionChange`].
#[derive(Clone, Debug)]
pub struct RevisionChange<D = DefinitionChange> {
    /// The definition, or what becomes of it.
    pub definition: D,
    /// Whether it is paused.
    pub paused: bool,
    /// Why, in the words of who does it.
    pub note: String,
    /// Who does it.
    pub author: String,
}

impl<D> RevisionChange<D> {
    /// The same with a definition in the place of what becomes of it.
    fn with<E>(self, becomes: impl FnOnce(D) -> E) -> RevisionChange<E> {
        RevisionChange {
            definition: becomes(self.definition),
            paused: self.paused,
            note: self.note,
            author: self.author,
        }
    }
}

/// What becomes of a schedule's definition.
#[derive(Clone, Debug)]
pub enum DefinitionChange {
    /// It stays, and is not judged again.
    Kept,
    /// Another one takes its place, once it is judged.
    Replaced(Box<ScheduleDefinition>),
    /// The schedule is deleted.
    Deleted,
}

impl DefinitionChange {
    /// The change of a revision's definition to this one.
    pub fn to(definition: &ScheduleDefinition, current: &Revision) -> DefinitionChange {
        if current.definition.as_ref() == Some(definition) {
            return DefinitionChange::Kept;
        }
        DefinitionChange::Replaced(Box::new(definition.clone()))
    }
}

/// What became of a revision that was appended.
enum Revised {
    Head(Option<Box<ScheduleHead>>),
    Overtaken { current: u64 },
}

impl Gateway {
    /// Creates a schedule. Creating it again with the same definition changes nothing.
    ///
    /// # Errors
    /// A refused value, another schedule of that name, or no answer.
    pub async fn create_schedule(
        &self,
        name: &ScheduleName,
        change: RevisionChange<ValidDefinition>,
    ) -> Result<CreatedSchedule, CreateScheduleError> {
        validate_note(&change.note)?;
        let (change, now) = (change, self.now());
        let search = move || change.definition.has_times_after(now).map(|()| change);
        let change = self.search(search).await?;
        self.queue_names
            .admit(&name.namespace, &change.definition.action.queue, self.now())?;
        let change = change.with(|definition| Some(definition.into_definition()));
        let partition = name.partition(self.owners.partitions());
        self.caught_up(partition).await?;
        let known = self.known_schedule(partition, name).await?;
        let number = known.as_ref().map_or(0, |known| known.head.revision.number) + 1;
        if let Some(known) = known.filter(|known| known.head.revision.definition.is_some()) {
            let revision = &known.head.revision;
            if !name.is_of(revision) {
                let other = revision.definition.as_ref();
                return Err(CreateScheduleError::OtherKey {
                    id: name.id.clone(),
                    key: other.and_then(|other| other.action.order_key.clone()),
                });
            }
            let is_same = revision.definition == change.definition;
            return match is_same && revision.paused == change.paused {
                true => Ok(CreatedSchedule {
                    schedule: head(partition, known),
                    existed: true,
                }),
                false => Err(CreateScheduleError::Exists {
                    current: revision.number,
                }),
            };
        }
        match self
            .append_revision(partition, name, number, change)
            .await?
        {
            Revised::Head(Some(schedule)) => Ok(CreatedSchedule {
                schedule: *schedule,
                existed: false,
            }),
            Revised::Head(None) => Err(CreateScheduleError::Exists { current: number }),
            Revised::Overtaken { current } => Err(CreateScheduleError::Exists { current }),
        }
    }

    /// Appends a revision that `change` makes from the newest one. With `expected`, only when that
    /// is the newest one; without, the change is made again when somebody else was faster. One that
    /// would say what is in force already is not appended. Answers the schedule, `None` once
    /// deleted.
    ///
    /// # Errors
    /// A refused value, an unknown schedule, a conflict, or no answer.
    pub async fn revise<E: From<ReviseError>>(
        &self,
        name: &ScheduleName,
        expected: Option<u64>,
        change: impl Fn(&Revision) -> Result<RevisionChange, E>,
    ) -> Result<Option<ScheduleHead>, E> {
        let partition = name.partition(self.owners.partitions());
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let schedule = self.schedule_head(name).await.map_err(ReviseError::from)?;
            let current = &schedule.head.revision;
            if expected.is_some_and(|expected| expected != current.number) {
                return Err(ReviseError::Conflict {
                    current: current.number,
                    expected,
                }
                .into());
            }
            let change = change(current)?;
            let number = current.number + 1;
            let judged = self.judged(change, current.definition.clone()).await;
            let change = judged.map_err(ReviseError::from)?;
            if is_in_force(&change, &schedule) {
                return Ok(Some(schedule));
            }
            if let Some(definition) = &change.definition {
                let admitted =
                    self.queue_names
                        .admit(&name.namespace, &definition.action.queue, self.now());
                admitted.map_err(ReviseError::from)?;
            }
            attempts_left -= 1;
            let appended = self.append_revision(partition, name, number, change).await;
            match appended.map_err(ReviseError::from)? {
                Revised::Head(schedule) => return Ok(schedule.map(|schedule| *schedule)),
                Revised::Overtaken { current } if expected.is_some() || attempts_left == 0 => {
                    return Err(ReviseError::Conflict { current, expected }.into());
                }
                Revised::Overtaken { .. } => {}
            }
        }
    }

    /// What a change makes of the definition that was.
    async fn judged(
        &self,
        change: RevisionChange,
        current: Option<ScheduleDefinition>,
    ) -> Result<RevisionChange<Option<ScheduleDefinition>>, InvalidField> {
        let definition = match &change.definition {
            DefinitionChange::Kept => current,
            DefinitionChange::Deleted => None,
            DefinitionChange::Replaced(definition) => {
                let definition = ScheduleDefinition::clone(definition);
                let valid = self.search(|| ValidDefinition::new(definition)).await?;
                Some(valid.into_definition())
            }
        };
        validate_note(&change.note)?;
        Ok(change.with(|_| definition))
    }

    /// Puts the definition of an earlier revision in force again, as a new revision.
    ///
    /// # Errors
    /// As [`revise`](Gateway::revise), and when there is no such revision or it was the deletion.
    pub async fn rollback(
        &self,
        name: &ScheduleName,
        expected: Option<u64>,
        to_number: u64,
        note: &str,
        author: &str,
    ) -> Result<ScheduleHead, ReviseError> {
        let newest = self.schedule_head(name).await?.head.revision.number;
        let missing = || LookupError::NotFound {
            what: "revision",
            name: format!("{} of schedule {}", to_number, name.id),
        };
        if !(1..=newest).contains(&to_number) {
            return Err(missing().into());
        }
        let old = self.revision(name, to_number).await?.ok_or_else(missing)?;
        let definition = old.definition.ok_or_else(missing)?;
        let revised = self.revise(name, expected, |current| {
            let definition = DefinitionChange::to(&definition, current);
            let note = match definition {
                DefinitionChange::Replaced(_) if note.is_empty() => {
                    format!("back to revision {to_number}")
                }
                _ => note.to_owned(),
            };
            let paused = current.paused;
            Ok::<_, ReviseError>(RevisionChange {
                definition,
                paused,
                note,
                author: author.to_owned(),
            })
        });
        revised.await?.ok_or_else(|| name.not_found().into())
    }

    /// A revision that exists by its number; waits a little for one that is on its way to the
    /// store.
    async fn revision(
        &self,
        name: &ScheduleName,
        number: u64,
    ) -> Result<Option<Revision>, LookupError> {
        let deadline = Instant::now() + Duration::from_millis(self.limits.apply_wait_ms_max);
        let mut pause = LOOK_AGAIN;
        loop {
            let revisions = self.revisions(name).await?;
            let found = revisions
                .into_iter()
                .map(|entry| entry.revision)
                .find(|one| one.number == number);
            if found.is_some() || Instant::now() >= deadline {
                return Ok(found);
            }
            sleep(pause.min(deadline - Instant::now())).await;
            pause *= 2;
        }
    }

    async fn append_revision(
        &self,
        partition: PartitionId,
        name: &ScheduleName,
        number: u64,
        change: RevisionChange<Option<ScheduleDefinition>>,
    ) -> Result<Revised, Unavailable> {
        let deletes = change.definition.is_none();
        let revision = Revision {
            namespace: name.namespace.clone(),
            schedule: name.id.clone(),
            number,
            definition: change.definition,
            paused: change.paused,
            note: change.note,
            author: change.author,
        };
        let offset = self
            .append_and_wait(partition, vec![Command::Revise(Box::new(revision))])
            .await?;
        Ok(match self.known_schedule(partition, name).await? {
            Some(known) if known.head.offset == offset => {
                Revised::Head((!deletes).then(|| Box::new(head(partition, known))))
            }
            // A later revision is the newest by now; it could only follow this one.
            Some(known) if known.head.offset > offset && known.head.revision.number > number => {
                Revised::Head((!deletes).then(|| Box::new(head(partition, known))))
            }
            Some(known) => Revised::Overtaken {
                current: known.head.revision.number,
            },
            None if deletes => Revised::Head(None),
            None => Revised::Overtaken { current: number },
        })
    }
}

/// Whether a revision would say nothing that the newest one does not. One that resumes a schedule
/// that has paused itself does, and so does one with a note of its own.
fn is_in_force(
    change: &RevisionChange<Option<ScheduleDefinition>>,
    schedule: &ScheduleHead,
) -> bool {
    let newest = &schedule.head.revision;
    let resumes = !change.paused && schedule.state.paused_by_failure_at.is_some();
    let is_noted = change.note.is_empty() || change.note == newest.note;
    !resumes && is_noted && change.paused == newest.paused && change.definition == newest.definition
}
