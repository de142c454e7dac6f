//! Who is told of dead letters: each becomes a task of a queue of its own.

use bytes::Bytes;
use minutehand_model::chain::dead_letter_id;
use minutehand_model::{ExecutionId, MessageId, QueueName, Task};
use minutehand_ports::DeadLetter;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::webhook::URL_HEADER;

/// Tells of dead letters: for each a task is created in the same step. Its own dead letters, and
/// those of its queue, are told to nobody, so that it never feeds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterHook {
    /// The queue that its tasks go to.
    pub queue: QueueName,
    /// Where they are posted; `None`: what its queue's workers do is their affair.
    pub url: Option<HookUrl>,
}

/// A URL that may be posted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct HookUrl(String);

/// What was given is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookUrlError {
    /// It is no URL at all.
    #[error("it must be a URL such as https://example.com/hooks ({reason})")]
    Form {
        /// Why.
        reason: String,
    },
    /// Of another kind.
    #[error("its scheme is {scheme:?}; it must be http or https")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// Somebody's name or password is in it.
    #[error("it must be without a user name and a password")]
    Credentials,
}

impl TryFrom<String> for HookUrl {
    type Error = HookUrlError;

    fn try_from(text: String) -> Result<HookUrl, HookUrlError> {
        let url = Url::parse(&text).map_err(|error| HookUrlError::Form {
            reason: error.to_string(),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme().to_owned();
            return Err(HookUrlError::Scheme { scheme });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HookUrlError::Credentials);
        }
        Ok(HookUrl(text))
    }
}

impl From<HookUrl> for String {
    fn from(HookUrl(url): HookUrl) -> String {
        url
    }
}

/// The payload of such a task.
#[derive(Serialize)]
struct Told<'a> {
    namespace: &'a str,
    task_id: &'a str,
    queue: &'a str,
    execution_id: String,
    message_id: String,
    attempts: u32,
    reason: &'a str,
    due_at: String,
    given_up_at: String,
}

impl DeadLetterHook {
    /// The task that tells of a dead letter; `None` where nobody is told.
    pub(crate) fn task(&self, given_up: &Task, letter: &DeadLetter) -> Option<Task> {
        if given_up.queue == self.queue {
            return None;
        }
        let execution = ExecutionId::of(given_up);
        let told = Told {
            namespace: given_up.namespace.as_str(),
            task_id: given_up.id.as_str(),
            queue: given_up.queue.as_str(),
            execution_id: execution.to_string(),
            message_id: MessageId::of(given_up).to_string(),
            attempts: letter.attempts,
            reason: &letter.reason,
            due_at: given_up.due.to_string(),
            given_up_at: letter.at.to_string(),
        };
        let payload = serde_json::to_vec(&told).expect("text and numbers can be written as JSON");
        let url = self.url.iter();
        let (namespace, id) = (given_up.namespace.clone(), dead_letter_id(execution));
        Some(Task {
            payload: Bytes::from(payload),
            headers: url
                .map(|HookUrl(url)| (URL_HEADER.to_owned(), url.clone()))
                .collect(),
            ..Task::new(namespace, id, self.queue.clone(), letter.at)
        })
    }
}
