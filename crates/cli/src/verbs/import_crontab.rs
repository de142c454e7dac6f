//! `minutehand import crontab FILE…`

use std::collections::BTreeSet;

use minutehand_api::SchedulePage;
use minutehand_api::routes::{SCHEDULE, SCHEDULES};
use minutehand_calendar::{Cron, CronExpression, DstRule, Zone};
use minutehand_crontab::Known;
use minutehand_model::limits::CRONTAB_BYTES_MAX;
use minutehand_model::{QueueName, RecurrenceSpec, ScheduleId, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::pages::list;
use super::task::CREATED;
use crate::args::{ImportCrontabArgs, ServerArgs};
use crate::client::{Client, OfALine, Routes};
use crate::console::Console;
use crate::crontab::{
    CrontabFile, KnownBy, PlanError, Planned, PlannedFile, PlannedKind, known_line_of,
    machine_zone, plan,
};
use crate::exit::{Exit, Failure};
use crate::output::time::relative;

/// Characters of a command that a table shows.
const COMMAND_SHOWN: usize = 60;

/// What became of a line, or of a schedule that no line makes any more.
struct Row {
    path: String,
    id: ScheduleId,
    outcome: &'static str,
    /// The line and its next time; `None` for a schedule that has none.
    line: Option<(Planned, Option<Timestamp>)>,
}

/// A line of which no schedule was made.
struct RefusedLine {
    path: String,
    line: usize,
    /// Where the fault begins; `None` when a server has refused what the line became.
    column: Option<usize>,
    reason: String,
}

pub(super) async fn run(
    server: &ServerArgs,
    args: &ImportCrontabArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let zone = match &args.tz {
        Some(name) => {
            Zone::parse(name).map_err(|error| Failure::refused(format!("--tz: {error}")))?
        }
        None => machine_zone(),
    };
    let queue =
        QueueName::parse(&args.queue).map_err(|error| Failure::refused(error.to_string()))?;
    let naming = (args.prefix.as_str(), KnownBy::Name);
    let mut files =
        plan(&read(args, console)?, naming, &queue, &zone).map_err(|error| not_planned(&error))?;
    let mut import = Import {
        client: Client::new(server)?,
        routes: Routes::new(&server.namespace),
        dry_run: args.dry_run,
        prune: args.prune,
        now: console.now(),
        rows: Vec::new(),
        refused: Vec::new(),
    };
    let mut result = Ok(());
    for file in &mut files {
        result = import.file(file).await;
        if result.is_err() {
            break;
        }
    }
    let mut refused: Vec<RefusedLine> = files.iter().flat_map(refused_lines).collect();
    let lines = refused.len() + files.iter().map(|file| file.lines.len()).sum::<usize>();
    refused.append(&mut import.refused);
    // An empty table says that there are no lines: not where all were refused, or it went wrong.
    let may_be_empty = result.is_ok() && (json || refused.is_empty());
    if may_be_empty || !import.rows.is_empty() {
        print(&import.rows, import.now, console, json)?;
    }
    tell_refused(&refused, console, json)?;
    note_users(&import.rows, console)?;
    result?;
    match refused.len() {
        0 => Ok(()),
        few => Err(Failure::refused(format!(
            "{few} of {lines} lines were refused; the others were handled"
        ))),
    }
}

fn not_planned(error: &PlanError) -> Failure {
    Failure::refused(error.to_string()).with_hint(match error {
        PlanError::Undecided { .. } => "say which it is: --format user or --format system",
        PlanError::SameLabel { .. } => "import them one by one, each with a --prefix of its own",
    })
}

fn read(args: &ImportCrontabArgs, console: &mut Console) -> Result<Vec<CrontabFile>, Failure> {
    args.files
        .iter()
        .map(|path| {
            let bytes = console.read(path, CRONTAB_BYTES_MAX)?;
            Ok(CrontabFile {
                path: path.to_string_lossy().into_owned(),
                bytes,
                format: args.format,
            })
        })
        .collect()
}

/// An import under way, and what it has done so far.
struct Import {
    client: Client,
    routes: Routes,
    /// Nothing is written.
    dry_run: bool,
    /// Edited lines keep their schedules, and those of removed lines are deleted.
    prune: bool,
    now: Timestamp,
    rows: Vec<Row>,
    /// Lines that the server has refused.
    refused: Vec<RefusedLine>,
}

impl Import {
    async fn file(&mut self, file: &mut PlannedFile) -> Result<(), Failure> {
        let gone = match self.prune {
            true => file.follow(&self.known(file).await?),
            false => Vec::new(),
        };
        let refused_before = self.refused.len();
        for planned in &file.lines {
            let outcome = match &planned.kind {
                PlannedKind::AtStart => "not imported: runs at start",
                PlannedKind::Recurring if self.dry_run => "create",
                PlannedKind::Recurring => match self.upsert(planned).await {
                    Ok(outcome) => outcome,
                    Err(failure) if is_of_the_line(&failure) => {
                        self.refused.push(refused_line(failure, planned));
                        continue;
                    }
                    Err(failure) => return Err(at_line(failure, planned)),
                },
            };
            let line = Some((planned.clone(), next_time(planned, self.now)));
            self.rows.push(Row {
                path: file.path.clone(),
                id: planned.id.clone(),
                outcome,
                line,
            });
        }
        let is_whole = file.refused.is_empty() && self.refused.len() == refused_before;
        for id in gone {
            // The schedule may be that of a line with a typing error.
            let outcome = match (is_whole, self.dry_run) {
                (false, _) => "kept: the file has refused lines",
                (true, true) => "delete",
                (true, false) => {
                    self.client
                        .delete(&self.routes.of_id(SCHEDULE, id.as_str()), &[])
                        .await?;
                    "deleted"
                }
            };
            self.rows.push(Row {
                path: file.path.clone(),
                id,
                outcome,
                line: None,
            });
        }
        Ok(())
    }

    /// The schedules that earlier imports have made of a file.
    async fn known(&self, file: &PlannedFile) -> Result<Vec<Known>, Failure> {
        let query = [("prefix", Some(file.id_prefix()))];
        let listed =
            list::<SchedulePage>(&self.client, &self.routes.of(SCHEDULES), &query, usize::MAX)
                .await?;
        let known = listed.items.iter().filter_map(known_line_of);
        Ok(known
            .filter(|known| file.may_have_made(&known.id))
            .collect())
    }

    /// Creates a schedule, or changes the one with its id when it is another.
    async fn upsert(&self, planned: &Planned) -> Result<&'static str, Failure> {
        let line = OfALine::new(&planned.definition);
        let mut schedule = line.schedule();
        schedule.note = Some(format!("imported from {}", planned.path));
        let body = serde_json::to_value(&schedule).expect("a schedule has a JSON form");
        schedule.id = Some(planned.id.to_string());
        match self
            .client
            .send(Method::POST, &self.routes.of(SCHEDULES), &schedule)
            .await
        {
            Ok(answer) if answer.status == CREATED => return Ok("created"),
            Ok(_) => return Ok("unchanged"),
            Err(failure) if failure.exit != Exit::Conflict => return Err(failure),
            Err(_) => {}
        }
        let path = self.routes.of_id(SCHEDULE, planned.id.as_str());
        let present = self.client.get(&path, &[]).await?;
        if is_same(&present.body, &body) {
            return Ok("unchanged");
        }
        let patched = match &present.etag {
            Some(tag) => self.client.send_if(Method::PATCH, &path, &body, tag).await,
            None => self.client.send(Method::PATCH, &path, &body).await,
        };
        patched.map(|_| "changed")
    }
}

