//! What leasing and answering leases take.

use clap::Args;

use crate::output::duration::checked;

#[derive(Debug, Args)]
pub(crate) struct LeaseArgs {
    /// The queue.
    pub(crate) name: String,
    /// At most so many executions, up to 1,000.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) max: u64,
    /// How long to wait while there is none, up to 50s.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = checked)]
    pub(crate) wait: String,
    /// How long each lease lasts unless it is answered or extended: 100ms to 12h.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = checked)]
    pub(crate) visibility: String,
    /// The worker group whose share is taken; that of the server's workers unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LeasesArgs {
    /// The queue.
    pub(crate) name: String,
    /// The leases, by the ids that `lease` prints.
    #[arg(value_name = "LEASE", required = true, num_args = 1..=1_000)]
    pub(crate) leases: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    #[command(flatten)]
    pub(crate) which: LeasesArgs,
    /// What history keeps of the run.
    #[arg(long, value_name = "TEXT")]
    pub(crate) result: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NackArgs {
    #[command(flatten)]
    pub(crate) which: LeasesArgs,
    /// Why it failed.
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// No new attempt before that.
    #[arg(long, value_name = "DURATION", value_parser = checked)]
    pub(crate) delay: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub(crate) which: LeasesArgs,
    /// How much longer it is needed, from now; 0s gives it back.
    #[arg(long, value_name = "DURATION", value_parser = checked)]
    pub(crate) visibility: String,
}

#[derive(Debug, Args)]
pub(crate) struct SnoozeArgs {
    #[command(flatten)]
    pub(crate) which: LeasesArgs,
    /// How much later it is to run.
    #[arg(long, value_name = "DURATION", value_parser = checked)]
    pub(crate) delay: String,
}
