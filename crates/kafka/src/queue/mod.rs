//! The execution queue on topics of executions, one for each queue; a worker group is a consumer
//! group.
//!
//! What Kafka keeps of a group is its place: an offset for each partition, and in the commit's
//! metadata what is settled above it. So exactly what was not settled comes again after a restart,
//! and a delivery that takes hours holds up nothing but its own offset. Members of a group share
//! the partitions; when one is taken away, what this process had in hand of it is handed out again
//! by whoever has it then. Settling such a delivery changes nothing, and claiming it answers that
//! it must not run.

mod bell;
mod claims;
mod consumer;
mod delivery;
mod depth;
mod expired;
mod group;
mod job;
mod marks;
mod place;
mod settle;
mod stops;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutehand_model::{QueueName, Timestamp};
use minutehand_ports::{
    Claim, Delivery, DeliveryId, ErrorClass, ExecutionQueue, PortError, QueueDepth, Report,
    Settlement, Stop, StopReceiver,
};
use rdkafka::consumer::Consumer as _;

use self::claims::Claims;
use self::delivery::Shares;
use self::depth::Counter;
use self::expired::Expired;
use self::group::Group;
use self::job::{Effects, Job};
use self::stops::Stops;
use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::letters::Letters;
use crate::listener::{Consumer, Listener};

/// Consumers that ask for places and are kept: each has threads of its own.
const ASKERS_MAX: usize = 16;

type GroupName = (QueueName, String);

/// The queues of a cluster. Each worker group that polls here has a thread, which leaves its
/// consumer group when nobody has polled for a while and nothing is in hand.
pub struct KafkaQueue {
    client: Arc<Client>,
    groups: Mutex<Groups>,
    stops: Stops,
    letters: Arc<Letters>,
    counter: Arc<Counter>,
    claims: Arc<Claims>,
    expired: Arc<Expired>,
    /// Consumers that ask for the places of groups and take no part in them.
    askers: Mutex<BTreeMap<GroupName, Arc<Mutex<Consumer>>>>,
}

#[derive(Default)]
struct Groups {
    running: BTreeMap<GroupName, Arc<Group>>,
    is_closed: bool,
}

impl KafkaQueue {
    /// The queues of a cluster.
    pub fn new(client: Arc<Client>) -> KafkaQueue {
        KafkaQueue {
            groups: Mutex::default(),
            stops: Stops::new(Arc::clone(&client)),
            letters: Arc::new(Letters::new(Arc::clone(&client))),
            counter: Arc::default(),
            claims: Arc::new(Claims::new(Arc::clone(&client))),
            expired: Arc::default(),
            askers: Mutex::default(),
            client,
        }
    }

    /// How many executions of a queue the brokers had dropped before they could be handed out here;
    /// ends of transactions are among them.
    pub fn expired(&self, queue: &QueueName) -> u64 {
        self.expired.count(queue)
    }

    /// Leaves all groups, once what was left to settle is settled. Polls fail from then on.
    pub async fn close(&self) {
        let groups: Vec<Arc<Group>> = self.close_groups();
        for group in groups {
            group.closed().await;
        }
    }

