//! The requests of the API, made from arguments.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minutehand_api::{Definition, Duration, Headers, Misfire, NewSchedule, NewTask, Payload, Text};
use minutehand_model::limits::PAYLOAD_BYTES_MAX;
use minutehand_model::{MisfireRule, ScheduleDefinition};
use serde_json::value::{RawValue, to_raw_value};

use crate::args::{ActionArgs, DefinitionArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::output::duration::parse_ms;

/// The headers that executors take their instructions from.
const URL_HEADER: &str = "minutehand-url";
const COMMAND_HEADER: &str = "minutehand-command";
const TIME_LIMIT_HEADER: &str = "minutehand-timeout-ms";

/// What tasks and schedules run, as requests borrow it.
pub(crate) struct Action<'a> {
    args: &'a ActionArgs,
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    headers: BTreeMap<String, String>,
}

impl<'a> Action<'a> {
    /// Reads what the arguments name. Text is sent as text, other bytes in Base64.
    pub(crate) fn new(args: &'a ActionArgs, console: &mut Console) -> Result<Action<'a>, Failure> {
        let bytes = match (&args.payload, &args.payload_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => Some(console.read(path, PAYLOAD_BYTES_MAX)?),
            (None, None) => None,
        };
        let (payload, payload_base64) = match bytes.map(String::from_utf8) {
            Some(Ok(text)) => (Some(raw(&text)), None),
            Some(Err(error)) => (None, Some(STANDARD.encode(error.as_bytes()))),
            None => (None, None),
        };
        let own = [
            (URL_HEADER, args.url.clone()),
            (COMMAND_HEADER, args.command.clone()),
            (
                TIME_LIMIT_HEADER,
                ms(args.time_limit.as_ref()).map(|ms| ms.to_string()),
            ),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let headers = args.headers.iter().cloned().chain(own).collect();
        Ok(Action {
            args,
            payload,
            payload_base64,
            headers,
        })
    }

    /// A task for a queue, without a time.
    pub(crate) fn task(&self, queue: &'a str) -> NewTask<'_> {
        NewTask {
            queue: queue.into(),
            payload: self.payload.as_deref(),
            payload_base64: self.payload_base64.as_deref().map(Text::from),
            headers: headers(&self.headers),
            retry: self.args.retry.clone(),
            guarantee: self.args.guarantee,
            precision: self.args.precision,
            priority: self.args.priority,
            ..NewTask::default()
        }
    }

    /// What is given of a schedule.
    pub(crate) fn schedule(&self, definition: &'a DefinitionArgs) -> NewSchedule<'_> {
        let (when, how) = (&definition.recurrence, &definition.policies);
        let misfire = Misfire {
            rule: how.misfire,
            window_ms: ms(how.misfire_window.as_ref()),
            grace_ms: None,
        };
        NewSchedule {
            cron: when.cron.clone(),
            time_zone: when.tz.clone(),
            dst: when.dst,
            every: when.every.as_deref().map(length),
            anchor_at: when.anchor.clone(),
            exclude: (!when.exclude.is_empty()).then(|| when.exclude.clone()),
            start_at: when.start.clone(),
            end_at: when.end.clone(),
            max_runs: when
                .max_runs
                .map(|runs| i64::try_from(runs).unwrap_or(i64::MAX)),
            jitter_ms: ms(when.jitter.as_ref()),
            misfire: (misfire != Misfire::default()).then_some(misfire),
            overlap: how.overlap,
            pause_on_failure: how.pause_on_failure,
            run_timeout_ms: ms(how.run_timeout.as_ref()),
            note: how.note.clone(),
            queue: self.args.queue.clone(),
            payload: self.payload.as_deref(),
            payload_base64: self.payload_base64.as_deref().map(Text::from),
            headers: headers(&self.headers),
            retry: self.args.retry.clone(),
            guarantee: self.args.guarantee,
            precision: self.args.precision,
            priority: self.args.priority,
            ..NewSchedule::default()
        }
    }
}

/// What a line of a crontab decides of its schedule. The rest is left to the server and to whoever
/// has set it there.
pub(crate) struct OfALine {
    definition: Definition,
    payload: Option<Box<RawValue>>,
    jitter_ms: Option<i64>,
    misfire: MisfireRule,
}

impl OfALine {
    pub(crate) fn new(definition: &ScheduleDefinition) -> OfALine {
        let Payload { payload, .. } = Payload::from(&definition.action.payload);
        OfALine {
            payload: payload.map(|text| raw(&text)),
            jitter_ms: (definition.jitter_ms > 0).then_some(definition.jitter_ms),
            misfire: definition.misfire.rule,
            definition: Definition::from(definition),
        }
    }

    /// What is said of it, as creating or patching takes it.
    pub(crate) fn schedule(&self) -> NewSchedule<'_> {
        let definition = &self.definition;
        NewSchedule {
            cron: definition.cron.clone(),
            time_zone: definition.time_zone.clone(),
            dst: definition.dst,
            every: definition.every.as_deref().map(length),
            anchor_at: definition.anchor_at.clone(),
            jitter_ms: self.jitter_ms,
            misfire: Some(Misfire {
                rule: Some(self.misfire),
                ..Misfire::default()
            }),
            overlap: Some(definition.overlap),
            queue: Some(definition.queue.clone()),
            payload: self.payload.as_deref(),
            payload_base64: definition.payload_base64.as_deref().map(Text::from),
            headers: headers(&definition.headers),
            retry: Some(definition.retry.clone()),
            guarantee: Some(definition.guarantee),
            precision: Some(definition.precision),
            priority: Some(definition.priority),
            ..NewSchedule::default()
        }
    }
}

/// A duration that was checked when it was typed.
pub(crate) fn length(text: &str) -> Duration<'_> {
    Duration::Text(text.into())
}

fn ms(duration: Option<&String>) -> Option<i64> {
    // Arguments hold durations that have been checked.
    duration.and_then(|text| parse_ms(text).ok())
}

fn headers(headers: &BTreeMap<String, String>) -> Option<Headers<'_>> {
    let borrowed = headers
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    (!headers.is_empty()).then(|| Headers(borrowed.collect()))
}

fn raw(text: &str) -> Box<RawValue> {
    to_raw_value(text).expect("a text has a JSON form")
}
