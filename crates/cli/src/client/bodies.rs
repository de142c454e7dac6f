//! The JSON bodies of requests, built from arguments.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minutehand_api::Definition;
use minutehand_model::{DstRule, Guarantee, MisfireRule, OverlapPolicy, Precision, ScheduleDefinition};
use serde_json::{Map, Value, json};

use crate::args::{ActionArgs, PoliciesArgs, RecurrenceArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::output::duration::parse_ms;

/// The headers that executors take their instructions from.
const URL_HEADER: &str = "minutehand-url";
const COMMAND_HEADER: &str = "minutehand-command";
const TIME_LIMIT_HEADER: &str = "minutehand-timeout-ms";

/// A body that grows by what is there.
type Body = Map<String, Value>;

fn put(body: &mut Body, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

fn put_ms(body: &mut Body, name: &str, duration: Option<&String>) {
    // Arguments hold durations that have been checked.
    put(body, name, duration.and_then(|text| parse_ms(text).ok()));
}

/// The payload as the API takes it: text as text, other bytes in base64.
fn put_payload(body: &mut Body, bytes: Vec<u8>) {
    match String::from_utf8(bytes) {
        Ok(text) => body.insert("payload".to_owned(), text.into()),
        Err(error) => body.insert("payload_base64".to_owned(), STANDARD.encode(error.as_bytes()).into()),
    };
}

/// `due_at` or `delay`.
pub(crate) fn delay_or_time(body: &mut Body, at: Option<&String>, delay: Option<&String>) {
    put(body, "due_at", at.cloned());
    put(body, "delay", delay.cloned());
}

/// Queue, payload, headers, retry, guarantee and precision: what is given of them.
pub(crate) fn action(args: &ActionArgs, console: &mut Console) -> Result<Body, Failure> {
    let mut body = Body::new();
    put(&mut body, "queue", args.queue.clone());
    if let Some(text) = &args.payload {
        put_payload(&mut body, text.clone().into_bytes());
    } else if let Some(path) = &args.payload_file {
        put_payload(&mut body, console.read(path)?);
    }
    let mut headers: Body =
        args.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    put(&mut headers, URL_HEADER, args.url.clone());
    put(&mut headers, COMMAND_HEADER, args.command.clone());
    let time_limit = args.time_limit.as_ref().and_then(|text| parse_ms(text).ok());
    put(&mut headers, TIME_LIMIT_HEADER, time_limit.map(|ms| ms.to_string()));
    if !headers.is_empty() {
        body.insert("headers".to_owned(), headers.into());
    }
    put(&mut body, "retry", args.retry.clone());
    put(&mut body, "guarantee", args.guarantee.map(Guarantee::as_str));
    put(&mut body, "precision", args.precision.map(Precision::as_str));
    Ok(body)
}

/// When a schedule recurs: what is given of it.
pub(crate) fn recurrence(args: &RecurrenceArgs) -> Body {
    let mut body = Body::new();
    put(&mut body, "cron", args.cron.clone());
    put(&mut body, "time_zone", args.tz.clone());
    put(&mut body, "dst", args.dst.map(DstRule::as_str));
    put(&mut body, "every", args.every.clone());
    put(&mut body, "anchor_at", args.anchor.clone());
    if !args.exclude.is_empty() {
        body.insert("exclude".to_owned(), args.exclude.clone().into());
    }
    put(&mut body, "start_at", args.start.clone());
    put(&mut body, "end_at", args.end.clone());
    put(&mut body, "max_runs", args.max_runs);
    put_ms(&mut body, "jitter_ms", args.jitter.as_ref());
    body
}

/// What happens when a schedule is late, busy or fails: what is given of it.
pub(crate) fn policies(args: &PoliciesArgs) -> Body {
    let mut body = Body::new();
    let mut misfire = Body::new();
    put(&mut misfire, "rule", args.misfire.map(MisfireRule::as_str));
    put_ms(&mut misfire, "window_ms", args.misfire_window.as_ref());
    if !misfire.is_empty() {
        body.insert("misfire".to_owned(), misfire.into());
    }
    put(&mut body, "overlap", args.overlap.map(OverlapPolicy::as_str));
    put(&mut body, "pause_on_failure", args.pause_on_failure);
    put_ms(&mut body, "run_timeout_ms", args.run_timeout.as_ref());
    put(&mut body, "note", args.note.clone());
    body
}

/// The fields of a schedule that a line of a crontab decides. The others are left to the server and to whoever has set
/// them there.
const OF_A_LINE: &[&str] = &[
    "cron",
    "dst",
    "every",
    "anchor_at",
    "time_zone",
    "queue",
    "payload",
    "payload_base64",
    "headers",
    "retry",
    "guarantee",
    "precision",
    "overlap",
];

/// What a line of a crontab says of its schedule, as creating or patching it takes it.
pub(crate) fn line_body(definition: &ScheduleDefinition) -> Body {
    let whole = serde_json::to_value(Definition::from(definition)).expect("a definition has a JSON form");
    let Value::Object(mut body) = whole else { unreachable!("it is an object") };
    body.retain(|field, _| OF_A_LINE.contains(&field.as_str()));
    if definition.jitter_ms > 0 {
        put(&mut body, "jitter_ms", Some(definition.jitter_ms));
    }
    put(&mut body, "misfire", Some(json!({ "rule": definition.misfire.rule.as_str() })));
    body
}