    fn close_groups(&self) -> Vec<Arc<Group>> {
        self.stops.close();
        let mut groups = self.groups();
        groups.is_closed = true;
        let running: Vec<Arc<Group>> = std::mem::take(&mut groups.running).into_values().collect();
        running.iter().for_each(|group| group.close());
        running
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group as it runs here, if it does.
    fn running(&self, queue: &QueueName, name: &str) -> Option<Arc<Group>> {
        let groups = self.groups();
        let group = groups.running.get(&(queue.clone(), name.to_owned()))?;
        (!group.has_ended()).then(|| Arc::clone(group))
    }

    /// The group, started when it does not run. One that is ending is waited for.
    fn start(&self, queue: &QueueName, name: &str) -> Result<Arc<Group>, PortError> {
        let mut groups = self.groups();
        if groups.is_closed {
            let action = format!("consume the queue {queue}");
            return Err(PortError::new(
                ErrorClass::Fatal,
                action,
                "the connection to Kafka is closed",
            ));
        }
        let key = (queue.clone(), name.to_owned());
        if let Some(group) = groups.running.get(&key)
            && !group.has_ended()
        {
            return Ok(Arc::clone(group));
        }
        let (claims, expired) = (Arc::clone(&self.claims), Arc::clone(&self.expired));
        let group = Arc::new(Group::new(
            Arc::clone(&self.client),
            claims,
            expired,
            queue,
            name,
        ));
        consumer::start(Arc::clone(&group))?;
        groups.running.insert(key, Arc::clone(&group));
        Ok(group)
    }

    fn asker(&self, queue: &QueueName, name: &str) -> Result<Arc<Mutex<Consumer>>, PortError> {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (queue.clone(), name.to_owned());
        if let Some(asker) = askers.get(&key) {
            return Ok(Arc::clone(asker));
        }
        let group = self.client.names().consumer_group(queue, name);
        let mut config = self.client.config().member(&group);
        config.set("enable.partition.eof", "true");
        let asker: Consumer = config
            .create_with_context(Listener::default())
            .map_err(|error| {
                port_error(
                    format!("ask for the places of group {name} on the queue {queue}"),
                    error,
                )
            })?;
        let asker = Arc::new(Mutex::new(asker));
        if askers.len() >= ASKERS_MAX {
            askers.clear();
        }
        askers.insert(key, Arc::clone(&asker));
        Ok(asker)
    }

    /// Settlements of a group that does not run here: nothing that they mean is in this process's
    /// hands. Those that mean what cannot be are refused; the others change nothing.
    async fn settle_elsewhere(
        &self,
        queue: &QueueName,
        name: &str,
        ids: Vec<DeliveryId>,
        action: String,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let (client, asker) = (Arc::clone(&self.client), self.asker(queue, name)?);
        let topic = client.names().executions(queue);
        let unknown = PortError::new(
            ErrorClass::Fatal,
            &action,
            format!("group {name} has never been handed anything of the queue {queue}"),
        );
        blocking(move || {
            let Some(partitions) = client.look_up(&topic)? else {
                return Err(unknown);
            };
            let shares = Shares {
                own: client.config().partitions,
                topic: partitions,
            };
            let asker = asker.lock().unwrap_or_else(PoisonError::into_inner);
            let all: Vec<u32> = (0..partitions).collect();
            let places = place::read(&client, &asker, &topic, &all)
                .map_err(|error| port_error(&action, error))?;
            if places.iter().all(|(_, marks)| marks.is_none()) {
                return Err(unknown);
            }
            for id in &ids {
                let (partition, offset) = shares.place(*id);
                let end = if partition < partitions {
                    let bounds =
                        client.bounds(&topic, minutehand_model::PartitionId::own(partition));
                    bounds.map_err(|error| port_error(&action, error))?.1
                } else {
                    0
                };
                if offset >= end {
                    let reason = format!("there is no delivery {id:?}");
                    return Err(PortError::new(ErrorClass::Fatal, action, reason));
                }
            }
            Ok(ids)
        })
        .await
    }

    /// Makes settlements durable; answers those that mean nothing in this process's hands.
    async fn submit(
        &self,
        queue: &QueueName,
        name: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let action = format!(
            "settle {} deliveries of the queue {queue}",
            settlements.len()
        );
        let encode = |settlement| Effects::of(&self.client, settlement, &action);
        let settlements = settlements
            .into_iter()
            .map(encode)
            .collect::<Result<Vec<_>, _>>()?;
        self.submit_encoded(queue, name, action, settlements).await
    }

    async fn submit_encoded(
        &self,
        queue: &QueueName,
        name: &str,
        action: String,
        settlements: Vec<(DeliveryId, Effects)>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        match self.running(queue, name) {
            Some(group) => {
                let words = action.clone();
                let job = |answer| Job {
                    action: words,
                    settlements,
                    reports: Vec::new(),
                    answer,
                };
                group.submit(&action, job).await
            }
            None => {
                let ids = settlements.into_iter().map(|(id, _)| id).collect();
                self.settle_elsewhere(queue, name, ids, action).await
            }
        }
    }
}

impl Drop for KafkaQueue {
    fn drop(&mut self) {
        self.close_groups();
    }
}

#[async_trait]
impl ExecutionQueue for KafkaQueue {
    fn partitions(&self) -> u32 {
        self.client.config().partitions
    }

    async fn poll(
        &self,
        queue: &QueueName,
        group: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        loop {
            let running = self.start(queue, group)?;
            match running.poll(count_max).await {
                Some(answer) => return answer,
                None => running.closed().await,
            }
        }
    }

    async fn settle(
        &self,
        queue: &QueueName,
        group: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let lost = self.submit(queue, group, settlements).await?;
        if !lost.is_empty() {
            tracing::info!(%queue, group, count = lost.len(), "settlements came after their partitions had moved on");
        }
        Ok(lost)
    }

    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let ids: Vec<DeliveryId> = claims.iter().map(|claim| claim.id).collect();
        let running = self.running(queue, group);
        let prepared = claims.into_iter().map(|Claim { id, last_word }| {
            let word = last_word
                .zip(running.as_ref())
                .and_then(|(word, group)| group.leave(id, word));
            (id, Effects::of_claim(word))
        });
        let action = format!("claim {} deliveries of the queue {queue}", ids.len());
        let lost = self
            .submit_encoded(queue, group, action, prepared.collect())
            .await?;
        Ok(ids.into_iter().filter(|id| !lost.contains(id)).collect())
    }

