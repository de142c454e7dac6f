//! The rig: servers of its own, schedulers as processes of their own, and a proxy between each of
//! them and each server, so that all of it can be broken apart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use minutehand_cassandra::{CassandraConfig, Migrations, Replication};
use minutehand_kafka::{Client, KafkaConfig};
use minutehand_testkit::{
    Cassandra, CassandraOptions, Etcd, Kafka, KafkaOptions, Program, Proxy, Server, ServerError,
};

use super::plan::{Kind, Planned, Target};
use crate::servers::start_servers;

/// What went wrong with the rig itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A program that runs as a scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerProgram {
    /// Its executable file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What a rig consists of. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct RigOptions {
    /// Where logs and journals are kept.
    pub folder: PathBuf,
    /// What runs as a scheduler.
    pub scheduler: SchedulerProgram,
    /// How many schedulers can be started.
    pub nodes: usize,
    /// Partitions of the command log and of the queues.
    pub partitions: u32,
    /// The lease of each scheduler.
    pub lease_ttl_ms: i64,
    /// How far ahead schedulers keep tasks in memory.
    pub look_ahead_ms: i64,
    /// How long they remember what ran.
    pub dedupe_window_ms: i64,
    /// Late executions a second that each partition catches up with; 0: as many as there is room
    /// for.
    pub catch_up_rate_per_s: u64,
    /// Schedulers reach the servers without proxies, which cost time: no connection can be broken
    /// then.
    pub is_direct: bool,
}

/// A scheduler's process, and what leads to it.
struct Member {
    process: Server,
    to_etcd: Option<Proxy>,
    /// It is down on purpose.
    is_down: AtomicBool,
}

/// Servers and schedulers.
pub struct Rig {
    options: RigOptions,
    kafka: Kafka,
    cassandra: Cassandra,
    etcd: Etcd,
    members: Vec<Member>,
    prefix: String,
    keyspace: &'static str,
    /// Schedulers that ended without being asked to.
    ended_by_themselves: AtomicU64,
    is_ending: AtomicBool,
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn host_and_port(endpoint: &str) -> &str {
    endpoint
        .rsplit_once("//")
        .map_or(endpoint, |(_, rest)| rest)
}

impl Rig {
    /// Starts the servers, all at once; no scheduler yet.
    ///
    /// # Errors
    /// When a server does not start.
    pub fn start(options: RigOptions) -> Result<Rig, Failure> {
        std::fs::create_dir_all(&options.folder)?;
        let proxied_listeners = if options.is_direct { 0 } else { options.nodes };
        let kafka_options = KafkaOptions {
            proxied_listeners,
            ..KafkaOptions::default()
        };
        // There is no replica that would remember what a killed node forgets.
        let cassandra_options = CassandraOptions {
            proxied: !options.is_direct,
            durable: true,
            ..CassandraOptions::default()
        };
        let (kafka, cassandra, etcd) = start_servers(&kafka_options, &cassandra_options)?;
        let mut rig = Rig {
            options,
            kafka,
            cassandra,
            etcd,
            members: Vec::new(),
            prefix: "torture".to_owned(),
            keyspace: "torture",
            ended_by_themselves: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
        };
        for node in 0..rig.options.nodes {
            rig.members.push(rig.member(node)?);
        }
        Ok(rig)
    }

