//! The catalogue of metrics: every name, kind, unit and label, and a typed handle for each.
//!
//! A metric exists here or not at all. [`catalogue`] lists them; `docs/METRICS.md` is rendered from
//! it, and the dashboard and the alert rules are held against it by a test. Other crates record
//! through handles whose methods are verbs: [`CommandMetrics`], [`PartitionMetrics`],
//! [`ScheduleMetrics`], [`QueueMetrics`], [`ExpiredExecutions`], [`LogMetrics`], [`SinkMetrics`],
//! [`LedgerMetrics`], [`RequestMetrics`], [`HttpMetrics`], [`PoolMetrics`]. A handle looks its series up once, when it is made, so make it after the
//! recorder was installed and keep it: using a kept one costs a few nanoseconds.
//!
//! Labels are bounded: partitions are counted, words come from the lists in the catalogue, queue
//! names and routes beyond [`QUEUES_MAX`] and [`ROUTES_MAX`] are counted as `other`, and no id is
//! ever a label.
//!
//! This crate installs no recorder. Whoever does gives it [`HISTOGRAM_BUCKETS`] for all histograms
//! and calls [`describe`] once.

mod bounds;
mod catalogue;
mod command;
mod document;
mod http;
mod label;
mod ledger;
mod log;
mod metric;
mod partition;
mod pool;
mod process;
mod queue;
mod request;
mod schedule;
mod sink;
mod store;

pub use bounds::{GROUPS_MAX, QUEUES_MAX, ROUTES_MAX};
pub use catalogue::{catalogue, describe};
pub use command::CommandMetrics;
pub use document::render_markdown;
pub use http::HttpMetrics;
pub use label::OTHER;
pub use ledger::LedgerMetrics;
pub use log::LogMetrics;
pub use metric::{HISTOGRAM_BUCKETS, Kind, Label, Metric, Unit, Values};
pub use partition::{PartitionMetrics, PartitionStanding};
pub use pool::PoolMetrics;
pub use process::{
    ProcessMetrics, ProcessStanding, set_build_info, set_certificate_expiry, set_lease_left,
    set_ready,
};
pub use queue::{ExpiredExecutions, LeaseMetrics, QueueMetrics, QueueStanding, Queues};
pub use request::RequestMetrics;
pub use schedule::ScheduleMetrics;
pub use sink::SinkMetrics;
pub use store::{StoreDamage, StoreMetrics};
