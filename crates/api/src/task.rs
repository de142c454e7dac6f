//! Creating and moving tasks.

use minutehand_model::limits::DUE_PAST_MS_MAX;
use minutehand_model::{
    Choice, Guarantee, MoveMode, Namespace, OrderKey, Precision, Priority, QueueName, Task, TaskId,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::chain::chain;
use crate::invalid::not_a_choice;
use crate::json::object;
use crate::{
    Duration, Headers, InvalidField, NewChainedTask, Retry, Text, ValidTask, body_of, parse_time,
};

/// A task to create. Give `due_at` or `delay`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "order-17", "queue": "mail", "delay": "5m", "payload": { "order": 17 }, "retry": { "policy": "exponential" },
}))]
pub struct NewTask<'a> {
    /// The id, unique together with the due time within the namespace: letters, digits and . _ - :
    /// @ + = ~ /, at most 200 bytes. Left out, one is made.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub id: Option<Text<'a>>,
    /// What it shares with the tasks that it keeps an order with, written as an id: tasks of one key
    /// live in one partition. It is a part of the task's name: whoever asks for the task by its id
    /// gives it too.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<Text<'a>>,
    /// The stream its execution goes to.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub queue: Text<'a>,
    /// When it runs, in RFC 3339: from ten years ago to the year 9999.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Text<'a>>,
    /// How long from now: a number of seconds, `1h30m`, or ISO 8601 (`PT5M`).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub delay: Option<Duration<'a>>,
    /// Any JSON. A string is delivered as its text, other JSON as it was written, byte for byte; at
    /// most 256 KiB.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub payload: Option<&'a RawValue>,
    /// Bytes, instead of `payload`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Byte)]
    pub payload_base64: Option<Text<'a>>,
    /// At most 64 names and values for the worker.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub headers: Option<Headers<'a>>,
    /// What happens when it fails.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry: Option<Retry>,
    /// How often its effect may happen; `at-least-once` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<Guarantee>,
    /// How close to its time it is published; `normal` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// How urgent it is among what waits in its queue: 0 to 9, 9 the most; 4 by default.
    #[serde(
        default,
        deserialize_with = "crate::json::priority",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<u64>,
    /// A task to create when it has succeeded. Up to 8 may follow one after the other, of 64 KiB in
    /// all.
    #[serde(
        borrow,
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<NewChainedTask<'static>>)]
    pub on_success: Option<NewChainedTask<'a>>,
    /// A task to create when it was given up and lies among the dead letters.
    #[serde(
        borrow,
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<NewChainedTask<'static>>)]
    pub on_failure: Option<NewChainedTask<'a>>,
}

/// Tasks to create, each by itself: one that is refused does not stop the others.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "tasks": [{ "queue": "mail", "delay": "5m" }, { "queue": "mail", "delay": "6m" }] }))]
pub struct NewTasks<'a> {
    /// The tasks; together at most 2 MiB.
    #[serde(borrow)]
    #[schema(value_type = Vec<NewTask<'static>>)]
    pub tasks: Vec<&'a RawValue>,
}

/// A number of seconds, or text.
#[derive(ToSchema)]
#[schema(as = Duration)]
#[allow(dead_code, reason = "describes the JSON only")]
#[serde(untagged)]
pub enum DurationSchema {
    /// Seconds.
    Seconds(f64),
    /// `1h30m`, `PT5M`.
    Text(String),
}

impl NewTask<'_> {
    /// The task meant. `queue_before` is the queue of the task before it, for the many that share
    /// one.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn into_task(
        self,
        namespace: &Namespace,
        now: Timestamp,
        queue_before: Option<&QueueName>,
        new_id: impl FnOnce() -> TaskId,
    ) -> Result<ValidTask, InvalidField> {
        let id = match &self.id {
            Some(id) => TaskId::parse(id.as_str())
                .map_err(|error| name_refused("id", id.as_str(), &error))?,
            None => new_id(),
        };
        let order_key = self.key.as_ref().map(Text::as_str).map(parse_key);
        let order_key = order_key.transpose()?;
        let queue = match queue_before {
            Some(before) if before.as_str() == self.queue.as_str() => before.clone(),
            _ => parse_queue(self.queue.as_str())?,
        };
        let due = due_time(
            self.due_at.as_ref().map(Text::as_str),
            self.delay.as_ref(),
            now,
        )?;
        let payload = body_of(self.payload, self.payload_base64.as_ref().map(Text::as_str))?;
        let task = Task {
            order_key,
            payload,
            headers: self.headers.map(Headers::into_owned).unwrap_or_default(),
            retry: Retry::policy_of(self.retry.as_ref())?,
            guarantee: self.guarantee.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            priority: parse_priority(self.priority)?,
            chain: chain(self.on_success.as_ref(), self.on_failure.as_ref())?,
            ..Task::new(namespace.clone(), id, queue, due)
        };
        ValidTask::new(task, now)
    }
}

