//! `minutehand schedule …`

use minutehand_api::routes::{
    BACKFILLS, PREVIEW, REVISIONS, SCHEDULE, SCHEDULES, SCHEDULES_PREVIEW,
};
use minutehand_api::{
    BackfillRange, BackfillStop, Backfills, Definition, NewSchedule, Nothing, Revision,
    RevisionNote, RevisionPage, Rollback, RunsRequested, Schedule, ScheduleAction, SchedulePage,
    SchedulePreview, Trigger,
};
use minutehand_model::Timestamp;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::pages::list;
use super::task::{CREATED, done, show};
use super::time_cells::{cell, time_cell};
use crate::args::{BackfillArgs, PreviewArgs, ScheduleListArgs, ScheduleVerb, ServerArgs};
use crate::client::{Action, Answered, Client, Routes};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::table::printable;
use crate::output::time::with_relative;

pub(super) async fn run(
    server: &ServerArgs,
    key: Option<&str>,
    verb: ScheduleVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let verbs = Verbs {
        client: Client::new(server)?,
        routes: Routes::new(&server.namespace).keyed(key),
        json,
    };
    match verb {
        ScheduleVerb::Create {
            id,
            definition,
            dry_run,
        } => {
            let action = Action::new(&definition.action, console)?;
            let mut body = action.schedule(&definition);
            body.key = key.map(str::to_owned);
            verbs.create(&id, body, dry_run, console).await
        }
        ScheduleVerb::Patch {
            id,
            definition,
            if_revision,
        } => {
            let action = Action::new(&definition.action, console)?;
            let body = action.schedule(&definition);
            verbs.patch(&id, body, if_revision, console).await
        }
        ScheduleVerb::Get { id } => {
            let schedule = verbs
                .client
                .get(&verbs.routes.of_id(SCHEDULE, &id), &[])
                .await?
                .body;
            show(&schedule, console, json)
        }
        ScheduleVerb::List(args) => verbs.list(&args, console).await,
        ScheduleVerb::Pause { id, note } => {
            verbs
                .act(
                    &id,
                    ScheduleAction::Pause,
                    &RevisionNote { note },
                    "paused",
                    console,
                )
                .await
        }
        ScheduleVerb::Resume { id, note } => {
            verbs
                .act(
                    &id,
                    ScheduleAction::Resume,
                    &RevisionNote { note },
                    "resumed",
                    console,
                )
                .await
        }
        ScheduleVerb::Trigger { id, overlap } => {
            verbs
                .act(
                    &id,
                    ScheduleAction::Trigger,
                    &Trigger { overlap },
                    "triggered",
                    console,
                )
                .await
        }
        ScheduleVerb::Backfill(args) => verbs.backfill(&args, console).await,
        ScheduleVerb::Backfills { id } => verbs.backfills(&id, console).await,
        ScheduleVerb::StopBackfill { id, backfill } => {
            let done = format!("stopped backfill {backfill} of");
            verbs
                .act(
                    &id,
                    ScheduleAction::StopBackfill,
                    &BackfillStop { backfill },
                    &done,
                    console,
                )
                .await
        }
        ScheduleVerb::ForgetRuns { id } => verbs.forget_runs(&id, console).await,
        ScheduleVerb::Revisions { id } => verbs.revisions(&id, console).await,
        ScheduleVerb::Rollback { id, to, note } => {
            let done = format!("rolled back to revision {to}:");
            verbs
                .act(
                    &id,
                    ScheduleAction::Rollback,
                    &Rollback {
                        to_revision: to,
                        note,
                    },
                    &done,
                    console,
                )
                .await
        }
        ScheduleVerb::Preview(args) => verbs.preview(&args, console).await,
        ScheduleVerb::Delete { id } => {
            let answer = verbs
                .client
                .delete(&verbs.routes.of_id(SCHEDULE, &id), &[])
                .await?
                .body;
            done(&format!("deleted {id}"), &id, &answer, console, json)
        }
    }
}

struct Verbs {
    client: Client,
    routes: Routes,
    json: bool,
}

impl Verbs {
    async fn create(
        &self,
        id: &str,
        mut body: NewSchedule<'_>,
        dry_run: bool,
        console: &mut Console,
    ) -> Result<(), Failure> {
        if body.cron.is_none() && body.every.is_none() {
            return Err(Failure::new(
                Exit::Usage,
                "--cron or --every is missing: when the schedule recurs",
            ));
        }
        if body.queue.is_none() {
            return Err(Failure::new(
                Exit::Usage,
                "--queue is missing: the queue that its executions go to",
            ));
        }
        body.id = Some(id.to_owned());
        if dry_run {
            let path = self.routes.of(SCHEDULES_PREVIEW);
            let preview = self.client.send(Method::POST, &path, &body).await?;
            return self.show_times(&preview, console);
        }
        let answer = self
            .client
            .send(Method::POST, &self.routes.of(SCHEDULES), &body)
            .await?;
        let next = time_cell(answer.read::<Schedule>()?.next_at.as_ref(), console.now());
        let next = if next.is_empty() {
            next
        } else {
            format!(", next {next}")
        };
        let sentence = match answer.status {
            CREATED => format!("created {id}{next}"),
            _ => format!("{id}{next}, was there already: nothing was created"),
        };
        done(&sentence, id, &answer.body, console, self.json)
    }

    async fn patch(
        &self,
        id: &str,
        body: NewSchedule<'_>,
        if_revision: Option<u64>,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let body = serde_json::to_value(&body).expect("a schedule has a JSON form");
        if body == Value::Object(Map::new()) {
            return Err(Failure::new(Exit::Usage, "nothing to change was given"));
        }
        let path = self.routes.of_id(SCHEDULE, id);
        let answer = match if_revision {
            Some(number) => {
                self.client
                    .send_if(Method::PATCH, &path, &body, &format!("\"{number}\""))
                    .await?
            }
            None => self.client.send(Method::PATCH, &path, &body).await?,
        };
        done(
            &format!("changed {id}"),
            id,
            &answer.body,
            console,
            self.json,
        )
    }