/// Whether a failure says something of the line, so that the next one may fare better.
fn is_of_the_line(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Refused | Exit::Conflict)
}

fn refused_line(failure: Failure, planned: &Planned) -> RefusedLine {
    RefusedLine {
        path: planned.path.clone(),
        line: planned.entry.line,
        column: None,
        reason: failure.message,
    }
}

fn at_line(mut failure: Failure, planned: &Planned) -> Failure {
    failure.message = format!(
        "{}:{}: {}",
        planned.path, planned.entry.line, failure.message
    );
    failure
}

/// Whether what is wanted is there already; a note does not count, nor what somebody has set beside
/// it.
fn is_same(present: &Value, wanted: &Value) -> bool {
    wanted
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "note")
        .all(|(name, value)| match present.get(name) {
            Some(found) => covers(found, value),
            None => value.as_object().is_some_and(Map::is_empty),
        })
}

/// Whether everything that is wanted is there; the server may say more.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| present.get(name).is_some_and(|found| covers(found, value))),
        _ => present == wanted,
    }
}

fn next_time(planned: &Planned, now: Timestamp) -> Option<Timestamp> {
    let RecurrenceSpec::Cron {
        expression, zone, ..
    } = &planned.definition.recurrence
    else {
        return None;
    };
    let cron = Cron::new(
        CronExpression::parse(expression).ok()?,
        Zone::parse(zone).ok()?,
        DstRule::Vixie,
    );
    cron.next_after(now)
}

