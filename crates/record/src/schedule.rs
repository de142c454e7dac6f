//! Schedules on the wire: definitions and revisions, shared by the log and the store of revisions.

use bytes::Bytes;
use minutehand_model::limits::{
    CRON_BYTES_MAX, JITTER_MS_MAX, NOTE_BYTES_MAX, RUN_TIMEOUT_MS_MAX, RUN_TIMEOUT_MS_MIN,
};
use minutehand_model::verbatim::header_bytes;
use minutehand_model::{
    ActionTemplate, MisfirePolicy, Namespace, OrderKey, QueueName, RecordKey, RecurrenceSpec,
    Revision, ScheduleDefinition, ScheduleId, Timestamp, UnknownChoice, Verbatim,
};
use prost::Message;

use crate::envelope::{check_headers, check_payload, civil_time, record_key};
use crate::error::Fault;
use crate::policy::{
    RetryMessage, guarantee, guarantee_number, misfire, misfire_number, overlap, overlap_number,
    precision, precision_number, priority, priority_number, retry, retry_message,
};
use crate::task::order_key;

/// One version of a schedule.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RevisionMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    schedule: String,
    #[prost(uint64, tag = "3")]
    number: u64,
    /// Absent when the schedule was deleted.
    #[prost(message, optional, tag = "4")]
    definition: Option<DefinitionMessage>,
    #[prost(bool, tag = "5")]
    paused: bool,
    #[prost(string, tag = "6")]
    note: String,
    #[prost(string, tag = "7")]
    author: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct DefinitionMessage {
    /// Either this or `interval`.
    #[prost(message, optional, tag = "1")]
    cron: Option<CronMessage>,
    #[prost(message, optional, tag = "2")]
    interval: Option<IntervalMessage>,
    #[prost(string, repeated, tag = "3")]
    exclude: Vec<String>,
    #[prost(sint64, optional, tag = "4")]
    start_ms: Option<i64>,
    #[prost(sint64, optional, tag = "5")]
    end_ms: Option<i64>,
    #[prost(uint64, optional, tag = "6")]
    runs_max: Option<u64>,
    #[prost(sint64, tag = "7")]
    jitter_ms: i64,
    #[prost(uint32, tag = "8")]
    misfire_rule: u32,
    #[prost(sint64, tag = "9")]
    misfire_window_ms: i64,
    #[prost(sint64, tag = "10")]
    misfire_grace_ms: i64,
    #[prost(uint32, tag = "11")]
    overlap: u32,
    #[prost(bool, tag = "12")]
    pause_on_failure: bool,
    #[prost(message, optional, tag = "13")]
    action: Option<ActionMessage>,
    #[prost(sint64, optional, tag = "14")]
    run_timeout_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct CronMessage {
    #[prost(string, tag = "1")]
    expression: String,
    #[prost(string, tag = "2")]
    zone: String,
    #[prost(string, tag = "3")]
    dst: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct IntervalMessage {
    #[prost(sint64, tag = "1")]
    every_ms: i64,
    #[prost(sint64, tag = "2")]
    anchor_ms: i64,
    #[prost(string, tag = "3")]
    zone: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ActionMessage {
    #[prost(string, tag = "1")]
    queue: String,
    #[prost(uint32, tag = "2")]
    guarantee: u32,
    #[prost(uint32, tag = "3")]
    precision: u32,
    #[prost(message, optional, tag = "4")]
    retry: Option<RetryMessage>,
    #[prost(message, repeated, tag = "5")]
    headers: Vec<HeaderMessage>,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
    #[prost(bytes = "bytes", optional, tag = "7")]
    record_key: Option<Bytes>,
    #[prost(bool, tag = "8")]
    record_key_is_null: bool,
    #[prost(bool, tag = "9")]
    payload_is_null: bool,
    #[prost(uint32, optional, tag = "10")]
    priority: Option<u32>,
    #[prost(string, tag = "11")]
    order_key: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct HeaderMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    bytes: Option<Bytes>,
    #[prost(bool, tag = "4")]
    is_null: bool,
}

/// A revision as a message.
pub(crate) fn revision_message(revision: &Revision) -> RevisionMessage {
    RevisionMessage {
        namespace: revision.namespace.as_str().to_owned(),
        schedule: revision.schedule.as_str().to_owned(),
        number: revision.number,
        definition: revision.definition.as_ref().map(definition_message),
        paused: revision.paused,
        note: revision.note.clone(),
        author: revision.author.clone(),
    }
}

fn definition_message(definition: &ScheduleDefinition) -> DefinitionMessage {
    let (cron, interval) = match &definition.recurrence {
        RecurrenceSpec::Cron {
            expression,
            zone,
            dst,
        } => (
            Some(CronMessage {
                expression: expression.clone(),
                zone: zone.clone(),
                dst: dst.to_string(),
            }),
            None,
        ),
        RecurrenceSpec::Interval {
            every_ms,
            anchor,
            zone,
        } => {
            let (every_ms, anchor_ms, zone) = (*every_ms, anchor.as_millis(), zone.clone());
            (
                None,
                Some(IntervalMessage {
                    every_ms,
                    anchor_ms,
                    zone,
                }),
            )
        }
    };
    DefinitionMessage {
        cron,
        interval,
        exclude: definition.exclude.clone(),
        start_ms: definition.start.map(Timestamp::as_millis),
        end_ms: definition.end.map(Timestamp::as_millis),
        runs_max: definition.runs_max,
        jitter_ms: definition.jitter_ms,
        misfire_rule: misfire_number(definition.misfire.rule),
        misfire_window_ms: definition.misfire.window_ms,
        misfire_grace_ms: definition.misfire.grace_ms,
        overlap: overlap_number(definition.overlap),
        pause_on_failure: definition.pause_on_failure,
        run_timeout_ms: definition.run_timeout_ms,
        action: Some(action_message(&definition.action)),
    }
}

fn action_message(action: &ActionTemplate) -> ActionMessage {
    let verbatim = action.verbatim.as_deref();
    ActionMessage {
        queue: action.queue.as_str().to_owned(),
        guarantee: guarantee_number(action.guarantee),
        precision: precision_number(action.precision),
        retry: retry_message(&action.retry),
        headers: header_bytes(&action.headers, verbatim)
            .map(header_message)
            .collect(),
        payload: action.payload.clone(),
        record_key: match verbatim.map(|verbatim| &verbatim.key) {
            Some(RecordKey::Bytes(key)) => Some(key.clone()),
            Some(RecordKey::TaskId | RecordKey::Null) | None => None,
        },
        record_key_is_null: verbatim.is_some_and(|verbatim| verbatim.key == RecordKey::Null),
        payload_is_null: verbatim.is_some_and(|verbatim| verbatim.value_is_null),
        priority: priority_number(action.priority),
        order_key: action
            .order_key
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
    }
}

fn header_message((name, value): (&str, Option<&[u8]>)) -> HeaderMessage {
    let empty = HeaderMessage {
        name: name.to_owned(),
        ..HeaderMessage::default()
    };
    match value.map(std::str::from_utf8) {
        None => HeaderMessage {
            is_null: true,
            ..empty
        },
        Some(Ok(text)) => HeaderMessage {
            value: text.to_owned(),
            ..empty
        },
        Some(Err(_)) => HeaderMessage {
            bytes: value.map(Bytes::copy_from_slice),
            ..empty
        },
    }
}

/// The revision of a message, validated.
pub(crate) fn revision(message: RevisionMessage) -> Result<Revision, Fault> {
    if message.number == 0 {
        return Err("revision number is 0; revisions count from 1".into());
    }
    if message.note.len() > NOTE_BYTES_MAX {
        let bytes = message.note.len();
        return Err(
            format!("note is {bytes} bytes long; at most {NOTE_BYTES_MAX} are allowed").into(),
        );
    }
    Ok(Revision {
        namespace: Namespace::parse(&message.namespace)?,
        schedule: ScheduleId::parse(&message.schedule)?,
        number: message.number,
        definition: message.definition.map(definition).transpose()?,
        paused: message.paused,
        note: message.note,
        author: message.author,
    })
}

fn definition(message: DefinitionMessage) -> Result<ScheduleDefinition, Fault> {
    let within = |field: &str, given: i64, high: i64| {
        if (0..=high).contains(&given) {
            Ok(given)
        } else {
            Err(Fault::from(format!(
                "{field} is {given}; it must be between 0 and {high}"
            )))
        }
    };
    message
        .exclude
        .iter()
        .try_for_each(|expression| check_expression(expression))?;
    Ok(ScheduleDefinition {
        recurrence: recurrence(message.cron, message.interval)?,
        exclude: message.exclude,
        start: message
            .start_ms
            .map(|ms| civil_time("start_ms", ms))
            .transpose()?,
        end: message
            .end_ms
            .map(|ms| civil_time("end_ms", ms))
            .transpose()?,
        runs_max: message.runs_max,
        jitter_ms: within("jitter_ms", message.jitter_ms, JITTER_MS_MAX)?,
        misfire: MisfirePolicy {
            rule: misfire(message.misfire_rule)?,
            window_ms: within("misfire_window_ms", message.misfire_window_ms, i64::MAX)?,
            grace_ms: within("misfire_grace_ms", message.misfire_grace_ms, i64::MAX)?,
        },
        overlap: overlap(message.overlap)?,
        pause_on_failure: message.pause_on_failure,
        run_timeout_ms: message.run_timeout_ms.map(run_timeout).transpose()?,
        action: action(message.action.ok_or("action is missing")?)?,
    })
}

fn run_timeout(given: i64) -> Result<i64, Fault> {
    if (RUN_TIMEOUT_MS_MIN..=RUN_TIMEOUT_MS_MAX).contains(&given) {
        return Ok(given);
    }
    let range = format!("between {RUN_TIMEOUT_MS_MIN} and {RUN_TIMEOUT_MS_MAX}");
    Err(format!("run_timeout_ms is {given}; it must be {range}").into())
}

fn check_expression(expression: &str) -> Result<(), Fault> {
    if expression.len() > CRON_BYTES_MAX {
        let bytes = expression.len();
        return Err(format!(
            "a cron expression is {bytes} bytes long; at most {CRON_BYTES_MAX} are allowed"
        )
        .into());
    }
    Ok(())
}

fn recurrence(
    cron: Option<CronMessage>,
    interval: Option<IntervalMessage>,
) -> Result<RecurrenceSpec, Fault> {
    match (cron, interval) {
        (
            Some(CronMessage {
                expression,
                zone,
                dst,
            }),
            None,
        ) => {
            check_expression(&expression)?;
            let dst = dst
                .parse()
                .map_err(|error: UnknownChoice| Fault::from(error.to_string()))?;
            Ok(RecurrenceSpec::Cron {
                expression,
                zone,
                dst,
            })
        }
        (
            None,
            Some(IntervalMessage {
                every_ms,
                anchor_ms,
                zone,
            }),
        ) if every_ms >= 1 => {
            let zone = if zone.is_empty() {
                "UTC".to_owned()
            } else {
                zone
            };
            Ok(RecurrenceSpec::Interval {
                every_ms,
                anchor: civil_time("anchor_ms", anchor_ms)?,
                zone,
            })
        }
        (None, Some(IntervalMessage { every_ms, .. })) => {
            Err(format!("every_ms is {every_ms}; it must be at least 1").into())
        }
        (None, None) => Err("it has neither cron nor interval".into()),
        (Some(_), Some(_)) => Err("it has both cron and interval".into()),
    }
}

fn action(message: ActionMessage) -> Result<ActionTemplate, Fault> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(message.headers.len());
    let mut header_values = Vec::new();
    for HeaderMessage {
        name,
        value,
        bytes,
        is_null,
    } in message.headers
    {
        let text = match bytes {
            _ if is_null => Err(None),
            Some(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| Some(bytes)),
            None => Ok(value),
        };
        headers.push((
            name,
            text.unwrap_or_else(|raw| {
                header_values.push((headers.len(), raw));
                String::new()
            }),
        ));
    }
    let verbatim = Verbatim {
        key: record_key(message.record_key, message.record_key_is_null)?,
        value_is_null: message.payload_is_null && message.payload.is_empty(),
        header_values,
    };
    check_headers(&headers, Some(&verbatim))?;
    check_payload(&message.payload)?;
    Ok(ActionTemplate {
        order_key: order_key(&message.order_key)?
            .map(OrderKey::parse)
            .transpose()?,
        queue: QueueName::parse(&message.queue)?,
        payload: message.payload,
        headers,
        retry: retry(message.retry)?,
        guarantee: guarantee(message.guarantee)?,
        precision: precision(message.precision)?,
        priority: priority(message.priority)?,
        verbatim: verbatim.boxed(),
    })
}
