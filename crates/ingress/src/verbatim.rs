//! Any record, delivered as it is when it is due: once, or again and again.

use std::borrow::Cow;

use bytes::Bytes;
use minutehand_api::json::shortened;
use minutehand_api::{
    Duration, ValidDefinition, ValidTask, due_time, is_instruction, name_refused, parse_key,
    parse_priority, parse_queue, validate_header_name, validate_instruction,
};
use minutehand_model::limits::{
    HEADER_VALUE_BYTES_MAX, HEADERS_MAX, PAYLOAD_BYTES_MAX, RECORD_KEY_BYTES_MAX,
};
use minutehand_model::{
    ActionTemplate, Command, MisfirePolicy, Namespace, OverlapPolicy, RecordKey, RecurrenceSpec,
    Revision, ScheduleDefinition, ScheduleId, Task, TaskId, Timestamp, Verbatim,
};
use minutehand_record::{command, task};

use crate::control::{Controls, WORDS, strip, word_of_header};
use crate::event::{Event, asking_header};
use crate::{Header, Input, Refusal};

/// Who revised a schedule that a record made.
pub(crate) const AUTHOR: &str = "kafka";
/// The number of a revision that creates what does not exist yet: another one of that number is
/// ignored.
pub(crate) const CREATION: u64 = 1;

const ONE_WAY: &str = "one of minutehand-due-at, minutehand-delay and minutehand-cron";
const CRON_ONLY: &str = "it is a setting of minutehand-cron";
const NOT_OF_RUNS: &str = "it follows a single task, and no run of a schedule";

/// The command that delivers a record when it is due.
pub(crate) fn understand(input: &Input<'_>, event: Option<Event<'_>>) -> Result<Bytes, Refusal> {
    let (mut controls, headers) = split(input.headers, event.is_some())?;
    let event_id = match event {
        Some(event) => {
            controls.extend(event.controls)?;
            Some(event.id)
        }
        None => None,
    };
    let namespace = namespace(controls.get("namespace"), &controls.name("namespace"))?;
    let action = action(input, &controls, &headers)?;
    let id = Id {
        event: event_id,
        input,
    };
    let command = match controls.get("cron") {
        Some(expression) => Command::Revise(Box::new(schedule(
            namespace, id, action, &controls, expression,
        )?)),
        None => {
            let task = single(namespace, id, action, &controls)?;
            Command::Create(task::record(&task))
        }
    };
    Ok(command::encode(&command))
}

/// A namespace that was given, or the one that always exists.
pub(crate) fn namespace(given: Option<&str>, field: &str) -> Result<Namespace, Refusal> {
    let text = given.unwrap_or(Namespace::DEFAULT);
    Namespace::parse(text).map_err(|error| name_refused(field, text, &error).into())
}

/// Where the id comes from when none was given.
struct Id<'a> {
    event: Option<String>,
    input: &'a Input<'a>,
}

impl Id<'_> {
    fn text(self, given: Option<&str>) -> Cow<'_, str> {
        match (given, self.event) {
            (Some(given), _) => Cow::Owned(given.to_owned()),
            (None, Some(event)) => Cow::Owned(event),
            (None, None) => Cow::Owned(self.input.derived_id().as_str().to_owned()),
        }
    }
}

/// What the scheduler is asked, and the headers that are delivered.
fn split<'a>(
    headers: &[Header<'a>],
    is_event: bool,
) -> Result<(Controls<'a>, Vec<Header<'a>>), Refusal> {
    let mut controls = Controls::default();
    let mut delivered = Vec::with_capacity(headers.len().min(HEADERS_MAX + 1));
    for (name, value) in headers {
        if let Some(rest) = strip(name).filter(|_| !is_instruction(name)) {
            let word = word_of_header(rest).ok_or_else(|| unknown(name))?;
            controls.add(word, Cow::Borrowed(name), *value)?;
        } else if !(is_event && asking_header(name).is_some()) {
            check_header(name, *value)?;
            validate_instruction(name, &String::from_utf8_lossy(value.unwrap_or_default()))?;
            delivered.push((*name, *value));
        }
    }
    if delivered.len() > HEADERS_MAX {
        let limit = format!("at most {HEADERS_MAX} headers");
        return Err(Refusal::of(
            "headers",
            "are too many",
            &limit,
            delivered.len(),
        ));
    }
    Ok((controls, delivered))
}

