//! What producers and workers do: commands in, completions out.

mod run_mix;
mod schedules;
mod tasks;
mod worker;

pub(crate) use run_mix::RunMix;
pub(crate) use schedules::ScheduleBook;
pub(crate) use tasks::TaskBook;
pub(crate) use worker::Worker;

use minutehand_model::{Command, PartitionId, QueueName};

use crate::rng::Rng;
use crate::setup::Setup;

/// The name space of everything in a run.
pub(crate) const NAMESPACE: &str = "default";

/// Everything that sends commands.
pub(crate) struct Producer {
    pub(crate) tasks: TaskBook,
    pub(crate) schedules: ScheduleBook,
    pub(crate) rng: Rng,
}

/// A command and the partition it goes to.
pub(crate) type Addressed = (PartitionId, Command);

impl Producer {
    pub(crate) fn new(setup: &Setup) -> Producer {
        Producer {
            tasks: TaskBook::new(setup),
            schedules: ScheduleBook::new(setup),
            rng: Rng::fork(setup.seed, 3),
        }
    }
}

pub(crate) fn queue(rng: &mut Rng) -> QueueName {
    let name = rng.pick(&["mail", "reports", "webhooks"]);
    QueueName::parse(name).expect("the names above are valid")
}
