//! A load on anybody's installation, through its HTTP API or through Kafka: open loop, from a
//! scenario, with a consumer that knows every task.
//!
//! What is asked for ([`Plan`]) and what became of it ([`Verifier`]) are functions without clock or
//! socket; the rest carries them out.

mod compare;
mod html;
mod http;
#[cfg(feature = "cluster")]
mod kafka;
mod payload;
mod plan;
mod report;
mod run;
mod sample;
mod scenario;
mod search;
mod shared;
mod timeline;
mod verifier;
mod via_http;

use minutehand_model::Timestamp;

pub use compare::{Compared, compare};
pub use html::page;
pub use http::HttpTarget;
pub use plan::{Ask, Change, Origin, Plan, TASKS_MAX, TooManyTasks};
pub use report::{AskedFor, LoadReport, StreamReport};
pub use run::{Progress, run};
pub use sample::{Folder, Process, Watched};
pub use scenario::{BUILT_IN, Deed, Due, Event, Phase, Scenario, ScenarioError, Schedules, Stream};
pub use search::{Search, Tried, search};
pub use timeline::{RowReport, Spread, Timeline};
pub use verifier::{Counts, Start, Verdict, Verifier};

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It has too many tasks.
    #[error(transparent)]
    TooMany(#[from] plan::TooManyTasks),
    /// The installation cannot be reached as it was described, or refuses everything.
    #[error("{0}")]
    Target(String),
    /// An option does not fit the others.
    #[error("{0}")]
    Options(String),
    /// Kafka failed.
    #[error("Kafka cannot be used")]
    Kafka(#[from] minutehand_ports::PortError),
    /// The machine failed.
    #[error("the load could not be run")]
    System(#[from] std::io::Error),
}

/// Which way tasks go in and executions come out.
#[derive(Clone, Debug)]
pub enum Target {
    /// Through the HTTP API.
    Http(HttpTarget),
    /// Through the topics: commands in, executions out, each read once by everybody.
    #[cfg(feature = "cluster")]
    Kafka(Box<minutehand_kafka::KafkaConfig>),
}

impl Target {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Target::Http(_) => "http",
            #[cfg(feature = "cluster")]
            Target::Kafka(_) => "kafka",
        }
    }
}

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What is asked for.
    pub scenario: Scenario,
    /// Of which installation.
    pub target: Target,
    /// Whether executions are consumed and compared with what was asked for.
    pub verify: bool,
    /// What every id begins with; drawn from the clock unless given. Generators on several machines
    /// share it.
    pub run: Option<String>,
    /// When it begins; soon unless given. Generators on several machines share it.
    pub begin: Option<Timestamp>,
    /// Which part of the tasks is asked for here: the first of one, unless there are generators on
    /// several machines.
    pub share: (u64, u64),
    /// Generators at once in this process.
    pub generators: u64,
    /// The worker group that executions are leased in; the server's own unless given.
    pub group: Option<String>,
    /// How long executions are waited for after the last is due, in milliseconds.
    pub wait_ms: i64,
    /// How much before its time by this machine's clock an execution may come, in milliseconds:
    /// nothing where scheduler and load share a clock.
    pub early_margin_ms: i64,
    /// Processes and folders to watch.
    pub watched: Vec<Watched>,
    /// Somebody else does what the scenario's events say.
    pub events_are_done: bool,
}

impl LoadOptions {
    /// A verified load with one generator.
    pub fn new(scenario: Scenario, target: Target) -> LoadOptions {
        LoadOptions {
            scenario,
            target,
            verify: true,
            run: None,
            begin: None,
            share: (1, 1),
            generators: 1,
            group: None,
            wait_ms: 60_000,
            early_margin_ms: 0,
            watched: Vec::new(),
            events_are_done: false,
        }
    }
}