fn unknown(name: &str) -> Refusal {
    let limit = format!("minutehand- and one of {}", WORDS.join(", "));
    Refusal::of(
        &shortened(name),
        "is not a header that producers may set",
        &limit,
        name,
    )
}

fn check_header(name: &str, value: Option<&[u8]>) -> Result<(), Refusal> {
    validate_header_name(name)?;
    let bytes = value.map_or(0, <[u8]>::len);
    if bytes > HEADER_VALUE_BYTES_MAX {
        let limit = format!("at most {HEADER_VALUE_BYTES_MAX} bytes");
        return Err(Refusal::of(
            &format!("headers.{name}"),
            "is too long",
            &limit,
            format!("{bytes} bytes"),
        ));
    }
    Ok(())
}

/// What is delivered: the record as it is, under the policies that were asked for.
fn action(
    input: &Input<'_>,
    controls: &Controls<'_>,
    delivered: &[Header<'_>],
) -> Result<ActionTemplate, Refusal> {
    let queue =
        parse_queue(controls.required("queue")?).map_err(|invalid| controls.refused(invalid))?;
    let payload = input.value.unwrap_or_default();
    if payload.len() > PAYLOAD_BYTES_MAX {
        let limit = format!("at most {PAYLOAD_BYTES_MAX} bytes (256 KiB)");
        return Err(Refusal::of(
            "value",
            "is too large",
            &limit,
            format!("{} bytes", payload.len()),
        ));
    }
    let key = match input.key {
        Some(key) if key.len() > RECORD_KEY_BYTES_MAX => {
            let limit = format!("at most {RECORD_KEY_BYTES_MAX} bytes");
            return Err(Refusal::of(
                "key",
                "is too long",
                &limit,
                format!("{} bytes", key.len()),
            ));
        }
        Some(key) => RecordKey::Bytes(Bytes::copy_from_slice(key)),
        None => RecordKey::Null,
    };
    let mut verbatim = Verbatim {
        key,
        value_is_null: input.value.is_none(),
        header_values: Vec::new(),
    };
    let headers = delivered.iter().enumerate().map(|(place, (name, value))| {
        let text = match value.map(std::str::from_utf8) {
            Some(Ok(text)) => text,
            Some(Err(_)) | None => {
                verbatim
                    .header_values
                    .push((place, value.map(Bytes::copy_from_slice)));
                ""
            }
        };
        ((*name).to_owned(), text.to_owned())
    });
    let order_key = controls.get("key").map(parse_key).transpose();
    Ok(ActionTemplate {
        order_key: order_key.map_err(|invalid| controls.refused(invalid))?,
        queue,
        payload: Bytes::copy_from_slice(payload),
        headers: headers.collect(),
        retry: controls.retry()?,
        guarantee: controls.choice("guarantee")?.unwrap_or_default(),
        precision: controls.choice("precision")?.unwrap_or_default(),
        priority: parse_priority(controls.number("priority")?)
            .map_err(|invalid| controls.refused(invalid))?,
        verbatim: verbatim.boxed(),
    })
}

/// A record that is delivered once.
fn single(
    namespace: Namespace,
    id: Id<'_>,
    action: ActionTemplate,
    controls: &Controls<'_>,
) -> Result<ValidTask, Refusal> {
    controls.refuse(&["tz", "dst", "schedule-id", "revision"], CRON_ONLY)?;
    let (due, now) = (due(id.input, controls)?, id.input.now());
    let text = id.text(controls.get("id"));
    let id = TaskId::parse(&text)
        .map_err(|error| Refusal::from(name_refused(&controls.name("id"), &text, &error)))?;
    let task = Task {
        chain: controls.chain()?,
        ..action.into_task(namespace, id, due)
    };
    ValidTask::with_a_record(task, now).map_err(|invalid| controls.refused(invalid))
}

fn due(input: &Input<'_>, controls: &Controls<'_>) -> Result<Timestamp, Refusal> {
    let now = input.now();
    match (controls.get("due-at"), controls.get("delay")) {
        (Some(due_at), None) => {
            let due = match epoch_ms(due_at) {
                Some(ms) => Ok(Timestamp::from_millis(ms)),
                None => due_time(Some(due_at), None, now),
            };
            due.map_err(|invalid| controls.refused(invalid))
        }
        (None, Some(delay)) => {
            if input.timestamp.as_millis() < 0 {
                let name = controls.name("delay");
                let limit = "a delay counts from the record's timestamp";
                return Err(Refusal::of(
                    &name,
                    "cannot be counted",
                    limit,
                    "a record without a timestamp",
                ));
            }
            due_time(None, Some(&duration(delay)), now).map_err(|invalid| controls.refused(invalid))
        }
        (None, None) => Err(Refusal::of(
            &controls.name("due-at"),
            "is missing",
            ONE_WAY,
            "neither",
        )),
        (Some(_), Some(delay)) => Err(Refusal::of(
            &controls.name("delay"),
            "is given beside a due time",
            ONE_WAY,
            delay,
        )),
    }
}

/// Milliseconds since 1970, when a text is a whole number. One that needs more than 64 bits is
/// beyond every limit.
fn epoch_ms(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(i64::MAX))
}

