//! Chains: tasks that are created when another one has ended.

use std::collections::BTreeMap;

use minutehand_model::limits::{
    CHAIN_BYTES_MAX, CHAIN_DELAY_MS_MAX, CHAIN_DEPTH_MAX, CHAIN_HEADERS_MAX,
};
use minutehand_model::{Branch, Chain, Guarantee, Precision};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::duration::within;
use crate::json::object;
use crate::validate::validate_action;
use crate::{
    Duration, DurationSchema, Headers, InvalidField, Payload, Retry, Text, Unread, body_of,
    duration_text, parse_queue,
};

/// A task to create when the one before it has ended. Its id is that of the execution that ended,
/// with `~success` or `~failure` behind it; its namespace is that of the one before.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "queue": "invoices", "delay": "5m", "on_failure": { "queue": "alerts" } }))]
pub struct NewChainedTask<'a> {
    /// The stream its execution goes to.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub queue: Text<'a>,
    /// How long after that end it is due, up to a year; at once by default.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationSchema>)]
    pub delay: Option<Duration<'a>>,
    /// As of a task. Left out, it is what was said of the end: the result of the run (up to 64
    /// KiB), or why it was given up.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub payload: Option<&'a RawValue>,
    /// Bytes, instead of `payload`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Byte)]
    pub payload_base64: Option<Text<'a>>,
    /// At most 60 names and values for the worker; others tell it of the task before:
    /// `minutehand-parent-id`, `-execution-id`, `-outcome`, and `-result` where there is a payload.
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
    /// What follows its own success.
    #[serde(
        borrow,
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<NewChainedTask<'static>>, no_recursion)]
    pub on_success: Option<Box<NewChainedTask<'a>>>,
    /// What follows when it is given up.
    #[serde(
        borrow,
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<NewChainedTask<'static>>, no_recursion)]
    pub on_failure: Option<Box<NewChainedTask<'a>>>,
}

/// What follows the end of a task, as callers write it.
pub(crate) fn chain(
    on_success: Option<&NewChainedTask<'_>>,
    on_failure: Option<&NewChainedTask<'_>>,
) -> Result<Chain, InvalidField> {
    let next = |branch: Branch, next: Option<&NewChainedTask<'_>>| {
        let read = next.map(NewChainedTask::task).transpose();
        read.map(|task| task.map(Box::new))
            .map_err(|invalid| beneath(branch, invalid))
    };
    Ok(Chain {
        on_success: next(Branch::Success, on_success)?,
        on_failure: next(Branch::Failure, on_failure)?,
    })
}

impl<'a> NewChainedTask<'a> {
    /// The task to come of a text in JSON.
    ///
    /// # Errors
    /// What is no such object, and the first field that is refused.
    pub fn parse(text: &'a str) -> Result<minutehand_model::ChainedTask, Unread> {
        let read: NewChainedTask<'_> = crate::json::read(text.as_bytes())?;
        Ok(read.task()?)
    }

    fn task(&self) -> Result<minutehand_model::ChainedTask, InvalidField> {
        let delay_ms = match &self.delay {
            Some(delay) => within("delay", delay, 0, CHAIN_DELAY_MS_MAX)?,
            None => 0,
        };
        let headers = self.headers.clone().map(Headers::into_owned);
        let base64 = self.payload_base64.as_ref().map(Text::as_str);
        Ok(minutehand_model::ChainedTask {
            queue: parse_queue(self.queue.as_str())?,
            delay_ms,
            payload: body_of(self.payload, base64)?,
            headers: headers.unwrap_or_default(),
            retry: Retry::policy_of(self.retry.as_ref())?,
            guarantee: self.guarantee.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            chain: chain(self.on_success.as_deref(), self.on_failure.as_deref())?,
        })
    }
}

/// The field of a chained task, under its own name.
fn beneath(branch: Branch, invalid: InvalidField) -> InvalidField {
    InvalidField {
        field: format!("{}.{}", branch.field(), invalid.field),
        ..invalid
    }
}

