//! The data folder.

use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_ports::with_causes;
use minutehand_settings::{Loaded, Origin};
use minutehand_standalone::{EmbeddedConfig, EmbeddedStore, OpenError};

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
    let config = EmbeddedConfig {
        partitions,
        files_max: descriptors.for_store(),
        ..usual
    };
    let may_adapt = matches!(
        loaded.origin("cluster.partitions"),
        Origin::Default | Origin::Profile
    );
    let opened = tokio::task::spawn_blocking(move || open_as(config, may_adapt));
    let opened = opened
        .await
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    opened.map_err(|error| Failure::new(Exit::Failed, with_causes(&error)))
}

/// Opens the folder with the count of partitions that it has, where it may have another one.
fn open_as(config: EmbeddedConfig, may_adapt: bool) -> Result<Arc<EmbeddedStore>, OpenError> {
    match EmbeddedStore::open(config.clone()) {
        Err(OpenError::PartitionsChanged { stored, .. }) if may_adapt => {
            EmbeddedStore::open(EmbeddedConfig {
                partitions: stored,
                ..config
            })
        }
        opened => opened,
    }
}