fn print(rows: &[Row], now: Timestamp, console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return rows.iter().try_for_each(|row| console.json(&as_json(row)));
    }
    let cells = rows.iter().map(|row| {
        let Some((planned, next)) = &row.line else {
            let rest = std::iter::repeat_n(String::new(), 5);
            return [String::new(), row.id.to_string(), row.outcome.to_owned()]
                .into_iter()
                .chain(rest)
                .collect();
        };
        let (expression, zone) = when(planned);
        vec![
            planned.entry.line.to_string(),
            row.id.to_string(),
            row.outcome.to_owned(),
            expression,
            zone,
            next.map_or_else(String::new, |at| format!("{at} ({})", relative(at, now))),
            planned.entry.user.clone().unwrap_or_default(),
            shortened(&planned.entry.command),
        ]
    });
    let head = [
        "line", "schedule", "outcome", "when", "zone", "next", "user", "command",
    ];
    console.table(&head, cells.collect(), "no lines that run something")
}

fn as_json(row: &Row) -> Value {
    let Some((planned, next)) = &row.line else {
        return json!({ "file": row.path, "id": row.id.as_str(), "outcome": row.outcome });
    };
    let (expression, zone) = when(planned);
    json!({
        "file": row.path,
        "line": planned.entry.line,
        "id": row.id.as_str(),
        "outcome": row.outcome,
        "cron": expression,
        "tz": zone,
        "user": planned.entry.user,
        "command": planned.entry.command,
        "stdin": planned.entry.stdin,
        "next": next.map(|at| at.to_string()),
    })
}

fn when(planned: &Planned) -> (String, String) {
    match &planned.definition.recurrence {
        RecurrenceSpec::Cron {
            expression, zone, ..
        } => (expression.clone(), zone.clone()),
        RecurrenceSpec::Interval { every_ms, zone, .. } => {
            (format!("every {every_ms} ms"), zone.clone())
        }
    }
}

fn shortened(command: &str) -> String {
    let mut shown: String = command.chars().take(COMMAND_SHOWN).collect();
    if shown.len() < command.len() {
        shown.push('…');
    }
    shown
}

/// The lines of a file that were refused before any server was asked.
fn refused_lines(file: &PlannedFile) -> impl Iterator<Item = RefusedLine> {
    file.refused.iter().map(|error| RefusedLine {
        path: file.path.clone(),
        line: error.line,
        column: Some(error.column),
        reason: error.reason.to_string(),
    })
}

fn tell_refused(refused: &[RefusedLine], console: &mut Console, json: bool) -> Result<(), Failure> {
    for refused in refused {
        let RefusedLine {
            path,
            line,
            column,
            reason,
        } = refused;
        if json {
            console
                .json(&json!({ "file": path, "line": line, "column": column, "error": reason }))?;
        } else {
            let column = column.map_or_else(String::new, |column| format!(":{column}"));
            console.note(&format!("{path}:{line}{column}: {reason}"))?;
        }
    }
    Ok(())
}

/// Says whose rights commands run with: a worker cannot become another user.
fn note_users(rows: &[Row], console: &mut Console) -> Result<(), Failure> {
    let lines = rows.iter().filter_map(|row| row.line.as_ref());
    let users: BTreeSet<&str> = lines
        .filter_map(|(planned, _)| planned.entry.user.as_deref())
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let names = users.into_iter().collect::<Vec<&str>>().join(", ");
    console.note(&format!(
        "a worker runs a command as its own user or not at all; the files name {names} (header minutehand-user)"
    ))
}