/// Checks what follows the end of a task.
///
/// # Errors
/// The first field that breaks a limit.
pub(crate) fn validate_chain(chain: &Chain) -> Result<(), InvalidField> {
    let depth = chain.depth();
    if depth > CHAIN_DEPTH_MAX {
        let limit = format!("at most {CHAIN_DEPTH_MAX} tasks follow one after the other");
        return Err(InvalidField::new(
            worse(chain, Chain::depth),
            "is nested too deeply",
            limit,
            depth,
        ));
    }
    let bytes = chain.bytes();
    if bytes > CHAIN_BYTES_MAX {
        let limit = format!(
            "at most {CHAIN_BYTES_MAX} bytes (64 KiB) for all that follows: payloads, headers, and about 200 for each task"
        );
        let given = format!("{bytes} bytes");
        let field = worse(chain, Chain::bytes);
        return Err(InvalidField::new(field, "is too large", limit, given).for_its_size());
    }
    validate_links(chain)
}

/// The field of the branch with more of something.
#[cold]
fn worse(chain: &Chain, measure: fn(&Chain) -> usize) -> &'static str {
    let of_success = measure(&Chain {
        on_failure: None,
        ..chain.clone()
    });
    let of_failure = measure(&Chain {
        on_success: None,
        ..chain.clone()
    });
    let branch = match of_failure > of_success {
        true => Branch::Failure,
        false => Branch::Success,
    };
    branch.field()
}

fn validate_links(chain: &Chain) -> Result<(), InvalidField> {
    for branch in Branch::ALL {
        if let Some(next) = chain.on(branch) {
            validate_link(next)
                .and_then(|()| validate_links(&next.chain))
                .map_err(|invalid| beneath(branch, invalid))?;
        }
    }
    Ok(())
}

fn validate_link(next: &minutehand_model::ChainedTask) -> Result<(), InvalidField> {
    if next.headers.len() > CHAIN_HEADERS_MAX {
        let limit = format!("at most {CHAIN_HEADERS_MAX} headers of a chained task");
        let given = next.headers.len();
        return Err(InvalidField::new("headers", "are too many", limit, given));
    }
    validate_action(&next.payload, &next.headers, next.retry)?;
    let asks_for = |name: &str| {
        let mut headers = next.headers.iter();
        headers.any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    // Whoever answers a webhook would say what is run here.
    if next.payload.is_empty() && asks_for("minutehand-executor") && !asks_for("minutehand-command")
    {
        let limit = "a payload, or a header minutehand-command: what a run said is no command";
        return Err(InvalidField::new("payload", "is missing", limit, ""));
    }
    Ok(())
}

/// A task that is created when the one before it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "queue": "invoices", "delay": "5m", "retry": { "policy": "none", "max_attempts": 1 },
    "guarantee": "at-least-once", "precision": "normal",
}))]
pub struct ChainedTask {
    /// The stream its execution goes to.
    pub queue: String,
    /// How long after that end it is due; absent: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// The payload as text; absent: what was said of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The payload in Base64, when it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Byte)]
    pub payload_base64: Option<String>,
    /// Names and values for the worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What happens when it fails.
    pub retry: Retry,
    /// How often its effect may happen.
    pub guarantee: Guarantee,
    /// How close to its time it is published.
    pub precision: Precision,
    /// What follows its own success.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub on_success: Option<Box<ChainedTask>>,
    /// What follows when it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub on_failure: Option<Box<ChainedTask>>,
}