    async fn list(&self, args: &ScheduleListArgs, console: &mut Console) -> Result<(), Failure> {
        let listed = list::<SchedulePage>(
            &self.client,
            &self.routes.of(SCHEDULES),
            &[("prefix", args.listing.prefix.clone())],
            args.listing.limit,
        )
        .await?;
        if self.json {
            return listed
                .items
                .iter()
                .try_for_each(|schedule| console.json(schedule));
        }
        let now = console.now();
        let rows = listed.items.iter().map(|schedule| {
            vec![
                schedule.id.clone(),
                when(schedule.definition.as_ref()),
                cell(
                    schedule
                        .definition
                        .as_ref()
                        .and_then(|definition| definition.time_zone.as_ref()),
                ),
                cell(
                    schedule
                        .definition
                        .as_ref()
                        .map(|definition| &definition.queue),
                ),
                schedule.state.to_string(),
                time_cell(schedule.next_at.as_ref(), now),
            ]
        });
        console.table(
            &["id", "when", "zone", "queue", "state", "next"],
            rows.collect(),
            "no schedules",
        )?;
        if listed.has_more {
            console.note("there are more; --limit shows them")
        } else {
            Ok(())
        }
    }

    /// `POST …/schedules/{id}:{action}`.
    async fn act(
        &self,
        id: &str,
        action: ScheduleAction,
        body: &impl Serialize,
        done_word: &str,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let path = self.routes.of_id(action.route(), id);
        let answer = self.client.send(Method::POST, &path, body).await?.body;
        done(
            &format!("{done_word} {id}"),
            id,
            &answer,
            console,
            self.json,
        )
    }

    async fn backfill(&self, args: &BackfillArgs, console: &mut Console) -> Result<(), Failure> {
        let path = self
            .routes
            .of_id(ScheduleAction::Backfill.route(), &args.id);
        let body = BackfillRange {
            from: args.from.clone(),
            to: args.to.clone(),
        };
        let answer = self.client.send(Method::POST, &path, &body).await?;
        let RunsRequested { runs, .. } = answer.read()?;
        let sentence = format!("asked for {runs} occurrences of {}", args.id);
        done(&sentence, &args.id, &answer.body, console, self.json)
    }

    async fn backfills(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let Backfills { backfills } = self
            .client
            .get(&self.routes.of_id(BACKFILLS, id), &[])
            .await?
            .read()?;
        if self.json {
            return backfills
                .iter()
                .try_for_each(|backfill| console.json(backfill));
        }
        let now = console.now();
        let rows = backfills.iter().map(|backfill| {
            vec![
                backfill.id.clone(),
                with_relative(&backfill.after, now),
                with_relative(&backfill.to, now),
            ]
        });
        console.table(
            &["backfill", "run up to", "to"],
            rows.collect(),
            "no backfills",
        )
    }

    async fn forget_runs(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let path = self.routes.of_id(ScheduleAction::ForgetRuns.route(), id);
        let answer = self.client.send(Method::POST, &path, &Nothing {}).await?;
        let RunsRequested { runs, .. } = answer.read()?;
        let sentence = format!("nobody waits any longer for {runs} runs of {id}");
        done(&sentence, id, &answer.body, console, self.json)
    }

    async fn revisions(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let page: RevisionPage = self
            .client
            .get(&self.routes.of_id(REVISIONS, id), &[])
            .await?
            .read()?;
        let revisions = page.revisions;
        if self.json {
            return revisions
                .iter()
                .try_for_each(|revision| console.json(revision));
        }
        let now = console.now();
        let rows = revisions.iter().map(|revision| revision_row(revision, now));
        console.table(
            &["revision", "at", "by", "when", "state", "note"],
            rows.collect(),
            "no revisions",
        )
    }

    async fn preview(&self, args: &PreviewArgs, console: &mut Console) -> Result<(), Failure> {
        let query = [("from", args.from.clone()), ("n", Some(args.n.to_string()))];
        let answer = self
            .client
            .get(&self.routes.of_id(PREVIEW, &args.id), &query)
            .await?;
        self.show_times(&answer, console)
    }

    fn show_times(&self, answer: &Answered, console: &mut Console) -> Result<(), Failure> {
        if self.json {
            return console.json(&answer.body);
        }
        let now = console.now();
        let SchedulePreview {
            description,
            next,
            notes,
        } = answer.read()?;
        console.line(&printable(&description))?;
        let rows = next.iter().map(|time| vec![with_relative(time, now)]);
        console.table(&["next"], rows.collect(), "it never fires after that time")?;
        notes
            .iter()
            .try_for_each(|note| console.line(&printable(&note.message)))
    }
}

/// When a definition recurs.
fn when(definition: Option<&Definition>) -> String {
    cell(definition.and_then(|definition| definition.cron.as_ref().or(definition.every.as_ref())))
}

fn revision_row(revision: &Revision, now: Timestamp) -> Vec<String> {
    vec![
        revision.revision.to_string(),
        with_relative(&revision.revised_at, now),
        revision.author.clone(),
        when(revision.definition.as_ref()),
        revision_state(revision).to_owned(),
        revision.note.clone(),
    ]
}

fn revision_state(revision: &Revision) -> &'static str {
    match (revision.deleted, revision.paused) {
        (true, _) => "deleted",
        (false, true) => "paused",
        (false, false) => "active",
    }
}
