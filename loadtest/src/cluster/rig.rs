//! A scheduler on real servers, in this process: topics, tables and keys of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use minutehand_cassandra::{CassandraConfig, CassandraTimetable, Migrations, Replication};
use minutehand_engine::{Config, Phase, StopReason};
use minutehand_kafka::{Client, KafkaConfig, KafkaLog, KafkaSink};
use minutehand_model::{
    Block, BucketLoad, LogOffset, Namespace, PartitionId, RevisionEntry, ScheduleId, TaskKey,
    TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use minutehand_node::{Clock, Node, OwnerStores, Owners, SystemClock};
use minutehand_ports::{Coordinator, PortError, Timetable};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Failure;
use super::member::Member;

pub use minutehand_testkit::Endpoints;
use minutehand_testkit::Service;

/// A running scheduler and the way to its servers.
pub struct Rig {
    /// Its topics.
    pub client: Arc<Client>,
    /// Its tables, with what was written to them counted.
    pub timetable: Arc<Counted>,
    /// Its partitions.
    pub owners: Owners,
    ground: Ground,
    stop: watch::Sender<bool>,
    node: JoinHandle<Result<(), StopReason>>,
    member: Member,
}

/// What a rig's servers hold, whether or not a scheduler runs on it.
#[derive(Clone)]
pub struct Ground {
    /// The topics.
    pub client: Arc<Client>,
    /// The tables.
    pub timetable: Arc<Counted>,
    /// How they are reached.
    pub cassandra: CassandraConfig,
    endpoints: Endpoints,
    name: String,
}

impl Ground {
    /// New topics and tables under a name that nobody else has.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn prepare(endpoints: &Endpoints, partitions: u32) -> Result<Ground, Failure> {
        let name = format!("bench{}", SystemClock.now().as_millis());
        let config = KafkaConfig {
            brokers: vec![endpoints.of(Service::Kafka).to_owned()],
            topic_prefix: name.clone(),
            partitions,
            queue_partitions: partitions,
            ..KafkaConfig::default()
        };
        let client = Client::new(config)?;
        client.apply_topics().await?;
        let points = endpoints
            .of(Service::Cassandra)
            .split(',')
            .map(str::to_owned)
            .collect();
        let config = CassandraConfig {
            // Tasks of the load are found by nobody.
            task_index: false,
            ..CassandraConfig::new(points, &name, "local")
        };
        let migrations = Migrations::connect(&config).await?;
        migrations
            .apply(&Replication::of_nodes(&migrations.datacenters())?)
            .await?;
        let timetable = Arc::new(Counted::new(CassandraTimetable::connect(&config).await?));
        Ok(Ground {
            client,
            timetable,
            cassandra: config,
            endpoints: endpoints.clone(),
            name,
        })
    }

    /// Gives the disk back that the topics take.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn clear(self) -> Result<(), Failure> {
        Ok(minutehand_kafka::raw::delete_topics(&self.client).await?)
    }

    /// Starts a scheduler and waits until it owns every partition.
    ///
    /// # Errors
    /// When a server does not answer, or an owner stops.
    pub async fn start(self, engine: Config) -> Result<Rig, Failure> {
        let partitions = self.client.config().partitions;
        let member = Member::join(self.endpoints.of(Service::Etcd), &self.name, partitions).await?;
        let stores = OwnerStores {
            log: Arc::new(KafkaLog::new(Arc::clone(&self.client))),
            sink: Arc::new(KafkaSink::new(Arc::clone(&self.client))),
            timetable: Arc::clone(&self.timetable) as _,
            ledger: Arc::clone(&self.timetable.inner) as _,
        };
        let owners = Owners::new(partitions);
        let coordinator: Arc<dyn Coordinator> = member.coordinator();
        let node = Node::new(
            engine,
            coordinator,
            stores,
            Arc::new(SystemClock),
            owners.clone(),
        );
        let (stop, stopping) = watch::channel(false);
        let node = tokio::spawn(node.run(stopping));
        let (client, timetable) = (Arc::clone(&self.client), Arc::clone(&self.timetable));
        let rig = Rig {
            client,
            timetable,
            owners,
            ground: self,
            stop,
            node,
            member,
        };
        rig.owned(partitions).await?;
        Ok(rig)
    }
}

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);

impl Rig {
    async fn owned(&self, partitions: u32) -> Result<(), Failure> {
        loop {
            let all = self.owners.all();
            let owned = all
                .iter()
                .filter(|(_, status)| status.phase == Phase::Owning)
                .count();
            if owned == partitions as usize {
                return Ok(());
            }
            if self.node.is_finished() {
                return Err(Failure::new(
                    "the scheduler stopped before it owned its partitions",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Hands everything over and ends; what the servers hold can be gone on with.
    ///
    /// # Errors
    /// Why the scheduler had stopped before, if it had.
    pub async fn stop(self) -> Result<Ground, Failure> {
        self.stop.send_replace(true);
        let ended = self
            .node
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        self.member.leave().await;
        ended.map_err(|reason| Failure::new(reason.to_string()))?;
        Ok(self.ground)
    }
}

/// A timetable that counts what is written to it.
pub struct Counted {
    inner: Arc<CassandraTimetable>,
    blocks: AtomicU64,
    entries: AtomicU64,
}

impl Counted {
    fn new(inner: Arc<CassandraTimetable>) -> Counted {
        Counted {
            inner,
            blocks: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    /// Blocks and entries written so far.
    pub fn written(&self) -> (u64, u64) {
        (
            self.blocks.load(Ordering::Relaxed),
            self.entries.load(Ordering::Relaxed),
        )
    }

    /// Rows written so far, those of indexes included.
    pub fn rows_written(&self) -> u64 {
        self.inner.rows_written()
    }
}

#[async_trait]
impl Timetable for Counted {
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        let entries: usize = blocks.iter().map(|block| block.entries.len()).sum();
        self.blocks
            .fetch_add(blocks.len() as u64, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.inner.write_blocks(blocks).await
    }

    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError> {
        self.inner.read(range, bytes_max).await
    }

    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        self.inner.find(partition, key).await
    }

    async fn find_due(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        self.inner.find_due(partition, key, due).await
    }

    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        self.inner.loads(range).await
    }

    async fn expire(&self, partition: PartitionId, before: Timestamp) -> Result<(), PortError> {
        self.inner.expire(partition, before).await
    }

    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        self.inner.write_revisions(partition, revisions).await
    }

    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError> {
        self.inner.forget_revisions(partition, offsets).await
    }

    async fn read_revisions(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        self.inner.read_revisions(partition).await
    }

    async fn read_revisions_of(
        &self,
        partition: PartitionId,
        namespace: &Namespace,
        schedule: &ScheduleId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        self.inner
            .read_revisions_of(partition, namespace, schedule)
            .await
    }
}
