//! `minutehand schema apply|status`: what the servers hold for the cluster, as the command line
//! shows it.

use minutehand_cli::{Failure, SchemaItem, SchemaState};
use minutehand_cluster::{SchemaPart, Servers, Waiting};

use super::{configs, failure};
use crate::settings::Settings;

/// Creates what is missing.
pub(super) async fn apply(settings: &Settings) -> Result<Vec<SchemaItem>, Failure> {
    let parts = open(settings)?.apply_schema().await;
    Ok(items(parts.map_err(failure::start)?))
}

/// What there is, and what is missing.
pub(super) async fn status(settings: &Settings) -> Result<Vec<SchemaItem>, Failure> {
    let parts = open(settings)?.schema().await;
    Ok(items(parts.map_err(failure::start)?))
}

fn open(settings: &Settings) -> Result<Servers, Failure> {
    Servers::open(configs::cluster(settings)?, Waiting::default()).map_err(failure::start)
}

fn items(parts: Vec<SchemaPart>) -> Vec<SchemaItem> {
    let item = |SchemaPart {
                    store,
                    part,
                    is_new,
                }| SchemaItem {
        store: store.to_owned(),
        kind: part.kind.to_owned(),
        name: part.name,
        state: match (is_new, part.is_there) {
            (true, _) => SchemaState::Created,
            (false, true) => SchemaState::Present,
            (false, false) => SchemaState::Missing,
        },
        detail: part.detail,
    };
    parts.into_iter().map(item).collect()
}
