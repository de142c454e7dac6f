//! `minutehand queue …`, `bucket list`, `partition …`

use std::collections::BTreeMap;

use minutehand_api::routes::{
    BUCKETS, DEAD_LETTERS, DEAD_LETTERS_DISCARD, DEAD_LETTERS_REPLAY, PARTITIONS, QUEUE, QUEUES,
    SKIPS, TASKS, fill,
};
use minutehand_api::{
    DeadLetter, DeadLetterFilter as Filter, DeadLetterPage, DeadLetterSelection as Selected,
    DeadLettersSettled, Load, NamespaceLimit, NewSkip, Partitions, Queue, QueueAction,
    QueueBreaker, QueueLimit, QueuePause, QueueResumption, Queues, TaskPage, Text,
};
use minutehand_model::{QueueState, Timestamp};
use reqwest::Method;
use serde_json::json;

use super::audit;
use super::lease;
use super::pages::{list, tell_more};
use super::task::show;
use super::time_cells::{cell, time_cell};
use crate::args::{
    BucketVerb, DeadLetterFilter, DeadLetterSelection, LimitArgs, PartitionVerb, QueueVerb,
    ServerArgs,
};
use crate::client::{Client, Routes, length};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::time::with_relative;

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
            let Queues { queues } = client.get(QUEUES, &[("group", group)]).await?.read()?;
            if queues.is_empty() && !json {
                return console.note(&nothing_published(&client, &routes).await);
            }
            list_queues(&queues, console, json)
        }
        QueueVerb::Show { name, group } => {
            let answer = client
                .get(&fill(QUEUE, &[&name]), &[("group", group)])
                .await?;
            if numbers(&answer.read()?).iter().all(|number| *number == 0) {
                require_queue(&client, &name).await?;
            }
            show(&answer.body, console, json)
        }
        QueueVerb::Lease(args) => lease::lease(client, &args, console, json).await,
        QueueVerb::Ack(args) => lease::ack(&client, &args, console, json).await,
        QueueVerb::Nack(args) => lease::nack(&client, &args, console, json).await,
        QueueVerb::Extend(args) => lease::extend(&client, &args, console, json).await,
        QueueVerb::Snooze(args) => lease::snooze(&client, &args, console, json).await,
        verb @ (QueueVerb::Pause { .. }
        | QueueVerb::Resume { .. }
        | QueueVerb::Purge { .. }
        | QueueVerb::Limit(_)
        | QueueVerb::Delete { .. }) => change(&client, verb, console, json).await,
        QueueVerb::DeadLetters {
            name,
            filter,
            limit,
        } => {
            let query = [
                ("namespace", filter.of_namespace),
                ("reason", filter.reason),
                ("since", filter.since),
                ("before", filter.before),
            ];
            let path = fill(DEAD_LETTERS, &[&name]);
            let listed = list::<DeadLetterPage>(&client, &path, &query, limit).await?;
            if listed.items.is_empty() {
                require_queue(&client, &name).await?;
            }
            dead_letters(&listed.items, console, json)?;
            tell_more(listed.has_more && !json, console)
        }
        QueueVerb::Replay(selection) => {
            settle(
                &client,
                &selection,
                (DEAD_LETTERS_REPLAY, "replayed"),
                console,
                json,
            )
            .await
        }
        QueueVerb::Discard { selection, yes } => {
            let question = format!("discard all dead letters of {} for good?", selection.name);
            if selection.all && !yes && !console.confirmed(&question)? {
                return Err(Failure::new(Exit::Failed, "nothing was discarded"));
            }
            settle(
                &client,
                &selection,
                (DEAD_LETTERS_DISCARD, "discarded"),
                console,
                json,
            )
            .await
        }
    }
}

