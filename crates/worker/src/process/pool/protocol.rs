//! What is said between a worker and a child of its pool: one line of JSON each way.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minutehand_model::{Execution, ExecutionId};
use serde::{Deserialize, Serialize};

use crate::handler::Verdict;

/// The version of the protocol: what a child says first.
pub const POOL_PROTOCOL: u32 = 1;
/// How much of a line that cannot be understood is repeated, in characters.
const SHOWN_MAX: usize = 200;

/// An execution as a child is told of it.
#[derive(Serialize)]
struct Request<'a> {
    execution_id: String,
    message_id: String,
    delivery_token: String,
    namespace: &'a str,
    queue: &'a str,
    task_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
    due_at: String,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    headers: BTreeMap<&'a str, &'a str>,
}

/// The line that tells a child of an execution, with its end.
pub(super) fn request(execution: &Execution) -> Vec<u8> {
    let task = &execution.task;
    let payload = std::str::from_utf8(&task.payload).ok();
    let request = Request {
        execution_id: execution.id.to_string(),
        message_id: execution.message.to_string(),
        delivery_token: execution.token.to_string(),
        namespace: task.namespace.as_str(),
        queue: task.queue.as_str(),
        task_id: task.id.as_str(),
        key: task.order_key.as_ref().map(|key| key.as_str()),
        schedule: task.origin.as_ref().map(|origin| origin.schedule.as_str()),
        due_at: task.due.to_string(),
        attempt: task.attempt,
        payload,
        payload_base64: payload.is_none().then(|| STANDARD.encode(&task.payload)),
        headers: task
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    };
    let mut line = serde_json::to_vec(&request).expect("text and numbers can be written as JSON");
    line.push(b'\n');
    line
}

/// The first line of a child.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    ready: u32,
}

/// Reads the first line of a child; else why it cannot be worked with.
pub(super) fn hello(line: &[u8]) -> Result<(), String> {
    let wanted = format!("the first line must be {{\"ready\": {POOL_PROTOCOL}}}");
    match serde_json::from_slice::<Hello>(line) {
        Ok(Hello {
            ready: POOL_PROTOCOL,
        }) => Ok(()),
        Ok(Hello { ready }) => Err(format!("it speaks version {ready}: {wanted}")),
        Err(_) => Err(format!("it began with {:?}: {wanted}", shown(line))),
    }
}

/// The answer of a child.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    execution_id: String,
    result: Option<String>,
    error: Option<String>,
    /// Whether an error may be tried again; it may unless this says otherwise.
    retry: Option<bool>,
    /// No sooner than this, in milliseconds.
    delay_ms: Option<u32>,
}

/// Reads the answer of a child to an execution; else why it is none.
pub(super) fn answer(line: &[u8], asked: ExecutionId) -> Result<Verdict, String> {
    let answer: Answer = serde_json::from_slice(line)
        .map_err(|error| format!("it answered {:?}: {error}", shown(line)))?;
    if answer.execution_id != asked.to_string() {
        let given: String = answer.execution_id.chars().take(SHOWN_MAX).collect();
        return Err(format!(
            "it answered execution {given:?}, and was asked for {asked}"
        ));
    }
    let of_errors = [
        ("retry", answer.retry.is_some()),
        ("delay_ms", answer.delay_ms.is_some()),
    ];
    match (answer.error, answer.result) {
        (Some(_), Some(_)) => {
            Err("it answered with result and error; one of the two is allowed".to_owned())
        }
        (None, result) => match of_errors.iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(format!("it answered with {name} and no error")),
            None => Ok(Verdict::Success {
                detail: result.unwrap_or_default(),
            }),
        },
        (Some(reason), None) if answer.retry == Some(false) => Ok(Verdict::Discard { reason }),
        (Some(reason), None) => Ok(Verdict::Failure {
            reason,
            retry_after_ms: answer.delay_ms.map(i64::from),
        }),
    }
}

/// The beginning of a line, as text.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .take(SHOWN_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        let asked = ExecutionId(7);
        let of = |rest: &str| {
            answer(
                format!("{{\"execution_id\":\"{asked}\"{rest}}}").as_bytes(),
                asked,
            )
        };
        let said = |detail: &str| {
            Ok(Verdict::Success {
                detail: detail.to_owned(),
            })
        };
        assert_eq!(of(""), said(""));
        assert_eq!(of(r#","result":"done""#), said("done"));
        assert_eq!(of(r#","error":"no""#), Ok(Verdict::failure("no")));
        assert_eq!(
            of(r#","error":"no","retry":true"#),
            Ok(Verdict::failure("no"))
        );
        assert_eq!(
            of(r#","error":"no","retry":false"#),
            Ok(Verdict::discard("no"))
        );
        let later = Verdict::Failure {
            reason: "busy".to_owned(),
            retry_after_ms: Some(1_500),
        };
        assert_eq!(of(r#","error":"busy","delay_ms":1500"#), Ok(later));
        for (rest, reason) in [
            (r#","result":"a","error":"b""#, "one of the two"),
            (r#","retry":false"#, "retry and no error"),
            (r#","result":"a","delay_ms":5"#, "delay_ms and no error"),
            (r#","status":"done""#, "unknown field `status`"),
            (r#","error":"a","delay_ms":-1"#, "invalid value"),
            (r#","result":7"#, "invalid type"),
        ] {
            let error = of(rest).unwrap_err();
            assert!(error.contains(reason), "{rest}: {error}");
        }
        let other = answer(br#"{"execution_id":"x-1"}"#, asked).unwrap_err();
        assert!(other.contains("x-1") && other.contains(&asked.to_string()));
        assert!(answer(b"\xff\xfe", asked).is_err());
    }

    #[test]
    fn a_child_says_its_version_first() {
        assert_eq!(hello(br#"{"ready": 1}"#), Ok(()));
        for (line, reason) in [
            (r#"{"ready": 2}"#, "version 2"),
            ("hello world", "\"hello world\""),
            (r#"{"ready": 1, "more": 2}"#, "must be {\"ready\": 1}"),
        ] {
            let error = hello(line.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
