//! What a Docker executor is told.

use minutehand_model::{QueueName, choice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::ContainerLimits;
use crate::wanted::ContainerRules;

choice!(
    /// When an image is fetched from its registry.
    PullPolicy, "pull", default Missing {
        /// Never: it must be there.
        Never = "never",
        /// When it is not there.
        Missing = "missing",
        /// Before every run.
        Always = "always",
    }
);

/// Running executions in containers of a Docker engine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DockerConfig {
    /// The queues whose executions are containers.
    pub queues: Vec<QueueName>,
    /// Where the engine's API is: `unix:///var/run/docker.sock`, or `http://HOST:PORT`. Who reaches
    /// it is root on its machine.
    pub engine: String,
    /// Images and commands that tasks may name.
    #[serde(flatten)]
    pub rules: ContainerRules,
    /// When images are fetched.
    pub pull: PullPolicy,
    /// Longest time for that, in milliseconds.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub pull_timeout_ms: u64,
    /// The engine's network that containers are in; `none` for none.
    pub network: String,
    /// Most processes of a container.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub processes_max: u64,
    /// What a container may use up.
    #[serde(flatten)]
    pub limits: ContainerLimits,
}

impl Default for DockerConfig {
    fn default() -> DockerConfig {
        DockerConfig {
            queues: Vec::new(),
            engine: "unix:///var/run/docker.sock".to_owned(),
            rules: ContainerRules::default(),
            pull: PullPolicy::Missing,
            pull_timeout_ms: 600_000,
            network: "none".to_owned(),
            processes_max: 128,
            limits: ContainerLimits::default(),
        }
    }
}

/// An executor that was not made.
#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    /// The engine's address is none.
    #[error("docker.engine is {given:?}; give unix:///PATH or http://HOST:PORT")]
    Engine {
        /// What was given.
        given: String,
    },
    /// Nothing may be run.
    #[error(
        "docker.queues names {queue}, and docker.images is empty; list the images that may be run"
    )]
    NoImages {
        /// A queue that was named.
        queue: QueueName,
    },
    /// The client could not be set up.
    #[error("the client of the engine's API could not be set up")]
    Client(#[source] reqwest::Error),
}
