//! What a region is like, for those who set it up or look at it.

use crate::client::Etcd;
use crate::config::EtcdConfig;
use crate::error::StartError;
use crate::keys::RegionFacts;

/// How many partitions a region has; `None` before anybody said so. Changes nothing.
///
/// # Errors
/// A setting that cannot be used, etcd that cannot be reached, or a value that cannot be
/// understood.
pub async fn partitions(config: &EtcdConfig) -> Result<Option<u32>, StartError> {
    let etcd = Etcd::connect(config).await?;
    let key = etcd.keys().config();
    let answer = etcd.get(key.clone(), None).await;
    let answer = answer.map_err(|error| etcd.start_error("read the region's settings", error))?;
    let Some(entry) = answer.kvs().first() else {
        return Ok(None);
    };
    match serde_json::from_slice::<RegionFacts>(entry.value()) {
        Ok(facts) => Ok(Some(facts.partitions)),
        Err(source) => Err(StartError::Damaged { key, source }),
    }
}

/// Says how many partitions a region has, unless it was said before.
///
/// # Errors
/// As [`partitions`], and when another number was said before.
pub async fn agree(config: &EtcdConfig, partitions: u32) -> Result<(), StartError> {
    Etcd::open(config, partitions).await.map(drop)
}
