//! `minutehand schedule …`

use minutehand_api::routes::{BACKFILLS, PREVIEW, REVISIONS, SCHEDULE, SCHEDULES, SCHEDULES_PREVIEW};
use minutehand_api::{
    BackfillRange, BackfillStop, NewSchedule, Nothing, RevisionNote, Rollback, ScheduleAction, Trigger,
};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::pages::{items, list};
use super::task::{CREATED, done, show};
use super::time_cells::{cell, plain, time_cell};
use crate::args::{BackfillArgs, PreviewArgs, ScheduleListArgs, ScheduleVerb, ServerArgs};
use crate::client::{Action, Client, Routes};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::table::printable;
use crate::output::time::with_relative;

pub(super) async fn run(
    server: &ServerArgs,
    verb: ScheduleVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let verbs = Verbs { client: Client::new(server)?, routes: Routes::new(&server.namespace), json };
    match verb {
        ScheduleVerb::Create { id, recurrence: when, action: what, policies: how, dry_run } => {
            let action = Action::new(&what, console)?;
            let body = action.schedule(&when, &how);
            verbs.create(&id, body, dry_run, console).await
        }
        ScheduleVerb::Patch { id, recurrence: when, action: what, policies: how, if_revision } => {
            let action = Action::new(&what, console)?;
            let body = action.schedule(&when, &how);
            verbs.patch(&id, body, if_revision, console).await
        }
        ScheduleVerb::Get { id } => {
            let schedule = verbs.client.get(&verbs.routes.of_id(SCHEDULE, &id), &[]).await?.body;
            show(&schedule, console, json)
        }
        ScheduleVerb::List(args) => verbs.list(&args, console).await,
        ScheduleVerb::Pause { id, note } => {
            verbs.act(&id, ScheduleAction::Pause, &RevisionNote { note }, "paused", console).await
        }
        ScheduleVerb::Resume { id, note } => {
            verbs.act(&id, ScheduleAction::Resume, &RevisionNote { note }, "resumed", console).await
        }
        ScheduleVerb::Trigger { id, overlap } => {
            verbs.act(&id, ScheduleAction::Trigger, &Trigger { overlap }, "triggered", console).await
        }
        ScheduleVerb::Backfill(args) => verbs.backfill(&args, console).await,
        ScheduleVerb::Backfills { id } => verbs.backfills(&id, console).await,
        ScheduleVerb::StopBackfill { id, backfill } => {
            let done = format!("stopped backfill {backfill} of");
            verbs.act(&id, ScheduleAction::StopBackfill, &BackfillStop { backfill }, &done, console).await
        }
        ScheduleVerb::ForgetRuns { id } => verbs.forget_runs(&id, console).await,
        ScheduleVerb::Revisions { id } => verbs.revisions(&id, console).await,
        ScheduleVerb::Rollback { id, to, note } => {
            let done = format!("rolled back to revision {to}:");
            verbs
                .act(&id, ScheduleAction::Rollback, &Rollback { to_revision: to, note }, &done, console)
                .await
        }
        ScheduleVerb::Preview(args) => verbs.preview(&args, console).await,
        ScheduleVerb::Delete { id } => {
            let answer = verbs.client.delete(&verbs.routes.of_id(SCHEDULE, &id), &[]).await?.body;
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
            return Err(Failure::new(Exit::Usage, "--cron or --every is missing: when the schedule recurs"));
        }
        if body.queue.is_none() {
            return Err(Failure::new(Exit::Usage, "--queue is missing: the queue that its executions go to"));
        }
        body.id = Some(id.to_owned());
        if dry_run {
            let path = self.routes.of(SCHEDULES_PREVIEW);
            let preview = self.client.send(Method::POST, &path, &body).await?;
            return self.show_times(preview.body, console);
        }
        let answer = self.client.send(Method::POST, &self.routes.of(SCHEDULES), &body).await?;
        let next = time_cell(&answer.body, &["next_at"], console.now());
        let next = if next.is_empty() { next } else { format!(", next {next}") };
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
                self.client.send_if(Method::PATCH, &path, &body, &format!("\"{number}\"")).await?
            }
            None => self.client.send(Method::PATCH, &path, &body).await?,
        };
        done(&format!("changed {id}"), id, &answer.body, console, self.json)
    }

    async fn list(&self, args: &ScheduleListArgs, console: &mut Console) -> Result<(), Failure> {
        let listed = list(
            &self.client,
            &self.routes.of(SCHEDULES),
            &[("prefix", args.prefix.clone())],
            "schedules",
            args.limit,
        )
        .await?;
        if self.json {
            return listed.items.iter().try_for_each(|schedule| console.json(schedule));
        }
        let now = console.now();
        let rows = listed.items.iter().map(|schedule| {
            vec![
                cell(schedule, &["id"]),
                cell(schedule, &["cron", "every"]),
                cell(schedule, &["time_zone"]),
                cell(schedule, &["queue"]),
                cell(schedule, &["state"]),
                time_cell(schedule, &["next_at"], now),
            ]
        });
        console.table(&["id", "when", "zone", "queue", "state", "next"], rows.collect(), "no schedules")?;
        if listed.has_more { console.note("there are more; --limit shows them") } else { Ok(()) }
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
        done(&format!("{done_word} {id}"), id, &answer, console, self.json)
    }

    async fn backfill(&self, args: &BackfillArgs, console: &mut Console) -> Result<(), Failure> {
        let path = self.routes.of_id(ScheduleAction::Backfill.route(), &args.id);
        let body = BackfillRange { from: args.from.clone(), to: args.to.clone() };
        let answer = self.client.send(Method::POST, &path, &body).await?.body;
        let count = cell(&answer, &["runs"]);
        let sentence = if count.is_empty() {
            format!("asked for a backfill of {}", args.id)
        } else {
            format!("asked for {count} occurrences of {}", args.id)
        };
        done(&sentence, &args.id, &answer, console, self.json)
    }

    async fn backfills(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let page = self.client.get(&self.routes.of_id(BACKFILLS, id), &[]).await?.body;
        let backfills = items(page, "backfills");
        if self.json {
            return backfills.iter().try_for_each(|backfill| console.json(backfill));
        }
        let now = console.now();
        let rows = backfills.iter().map(|backfill| {
            vec![
                cell(backfill, &["id"]),
                time_cell(backfill, &["after"], now),
                time_cell(backfill, &["to"], now),
            ]
        });
        console.table(&["backfill", "run up to", "to"], rows.collect(), "no backfills")
    }

    async fn forget_runs(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let path = self.routes.of_id(ScheduleAction::ForgetRuns.route(), id);
        let answer = self.client.send(Method::POST, &path, &Nothing {}).await?.body;
        let count = cell(&answer, &["runs"]);
        done(&format!("nobody waits any longer for {count} runs of {id}"), id, &answer, console, self.json)
    }

    async fn revisions(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let page = self.client.get(&self.routes.of_id(REVISIONS, id), &[]).await?.body;
        let revisions = items(page, "revisions");
        if self.json {
            return revisions.iter().try_for_each(|revision| console.json(revision));
        }
        let now = console.now();
        let rows = revisions.iter().map(|revision| {
            vec![
                cell(revision, &["revision"]),
                time_cell(revision, &["revised_at"], now),
                cell(revision, &["author"]),
                cell(revision, &["definition.cron", "definition.every"]),
                revision_state(revision).to_owned(),
                cell(revision, &["note"]),
            ]
        });
        console.table(&["revision", "at", "by", "when", "state", "note"], rows.collect(), "no revisions")
    }

    async fn preview(&self, args: &PreviewArgs, console: &mut Console) -> Result<(), Failure> {
        let query = [("from", args.from.clone()), ("n", Some(args.n.to_string()))];
        let page = self.client.get(&self.routes.of_id(PREVIEW, &args.id), &query).await?.body;
        self.show_times(page, console)
    }

    fn show_times(&self, page: Value, console: &mut Console) -> Result<(), Failure> {
        if self.json {
            return console.json(&page);
        }
        let now = console.now();
        if let Some(words) = page.get("description").and_then(Value::as_str) {
            console.line(&printable(words))?;
        }
        let notes: Vec<String> = page
            .get("notes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|n| cell(n, &["message"]))
            .collect();
        let times = items(page, "next");
        let rows = times.iter().map(|time| vec![with_relative(&plain(time), now)]);
        console.table(&["next"], rows.collect(), "it never fires after that time")?;
        notes.iter().try_for_each(|note| console.line(&printable(note)))
    }
}

fn revision_state(revision: &Value) -> &'static str {
    match (cell(revision, &["deleted"]).as_str(), cell(revision, &["paused"]).as_str()) {
        ("true", _) => "deleted",
        (_, "true") => "paused",
        _ => "active",
    }
}
