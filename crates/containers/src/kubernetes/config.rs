//! What a Kubernetes executor is told.

use std::path::PathBuf;

use minutehand_model::QueueName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::docker::PullPolicy;
use crate::limits::ContainerLimits;
use crate::wanted::ContainerRules;

/// Where a pod finds what it needs to speak to its API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Running executions as Jobs of a Kubernetes cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KubernetesConfig {
    /// The queues whose executions are Jobs.
    pub queues: Vec<QueueName>,
    /// The API server.
    pub server: String,
    /// The file with the bearer token; read for every request.
    pub token_file: PathBuf,
    /// The authorities (PEM) of the server's certificate; read again when the file has changed.
    pub ca_file: PathBuf,
    /// The namespace of the Jobs, of Kubernetes.
    pub namespace: String,
    /// The service account of their pods, which gets no token; the namespace's default unless
    /// given.
    pub service_account: Option<String>,
    /// Images and commands that tasks may name.
    #[serde(flatten)]
    pub rules: ContainerRules,
    /// When images are fetched.
    pub pull: PullPolicy,
    /// After how long the cluster removes a Job that has ended, should no worker have done so, in
    /// seconds.
    #[schemars(range(min = 0, max = 2_592_000))]
    pub keep_s: u64,
    /// What a container may use up.
    #[serde(flatten)]
    pub limits: ContainerLimits,
}

impl Default for KubernetesConfig {
    fn default() -> KubernetesConfig {
        KubernetesConfig {
            queues: Vec::new(),
            server: "https://kubernetes.default.svc".to_owned(),
            token_file: PathBuf::from(SERVICE_ACCOUNT).join("token"),
            ca_file: PathBuf::from(SERVICE_ACCOUNT).join("ca.crt"),
            namespace: "default".to_owned(),
            service_account: None,
            rules: ContainerRules::default(),
            pull: PullPolicy::Missing,
            keep_s: 3_600,
            limits: ContainerLimits::default(),
        }
    }
}

/// An executor that was not made.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesConfigError {
    /// The server's address is none.
    #[error("kubernetes.server is {given:?}; give https://HOST:PORT")]
    Server {
        /// What was given.
        given: String,
    },
    /// A name that Kubernetes does not have.
    #[error(
        "kubernetes.{field} is {given:?}; it must be lower-case letters, digits and '-', at most 63"
    )]
    Name {
        /// The setting.
        field: &'static str,
        /// What was given.
        given: String,
    },
    /// Nothing may be run.
    #[error(
        "kubernetes.queues names {queue}, and kubernetes.images is empty; list the images that may be run"
    )]
    NoImages {
        /// A queue that was named.
        queue: QueueName,
    },
}
