//! `minutehand-lab torture`: schedulers as processes on real servers, under load and faults drawn
//! from a seed, audited by the simulator's checkers.
//!
//! [`Session`] is a rig under load that is drained and audited at its end; [`run`] is the whole of
//! a torture, and [`measure`] holds the measurements that need schedulers to come and go. Nothing
//! that is audited is asked of the schedulers: producers write down what they meant and heard,
//! readers what they saw in the topics.

mod audit;
pub mod figures;
pub mod loaded;
pub mod measure;
mod plan;
mod plant;
mod producer;
mod reader;
mod recorded;
mod report;
mod rig;
mod run;
#[cfg(test)]
mod sample;
pub mod scheduler;
mod session;
mod watch;
mod workload;

pub use audit::{Audit, RunFacts, audit};
pub use plan::{Kind, Planned, Target, plan};
pub use plant::Plant;
pub use recorded::{
    Declared, Heard, Intent, ReadCheckpoint, ReadExecution, ReadRecord, Recorded,
    RecordedPartition, digest, fingerprint,
};
pub use rig::{Failure, Rig, RigOptions, SchedulerProgram};
pub use run::{Options, Outcome, TakeOver, run};
pub use session::{Ending, Load, RECOVERY_BOUND_MS, Session};

/// What producers, readers and questions run on: few threads, since the servers need the others.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
