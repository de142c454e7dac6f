//! Commands in JSON, in the words of the HTTP API.
//!
//! A body is that of `POST …/tasks`, or an object with one of the fields `create`, `cancel`,
//! `reschedule`, `schedule`, `delete_schedule`, `trigger` and `backfill`. What stands in the path
//! of the API is a field here: `namespace` and `id`.

use bytes::Bytes;
use minutehand_api::json::{self, Fields};
use minutehand_api::{
    InvalidField, NewSchedule, NewTask, Text, ValidDefinition, ValidTask, name_refused, parse_key,
    parse_time, validate_note,
};
use minutehand_model::{
    Command, MoveMode, Namespace, OrderKey, OverlapPolicy, Revision, ScheduleId, TaskId, TaskKey,
};
use minutehand_record::{command, task};
use serde::Deserialize;

use crate::verbatim::{AUTHOR, CREATION, namespace};
use crate::{Input, Refusal};

/// What a body may be the wrapper of.
const WRAPPED: [&str; 7] = [
    "create",
    "cancel",
    "reschedule",
    "schedule",
    "delete_schedule",
    "trigger",
    "backfill",
];

/// The command that a body asks for.
pub(crate) fn understand(input: &Input<'_>) -> Result<Bytes, Refusal> {
    let mut fields: Fields<'_> = json::read(value(input)?)?;
    let Some(word) = WRAPPED
        .into_iter()
        .find(|word| fields.0.contains_key(*word))
    else {
        return Ok(command::encode(&create(input, fields)?));
    };
    let inner = fields.0.remove(word).map_or("null", |inner| inner.get());
    if let Some(other) = fields.0.keys().next() {
        let limit = format!("nothing beside {word}");
        return Err(Refusal::of(
            &json::shortened(other),
            "does not belong here",
            &limit,
            other,
        ));
    }
    let within = |refusal: Refusal| refusal.within(word);
    let fields = json::read(inner.as_bytes())
        .map_err(Refusal::from)
        .map_err(within)?;
    let command = match word {
        "create" => create(input, fields),
        "cancel" => cancel(fields),
        "reschedule" => reschedule(input, fields),
        "schedule" => schedule(input, fields),
        "delete_schedule" => delete_schedule(fields),
        "trigger" => trigger(fields),
        _ => backfill(fields),
    };
    command
        .map(|command| command::encode(&command))
        .map_err(within)
}

fn value<'a>(input: &Input<'a>) -> Result<&'a [u8], Refusal> {
    let accepted = "a command in JSON";
    match input.value {
        None => Err(Refusal::of(
            "value",
            "is null (a tombstone)",
            accepted,
            "null",
        )),
        Some(value) => Ok(value),
    }
}

/// Takes a field of another type than the rest out of an object.
fn take<'a, T: Deserialize<'a>>(fields: &mut Fields<'a>, name: &str) -> Result<Option<T>, Refusal> {
    let Some(value) = fields.0.remove(name).filter(|value| value.get() != "null") else {
        return Ok(None);
    };
    let refused = |error: serde_json::Error| {
        let message = error.to_string();
        let word = json::refused_word(name, &message).map(Refusal::from);
        word.unwrap_or_else(|| Refusal::of(name, &message, "see the API", value.get()))
    };
    T::deserialize(value).map(Some).map_err(refused)
}

/// The same, for what must be there.
fn required<'a>(fields: &mut Fields<'a>, name: &str) -> Result<Text<'a>, Refusal> {
    let missing = || Refusal::of(name, "is missing", "required", "nothing");
    take::<Text<'_>>(fields, name)?.ok_or_else(missing)
}

fn take_namespace(fields: &mut Fields<'_>) -> Result<Namespace, Refusal> {
    let given = take::<Text<'_>>(fields, "namespace")?;
    namespace(given.as_ref().map(Text::as_str), "namespace")
}

fn take_task_id(fields: &mut Fields<'_>) -> Result<TaskId, Refusal> {
    let text = required(fields, "id")?;
    TaskId::parse(text.as_str()).map_err(|error| name_refused("id", text.as_str(), &error).into())
}

fn schedule_id(text: &str) -> Result<ScheduleId, Refusal> {
    ScheduleId::parse(text).map_err(|error| name_refused("id", text, &error).into())
}

/// Refuses what is left once everything known has been taken.
fn nothing_else(fields: &Fields<'_>, known: &str) -> Result<(), Refusal> {
    match fields.0.keys().next() {
        None => Ok(()),
        Some(name) => {
            let limit = format!("one of {known}");
            Err(Refusal::of(
                &json::shortened(name),
                "is not a field",
                &limit,
                name,
            ))
        }
    }
}