/// A duration as in the API, where a number without a unit counts seconds.
fn duration(text: &str) -> Duration<'_> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(seconds) if is_number => Duration::Seconds(seconds),
        _ => Duration::Text(Cow::Borrowed(text)),
    }
}

/// A record that is delivered again and again.
fn schedule(
    namespace: Namespace,
    id: Id<'_>,
    action: ActionTemplate,
    controls: &Controls<'_>,
    expression: &str,
) -> Result<Revision, Refusal> {
    controls.refuse(&["due-at", "delay"], ONE_WAY)?;
    controls.refuse(&["on-success", "on-failure"], NOT_OF_RUNS)?;
    controls.refuse(
        &["id"],
        "a record with minutehand-cron has a minutehand-schedule-id",
    )?;
    let definition = ScheduleDefinition {
        recurrence: RecurrenceSpec::Cron {
            expression: expression.to_owned(),
            zone: controls.get("tz").unwrap_or("UTC").to_owned(),
            dst: controls.choice("dst")?.unwrap_or_default(),
        },
        exclude: Vec::new(),
        start: None,
        end: None,
        runs_max: None,
        jitter_ms: 0,
        misfire: MisfirePolicy::default(),
        overlap: OverlapPolicy::default(),
        pause_on_failure: false,
        run_timeout_ms: None,
        action,
    };
    let definition = ValidDefinition::with_a_record(definition);
    let definition =
        definition.and_then(|valid| valid.has_times_after(id.input.now()).map(|()| valid));
    let definition = definition.map_err(|invalid| controls.refused(invalid))?;
    let number = controls.number("revision")?.unwrap_or(CREATION);
    if number == 0 {
        return Err(Refusal::of(
            &controls.name("revision"),
            "is out of range",
            "at least 1",
            number,
        ));
    }
    let text = id.text(controls.get("schedule-id"));
    let name = controls.name("schedule-id");
    let schedule = ScheduleId::parse(&text)
        .map_err(|error| Refusal::from(name_refused(&name, &text, &error)))?;
    Ok(Revision {
        namespace,
        schedule,
        number,
        definition: Some(definition.into_definition()),
        paused: false,
        note: String::new(),
        author: AUTHOR.to_owned(),
    })
}
