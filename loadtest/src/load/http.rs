//! The installation through its HTTP API: tasks in bulk, cancellations one by one, executions by
//! leases.

use std::path::PathBuf;
use std::time::Duration;

use minutehand_api::{
    BulkLine, LeaseStatus, LeasesAnswered, QueueAction, parse_time, routes, time_text,
};
use minutehand_caller::{CallerError, base_url, bearer, innermost, trusting};
use minutehand_model::{Namespace, QueueName, Timestamp};
use minutehand_settings::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::json;

use super::LoadError;

/// Time to reach the server before it counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most executions of one call.
const LEASES_OF_CALL: usize = minutehand_model::limits::LEASES_OF_CALL_MAX;
/// How long a call waits for the first execution, and how long its executions are leased.
const LEASE_WAIT: &str = "1s";
const LEASE_VISIBILITY: &str = "30s";

/// Where the API is, and who asks.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// `http://host:port` or `https://…`.
    pub server: String,
    /// A token, where one is needed.
    pub token: Option<Secret>,
    /// Who signs the server's certificate (PEM); the system's authorities unless given.
    pub cacert: Option<PathBuf>,
}

/// The API of an installation.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    authorization: Option<HeaderValue>,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It may work another time.
    Passing(String),
    /// It will not.
    ForGood(String),
}

/// An execution that was leased.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) lease_id: String,
    pub(crate) task_id: String,
    /// The schedule that it is an occurrence of.
    pub(crate) schedule: Option<String>,
    pub(crate) due: Timestamp,
}

/// What became of a batch of tasks: which lines were refused, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) refused: Vec<(usize, String)>,
    /// Refused lines that the answer only counts.
    pub(crate) refused_unlisted: u64,
}