impl From<&minutehand_model::ChainedTask> for ChainedTask {
    fn from(task: &minutehand_model::ChainedTask) -> ChainedTask {
        let Payload {
            payload,
            payload_base64,
        } = match task.payload.is_empty() {
            true => Payload::default(),
            false => Payload::from(&task.payload),
        };
        let below = |branch| task.chain.on(branch).map(|next| Box::new(next.into()));
        ChainedTask {
            queue: task.queue.to_string(),
            delay: (task.delay_ms > 0).then(|| duration_text(task.delay_ms)),
            payload,
            payload_base64,
            headers: task.headers.iter().cloned().collect(),
            retry: task.retry.into(),
            guarantee: task.guarantee,
            precision: task.precision,
            on_success: below(Branch::Success),
            on_failure: below(Branch::Failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Namespace, TaskId, Timestamp};

    use super::*;
    use crate::NewTask;

    fn created(rest: &str) -> Result<Chain, Unread> {
        let text = format!(r#"{{"queue":"q","delay":0{rest}}}"#);
        let input: NewTask<'_> = crate::json::read(text.as_bytes())?;
        let namespace = Namespace::parse("default").unwrap();
        let id = || TaskId::parse("a").unwrap();
        let task = input.into_task(&namespace, Timestamp::from_millis(0), None, id)?;
        Ok(task.chain.clone())
    }

    fn nested(levels: usize, inner: &str) -> String {
        let mut text = inner.to_owned();
        for _ in 0..levels {
            text = format!(r#","on_failure":{{"queue":"f"{text}}}"#);
        }
        text
    }

    #[test]
    fn a_chain_is_read_and_shown_as_it_was_written() {
        let chain = created(
            r#","on_success":{"queue":"next","delay":"5m","payload":{"n":1},"headers":{"a":"b"},
                "retry":{"policy":"none"},"on_failure":{"queue":"alerts"}},"on_failure":null"#,
        )
        .unwrap();
        let next = chain.on_success.as_deref().unwrap();
        assert_eq!(
            (next.delay_ms, &*next.payload),
            (300_000, &br#"{"n":1}"#[..])
        );
        assert!(chain.on_failure.is_none() && chain.depth() == 2);
        let shown = ChainedTask::from(next);
        let alerts = shown.on_failure.as_deref().unwrap();
        assert_eq!(
            (shown.delay.as_deref(), alerts.queue.as_str()),
            (Some("5m"), "alerts")
        );
        assert_eq!(alerts.payload, None);
    }

    #[test]
    fn a_refused_chain_names_the_field_the_limit_and_the_value() {
        let headers: Vec<String> = (0..61).map(|n| format!(r#""h{n}":"v""#)).collect();
        let many = format!(r#","headers":{{{}}}"#, headers.join(","));
        let large = format!(r#","payload":"{}""#, "x".repeat(66_000));
        let own = r#","headers":{"minutehand-parent-id":"x"}"#;
        let command = r#","headers":{"minutehand-executor":"process"}"#;
        assert!(created(&nested(8, "")).is_ok());
        for (levels, inner, field, limit, given) in [
            (9, "", "on_failure", "at most 8 tasks", "9"),
            (
                1,
                large.as_str(),
                "on_failure",
                "at most 65536 bytes",
                "66193 bytes",
            ),
            (
                2,
                many.as_str(),
                "on_failure.on_failure.headers",
                "at most 60",
                "61",
            ),
            (
                1,
                own,
                "on_failure.headers",
                "only minutehand-command",
                "minutehand-parent-id",
            ),
            (
                1,
                command,
                "on_failure.payload",
                "what a run said is no command",
                "nothing",
            ),
            (
                1,
                r#","delay":"367d""#,
                "on_failure.delay",
                "31622400000 ms",
                "31708800000 ms",
            ),
            (
                1,
                r#","retry":{"max_attempts":0}"#,
                "on_failure.retry.max_attempts",
                "1 to 1000",
                "0",
            ),
        ] {
            let Err(Unread::Refused(refused)) = created(&nested(levels, inner)) else {
                panic!("{field} is taken");
            };
            assert_eq!(
                (refused.field.as_str(), refused.given.as_str()),
                (field, given)
            );
            assert!(refused.limit.contains(limit), "{refused}");
        }
        for (inner, field) in [(r#","id":"x""#, "id"), (r#","due_at":"now""#, "due_at")] {
            let Err(Unread::Malformed(malformed)) = created(&nested(1, inner)) else {
                panic!("{field} is taken");
            };
            assert_eq!(malformed.field, format!("on_failure.{field}"));
        }
        assert!(created(&nested(1_000, "")).is_err());
    }

    #[test]
    fn of_two_branches_the_one_that_is_too_much_is_named() {
        let on_success = r#","on_success":{"queue":"s"}"#;
        let large = format!(r#","payload":"{}""#, "x".repeat(66_000));
        for chain in [nested(9, ""), nested(1, &large)] {
            let Err(Unread::Refused(refused)) = created(&format!("{on_success}{chain}")) else {
                panic!("it is taken");
            };
            assert_eq!(refused.field, "on_failure");
        }
    }
}
