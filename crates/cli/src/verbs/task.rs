//! `minutehand task …`

use minutehand_api::routes::{TASK, TASKS};
use minutehand_api::{Duration, NewChainedTask, Task, TaskHandle, TaskMove, TaskPage, Text};
use minutehand_model::MoveMode;
use reqwest::Method;
use serde_json::Value;

use super::pages::{list, tell_more};
use super::time_cells::{all_fields, cell};
use crate::args::{ServerArgs, TaskCreateArgs, TaskListArgs, TaskMoveArgs, TaskVerb};
use crate::client::{Action, Client, Routes, length};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::duration::parse_ms;
use crate::output::table::fields;
use crate::output::time::with_relative;

/// The status of what is new; what was there before has another.
pub(super) const CREATED: u16 = 201;

pub(super) async fn run(
    server: &ServerArgs,
    verb: TaskVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let client = Client::new(server)?;
    let routes = Routes::new(&server.namespace);
    match verb {
        TaskVerb::Create(args) => create(&client, &routes, &args, console, json).await,
        TaskVerb::Get { id, key, wait } => {
            let wait_ms = wait.as_deref().and_then(|text| parse_ms(text).ok());
            let longer = std::time::Duration::from_millis(wait_ms.unwrap_or(0).unsigned_abs());
            let path = routes.of_id(TASK, &id);
            let client = client.waiting(longer);
            let task = client
                .get(&path, &[("key", key), ("wait", wait)])
                .await?
                .body;
            show(&task, console, json)
        }
        TaskVerb::Cancel {
            id,
            key,
            due_at,
            running,
            queue,
        } => {
            let running = running.map(|how| how.to_string());
            let query = [
                ("key", key),
                ("due_at", due_at),
                ("running", running),
                ("queue", queue),
            ];
            let answer = client.delete(&routes.of_id(TASK, &id), &query).await?.body;
            done(&format!("cancelled {id}"), &id, &answer, console, json)
        }
        TaskVerb::Reschedule(args) => reschedule(&client, &routes, &args, console, json).await,
        TaskVerb::List(args) => list_tasks(&client, &routes, &args, console, json).await,
        TaskVerb::Import(_) => Err(Failure::new(Exit::Usage, "import reads a file")),
    }
}

async fn create(
    client: &Client,
    routes: &Routes,
    args: &TaskCreateArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let Some(queue) = &args.action.queue else {
        return Err(Failure::new(
            Exit::Usage,
            "--queue is missing: the queue that the task's execution goes to",
        ));
    };
    let action = Action::new(&args.action, console)?;
    let mut task = action.task(queue);
    task.id = args.id.as_deref().map(Text::from);
    task.key = args.key.as_deref().map(Text::from);
    (task.due_at, task.delay) = when(args.at.as_deref(), args.delay.as_deref())?;
    task.on_success = chained(args.on_success.as_deref());
    task.on_failure = chained(args.on_failure.as_deref());
    let answer = client.send(Method::POST, &routes.of(TASKS), &task).await?;
    if json {
        return console.json(&answer.body);
    }
    let TaskHandle { id, due_at, .. } = answer.read()?;
    let due = with_relative(&due_at, console.now());
    console.line(&match answer.status {
        CREATED => format!("created {id}, due {due}"),
        _ => format!("{id}, due {due}, was there already: nothing was created"),
    })
}

/// What follows a task. Arguments hold texts that have been checked.
fn chained(text: Option<&str>) -> Option<NewChainedTask<'_>> {
    text.and_then(|text| minutehand_api::json::read(text.as_bytes()).ok())
}

/// The due time of a request; one of the two arguments must be there.
fn when<'a>(
    at: Option<&'a str>,
    delay: Option<&'a str>,
) -> Result<(Option<Text<'a>>, Option<Duration<'a>>), Failure> {
    if at.or(delay).is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "say when: --in DURATION or --at TIME",
        ));
    }
    Ok((at.map(Text::from), delay.map(length)))
}

async fn reschedule(
    client: &Client,
    routes: &Routes,
    args: &TaskMoveArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let (due_at, delay) = when(args.at.as_deref(), args.delay.as_deref())?;
    let from_due_at = args.due_at.as_deref().map(Text::from);
    let mode = args
        .only_if_not_published
        .then_some(MoveMode::OnlyIfNotPublished);
    let wanted = TaskMove {
        due_at,
        delay,
        from_due_at,
        mode,
    };
    let routes = Routes::new(routes.namespace()).keyed(args.key.as_deref());
    let path = routes.of_id(TASK, &args.id);
    let answer = client.send(Method::PATCH, &path, &wanted).await?;
    let due = with_relative(&answer.read::<Task>()?.due_at, console.now());
    done(
        &format!("moved {}, due {due}", args.id),
        &args.id,
        &answer.body,
        console,
        json,
    )
}

async fn list_tasks(
    client: &Client,
    routes: &Routes,
    args: &TaskListArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let query = [
        ("state", args.state.map(|state| state.to_string())),
        ("queue", args.queue.clone()),
        ("from", args.from.clone()),
        ("until", args.until.clone()),
        ("prefix", args.listing.prefix.clone()),
    ];
    let listed = list::<TaskPage>(client, &routes.of(TASKS), &query, args.listing.limit).await?;
    if json {
        return listed.items.iter().try_for_each(|task| console.json(task));
    }
    let now = console.now();
    let rows = listed.items.iter().map(|task| {
        vec![
            task.id.clone(),
            cell(task.key.as_ref()),
            cell(task.queue.as_ref()),
            with_relative(&task.due_at, now),
            task.state.to_string(),
            cell(task.attempt),
        ]
    });
    console.table(
        &["id", "key", "queue", "due", "state", "attempt"],
        rows.collect(),
        "no tasks",
    )?;
    tell_more(listed.has_more, console)
}

/// Shows an object: every field, or as JSON.
pub(super) fn show(value: &Value, console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return console.json(value);
    }
    let pairs = all_fields(value, console.now());
    let pairs: Vec<(&str, String)> = pairs
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    console.line(&fields(&pairs))
}

/// Says that something was done; as JSON the server's answer, or the id when it had nothing to say.
pub(super) fn done(
    sentence: &str,
    id: &str,
    answer: &Value,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    match (json, answer) {
        (false, _) => console.line(sentence),
        (true, Value::Null) => console.json(&serde_json::json!({ "id": id })),
        (true, answer) => console.json(answer),
    }
}
