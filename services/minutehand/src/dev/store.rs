//! The data folder.

use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_embedded::{Config, EmbeddedStore, OpenError};
use minutehand_settings::{Loaded, Origin};

use crate::descriptors::Descriptors;
use crate::settings::Settings;

/// Opens or creates the data folder. An existing one keeps its count of partitions, unless another
/// was asked for.
pub(super) async fn open(
    loaded: &Loaded<Settings>,
    descriptors: Descriptors,
) -> Result<Arc<EmbeddedStore>, Failure> {
    let partitions = loaded.settings.cluster.partitions;
    let usual = loaded.settings.embedded.clone();
    let config = Config {
        partitions,
        files_max: descriptors.for_store(),
        ..usual
    };
    let may_adapt = matches!(
        loaded.origin("cluster.partitions"),
        Origin::Default | Origin::Profile
    );
    let opened = tokio::task::spawn_blocking(move || match EmbeddedStore::open(config.clone()) {
        Err(OpenError::PartitionsChanged { stored, .. }) if may_adapt => {
            EmbeddedStore::open(Config {
                partitions: stored,
                ..config
            })
        }
        opened => opened,
    });
    let opened = opened
        .await
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    opened.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}
