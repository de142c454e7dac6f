//! The requests about Jobs and their pods.

use std::collections::BTreeMap;
use std::time::Duration;

use minutehand_worker::Run;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Server;
use super::config::KubernetesConfig;
use crate::docker::PullPolicy;
use crate::http::{self, CallError, Lines};
use crate::wanted::Wanted;

/// Longest time for an answer that should come at once.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// How long a watch lasts before it is begun anew, in seconds.
const WATCH_S: u64 = 240;
/// The label with the execution.
const EXECUTION_LABEL: &str = "minutehand.dev/execution";
/// The condition of a Job whose pods are over.
const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";

/// The Jobs of a namespace.
pub(super) struct Jobs {
    server: Server,
    config: KubernetesConfig,
}

/// How a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not ended.
    Running {
        /// From where it is watched.
        version: String,
    },
    Complete,
    /// It has failed; the condition's reason.
    Failed(String),
    /// There is none, or none any more.
    Gone,
}

/// What is known of a Job's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodEnd {
    pub(super) name: Option<String>,
    pub(super) exit_code: Option<i64>,
    /// The reason of its end, or of its waiting: `OOMKilled`, `ErrImagePull`.
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
struct Job {
    metadata: Metadata,
    #[serde(default)]
    status: JobStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct JobStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

impl Job {
    fn standing(self) -> Standing {
        let conditions = self.status.conditions;
        let holds = |kind: &str| {
            let mut of_kind = conditions.iter().filter(|one| one.kind == kind);
            of_kind.find(|one| one.status == "True")
        };
        if holds(COMPLETE).is_some() {
            return Standing::Complete;
        }
        match holds(FAILED) {
            Some(failed) => Standing::Failed(failed.reason.clone()),
            None => Standing::Running {
                version: self.metadata.resource_version,
            },
        }
    }
}

impl Jobs {
    pub(super) fn new(config: &KubernetesConfig) -> Jobs {
        Jobs {
            server: Server::new(config),
            config: config.clone(),
        }
    }

    fn jobs(&self) -> String {
        format!("apis/batch/v1/namespaces/{}/jobs", self.config.namespace)
    }

    fn pods(&self) -> String {
        format!("api/v1/namespaces/{}/pods", self.config.namespace)
    }

    /// Makes a Job, unless there is one of that execution.
    pub(super) async fn create(
        &self,
        name: &str,
        run: &Run,
        wanted: &Wanted,
        deadline_s: i64,
    ) -> Result<(), CallError> {
        const WHAT: &str = "create the Job";
        let job = self.described(name, run, wanted, deadline_s);
        let request = self.server.request(WHAT, Method::POST, &self.jobs())?;
        match http::send(WHAT, request.timeout(ANSWER_TIME).json(&job)).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(409) => {
                let labels = self.get(name).await?.map(|job| job.metadata.labels);
                let execution = run.execution().id.to_string();
                let is_ours =
                    labels.is_some_and(|labels| labels.get(EXECUTION_LABEL) == Some(&execution));
                is_ours.then_some(()).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn described(
        &self,
        name: &str,
        run: &Run,
        wanted: &Wanted,
        deadline_s: i64,
    ) -> serde_json::Value {
        let (execution, config, limits) = (run.execution(), &self.config, &self.config.limits);
        let labels = json!({
            "app.kubernetes.io/managed-by": "minutehand",
            EXECUTION_LABEL: execution.id.to_string(),
        });
        let variables = wanted.env_of(execution);
        let env: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": escaped(&value)}))
            .collect();
        let amounts = json!({
            "memory": limits.memory_bytes_max.to_string(),
            "cpu": format!("{}m", limits.cpu_millis_max),
        });
        let mut container = json!({
            "name": "task",
            "image": wanted.image,
            "imagePullPolicy": match config.pull {
                PullPolicy::Never => "Never",
                PullPolicy::Missing => "IfNotPresent",
                PullPolicy::Always => "Always",
            },
            "env": env,
            "resources": {"limits": amounts, "requests": amounts},
            "securityContext": {
                "privileged": false,
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": limits.user,
                "runAsGroup": limits.user,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        });
        if !wanted.command.is_empty() {
            let command: Vec<String> = wanted.command.iter().map(|word| escaped(word)).collect();
            container["command"] = json!(command);
        }
        let mut pod = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "hostNetwork": false,
            "hostPID": false,
            "hostIPC": false,
            "terminationGracePeriodSeconds": limits.kill_after_s(),
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": limits.temp_bytes_max.to_string()}}],
        });
        if let Some(account) = &config.service_account {
            pod["serviceAccountName"] = json!(account);
        }
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "parallelism": 1,
                "completions": 1,
                "activeDeadlineSeconds": deadline_s,
                "ttlSecondsAfterFinished": config.keep_s,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        })
    }