/// Says something of a queue, and how it stands then.
async fn change(
    client: &Client,
    verb: QueueVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let post = |action: QueueAction, name: &str| (Method::POST, fill(action.route(), &[name]));
    let kept = || Err(Failure::new(Exit::Failed, "nothing was cancelled"));
    let (method, path, body) = match &verb {
        QueueVerb::Pause {
            name,
            until,
            r#for,
            reason,
            probe_every,
            drain_per_second,
        } => {
            let pause = QueuePause {
                until: until.as_deref().map(Text::from),
                duration: r#for.as_deref().map(length),
                reason: reason.as_deref().map(Text::from),
                probe_every: probe_every.as_deref().map(length),
                drain_per_second: *drain_per_second,
            };
            let (method, path) = post(QueueAction::Pause, name);
            (method, path, json!(pause))
        }
        QueueVerb::Resume {
            name,
            drain_per_second,
        } => {
            let (method, path) = post(QueueAction::Resume, name);
            let drain_per_second = *drain_per_second;
            (method, path, json!(QueueResumption { drain_per_second }))
        }
        QueueVerb::Limit(args) => {
            let (method, path) = post(QueueAction::Limit, &args.name);
            (method, path, json!(limit(args)))
        }
        QueueVerb::Purge { name, yes } => {
            if !yes && !console.confirmed(&format!("cancel all that waits in {name}?"))? {
                return kept();
            }
            let (method, path) = post(QueueAction::Purge, name);
            (method, path, json!({}))
        }
        QueueVerb::Delete { name, yes } => {
            let question =
                format!("cancel all that waits in {name}, and discard its dead letters?");
            if !yes && !console.confirmed(&question)? {
                return kept();
            }
            (Method::DELETE, fill(QUEUE, &[name]), json!({}))
        }
        _ => return Ok(()),
    };
    let answer = match method {
        Method::DELETE => client.delete(&path, &[]).await?,
        method => client.send(method, &path, &body).await?,
    };
    if json {
        return console.json(&answer.body);
    }
    let queue: Queue = answer.read()?;
    match verb {
        QueueVerb::Delete { name, .. } => {
            let waiting = queue.waiting;
            console.line(&format!("deleted {name}, {waiting} waiting are cancelled"))
        }
        _ => console.line(&standing(&queue, console.now())),
    }
}

/// What is said of how much a queue hands out.
fn limit(args: &LimitArgs) -> QueueLimit<'_> {
    let mut namespaces: BTreeMap<String, NamespaceLimit> = BTreeMap::new();
    for (name, weight) in &args.weight {
        namespaces.entry(name.clone()).or_default().weight = Some(*weight);
    }
    for (name, rate) in &args.rate {
        namespaces.entry(name.clone()).or_default().per_second = Some(*rate);
    }
    QueueLimit {
        per_second: args.per_second,
        concurrency_per_key: args.concurrency_per_key,
        namespace_per_second: args.namespace_per_second,
        namespaces: (!namespaces.is_empty()).then_some(namespaces),
        breaker: args.pause_after_failures.map(|failures| QueueBreaker {
            failures,
            probe_every: args.probe_every.as_deref().map(length),
            drain_per_second: args.drain_per_second,
        }),
    }
}

/// How a queue stands, in a line.
fn standing(queue: &Queue, now: Timestamp) -> String {
    let paused = queue.paused.as_ref();
    let until = paused.and_then(|paused| paused.until.as_ref());
    let end = match (queue.state, until) {
        (QueueState::Paused | QueueState::Probing, Some(until)) => {
            format!(" until {}", with_relative(until, now))
        }
        _ => String::new(),
    };
    let rate = queue
        .per_second_max
        .map(|rate| format!(", at most {rate} a second"));
    let of_a_key = queue
        .concurrency_per_key
        .map(|count| format!(", {count} of a key at once"));
    let of_each = queue
        .namespace_per_second
        .map(|rate| format!(", {rate} a second of a namespace"));
    let of_some = queue.namespaces.iter().map(|(name, limit)| {
        let weight = limit.weight.unwrap_or(1);
        let rate = limit.per_second.map(|rate| format!(", {rate} a second"));
        format!("; {name}: weight {weight}{}", rate.unwrap_or_default())
    });
    let breaker = queue.breaker.as_ref().map(|breaker| {
        let failures = breaker.failures;
        format!(", paused after {failures} failures in a row")
    });
    let limits = rate.into_iter().chain(of_a_key).chain(of_each);
    let limits = limits.chain(breaker);
    let limit: String = limits.chain(of_some).collect();
    let Queue {
        queue,
        state,
        waiting,
        ..
    } = queue;
    format!("{queue} is {state}{end}, {waiting} waiting{limit}")
}