    async fn report(
        &self,
        queue: &QueueName,
        group: &str,
        reports: Vec<Report>,
    ) -> Result<(), PortError> {
        let action = format!("keep {} reports of the queue {queue}", reports.len());
        let ids: Vec<DeliveryId> = reports.iter().map(|report| report.id).collect();
        let group = self.start(queue, group)?;
        let encode = |report: Report| {
            let withdrawal = group.withdrawal(report.id);
            Ok::<_, PortError>(Effects::new(&self.client, report, &action)?.with(withdrawal))
        };
        let reports = reports
            .into_iter()
            .map(encode)
            .collect::<Result<Vec<_>, _>>()?;
        let words = action.clone();
        let job = |answer| Job {
            action: words,
            settlements: Vec::new(),
            reports,
            answer,
        };
        group.submit(&action, job).await?;
        group.forget_words(&ids);
        Ok(())
    }

    fn let_go(&self, queue: &QueueName, group: &str, ids: Vec<DeliveryId>) {
        // Where the group does not run here, its partitions are somebody else's or nobody's
        // already.
        if let Some(group) = self.running(queue, group) {
            group.let_go(ids);
        }
    }

    fn share(&self, queue: &QueueName, group: &str) -> f64 {
        self.running(queue, group)
            .map_or(0.0, |group| group.state().share())
    }

    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        let (client, queue) = (Arc::clone(&self.client), queue.clone());
        blocking(move || stops::ask(client, &queue, &stops)).await
    }

    fn stops(&self, queue: &QueueName) -> StopReceiver {
        self.stops.listen(queue)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        let topics = self.client.topics().await?;
        let mut queues: Vec<QueueName> = topics
            .keys()
            .filter_map(|topic| self.client.names().queue_of(topic))
            .collect();
        queues.sort();
        Ok(queues)
    }

    async fn untaken(&self) -> Result<Vec<QueueName>, PortError> {
        let (mut queues, client) = (self.queues().await?, Arc::clone(&self.client));
        blocking(move || {
            let failed = |error| port_error("ask for the groups of queues", error);
            let lookups = client.lookups().map_err(failed)?;
            let groups = lookups
                .fetch_group_list(None, client.timeout())
                .map_err(failed)?;
            let taken: BTreeSet<&str> = groups
                .groups()
                .iter()
                .filter_map(|group| Some(group.name().split_once('/')?.0))
                .collect();
            queues.retain(|queue| {
                let of_queue = client.names().consumer_group(queue, "");
                !taken.contains(of_queue.trim_end_matches('/'))
            });
            Ok(queues)
        })
        .await
    }

    async fn oldest_waiting(
        &self,
        queue: &QueueName,
        group: &str,
    ) -> Result<Option<Timestamp>, PortError> {
        let action = format!("find the oldest execution of the queue {queue}");
        let (client, asker) = (Arc::clone(&self.client), self.asker(queue, group)?);
        let queue = queue.clone();
        blocking(move || {
            let topic = client.names().executions(&queue);
            let Some(partitions) = client.look_up(&topic)? else {
                return Ok(None);
            };
            let asker = asker.lock().unwrap_or_else(PoisonError::into_inner);
            Counter::oldest(&client, &asker, &topic, partitions)
                .map_err(|error| port_error(action, error))
        })
        .await
    }

    /// What is in progress is known of this process alone. A backlog of more than some thousand
    /// executions is told by offsets, which counts the ends of transactions too; that nothing waits
    /// is exact.
    async fn depth(&self, queue: &QueueName, group: &str) -> Result<QueueDepth, PortError> {
        let action = format!("ask how full the queue {queue} is");
        let in_progress = self
            .running(queue, group)
            .map_or(0, |group| group.state().in_hand());
        let (client, asker) = (Arc::clone(&self.client), self.asker(queue, group)?);
        let (counter, letters) = (Arc::clone(&self.counter), Arc::clone(&self.letters));
        let queue = queue.clone();
        blocking(move || {
            let dead_letters = letters.count(&queue)?;
            let topic = client.names().executions(&queue);
            let Some(partitions) = client.look_up(&topic)? else {
                return Ok(QueueDepth {
                    dead_letters,
                    ..QueueDepth::default()
                });
            };
            let asker = asker.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = counter
                .count(&client, &asker, &topic, partitions)
                .map_err(|error| port_error(action, error))?;
            Ok(QueueDepth {
                waiting: counts.waiting,
                in_progress,
                settled: counts.settled,
                dead_letters,
            })
        })
        .await
    }
}
