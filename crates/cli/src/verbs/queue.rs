//! `minutehand queue …`, `bucket list`, `partition list`

use reqwest::Method;
use serde_json::{Value, json};

use super::pages::{items, list};
use super::task::show;
use super::time_cells::{cell, time_cell};
use crate::args::{BucketVerb, DeadLetterSelection, PartitionVerb, QueueVerb, ServerArgs};
use crate::client::{Client, Routes};
use crate::console::Console;
use crate::exit::Failure;

pub(super) async fn run(
    server: &ServerArgs,
    verb: QueueVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let client = Client::new(server)?;
    let routes = Routes::new(&server.namespace);
    match verb {
        QueueVerb::List { group } => {
            let page = client.get(&routes.queues(), &[("group", group)]).await?.body;
            list_queues(page, console, json)
        }
        QueueVerb::Show { name, group } => {
            let queue = client.get(&routes.queue(&name), &[("group", group)]).await?.body;
            show(&queue, console, json)
        }
        QueueVerb::DeadLetters { name, limit } => {
            let listed = list(&client, &routes.dead_letters(&name), &[], "dead_letters", limit).await?;
            dead_letters(&listed.items, console, json)?;
            if listed.has_more && !json { console.note("there are more; --limit shows them") } else { Ok(()) }
        }
        QueueVerb::Replay(selection) => {
            settle(&client, &routes, &selection, ("replay", "put back"), console, json).await
        }
        QueueVerb::Discard(selection) => {
            settle(&client, &routes, &selection, ("discard", "threw away"), console, json).await
        }
    }
}

fn list_queues(page: Value, console: &mut Console, json: bool) -> Result<(), Failure> {
    let queues = items(page, "queues");
    if json {
        return queues.iter().try_for_each(|queue| console.json(queue));
    }
    let rows = queues.iter().map(|queue| {
        ["queue", "waiting", "in_progress", "settled", "dead_letters"]
            .map(|name| cell(queue, &[name]))
            .to_vec()
    });
    let head = ["queue", "waiting", "in progress", "settled", "dead letters"];
    console.table(&head, rows.collect(), "no queues: nothing has been published")
}

fn dead_letters(letters: &[Value], console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return letters.iter().try_for_each(|letter| console.json(letter));
    }
    let now = console.now();
    let rows = letters.iter().map(|letter| {
        vec![
            cell(letter, &["number"]),
            cell(letter, &["id"]),
            time_cell(letter, &["dead_at"], now),
            cell(letter, &["attempts"]),
            cell(letter, &["reason"]),
        ]
    });
    console.table(&["number", "task", "given up", "attempts", "reason"], rows.collect(), "no dead letters")
}

/// Replays or discards dead letters.
async fn settle(
    client: &Client,
    routes: &Routes,
    selection: &DeadLetterSelection,
    (action, word): (&str, &str),
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let body = if selection.all { json!({ "all": true }) } else { json!({ "numbers": selection.numbers }) };
    let path = routes.dead_letters_action(&selection.name, action);
    let (mut count, mut unreadable) = (0, 0);
    // One call takes so many and says whether there are more.
    loop {
        let answer = client.send(Method::POST, &path, &body).await?.body;
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        count += number("count");
        unreadable += number("unreadable");
        let has_more = answer.get("more").and_then(Value::as_bool).unwrap_or(false);
        if !has_more || number("count") == 0 {
            break;
        }
    }
    if json {
        return console.json(&json!({ "queue": selection.name, "count": count, "unreadable": unreadable }));
    }
    console.line(&format!("{word} {count} dead letters of {}", selection.name))?;
    match unreadable {
        0 => Ok(()),
        _ => console.note(&format!("{unreadable} stay: their tasks cannot be understood")),
    }
}

pub(super) async fn buckets(
    server: &ServerArgs,
    verb: BucketVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let BucketVerb::List { from, until } = verb;
    let routes = Routes::new(&server.namespace);
    let page = Client::new(server)?.get(&routes.buckets(), &[("from", from), ("until", until)]).await?.body;
    let buckets = items(page, "buckets");
    if json {
        return buckets.iter().try_for_each(|bucket| console.json(bucket));
    }
    let now = console.now();
    let rows = buckets.iter().map(|bucket| {
        vec![
            time_cell(bucket, &["minute"], now),
            cell(bucket, &["tasks"]),
            cell(bucket, &["stored"]),
            cell(bucket, &["in_memory"]),
            cell(bucket, &["bytes"]),
        ]
    });
    console.table(
        &["minute", "tasks", "stored", "in memory", "bytes"],
        rows.collect(),
        "no tasks in that time",
    )
}

pub(super) async fn partitions(
    server: &ServerArgs,
    verb: PartitionVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let PartitionVerb::List = verb;
    let routes = Routes::new(&server.namespace);
    let partitions = items(Client::new(server)?.get(&routes.partitions(), &[]).await?.body, "partitions");
    if json {
        return partitions.iter().try_for_each(|partition| console.json(partition));
    }
    let now = console.now();
    let rows = partitions.iter().map(|partition| {
        vec![
            cell(partition, &["partition"]),
            cell(partition, &["phase"]),
            cell(partition, &["epoch"]),
            cell(partition, &["applied"]),
            cell(partition, &["log_end"]),
            cell(partition, &["replay_from"]),
            time_cell(partition, &["published_until"], now),
            cell(partition, &["near_tasks"]),
            cell(partition, &["pending_entries"]),
        ]
    });
    let head = [
        "partition",
        "phase",
        "epoch",
        "applied",
        "log end",
        "replay from",
        "published until",
        "near",
        "pending",
    ];
    console.table(&head, rows.collect(), "no partitions")
}