    fn member(&self, node: usize) -> Result<Member, Failure> {
        let options = &self.options;
        let etcd = self.etcd.server().address();
        let (to_etcd, brokers) = match options.is_direct {
            true => (None, Some(self.kafka.bootstrap())),
            false => {
                let proxy = Proxy::start((Ipv4Addr::LOCALHOST, 0).into(), etcd)?;
                (Some(proxy), self.kafka.proxied_bootstrap(node))
            }
        };
        let brokers = brokers.ok_or("there is no listener for this scheduler")?;
        let address = free_address()?;
        let partitions = options.partitions.to_string();
        let variables = [
            ("MINUTEHAND_KAFKA", brokers),
            ("MINUTEHAND_CASSANDRA", self.cassandra.contact_points()),
            (
                "MINUTEHAND_ETCD",
                to_etcd.as_ref().map_or(etcd, Proxy::address).to_string(),
            ),
            ("MINUTEHAND_CLUSTER_PARTITIONS", partitions.clone()),
            ("MINUTEHAND_KAFKA_QUEUE_PARTITIONS", partitions),
            ("MINUTEHAND_KAFKA_TOPIC_PREFIX", self.prefix.clone()),
            ("MINUTEHAND_CASSANDRA_KEYSPACE", self.keyspace.to_owned()),
            ("MINUTEHAND_SCHEDULER_NODE_ID", format!("scheduler-{node}")),
            ("MINUTEHAND_SCHEDULER_LISTEN", address.to_string()),
            (
                "MINUTEHAND_ENGINE_LOOK_AHEAD_MS",
                options.look_ahead_ms.to_string(),
            ),
            (
                "MINUTEHAND_ENGINE_DEDUPE_WINDOW_MS",
                options.dedupe_window_ms.to_string(),
            ),
            ("MINUTEHAND_ENGINE_FLUSH_INTERVAL_MS", "1000".to_owned()),
            (
                "MINUTEHAND_ENGINE_CATCH_UP_RATE_PER_S",
                options.catch_up_rate_per_s.to_string(),
            ),
            (
                "MINUTEHAND_ETCD_LEASE_TTL_MS",
                options.lease_ttl_ms.to_string(),
            ),
        ];
        let process = Server::of_program(Program {
            name: format!("scheduler-{node}"),
            path: options.scheduler.path.clone(),
            arguments: options.scheduler.arguments.clone(),
            environment: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            folder: options.folder.clone(),
            log: options.folder.join(format!("scheduler-{node}.log")),
            address,
        });
        Ok(Member {
            process,
            to_etcd,
            is_down: AtomicBool::new(true),
        })
    }

    /// A client of Kafka that no fault of a connection reaches.
    ///
    /// # Errors
    /// When it cannot be set up.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn client(&self) -> Result<Arc<Client>, Failure> {
        Ok(Client::new(KafkaConfig {
            brokers: vec![self.kafka.bootstrap()],
            topic_prefix: self.prefix.clone(),
            partitions: self.options.partitions,
            queue_partitions: self.options.partitions,
            ..KafkaConfig::default()
        })?)
    }