/// The numbers of a queue.
fn numbers(queue: &Queue) -> [u64; 4] {
    [
        queue.waiting,
        queue.in_progress,
        queue.settled,
        queue.dead_letters,
    ]
}

fn list_queues(queues: &[Queue], console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return queues.iter().try_for_each(|queue| console.json(queue));
    }
    let now = console.now();
    let rows = queues.iter().map(|queue| {
        let numbers = numbers(queue).into_iter().map(|number| number.to_string());
        let oldest = time_cell(queue.oldest_at.as_ref(), now);
        std::iter::once(queue.queue.clone())
            .chain(numbers)
            .chain([queue.state.to_string(), oldest])
            .collect()
    });
    let head = [
        "queue",
        "waiting",
        "in progress",
        "settled",
        "dead letters",
        "state",
        "oldest",
    ];
    console.table(&head, rows.collect(), "")
}

/// Why there is no queue yet: they come into being with the first execution.
async fn nothing_published(client: &Client, routes: &Routes) -> String {
    /// Tasks that are counted; more are told as more.
    const COUNTED_MAX: usize = 100;
    // Whoever may see queues may not see tasks: then nothing is said of them.
    let tasks = list::<TaskPage>(client, &routes.of(TASKS), &[], COUNTED_MAX).await;
    let waiting = match tasks.map(|tasks| (tasks.items.len(), tasks.has_more)) {
        Ok((1, false)) => "; 1 task waits (minutehand task list)".to_owned(),
        Ok((count @ 2.., false)) => format!("; {count} tasks wait (minutehand task list)"),
        Ok((count, true)) => format!("; more than {count} tasks wait (minutehand task list)"),
        Ok(_) | Err(_) => String::new(),
    };
    format!("no queues: nothing has been published yet{waiting}")
}

/// Refuses a queue that nothing was ever published to: most likely its name is mistyped.
async fn require_queue(client: &Client, name: &str) -> Result<(), Failure> {
    let Queues { queues } = client.get(QUEUES, &[]).await?.read()?;
    if queues.iter().any(|queue| queue.queue == name) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotFound,
        format!("there is no queue {name}: nothing has been published to it"),
    )
    .with_hint("minutehand queue list lists the queues"))
}

fn dead_letters(letters: &[DeadLetter], console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return letters.iter().try_for_each(|letter| console.json(letter));
    }
    let now = console.now();
    let rows = letters.iter().map(|letter| {
        vec![
            letter.number.to_string(),
            cell(letter.id.as_ref()),
            with_relative(&letter.dead_at, now),
            letter.attempts.to_string(),
            letter.reason.clone(),
        ]
    });
    console.table(
        &["number", "task", "given up", "attempts", "reason"],
        rows.collect(),
        "no dead letters",
    )
}