    async fn get(&self, name: &str) -> Result<Option<Job>, CallError> {
        const WHAT: &str = "look at the Job";
        let path = format!("{}/{name}", self.jobs());
        let request = self.server.request(WHAT, Method::GET, &path)?;
        match http::json(WHAT, request.timeout(ANSWER_TIME)).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How a Job stands.
    pub(super) async fn standing(&self, name: &str) -> Result<Standing, CallError> {
        let job = self.get(name).await?;
        Ok(job.map_or(Standing::Gone, Job::standing))
    }

    /// Watches a Job until it stands otherwise, or the watch ends.
    pub(super) async fn watch(&self, name: &str, version: &str) -> Result<Standing, CallError> {
        const WHAT: &str = "watch the Job";
        let (fields, seconds) = (format!("metadata.name={name}"), WATCH_S.to_string());
        let request = self
            .server
            .request(WHAT, Method::GET, &self.jobs())?
            .query(&[
                ("watch", "1"),
                ("fieldSelector", &*fields),
                ("resourceVersion", version),
                ("timeoutSeconds", &*seconds),
            ]);
        let time = ANSWER_TIME + Duration::from_secs(WATCH_S);
        let response = http::send(WHAT, request.timeout(time)).await?;
        let mut lines = Lines::of(WHAT, response);
        let mut version = version.to_owned();
        while let Some(line) = lines.next().await? {
            let garbled = |why| CallError::Garbled { what: WHAT, why };
            let event: Event = serde_json::from_slice(&line).map_err(garbled)?;
            match &*event.kind {
                "DELETED" => return Ok(Standing::Gone),
                "ADDED" | "MODIFIED" => {
                    let job: Job = serde_json::from_value(event.object).map_err(garbled)?;
                    match job.standing() {
                        Standing::Running { version: later } => version = later,
                        ended => return Ok(ended),
                    }
                }
                // What is to be watched from is forgotten there: it is looked at anew.
                "ERROR" => break,
                _ => {}
            }
        }
        Ok(Standing::Running { version })
    }

    /// What is known of a Job's pod.
    pub(super) async fn pod(&self, name: &str) -> Result<PodEnd, CallError> {
        const WHAT: &str = "look at the pod";
        let selector = format!("job-name={name}");
        let request = self.server.request(WHAT, Method::GET, &self.pods())?;
        let request = request.query(&[("labelSelector", &selector)]);
        let pods: serde_json::Value = http::json(WHAT, request.timeout(ANSWER_TIME)).await?;
        let pod = &pods["items"][0];
        let state = &pod["status"]["containerStatuses"][0]["state"];
        let word = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let reason = word(&state["terminated"]["reason"]).or(word(&state["waiting"]["reason"]));
        Ok(PodEnd {
            name: word(&pod["metadata"]["name"]),
            exit_code: state["terminated"]["exitCode"].as_i64(),
            reason,
        })
    }

    /// The end of what a pod has printed.
    pub(super) async fn log(&self, pod: &str) -> Result<String, CallError> {
        const WHAT: &str = "read the pod's log";
        let bytes_max = self.config.limits.log_bytes_max;
        let path = format!("{}/{pod}/log?container=task&tailLines=1000", self.pods());
        let request = self.server.request(WHAT, Method::GET, &path)?;
        let mut response = http::send(WHAT, request.timeout(ANSWER_TIME)).await?;
        let mut kept: Vec<u8> = Vec::new();
        let mut bytes_read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            kept.extend_from_slice(&chunk);
            let excess = kept.len().saturating_sub(bytes_max);
            kept.drain(..excess);
            bytes_read += chunk.len();
            if bytes_read >= LOG_READ_BYTES_MAX {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&kept).trim().to_owned())
    }

    /// Removes a Job with its pods; one that is not there is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CallError> {
        const WHAT: &str = "remove the Job";
        let path = format!("{}/{name}?propagationPolicy=Background", self.jobs());
        let request = self.server.request(WHAT, Method::DELETE, &path)?;
        match http::send(WHAT, request.timeout(ANSWER_TIME)).await {
            Err(error) if error.status() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }
}

/// What is read of a log at most.
const LOG_READ_BYTES_MAX: usize = 4 << 20;

/// Kubernetes replaces `$(NAME)` in commands and values; a dollar that is doubled is one.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(json: &str) -> Standing {
        serde_json::from_str::<Job>(json).unwrap().standing()
    }

    #[test]
    fn a_condition_that_holds_ends_a_job() {
        let of = |conditions: &str| {
            standing(&format!(
                r#"{{"metadata":{{"name":"a","resourceVersion":"7"}},"status":{{"conditions":[{conditions}]}}}}"#
            ))
        };
        let running = Standing::Running {
            version: "7".to_owned(),
        };
        assert_eq!(of(""), running);
        assert_eq!(of(r#"{"type":"Complete","status":"False"}"#), running);
        assert_eq!(
            of(r#"{"type":"Complete","status":"True"}"#),
            Standing::Complete
        );
        assert_eq!(
            of(
                r#"{"type":"FailureTarget","status":"True"},{"type":"Failed","status":"True","reason":"DeadlineExceeded"}"#
            ),
            Standing::Failed("DeadlineExceeded".to_owned())
        );
    }

    #[test]
    fn nothing_is_replaced_in_what_a_task_says() {
        assert_eq!(escaped("a $(HOME) $$"), "a $$(HOME) $$$$");
    }
}