impl Http {
    pub(crate) fn new(target: &HttpTarget) -> Result<Http, LoadError> {
        let refused = |error: CallerError| LoadError::Target(error.in_words());
        let base = base_url(&target.server).map_err(refused)?;
        let token = target.token.as_ref();
        let authorization = token.map(|token| bearer(token.reveal())).transpose();
        let authorization = authorization.map_err(refused)?;
        let builder = trusting(&base, target.cacert.as_deref()).map_err(refused)?;
        let client = builder
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build();
        let client = client.map_err(|error| {
            LoadError::Target(format!(
                "the HTTP client could not be set up: {}",
                innermost(&error)
            ))
        })?;
        Ok(Http {
            client,
            base,
            authorization,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let response = request.send().await.map_err(|error| {
            Failed::Passing(format!(
                "{} did not answer: {}",
                self.base,
                innermost(&error)
            ))
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = response.text().await.unwrap_or_default();
        let said: String = said.chars().take(300).collect();
        let words = format!("{} answered {status}: {said}", self.base);
        match status.as_u16() {
            409 | 429 | 500..=599 => Err(Failed::Passing(words)),
            _ => Err(Failed::ForGood(words)),
        }
    }

    fn broke_off(&self, error: &reqwest::Error) -> Failed {
        let why = innermost(error);
        Failed::Passing(format!("{}: the answer broke off: {why}", self.base))
    }

    fn not_understood(&self, error: &serde_json::Error) -> Failed {
        Failed::ForGood(format!(
            "{}: the answer is not understood: {error}",
            self.base
        ))
    }

    async fn read<T: for<'a> Deserialize<'a>>(&self, response: Response) -> Result<T, Failed> {
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.broke_off(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(&error))
    }

    /// How many partitions the installation has.
    pub(crate) async fn partitions(&self) -> Result<u32, Failed> {
        #[derive(Deserialize)]
        struct Listed {
            partitions: Vec<serde::de::IgnoredAny>,
        }
        let response = self
            .answer(self.request(Method::GET, routes::PARTITIONS))
            .await?;
        let listed: Listed = self.read(response).await?;
        Ok(u32::try_from(listed.partitions.len()).unwrap_or(1).max(1))
    }

    /// Creates tasks, one a line.
    pub(crate) async fn create(&self, ns: &Namespace, lines: Vec<u8>) -> Result<Created, Failed> {
        let path = routes::fill(routes::TASKS_BULK, &[ns.as_str()]);
        let request = self
            .request(Method::POST, &path)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(lines);
        let response = self.answer(request).await?;
        let text = response
            .text()
            .await
            .map_err(|error| self.broke_off(&error))?;
        read_created(&text).map_err(|error| self.not_understood(&error))
    }

    /// Cancels a task; whether that was in time.
    pub(crate) async fn cancel(
        &self,
        ns: &Namespace,
        id: &str,
        due: Timestamp,
    ) -> Result<bool, Failed> {
        let path = routes::fill(routes::TASK, &[ns.as_str(), id]);
        let request = self.request(Method::DELETE, &path);
        let answered = self
            .answer(request.query(&[("due_at", time_text(due))]))
            .await;
        match answered {
            Ok(_) => Ok(true),
            // It has gone out, or is not known any more.
            Err(Failed::Passing(said) | Failed::ForGood(said))
                if said.contains("answered 409") || said.contains("answered 404") =>
            {
                Ok(false)
            }
            Err(failed) => Err(failed),
        }
    }

    /// Creates a schedule, or finds that it is there.
    pub(crate) async fn schedule(
        &self,
        ns: &Namespace,
        body: &serde_json::Value,
    ) -> Result<(), Failed> {
        let path = routes::fill(routes::SCHEDULES, &[ns.as_str()]);
        let answered = self
            .answer(self.request(Method::POST, &path).json(body))
            .await;
        match answered {
            Err(Failed::Passing(said)) if said.contains("answered 409") => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Leases executions, waiting a moment for the first.
    pub(crate) async fn lease(
        &self,
        queue: &QueueName,
        group: Option<&str>,
    ) -> Result<Vec<Leased>, Failed> {
        #[derive(Deserialize)]
        struct One {
            lease_id: String,
            task_id: String,
            #[serde(default)]
            schedule: Option<String>,
            due_at: String,
        }
        #[derive(Deserialize)]
        struct All {
            leases: Vec<One>,
        }
        let mut body =
            json!({ "max": LEASES_OF_CALL, "wait": LEASE_WAIT, "visibility": LEASE_VISIBILITY });
        if let Some(group) = group {
            body["group"] = group.into();
        }
        let path = routes::fill(QueueAction::Lease.route(), &[queue.as_str()]);
        let response = self
            .answer(self.request(Method::POST, &path).json(&body))
            .await?;
        let all: All = self.read(response).await?;
        let leased = all.leases.into_iter().map(|one| {
            let due = parse_time("due_at", &one.due_at).map_err(|_| {
                Failed::ForGood(format!("{}: due_at is {:?}", self.base, one.due_at))
            })?;
            Ok(Leased {
                lease_id: one.lease_id,
                task_id: one.task_id,
                schedule: one.schedule,
                due,
            })
        });
        leased.collect()
    }

    /// Says that leased executions have run; which of the answers are durable.
    pub(crate) async fn acknowledge(
        &self,
        queue: &QueueName,
        leased: &[Leased],
    ) -> Result<Vec<bool>, Failed> {
        let items: Vec<_> = leased
            .iter()
            .map(|one| json!({ "lease_id": one.lease_id }))
            .collect();
        let path = routes::fill(QueueAction::Ack.route(), &[queue.as_str()]);
        let body = json!({ "items": items });
        let response = self
            .answer(self.request(Method::POST, &path).json(&body))
            .await?;
        let answered: LeasesAnswered = self.read(response).await?;
        let done = answered
            .items
            .iter()
            .map(|item| item.status == LeaseStatus::Done);
        Ok(done.collect())
    }
}

/// What the answer to a bulk creation says: the summary, then refused lines by number from 1.
fn read_created(text: &str) -> Result<Created, serde_json::Error> {
    let mut created = Created::default();
    let mut refused = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match serde_json::from_str(line)? {
            BulkLine::Summary(summary) => refused = summary.refused,
            BulkLine::Refused(line) => {
                let why = line.problem.detail.clone();
                let at = usize::try_from(line.line).unwrap_or(usize::MAX);
                created.refused.push((at.saturating_sub(1), why));
            }
        }
    }
    created.refused_unlisted = refused.saturating_sub(created.refused.len() as u64);
    Ok(created)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_lines_are_found_by_their_number() {
        let text = "{\"accepted\":2,\"refused\":2}\n{\"line\":3,\"problem\":{\"type\":\"urn:minutehand:problem:invalid-field\",\"title\":\"b\",\"status\":422,\"detail\":\"no\"}}\n";
        let created = read_created(text).expect("understood");
        assert_eq!(created.refused, [(2, "no".to_owned())]);
        assert_eq!(created.refused_unlisted, 1);
        assert!(read_created("<html>").is_err());
    }
}