/// The due time that one of the two fields gives.
pub fn due_time(
    due_at: Option<&str>,
    delay: Option<&Duration<'_>>,
    now: Timestamp,
) -> Result<Timestamp, InvalidField> {
    match (due_at, delay) {
        (Some(due_at), None) => {
            let due = parse_time("due_at", due_at)?;
            let earliest = now.plus_millis(-DUE_PAST_MS_MAX);
            if due < earliest {
                let limit = format!("not before {earliest} (ten years ago)");
                return Err(InvalidField::new(
                    "due_at",
                    "is too long ago",
                    limit,
                    due_at,
                ));
            }
            Ok(due)
        }
        (None, Some(delay)) => {
            let due = now.plus_millis(delay.as_ms("delay")?);
            if due > Timestamp::END_OF_YEAR_9999 {
                let limit = "a delay that ends before the year 10000";
                return Err(InvalidField::new("delay", "is too long", limit, delay));
            }
            Ok(due)
        }
        (None, None) => Err(InvalidField::new(
            "due_at",
            "is missing",
            "one of due_at and delay",
            "neither",
        )),
        (Some(_), Some(_)) => Err(InvalidField::new(
            "delay",
            "is given beside due_at",
            "one of due_at and delay",
            "both",
        )),
    }
}

/// The name of a queue.
///
/// # Errors
/// What no queue may be called.
pub fn parse_queue(text: &str) -> Result<QueueName, InvalidField> {
    QueueName::parse(text).map_err(|error| name_refused("queue", text, &error))
}

/// A priority that may be left out.
///
/// # Errors
/// One above 9.
pub fn parse_priority(given: Option<u64>) -> Result<Priority, InvalidField> {
    let Some(given) = given else {
        return Ok(Priority::default());
    };
    let limit = format!("0 to {}", Priority::HIGHEST.level());
    Priority::of_level(given)
        .map_err(|_| InvalidField::new("priority", "is out of range", limit, given))
}

/// The key of a task.
///
/// # Errors
/// What no key may be.
pub fn parse_key(text: &str) -> Result<OrderKey, InvalidField> {
    OrderKey::parse(text).map_err(|error| name_refused("key", text, &error))
}

/// A name that was refused, under the field's own name.
pub fn name_refused(field: &str, given: &str, error: &minutehand_model::NameError) -> InvalidField {
    use minutehand_model::NameError;
    let limit = match error {
        NameError::Empty {
            bytes_max, allowed, ..
        } => format!("1 to {bytes_max} characters of {allowed}"),
        NameError::TooLong { bytes_max, .. } => format!("at most {bytes_max} bytes"),
        NameError::Character { allowed, .. } => (*allowed).to_owned(),
        NameError::Dots { .. } => "any name but . and ..".to_owned(),
    };
    let given = match error {
        NameError::TooLong { bytes, .. } => format!("{bytes} bytes"),
        _ => format!("{:?}", given.chars().take(60).collect::<String>()),
    };
    let reason = match error {
        // The limit says what is allowed.
        NameError::Character {
            found, position, ..
        } => format!("has {found:?} at position {position}"),
        other => other.to_string(),
    };
    InvalidField::new(field, reason, limit, given)
}

/// A word out of a few.
///
/// # Errors
/// Any other word.
pub fn choice<T: Choice>(field: &str, word: &str) -> Result<T, InvalidField> {
    T::of_word(word).map_err(|_| not_a_choice(field, T::WORDS, word))
}

/// A task's new due time.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "delay": "1h" }))]
pub struct TaskMove<'a> {
    /// The new due time in RFC 3339.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Text<'a>>,
    /// Or how long from now.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub delay: Option<Duration<'a>>,
    /// The due time to be moved, when the task has several.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from_due_at: Option<Text<'a>>,
    /// What happens when it has been published; `replace` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<MoveMode>,
}

/// A parsed [`TaskMove`].
pub struct Move {
    /// Its present due time, where the caller said which.
    pub from: Option<Timestamp>,
    /// Its new due time.
    pub to: Timestamp,
    /// What happens when it has been published.
    pub mode: MoveMode,
}

impl TaskMove<'_> {
    /// The times and the mode meant.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn parse(&self, now: Timestamp) -> Result<Move, InvalidField> {
        let to = due_time(
            self.due_at.as_ref().map(Text::as_str),
            self.delay.as_ref(),
            now,
        )?;
        let from = self
            .from_due_at
            .as_ref()
            .map(|from| parse_time("from_due_at", from.as_str()))
            .transpose()?;
        Ok(Move {
            from,
            to,
            mode: self.mode.unwrap_or_default(),
        })
    }
}
