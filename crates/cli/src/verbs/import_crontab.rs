//! `minutehand import crontab FILE…`

use std::collections::BTreeSet;

use minutehand_calendar::{Cron, CronExpression, DstRule, Zone};
use minutehand_crontab::Format;
use minutehand_model::{QueueName, RecurrenceSpec, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::args::{ImportCrontabArgs, ServerArgs};
use crate::client::{Client, Routes, definition_body};
use crate::console::Console;
use crate::crontab::{CrontabFile, Planned, PlannedKind, machine_zone, plan};
use crate::exit::{Exit, Failure};
use crate::output::time::relative;

/// Characters of a command that a table shows.
const COMMAND_SHOWN: usize = 60;
/// The status of a new schedule; one that was there before and is the same has another.
const CREATED: u16 = 201;

/// What became of one line.
struct Imported {
    planned: Planned,
    /// `create`, `created`, `changed`, `unchanged`, or why not.
    outcome: &'static str,
    next: Option<Timestamp>,
}

pub(super) async fn run(
    server: &ServerArgs,
    args: &ImportCrontabArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let zone = match &args.tz {
        Some(name) => Zone::parse(name).map_err(|error| Failure::refused(format!("--tz: {error}")))?,
        None => machine_zone(),
    };
    let queue = QueueName::parse(&args.queue).map_err(|error| Failure::refused(error.to_string()))?;
    let files = read(args, console)?;
    let (planned, refused) = plan(&files, &args.prefix, &queue, &zone);
    let target =
        if args.dry_run { None } else { Some((Client::new(server)?, Routes::new(&server.namespace))) };
    let mut imported = Vec::with_capacity(planned.len());
    for planned in planned {
        let outcome = match (&target, &planned.kind) {
            (_, PlannedKind::AtStart) => "not imported: runs at start",
            (None, PlannedKind::Recurring) => "create",
            (Some((client, routes)), PlannedKind::Recurring) => upsert(client, routes, &planned).await?,
        };
        let next = next_time(&planned, console.now());
        imported.push(Imported { planned, outcome, next });
    }
    print(&imported, console, json)?;
    for (path, error) in &refused {
        if json {
            let reason = error.reason.to_string();
            console.json(
                &json!({ "file": path, "line": error.line, "column": error.column, "error": reason }),
            )?;
        } else {
            console.note(&format!("{path}:{}:{}: {}", error.line, error.column, error.reason))?;
        }
    }
    note_users(&imported, console)?;
    if refused.is_empty() {
        return Ok(());
    }
    let (few, all) = (refused.len(), refused.len() + imported.len());
    Err(Failure::refused(format!("{few} of {all} lines were refused; the others were handled")))
}

fn read(args: &ImportCrontabArgs, console: &mut Console) -> Result<Vec<CrontabFile>, Failure> {
    let format = match (args.user_format, args.system_format) {
        (true, _) => Some(Format::User),
        (_, true) => Some(Format::System),
        _ => None,
    };
    args.files
        .iter()
        .map(|path| {
            let bytes = console.read(path)?;
            Ok(CrontabFile { path: path.to_string_lossy().into_owned(), bytes, format })
        })
        .collect()
}

/// Creates a schedule, or changes the one with its id when it is another.
async fn upsert(client: &Client, routes: &Routes, planned: &Planned) -> Result<&'static str, Failure> {
    let mut body = definition_body(&planned.definition);
    let note = format!("imported from {}", planned.path);
    body.insert("note".to_owned(), note.into());
    let mut creation = body.clone();
    creation.insert("id".to_owned(), planned.id.as_str().into());
    match client.send(Method::POST, &routes.schedules(), &creation.into()).await {
        Ok(answer) if answer.status == CREATED => return Ok("created"),
        Ok(_) => return Ok("unchanged"),
        Err(failure) if failure.exit != Exit::Conflict => return Err(at_line(failure, planned)),
        Err(_) => {}
    }
    let path = routes.schedule(planned.id.as_str());
    let present = client.get(&path, &[]).await.map_err(|failure| at_line(failure, planned))?;
    if is_same(&present.body, &body) {
        return Ok("unchanged");
    }
    let patched = match &present.etag {
        Some(tag) => client.send_if(Method::PATCH, &path, &body.into(), tag).await,
        None => client.send(Method::PATCH, &path, &body.into()).await,
    };
    patched.map(|_| "changed").map_err(|failure| at_line(failure, planned))
}

