//! `minutehand schedule …`

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::pages::{items, list};
use super::task::{CREATED, done, show};
use super::time_cells::{cell, plain, time_cell};
use crate::args::{BackfillArgs, PreviewArgs, ScheduleListArgs, ScheduleVerb, ServerArgs};
use crate::client::{Client, Routes, action, policies, recurrence};
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
            let mut body = action(&what, console)?;
            body.extend(recurrence(&when));
            body.extend(policies(&how));
            verbs.create(&id, body, dry_run, console).await
        }
        ScheduleVerb::Patch { id, recurrence: when, action: what, policies: how, if_revision } => {
            let mut body = action(&what, console)?;
            body.extend(recurrence(&when));
            body.extend(policies(&how));
            verbs.patch(&id, body, if_revision, console).await
        }
        ScheduleVerb::Get { id } => {
            let schedule = verbs.client.get(&verbs.routes.schedule(&id), &[]).await?.body;
            show(&schedule, console, json)
        }
        ScheduleVerb::List(args) => verbs.list(&args, console).await,
        ScheduleVerb::Pause { id, note } => verbs.act(&id, "pause", noted(note), "paused", console).await,
        ScheduleVerb::Resume { id, note } => verbs.act(&id, "resume", noted(note), "resumed", console).await,
        ScheduleVerb::Trigger { id, overlap } => {
            let mut body = Map::new();
            body.extend(overlap.map(|policy| ("overlap".to_owned(), policy.as_str().into())));
            verbs.act(&id, "trigger", body, "triggered", console).await
        }
        ScheduleVerb::Backfill(args) => verbs.backfill(&args, console).await,
        ScheduleVerb::Backfills { id } => verbs.backfills(&id, console).await,
        ScheduleVerb::StopBackfill { id, backfill } => {
            let body = Map::from_iter([("backfill".to_owned(), backfill.clone().into())]);
            verbs.act(&id, "stop-backfill", body, &format!("stopped backfill {backfill} of"), console).await
        }
        ScheduleVerb::ForgetRuns { id } => verbs.forget_runs(&id, console).await,
        ScheduleVerb::Revisions { id } => verbs.revisions(&id, console).await,
        ScheduleVerb::Rollback { id, to, note } => {
            let mut body = noted(note);
            body.insert("to_revision".to_owned(), to.into());
            verbs.act(&id, "rollback", body, &format!("rolled back to revision {to}:"), console).await
        }
        ScheduleVerb::Preview(args) => verbs.preview(&args, console).await,
        ScheduleVerb::Delete { id } => {
            let answer = verbs.client.delete(&verbs.routes.schedule(&id), &[]).await?.body;
            done(&format!("deleted {id}"), &id, &answer, console, json)
        }
    }
}

fn noted(note: Option<String>) -> Map<String, Value> {
    note.into_iter().map(|note| ("note".to_owned(), note.into())).collect()
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
        mut body: Map<String, Value>,
        dry_run: bool,
        console: &mut Console,
    ) -> Result<(), Failure> {
        if !body.contains_key("cron") && !body.contains_key("every") {
            return Err(Failure::new(Exit::Usage, "--cron or --every is missing: when the schedule recurs"));
        }
        if !body.contains_key("queue") {
            return Err(Failure::new(Exit::Usage, "--queue is missing: the queue that its executions go to"));
        }
        body.insert("id".to_owned(), id.into());
        if dry_run {
            let preview =
                self.client.send(Method::POST, &self.routes.schedules_preview(), &body.into()).await?;
            return self.show_times(preview.body, console);
        }
        let answer = self.client.send(Method::POST, &self.routes.schedules(), &body.into()).await?;
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
        body: Map<String, Value>,
        if_revision: Option<u64>,
        console: &mut Console,
    ) -> Result<(), Failure> {
        if body.is_empty() {
            return Err(Failure::new(Exit::Usage, "nothing to change was given"));
        }
        let path = self.routes.schedule(id);
        let answer = match if_revision {
            Some(number) => {
                self.client.send_if(Method::PATCH, &path, &body.into(), &format!("\"{number}\"")).await?
            }
            None => self.client.send(Method::PATCH, &path, &body.into()).await?,
        };
        done(&format!("changed {id}"), id, &answer.body, console, self.json)
    }

    async fn list(&self, args: &ScheduleListArgs, console: &mut Console) -> Result<(), Failure> {
        let listed = list(
            &self.client,
            &self.routes.schedules(),
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
        action: &str,
        body: Map<String, Value>,
        done_word: &str,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let path = self.routes.schedule_action(id, action);
        let answer = self.client.send(Method::POST, &path, &body.into()).await?.body;
        done(&format!("{done_word} {id}"), id, &answer, console, self.json)
    }

    async fn backfill(&self, args: &BackfillArgs, console: &mut Console) -> Result<(), Failure> {
        let path = self.routes.schedule_action(&args.id, "backfill");
        let body = json!({ "from": args.from, "to": args.to });
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
        let page = self.client.get(&self.routes.schedule_part(id, "backfills"), &[]).await?.body;
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
        let path = self.routes.schedule_action(id, "forget-runs");
        let answer = self.client.send(Method::POST, &path, &json!({})).await?.body;
        let count = cell(&answer, &["runs"]);
        done(&format!("nobody waits any longer for {count} runs of {id}"), id, &answer, console, self.json)
    }

    async fn revisions(&self, id: &str, console: &mut Console) -> Result<(), Failure> {
        let page = self.client.get(&self.routes.schedule_part(id, "revisions"), &[]).await?.body;
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
        let page = self.client.get(&self.routes.schedule_part(&args.id, "preview"), &query).await?.body;
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
