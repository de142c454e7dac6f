//! The requests to the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minutehand_worker::{Run, run_timeout_ms};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;

use super::config::{DockerConfig, DockerConfigError, PullPolicy};
use super::logs::LogTail;
use crate::http::{self, CallError, Lines, no_answer};
use crate::wanted::Wanted;

/// The version of the API that is spoken.
const VERSION: &str = "v1.41";
/// Longest time for an answer that should come at once.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// What is read of a log at most; the engine keeps no more.
const LOG_READ_BYTES_MAX: usize = 4 << 20;
/// How long after its run's time a container is taken for one that was left behind, in seconds.
const LEFT_OVER_AFTER_S: u64 = 3_600;
/// The label with the execution, and the one with the second after which a container is left over.
const EXECUTION_LABEL: &str = "minutehand.execution";
const UNTIL_LABEL: &str = "minutehand.until";

/// An engine's API.
pub(super) struct Engine {
    client: Client,
    base: String,
    config: DockerConfig,
    run_timeout_ms: i64,
}

/// Whether a container was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    New,
    /// One of that execution was there.
    Already,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Exited {
        code: i64,
        is_out_of_memory: bool,
    },
    /// It was removed, or never was.
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
    config: Labelled,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "ExitCode")]
    exit_code: i64,
    #[serde(rename = "OOMKilled", default)]
    is_out_of_memory: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Labelled {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    names: Vec<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl Engine {
    pub(super) fn new(
        config: &DockerConfig,
        run_timeout_ms: i64,
    ) -> Result<Engine, DockerConfigError> {
        let refused = || DockerConfigError::Engine {
            given: config.engine.chars().take(200).collect(),
        };
        let (builder, base) = match config.engine.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => {
                let builder = http::client().unix_socket(Path::new(path));
                (builder, "http://engine".to_owned())
            }
            Some(_) => return Err(refused()),
            None => {
                let url = reqwest::Url::parse(&config.engine).map_err(|_| refused())?;
                let is_plain = url.scheme() == "http" && url.path() == "/" && url.query().is_none();
                if !is_plain || !url.has_host() {
                    return Err(refused());
                }
                (
                    http::client(),
                    config.engine.trim_end_matches('/').to_owned(),
                )
            }
        };
        Ok(Engine {
            client: builder.build().map_err(DockerConfigError::Client)?,
            base,
            config: config.clone(),
            run_timeout_ms,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/{VERSION}/{path}", self.base))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path).timeout(ANSWER_TIME)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path).timeout(ANSWER_TIME)
    }

    /// Sees to it that an image is there, as the policy says.
    pub(super) async fn fetch(&self, image: &str) -> Result<(), CallError> {
        let is_wanted = match self.config.pull {
            PullPolicy::Never => false,
            PullPolicy::Always => true,
            PullPolicy::Missing => {
                let looked = http::send("image", self.get(&format!("images/{image}/json"))).await;
                match looked {
                    Ok(_) => false,
                    Err(error) if error.status() == Some(404) => true,
                    Err(error) => return Err(error),
                }
            }
        };
        if is_wanted {
            self.pull(image).await?;
        }
        Ok(())
    }

    /// Fetches an image; the answer is a line for every step, and one with `error` when it failed.
    async fn pull(&self, image: &str) -> Result<(), CallError> {
        const WHAT: &str = "pull";
        // Without a tag the engine would fetch every one of them.
        let last = image.rsplit('/').next().unwrap_or_default();
        let tagged = match last.contains([':', '@']) {
            true => image.to_owned(),
            false => format!("{image}:latest"),
        };
        let time = Duration::from_millis(self.config.pull_timeout_ms);
        let request = self.post("images/create").query(&[("fromImage", &tagged)]);
        let response = http::send(WHAT, request.timeout(time)).await?;
        let mut lines = Lines::of(WHAT, response);
        while let Some(line) = lines.next().await? {
            let step: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
            if let Some(why) = step["error"].as_str() {
                let why = why.chars().take(500).collect();
                return Err(CallError::NoAnswer { what: WHAT, why });
            }
        }
        Ok(())
    }

    /// Makes a container. One of that name must be of the same execution.
    pub(super) async fn create(
        &self,
        name: &str,
        run: &Run,
        wanted: &Wanted,
    ) -> Result<Created, CallError> {
        let request = self
            .post("containers/create")
            .query(&[("name", name)])
            .json(&self.described(run, wanted));
        match http::send("create", request).await {
            Ok(_) => Ok(Created::New),
            Err(error) if error.status() == Some(409) => {
                let labels = self.inspect(name).await?.config.labels.unwrap_or_default();
                let is_ours = labels.get(EXECUTION_LABEL) == Some(&run.execution().id.to_string());
                is_ours.then_some(Created::Already).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn described(&self, run: &Run, wanted: &Wanted) -> serde_json::Value {
        let (execution, config, limits) = (run.execution(), &self.config, &self.config.limits);
        let env: Vec<String> = wanted
            .env_of(execution)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .chain([format!("MINUTEHAND_DELIVERY_TOKEN={}", execution.token)])
            .collect();
        let timeout_ms = run_timeout_ms(run.task(), self.run_timeout_ms);
        let timeout_s = timeout_ms.unwrap_or(self.run_timeout_ms).unsigned_abs() / 1_000;
        let until_s = seconds_now() + timeout_s + LEFT_OVER_AFTER_S;
        let mut described = json!({
            "Image": wanted.image,
            "Env": env,
            "User": format!("{0}:{0}", limits.user),
            "StopSignal": "SIGTERM",
            "NetworkDisabled": config.network == "none",
            "Labels": {EXECUTION_LABEL: execution.id.to_string(), UNTIL_LABEL: until_s.to_string()},
            "HostConfig": {
                "Privileged": false,
                "ReadonlyRootfs": true,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "NetworkMode": config.network,
                "Init": true,
                "Memory": limits.memory_bytes_max,
                "MemorySwap": limits.memory_bytes_max,
                "NanoCpus": limits.cpu_millis_max * 1_000_000,
                "PidsLimit": config.processes_max,
                "Tmpfs": {"/tmp": format!("rw,noexec,nosuid,nodev,size={}", limits.temp_bytes_max)},
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            },
        });
        if !wanted.command.is_empty() {
            // In place of what the image begins with, which would otherwise be given it as words.
            described["Entrypoint"] = json!(wanted.command);
            described["Cmd"] = json!([]);
        }
        described
    }

    /// Starts a container; one that runs, or has ended, stays as it is.
    pub(super) async fn start(&self, name: &str) -> Result<(), CallError> {
        http::send("start", self.post(&format!("containers/{name}/start")))
            .await
            .map(drop)
    }

    /// Waits until a container does not run.
    pub(super) async fn wait(&self, name: &str) -> Result<(), CallError> {
        const WHAT: &str = "wait";
        let path = format!("containers/{name}/wait?condition=not-running");
        let response = http::send(WHAT, self.request(Method::POST, &path)).await?;
        http::body(WHAT, response).await.map(drop)
    }

    /// Asks a container to stop, and kills it when it does not.
    pub(super) async fn stop(&self, name: &str) -> Result<(), CallError> {
        let seconds = self.config.limits.kill_after_s();
        let path = format!("containers/{name}/stop?t={seconds}");
        let time = ANSWER_TIME + Duration::from_secs(seconds);
        http::send("stop", self.request(Method::POST, &path).timeout(time))
            .await
            .map(drop)
    }

    async fn inspect(&self, name: &str) -> Result<Inspected, CallError> {
        http::json("inspect", self.get(&format!("containers/{name}/json"))).await
    }

    /// How a container ended.
    pub(super) async fn ended(&self, name: &str) -> Result<Ended, CallError> {
        match self.inspect(name).await {
            Ok(Inspected { state, .. }) => Ok(Ended::Exited {
                code: state.exit_code,
                is_out_of_memory: state.is_out_of_memory,
            }),
            Err(error) if error.status() == Some(404) => Ok(Ended::Unknown),
            Err(error) => Err(error),
        }
    }

    /// The end of what a container has printed.
    pub(super) async fn log(&self, name: &str) -> Result<String, CallError> {
        const WHAT: &str = "logs";
        let path = format!("containers/{name}/logs?stdout=1&stderr=1&tail=2000");
        let mut response = http::send(WHAT, self.get(&path)).await?;
        let mut tail = LogTail::new(self.config.limits.log_bytes_max);
        let mut bytes_read = 0;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| no_answer(WHAT, &error))?
        {
            tail.push(&chunk);
            bytes_read += chunk.len();
            if bytes_read >= LOG_READ_BYTES_MAX {
                break;
            }
        }
        Ok(tail.into_text())
    }

    /// Removes a container, whether or not it runs; one that is not there is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CallError> {
        let path = format!("containers/{name}?force=1&v=1");
        let request = self.request(Method::DELETE, &path).timeout(ANSWER_TIME);
        match http::send("remove", request).await {
            Err(error) if error.status() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }

    /// Containers whose time is over.
    pub(super) async fn overdue(&self) -> Result<Vec<String>, CallError> {
        let filters = json!({"label": [UNTIL_LABEL]}).to_string();
        let request = self
            .get("containers/json?all=1")
            .query(&[("filters", &filters)]);
        let listed: Vec<Listed> = http::json("list", request).await?;
        let now_s = seconds_now();
        let is_over = |labels: Option<BTreeMap<String, String>>| {
            let until = labels?.get(UNTIL_LABEL)?.parse::<u64>().ok()?;
            Some(until < now_s)
        };
        let overdue = listed.into_iter().filter_map(|container| {
            let name = container.names.first()?.trim_start_matches('/').to_owned();
            is_over(container.labels)?.then_some(name)
        });
        Ok(overdue.collect())
    }
}

/// The machine's clock, in seconds.
fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since_epoch| since_epoch.as_secs())
}