fn at_line(mut failure: Failure, planned: &Planned) -> Failure {
    failure.message = format!("{}:{}: {}", planned.path, planned.entry.line, failure.message);
    failure
}

/// Whether what is wanted is there already; a note does not count, nor what somebody has set beside it.
fn is_same(present: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().filter(|(name, _)| *name != "note").all(|(name, value)| match present.get(name) {
        Some(found) => covers(found, value),
        None => value.as_object().is_some_and(Map::is_empty),
    })
}

/// Whether everything that is wanted is there; the server may say more.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| present.get(name).is_some_and(|found| covers(found, value)))
        }
        _ => present == wanted,
    }
}

fn next_time(planned: &Planned, now: Timestamp) -> Option<Timestamp> {
    let RecurrenceSpec::Cron { expression, zone, .. } = &planned.definition.recurrence else { return None };
    let cron = Cron::new(CronExpression::parse(expression).ok()?, Zone::parse(zone).ok()?, DstRule::Vixie);
    cron.next_after(now)
}

fn print(imported: &[Imported], console: &mut Console, json: bool) -> Result<(), Failure> {
    let now = console.now();
    if json {
        return imported.iter().try_for_each(|Imported { planned, outcome, next }| {
            let (expression, zone) = when(planned);
            console.json(&json!({
                "file": planned.path,
                "line": planned.entry.line,
                "id": planned.id.as_str(),
                "outcome": outcome,
                "cron": expression,
                "tz": zone,
                "user": planned.entry.user,
                "command": planned.entry.command,
                "stdin": planned.entry.stdin,
                "next": next.map(|at| at.to_string()),
            }))
        });
    }
    let rows = imported.iter().map(|Imported { planned, outcome, next }| {
        let (expression, zone) = when(planned);
        vec![
            planned.entry.line.to_string(),
            planned.id.to_string(),
            (*outcome).to_owned(),
            expression,
            zone,
            next.map_or_else(String::new, |at| format!("{at} ({})", relative(at, now))),
            planned.entry.user.clone().unwrap_or_default(),
            shortened(&planned.entry.command),
        ]
    });
    let head = ["line", "schedule", "outcome", "when", "zone", "next", "user", "command"];
    console.table(&head, rows.collect(), "no lines that run something")
}

fn when(planned: &Planned) -> (String, String) {
    match &planned.definition.recurrence {
        RecurrenceSpec::Cron { expression, zone, .. } => {
            (expression.split_whitespace().collect::<Vec<&str>>().join(" "), zone.clone())
        }
        RecurrenceSpec::Interval { every_ms, .. } => (format!("every {every_ms} ms"), String::new()),
    }
}

fn shortened(command: &str) -> String {
    let mut shown: String = command.chars().take(COMMAND_SHOWN).collect();
    if shown.len() < command.len() {
        shown.push('…');
    }
    shown
}

/// Says whose rights commands run with: a worker cannot become another user.
fn note_users(imported: &[Imported], console: &mut Console) -> Result<(), Failure> {
    let users: BTreeSet<&str> =
        imported.iter().filter_map(|line| line.planned.entry.user.as_deref()).collect();
    if users.is_empty() {
        return Ok(());
    }
    let names = users.into_iter().collect::<Vec<&str>>().join(", ");
    console.note(&format!(
        "commands run as the worker's own user; the files name {names} (header minutehand-user)"
    ))
}
