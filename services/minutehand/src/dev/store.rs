//! The data folder.

use std::sync::Arc;

use minutehand_cli::{DevArgs, Exit, Failure, Origin};
use minutehand_embedded::{Config, EmbeddedStore, OpenError};
use minutehand_node::{Clock, SystemClock};

use crate::descriptors::Descriptors;
use crate::settings::Settings;

/// Opens or creates the data folder. An existing one keeps its count of partitions, unless another was asked for.
pub(super) async fn open(
    args: &DevArgs,
    settings: &Settings,
    descriptors: Descriptors,
) -> Result<Arc<EmbeddedStore>, Failure> {
    let usual = config(args.data_dir.clone(), settings);
    let config = Config { files_max: descriptors.for_store(), ..usual };
    let may_adapt = matches!(settings.origin("partitions"), Origin::Default | Origin::Profile);
    let opened = tokio::task::spawn_blocking(move || match EmbeddedStore::open(config.clone()) {
        Err(OpenError::PartitionsChanged { stored, .. }) if may_adapt => {
            EmbeddedStore::open(Config { partitions: stored, ..config })
        }
        opened => opened,
    });
    let opened = opened.await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    opened.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// The store's part of the settings.
pub(crate) fn config(data_dir: std::path::PathBuf, settings: &Settings) -> Config {
    let partitions =
        u32::try_from(settings.number("partitions")).expect("the count was checked when it was set");
    Config {
        task_index: settings.is_on("task_index"),
        history_rows_max: settings.number("history_rows_max").unsigned_abs(),
        cache_bytes: settings.number("cache_bytes").unsigned_abs(),
        log_tail_bytes: settings.size("log_tail_bytes"),
        queue_resident_bytes: settings.size("queue_resident_bytes"),
        ..Config::new(data_dir, partitions, Arc::new(|| SystemClock.now()))
    }
}
