//! Jobs of a Kubernetes cluster, through its API server.

mod client;
mod config;
mod jobs;

use std::sync::Arc;

use async_trait::async_trait;
use minutehand_backoff::Backoff;
use minutehand_worker::{Handler, Run, StopCause, Verdict, run_timeout_ms};
use tracing::warn;

use self::jobs::{Jobs, PodEnd, Standing};
use crate::http::CallError;
use crate::leftover::{Leftover, PAUSES, Remover};
use crate::wanted::{Wanted, name_of};
use crate::words::{end_of, with_log};

pub use self::config::{KubernetesConfig, KubernetesConfigError};

/// What the cluster grants a Job beyond its run's time, in seconds: the worker stops it first.
const DEADLINE_GRACE_S: i64 = 30;

/// Runs executions as Jobs.
pub struct KubernetesExecutor {
    jobs: Arc<Jobs>,
    config: KubernetesConfig,
    run_timeout_ms: i64,
}

impl KubernetesExecutor {
    /// An executor; `None` when it is told of no queue. A run without a time of its own has
    /// `run_timeout_ms`.
    ///
    /// # Errors
    /// When the server or a name is none, or no image may be run.
    pub fn new(
        config: KubernetesConfig,
        run_timeout_ms: i64,
    ) -> Result<Option<KubernetesExecutor>, KubernetesConfigError> {
        let Some(queue) = config.queues.first() else {
            return Ok(None);
        };
        if config.rules.images.is_empty() {
            let queue = queue.clone();
            return Err(KubernetesConfigError::NoImages { queue });
        }
        let url = reqwest::Url::parse(&config.server).ok();
        if !url.is_some_and(|url| url.scheme() == "https" && url.has_host() && url.path() == "/") {
            let given = config.server.chars().take(200).collect();
            return Err(KubernetesConfigError::Server { given });
        }
        let names = [
            ("namespace", Some(&config.namespace)),
            ("service_account", config.service_account.as_ref()),
        ];
        for (field, given) in names {
            if let Some(given) = given.filter(|name| !is_name(name)) {
                let given = given.chars().take(100).collect();
                return Err(KubernetesConfigError::Name { field, given });
            }
        }
        Ok(Some(KubernetesExecutor {
            jobs: Arc::new(Jobs::new(&config)),
            config,
            run_timeout_ms,
        }))
    }

    async fn attempt(&self, run: &Run, wanted: &Wanted) -> Result<Verdict, CallError> {
        let name = name_of(run.execution());
        let mut leftover = Leftover::of(&self.jobs, &name);
        let timeout_ms = run_timeout_ms(run.task(), self.run_timeout_ms);
        let deadline_s = timeout_ms.unwrap_or(self.run_timeout_ms) / 1_000 + DEADLINE_GRACE_S;
        let carried_out = async {
            self.jobs.create(&name, run, wanted, deadline_s).await?;
            Ok::<_, CallError>(self.until_ended(&name).await)
        };
        let ended = tokio::select! {
            biased;
            ended = carried_out => Ok(ended),
            cause = run.stopped() => Err(cause),
        };
        // Before it is removed: its pod goes with it.
        let (pod, log) = match &ended {
            Ok(Err(_)) | Err(StopCause::ShuttingDown) => Default::default(),
            _ => self.last_words(&name).await,
        };
        match &ended {
            // It was refused: there is none, or the name is somebody else's.
            Ok(Err(error)) if error.is_refusal() => leftover.leave(),
            // Whoever is handed the execution next waits for it.
            Err(StopCause::ShuttingDown) => leftover.leave(),
            _ => leftover.remove().await,
        }
        match ended {
            Ok(standing) => Ok(verdict(&standing?, &pod, &log)),
            Err(StopCause::Requested | StopCause::ShuttingDown) => Ok(Verdict::Cancelled),
            Err(StopCause::TimedOut) => Ok(Verdict::failure(with_log(
                format!("the Job was removed{}", why(&pod)),
                &log,
            ))),
        }
    }

    /// Waits until the Job has ended, whatever becomes of the connection.
    async fn until_ended(&self, name: &str) -> Standing {
        let mut backoff = Backoff::new(PAUSES);
        let mut standing = self.jobs.standing(name).await;
        loop {
            match standing {
                Ok(Standing::Running { version }) => {
                    standing = self.jobs.watch(name, &version).await;
                    if matches!(&standing, Ok(Standing::Running { .. })) {
                        // The watch is over: what was missed meanwhile is looked at.
                        tokio::time::sleep(PAUSES.after(1)).await;
                        standing = self.jobs.standing(name).await;
                        backoff.reset();
                    }
                }
                Ok(ended) => return ended,
                Err(error) => {
                    warn!(name, %error, "the API server did not say how a Job goes");
                    tokio::time::sleep(backoff.next_pause()).await;
                    standing = self.jobs.standing(name).await;
                }
            }
        }
    }

    /// What is known of the pod, and the end of what it printed.
    async fn last_words(&self, name: &str) -> (PodEnd, String) {
        let pod = self.jobs.pod(name).await.unwrap_or_default();
        let log = match &pod.name {
            Some(pod) => self.jobs.log(pod).await.unwrap_or_default(),
            None => String::new(),
        };
        (pod, log)
    }
}

#[async_trait]
impl Handler for KubernetesExecutor {
    async fn run(&self, run: Run) -> Verdict {
        match Wanted::of(run.task(), &self.config.rules) {
            Ok(wanted) => {
                let attempt = self.attempt(&run, &wanted).await;
                attempt.unwrap_or_else(|error| Verdict::failure(format!("Kubernetes: {error}")))
            }
            Err(reason) => Verdict::discard(reason),
        }
    }
}

#[async_trait]
impl Remover for Jobs {
    const WHAT: &'static str = "a Job";

    async fn remove(&self, name: &str) -> Result<(), CallError> {
        Jobs::remove(self, name).await
    }
}

fn verdict(standing: &Standing, pod: &PodEnd, log: &str) -> Verdict {
    let how = match standing {
        Standing::Complete => {
            return Verdict::Success {
                detail: end_of(log).to_owned(),
            };
        }
        Standing::Failed(reason) => format!("{reason}{}", why(pod)),
        Standing::Gone | Standing::Running { .. } => {
            format!("the Job is gone; nobody knows how it ended{}", why(pod))
        }
    };
    Verdict::failure(with_log(how, log))
}

/// What the pod says of its end.
fn why(pod: &PodEnd) -> String {
    match (pod.exit_code, &pod.reason) {
        (Some(code), Some(reason)) if reason != "Error" => format!(", {reason}, exit code {code}"),
        (Some(code), _) => format!(", exit code {code}"),
        (None, Some(reason)) => format!(", {reason}"),
        (None, None) => String::new(),
    }
}

/// Whether Kubernetes has such a name.
fn is_name(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(may_stand)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
