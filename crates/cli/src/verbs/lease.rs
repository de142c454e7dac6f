//! `minutehand queue lease`, and the answers to leases.

use std::time::Duration;

use minutehand_api::routes::fill;
use minutehand_api::{
    LeaseAnswer, LeaseAnswers, LeaseStatus, Leases, LeasesAnswered, NewLeases, Payload,
    QueueAction, Text,
};
use reqwest::Method;
use serde_json::value::to_raw_value;

use crate::args::{AckArgs, ExtendArgs, LeaseArgs, LeasesArgs, NackArgs, SnoozeArgs};
use crate::client::{Client, length};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::duration::parse_ms;
use crate::output::time::with_relative;

/// Takes executions: as a table, or as the API tells them.
pub(super) async fn lease(
    client: Client,
    args: &LeaseArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let wait_ms = parse_ms(&args.wait).unwrap_or(0);
    let client = client.waiting(Duration::from_millis(wait_ms.unsigned_abs()));
    let body = NewLeases {
        group: args.group.as_deref().map(Text::from),
        max: args.max,
        wait: Some(length(&args.wait)),
        visibility: length(&args.visibility),
    };
    let path = fill(QueueAction::Lease.route(), &[&args.name]);
    let answer = client.send(Method::POST, &path, &body).await?;
    let Leases { leases } = answer.read()?;
    if json {
        return leases.iter().try_for_each(|lease| console.json(lease));
    }
    let now = console.now();
    let rows = leases.iter().map(|lease| {
        let Payload {
            payload,
            payload_base64,
        } = &lease.payload;
        let payload = payload.as_ref().or(payload_base64.as_ref());
        vec![
            lease.lease_id.clone(),
            lease.task_id.clone(),
            lease.attempt.to_string(),
            with_relative(&lease.expires_at, now),
            payload
                .map_or("", String::as_str)
                .chars()
                .take(60)
                .collect(),
        ]
    });
    let head = ["lease", "task", "attempt", "expires", "payload"];
    console.table(&head, rows.collect(), "nothing waits")
}

pub(super) async fn ack(
    client: &Client,
    args: &AckArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let result = args
        .result
        .as_ref()
        .map(|text| to_raw_value(text).expect("a text has a JSON form"));
    let answer = || LeaseAnswer {
        result: result.as_deref(),
        ..LeaseAnswer::default()
    };
    say(client, QueueAction::Ack, &args.which, answer, console, json).await
}

pub(super) async fn nack(
    client: &Client,
    args: &NackArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let answer = || LeaseAnswer {
        error: args.error.as_deref().map(Text::from),
        delay: args.delay.as_deref().map(length),
        ..LeaseAnswer::default()
    };
    let which = &args.which;
    say(client, QueueAction::Nack, which, answer, console, json).await
}

pub(super) async fn extend(
    client: &Client,
    args: &ExtendArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let answer = || LeaseAnswer {
        visibility: Some(length(&args.visibility)),
        ..LeaseAnswer::default()
    };
    let which = &args.which;
    say(client, QueueAction::Extend, which, answer, console, json).await
}

pub(super) async fn snooze(
    client: &Client,
    args: &SnoozeArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let answer = || LeaseAnswer {
        delay: Some(length(&args.delay)),
        ..LeaseAnswer::default()
    };
    let which = &args.which;
    say(client, QueueAction::Snooze, which, answer, console, json).await
}

/// Answers leases, all with the same words. It fails when one of them was not taken.
async fn say<'a>(
    client: &Client,
    action: QueueAction,
    which: &'a LeasesArgs,
    answer: impl Fn() -> LeaseAnswer<'a>,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let items = which.leases.iter().map(|lease| LeaseAnswer {
        lease_id: Text::from(lease.as_str()),
        ..answer()
    });
    let body = LeaseAnswers {
        items: items.collect(),
    };
    let path = fill(action.route(), &[&which.name]);
    let LeasesAnswered { items } = client.send(Method::POST, &path, &body).await?.read()?;
    for item in &items {
        if json {
            console.json(item)?;
        } else {
            console.line(&format!("{} {}", item.lease_id, item.status))?;
        }
    }
    let others = items
        .iter()
        .filter(|item| item.status != LeaseStatus::Done)
        .count();
    if others == 0 {
        return Ok(());
    }
    let message = format!("{others} of {} answers were not taken", items.len());
    Err(Failure::new(Exit::Failed, message)
        .with_hint("a lease that has ended is answered no more: its execution is handed out again"))
}