    /// Makes topics, keyspace and tables.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn prepare(&self, client: &Client) -> Result<(), Failure> {
        client.apply_topics().await?;
        let contact_points = self
            .cassandra
            .contact_points()
            .split(',')
            .map(str::to_owned)
            .collect();
        let config = CassandraConfig::new(contact_points, self.keyspace, &client.config().region);
        let migrations = Migrations::connect(&config).await?;
        migrations
            .apply(&Replication::of_nodes(&migrations.datacenters())?)
            .await?;
        Ok(())
    }

    /// Where etcd is.
    pub fn etcd_endpoint(&self) -> String {
        host_and_port(&self.etcd.endpoint()).to_owned()
    }

    /// What it was asked to be.
    pub fn options(&self) -> &RigOptions {
        &self.options
    }

    /// Where logs and journals are kept.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// Schedulers that ended without being asked to.
    pub fn ended_by_themselves(&self) -> u64 {
        self.ended_by_themselves.load(Ordering::Relaxed)
    }

    /// Starts a scheduler.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start_scheduler(&self, node: usize) -> Result<(), ServerError> {
        let member = &self.members[node];
        // One that ended by itself is collected first.
        member.process.kill()?;
        member.process.launch()?;
        member.is_down.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Kills a scheduler.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill_scheduler(&self, node: usize) -> Result<(), ServerError> {
        self.members[node].is_down.store(true, Ordering::Relaxed);
        self.members[node].process.kill()
    }

    /// Asks a scheduler to hand over and end, and waits for it.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn stop_scheduler(&self, node: usize) -> Result<(), ServerError> {
        self.members[node].is_down.store(true, Ordering::Relaxed);
        self.members[node].process.stop()
    }

    /// Cassandra, to be stopped and started.
    pub fn cassandra(&self) -> &[Server] {
        self.cassandra.nodes()
    }

    /// Starts schedulers again that ended by themselves, as a service manager would, until the rig
    /// ends.
    pub fn watch_over(&self) {
        while !self.is_ending.load(Ordering::Relaxed) {
            for (node, member) in self.members.iter().enumerate() {
                if member.is_down.load(Ordering::Relaxed) || member.process.is_running() {
                    continue;
                }
                self.ended_by_themselves.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(node, "a scheduler ended by itself; it is started again");
                if let Err(error) = self.start_scheduler(node) {
                    tracing::error!(node, %error, "it does not start");
                }
            }
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Ends [`Rig::watch_over`] and all schedulers, in order.
    ///
    /// # Errors
    /// When one cannot be ended.
    pub fn stop_schedulers(&self) -> Result<(), ServerError> {
        self.is_ending.store(true, Ordering::Relaxed);
        (0..self.members.len()).try_for_each(|node| self.stop_scheduler(node))
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// When it cannot be brought about.
    pub fn begin(&self, fault: &Planned) -> Result<(), ServerError> {
        match (fault.kind, fault.target) {
            (Kind::KillScheduler, Target::Scheduler(node)) => self.kill_scheduler(node),
            (Kind::StopScheduler, Target::Scheduler(node)) => self.stop_scheduler(node),
            (Kind::PauseScheduler, Target::Scheduler(node)) => {
                // It may have ended by itself in this moment: then there is nothing to pause.
                self.members[node].process.pause().or(Ok(()))
            }
            (Kind::KillServer, target) => self.server(target).map_or(Ok(()), Server::kill),
            (Kind::StopServer, target) => self.server(target).map_or(Ok(()), Server::stop),
            (Kind::FullDisk, target) => self.server(target).map_or(Ok(()), Server::fill_disk),
            (kind, target) => {
                for proxy in self.proxies(target) {
                    match kind {
                        Kind::Cut => proxy.cut(),
                        Kind::Reset => proxy.reset(),
                        Kind::Blackhole => proxy.blackhole(),
                        Kind::Delay => {
                            proxy.delay(Duration::from_millis(fault.delay_ms.unsigned_abs()))
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends a fault; a server is waited for until it takes requests again.
    ///
    /// # Errors
    /// When something does not start again.
    pub fn end(&self, fault: &Planned) -> Result<(), ServerError> {
        match (fault.kind, fault.target) {
            (Kind::KillScheduler | Kind::StopScheduler, Target::Scheduler(node)) => {
                self.start_scheduler(node)
            }
            (Kind::PauseScheduler, Target::Scheduler(node)) => {
                self.members[node].process.resume().or(Ok(()))
            }
            (Kind::KillServer | Kind::StopServer, target) => {
                self.server(target).map_or(Ok(()), Server::start)
            }
            (Kind::FullDisk, target) => self.server(target).map_or(Ok(()), Server::free_disk),
            (_, target) => {
                self.proxies(target).into_iter().for_each(Proxy::heal);
                Ok(())
            }
        }
    }

    fn server(&self, target: Target) -> Option<&Server> {
        match target {
            Target::Broker => self.kafka.brokers().first(),
            Target::Cassandra => self.cassandra.nodes().first(),
            Target::Etcd => Some(self.etcd.server()),
            _ => None,
        }
    }

    fn proxies(&self, target: Target) -> Vec<&Proxy> {
        match target {
            Target::ToKafka(node) => self.kafka.proxies(node).iter().collect(),
            Target::ToEtcd(node) => self.members[node].to_etcd.iter().collect(),
            Target::ToCassandra => self.cassandra.proxies().iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Copies the servers' logs into the folder: their own go with the servers.
    pub fn keep_logs(&self) {
        let servers = [Target::Broker, Target::Cassandra, Target::Etcd].into_iter();
        for server in servers.filter_map(|target| self.server(target)) {
            let copy = self.folder().join(format!("{}.log", server.name()));
            if let Err(error) = std::fs::copy(server.log(), &copy) {
                tracing::warn!(server = server.name(), %error, "its log could not be kept");
            }
        }
    }
}