/// Replays or discards dead letters.
async fn settle(
    client: &Client,
    selection: &DeadLetterSelection,
    (route, word): (&str, &str),
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let has_filter = selection.filter != DeadLetterFilter::default();
    if !selection.all && !has_filter && selection.numbers.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "say which: the numbers that `queue dead-letters` shows, a filter such as --reason, or --all",
        ));
    }
    let DeadLetterFilter {
        of_namespace: namespace,
        reason,
        since,
        before,
    } = selection.filter.clone();
    let filter = Filter {
        namespace,
        reason,
        since,
        before,
    };
    let body = Selected {
        all: selection.all.then_some(true),
        filter: has_filter.then_some(filter),
        numbers: (!selection.all && !has_filter).then(|| selection.numbers.clone()),
    };
    let path = fill(route, &[&selection.name]);
    let (mut count, mut unreadable) = (0, 0);
    // One call takes so many and says whether there are more.
    loop {
        let settled: DeadLettersSettled = client.send(Method::POST, &path, &body).await?.read()?;
        count += settled.count;
        unreadable += settled.unreadable;
        if !settled.more || settled.count == 0 {
            break;
        }
    }
    if json {
        console
            .json(&json!({ "queue": selection.name, "count": count, "unreadable": unreadable }))?;
    } else if count > 0 {
        let letters = if count == 1 {
            "dead letter"
        } else {
            "dead letters"
        };
        console.line(&format!("{word} {count} {letters} of {}", selection.name))?;
    }
    if unreadable > 0 && !json {
        console.note(&format!(
            "{unreadable} stay: their tasks cannot be understood"
        ))?;
    }
    if count > 0 {
        return Ok(());
    }
    let which = match (selection.all, has_filter) {
        (true, _) => "",
        (false, true) => " that are like this",
        (false, false) => " of these numbers",
    };
    Err(Failure::new(
        Exit::NotFound,
        format!("{} has no dead letters{which}", selection.name),
    )
    .with_hint(format!(
        "minutehand queue dead-letters {} lists them",
        selection.name
    )))
}

pub(super) async fn buckets(
    server: &ServerArgs,
    verb: BucketVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let (from, until) = match verb {
        BucketVerb::List { from, until } => (from, until),
        BucketVerb::Audit { minute } => return audit::run(server, minute, console, json).await,
    };
    let answer = Client::new(server)?
        .get(BUCKETS, &[("from", from), ("until", until)])
        .await?;
    let Load { buckets } = answer.read()?;
    if json {
        return buckets.iter().try_for_each(|bucket| console.json(bucket));
    }
    let now = console.now();
    let rows = buckets.iter().map(|bucket| {
        vec![
            with_relative(&bucket.minute, now),
            bucket.tasks.to_string(),
            bucket.stored.to_string(),
            bucket.in_memory.to_string(),
            bucket.bytes.to_string(),
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
    if let PartitionVerb::Skip {
        partition,
        offset,
        through,
        reason,
    } = verb
    {
        let body = NewSkip {
            offset,
            through,
            reason,
        };
        let path = fill(SKIPS, &[&partition.to_string()]);
        let skipped = Client::new(server)?
            .send(Method::POST, &path, &body)
            .await?
            .body;
        if json {
            return console.json(&skipped);
        }
        let records = match through {
            Some(through) => format!("{offset} to {through}"),
            None => offset.to_string(),
        };
        return console.line(&format!(
            "partition {partition} passes over {records} from its next start on"
        ));
    }
    let Partitions { partitions, .. } = Client::new(server)?.get(PARTITIONS, &[]).await?.read()?;
    if json {
        return partitions
            .iter()
            .try_for_each(|partition| console.json(partition));
    }
    let now = console.now();
    let rows = partitions.iter().map(|partition| {
        vec![
            partition.partition.to_string(),
            partition.phase.to_string(),
            partition.epoch.to_string(),
            partition.applied.to_string(),
            partition.log_end.to_string(),
            partition.replay_from.to_string(),
            time_cell(partition.published_until.as_ref(), now),
            partition.near_tasks.to_string(),
            partition.pending_entries.to_string(),
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
    console.table(&head, rows.collect(), "no partitions")?;
    for partition in &partitions {
        if let Some(reason) = &partition.reason {
            console.line(&format!("partition {}: {reason}", partition.partition))?;
        }
    }
    Ok(())
}