fn whole_task(input: &Input<'_>, mut fields: Fields<'_>) -> Result<ValidTask, Refusal> {
    let namespace = take_namespace(&mut fields)?;
    if fields.0.contains_key("delay") && input.timestamp.as_millis() < 0 {
        let limit = "a delay counts from the record's timestamp";
        return Err(Refusal::of(
            "delay",
            "cannot be counted",
            limit,
            "a record without a timestamp",
        ));
    }
    let body: NewTask<'_> = fields.into()?;
    Ok(body.into_task(&namespace, input.now(), None, || input.derived_id())?)
}

fn create(input: &Input<'_>, fields: Fields<'_>) -> Result<Command, Refusal> {
    let task = whole_task(input, fields)?;
    Ok(Command::Create(task::record(&task)))
}

fn cancel(mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let (namespace, id) = (take_namespace(&mut fields)?, take_task_id(&mut fields)?);
    let due = parse_time("due_at", required(&mut fields, "due_at")?.as_str())?;
    let key = take::<Text<'_>>(&mut fields, "key")?;
    let key = key.map(|key| parse_key(key.as_str())).transpose()?;
    nothing_else(&fields, "namespace, id, key, due_at")?;
    let key = key.as_ref().map(OrderKey::as_str);
    Ok(Command::Cancel {
        key: TaskKey::of_keyed(namespace.as_str(), id.as_str(), key),
        due,
    })
}

fn reschedule(input: &Input<'_>, mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let due = parse_time(
        "from_due_at",
        required(&mut fields, "from_due_at")?.as_str(),
    )?;
    let mode: Option<MoveMode> = take(&mut fields, "mode")?;
    if !fields.0.contains_key("id") {
        return Err(Refusal::of("id", "is missing", "required", "nothing"));
    }
    let task = whole_task(input, fields)?;
    let task = task::record(&task);
    let key = task.key;
    Ok(match mode.unwrap_or_default() {
        MoveMode::Replace => Command::Replace { key, due, task },
        MoveMode::OnlyIfNotPublished => Command::Move { key, due, task },
    })
}

fn schedule(input: &Input<'_>, mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let namespace = take_namespace(&mut fields)?;
    let number = revision(take(&mut fields, "revision")?.unwrap_or(CREATION))?;
    let body: NewSchedule<'_> = fields.into()?;
    let schedule = match &body.id {
        Some(id) => schedule_id(id)?,
        None => schedule_id(input.derived_id().as_str())?,
    };
    let definition = ValidDefinition::new(body.definition()?)?;
    definition.has_times_after(input.now())?;
    let note = body.note.clone().unwrap_or_default();
    validate_note(&note)?;
    Ok(Command::Revise(Box::new(Revision {
        namespace,
        schedule,
        number,
        definition: Some(definition.into_definition()),
        paused: body.paused.unwrap_or_default(),
        note,
        author: AUTHOR.to_owned(),
    })))
}

fn delete_schedule(mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let namespace = take_namespace(&mut fields)?;
    let schedule = schedule_id(required(&mut fields, "id")?.as_str())?;
    let missing = || {
        let limit = "the number of the newest revision plus one";
        Refusal::of("revision", "is missing", limit, "nothing")
    };
    let number = revision(take(&mut fields, "revision")?.ok_or_else(missing)?)?;
    nothing_else(&fields, "namespace, id, revision")?;
    let (note, author) = (String::new(), AUTHOR.to_owned());
    let revision = Revision {
        namespace,
        schedule,
        number,
        definition: None,
        paused: false,
        note,
        author,
    };
    Ok(Command::Revise(Box::new(revision)))
}

fn revision(number: u64) -> Result<u64, Refusal> {
    match number {
        0 => Err(Refusal::of("revision", "is out of range", "at least 1", 0)),
        _ => Ok(number),
    }
}

fn trigger(mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let namespace = take_namespace(&mut fields)?;
    let schedule = schedule_id(required(&mut fields, "id")?.as_str())?;
    let overlap: Option<OverlapPolicy> = take(&mut fields, "overlap")?;
    nothing_else(&fields, "namespace, id, overlap")?;
    Ok(Command::Trigger {
        namespace,
        schedule,
        overlap,
    })
}

/// Whether the schedule has occurrences in the range, and how many, only its partition knows.
fn backfill(mut fields: Fields<'_>) -> Result<Command, Refusal> {
    let namespace = take_namespace(&mut fields)?;
    let schedule = schedule_id(required(&mut fields, "id")?.as_str())?;
    let from = parse_time("from", required(&mut fields, "from")?.as_str())?;
    let to = parse_time("to", required(&mut fields, "to")?.as_str())?;
    nothing_else(&fields, "namespace, id, from, to")?;
    if from > to {
        return Err(
            InvalidField::new("from", "lies after to", format!("at or before {to}"), from).into(),
        );
    }
    Ok(Command::Backfill {
        namespace,
        schedule,
        from,
        to,
    })
}
