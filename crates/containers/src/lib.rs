//! Executors that run a container for an execution: [`DockerExecutor`] through the API of a Docker
//! engine, [`KubernetesExecutor`] as a Job through the API server of a cluster.
//!
//! The task's payload says what is run:
//!
//! ```json
//! {"image": "registry.example/reports:3", "command": ["/bin/report", "--weekly"], "env": {"LEVEL": "2"}}
//! ```
//!
//! Only images and commands that the settings list are run, without privileges, on a root file
//! system that is read-only, within limits. A container is named after its execution: when a worker
//! dies, whoever is handed the execution next finds it and waits on, so that it is not begun twice.
//! It is removed once its end is known.
//!
//! Both speak HTTP by themselves, over the client that webhooks use: what they need of the two APIs
//! are a dozen requests, and the usual libraries weigh more than all else of a worker.

mod docker;
mod http;
mod kubernetes;
mod leftover;
mod limits;
mod wanted;
mod words;

pub use docker::{DockerConfig, DockerConfigError, DockerExecutor, PullPolicy};
pub use kubernetes::{KubernetesConfig, KubernetesConfigError, KubernetesExecutor};
pub use limits::ContainerLimits;
pub use wanted::ContainerRules;
