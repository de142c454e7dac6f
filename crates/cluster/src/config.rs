//! What a role is told: the section of each part, and what it must know of others.

use minutehand_etcd::EtcdConfig;
use minutehand_kafka::{KafkaConfig, MemoryShares};
use minutehand_node::EngineConfig;
use minutehand_settings::SettingsError;

use crate::timetable::{CassandraConfig, TimetableKind};

/// A cluster, as the settings of a role have it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region: its schedulers share the partitions.
    pub region: String,
    /// Raised, everywhere, after etcd was restored from a backup.
    pub region_epoch: u16,
    /// Partitions of the region.
    pub partitions: u32,
    /// The store of the timetable.
    pub timetable: TimetableKind,
    /// How to reach Cassandra, where it is that store.
    pub cassandra: CassandraConfig,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// How to reach etcd.
    pub etcd: EtcdConfig,
    /// The engine, for schedulers.
    pub engine: EngineConfig,
}

impl Config {
    /// These settings with what each server must know of the cluster, when what comes together is
    /// set together.
    ///
    /// # Errors
    /// When it is not, or a file that holds a password cannot be read.
    pub fn checked(self) -> Result<Config, SettingsError> {
        let kafka = self.kafka()?;
        let etcd = EtcdConfig {
            region: self.region.clone(),
            region_epoch: self.region_epoch,
            ..self.etcd.clone()
        };
        let (region, dedupe_window_ms) = (&self.region, self.engine.dedupe_window_ms);
        let cassandra = self
            .timetable
            .checked(self.cassandra, region, dedupe_window_ms)?;
        Ok(Config {
            kafka,
            etcd: etcd.checked()?,
            cassandra,
            ..self
        })
    }

    /// How to reach Kafka, which is all that a worker must be told.
    ///
    /// # Errors
    /// As [`Config::checked`], for what is Kafka's.
    pub fn kafka(&self) -> Result<KafkaConfig, SettingsError> {
        let config = KafkaConfig {
            region: self.region.clone(),
            partitions: self.partitions,
            log_memory_bytes_max: self.shares().logs,
            ..self.kafka.clone()
        };
        config.checked()
    }

    /// What the memory of a scheduler's process is for.
    fn shares(&self) -> MemoryShares {
        MemoryShares::of(self.engine.memory_bytes_max)
    }

    /// The engine's part.
    pub(crate) fn engine(&self) -> EngineConfig {
        let shares = self.shares();
        let tick_max = shares.tick_max(self.partitions);
        EngineConfig {
            clock_skew_ms_max: self.kafka.clock_skew_ms_max,
            ..self.engine.clone().within(shares.tasks, tick_max)
        }
    }
}
