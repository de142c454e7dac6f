//! The whole scheduler in one process, as a library: node and gateway on the embedded store.
//!
//! `minutehand dev` is this with an HTTP API and workers around it. A Rust program can hold a
//! [`Scheduler`] itself, create tasks through [`Scheduler::gateway`] and run them with a worker on
//! [`Scheduler::store`].

mod allocator;

use std::sync::Arc;
use std::time::Duration;

use minutehand_embedded::Corruption;
use minutehand_engine::{Config, StopReason};
use minutehand_node::{
    Clock, Damage, Gateway, Limits, Node, OwnerStores, Owners, Readiness, Stores, SystemClock,
};
use minutehand_ports::Coordinator;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

pub use allocator::delay_purge;
/// The store, and how it is opened.
pub use minutehand_embedded::{Config as EmbeddedConfig, EmbeddedStore, Health, OpenError};

/// Why the scheduler runs no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// A partition stopped and an operator must act.
    #[error("a partition stopped: {0}")]
    Stopped(StopReason),
    /// A task of the scheduler panicked.
    #[error("the scheduler failed: {0}")]
    Failed(String),
}

/// A running scheduler.
pub struct Scheduler {
    store: Arc<EmbeddedStore>,
    gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    node: Mutex<Option<JoinHandle<Result<(), StopReason>>>>,
    ended: watch::Receiver<Option<Ended>>,
}

/// How often readiness is looked at while it is waited for.
const READY_LOOK: Duration = Duration::from_millis(2);

impl Scheduler {
    /// Starts on an open store. Returns at once; partitions are taken over in the background.
    /// To be called within a tokio runtime.
    pub fn start(store: Arc<EmbeddedStore>, config: Config) -> Scheduler {
        Scheduler::start_by(Arc::new(SystemClock), store, config)
    }

    /// The same by another clock, which the store should go by as well.
    pub fn start_by(clock: Arc<dyn Clock>, store: Arc<EmbeddedStore>, config: Config) -> Scheduler {
        let owners = Owners::new(store.partitions());
        let stores = OwnerStores {
            log: store.clone(),
            sink: store.clone(),
            timetable: store.clone(),
            ledger: store.clone(),
        };
        let node = Node::new(
            config,
            store.clone(),
            stores,
            Arc::clone(&clock),
            owners.clone(),
        );
        let (stop, stopping) = watch::channel(false);
        let (tell_ended, ended) = watch::channel(None);
        let node = tokio::spawn(async move {
            let result = node.run(stopping).await;
            if let Err(reason) = &result {
                tell_ended.send_replace(Some(Ended::Stopped(reason.clone())));
            }
            result
        });
        let stores = Stores {
            log: store.clone(),
            timetable: store.clone(),
            ledger: store.clone(),
            queue: store.clone(),
            history: store.clone(),
        };
        let gateway = Gateway::new(stores, owners, clock, Limits::default())
            .with_assignment(store.assignment())
            .with_rulebook(store.clone());
        let told = Arc::clone(&store);
        let gateway = gateway.with_damage(Arc::new(move || {
            let damage = |Corruption { position, reason }| Damage { position, reason };
            told.corruptions().into_iter().map(damage).collect()
        }));
        let gateway = Arc::new(gateway);
        Scheduler {
            store,
            gateway,
            stop,
            node: Mutex::new(Some(node)),
            ended,
        }
    }

    /// The callers' face: create, find, cancel, schedules.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The store, which is every port; a worker polls it.
    pub fn store(&self) -> &Arc<EmbeddedStore> {
        &self.store
    }

    /// Waits until every partition fires.
    ///
    /// # Errors
    /// When a partition could not be taken over and an operator must act.
    pub async fn ready(&self) -> Result<(), Ended> {
        let mut look = tokio::time::interval(READY_LOOK);
        loop {
            if self.gateway.readiness() == Readiness::Ready {
                return Ok(());
            }
            if let Some(ended) = self.ended.borrow().clone() {
                return Err(ended);
            }
            look.tick().await;
        }
    }

    /// Waits until the scheduler stops by itself, which it does only when an operator must act.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone())
        {
            Ok(Some(reason)) => reason,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Hands every partition over and closes the store.
    ///
    /// # Errors
    /// Why the scheduler had stopped before, if it had.
    pub async fn stop(&self) -> Result<(), Ended> {
        self.stop.send_replace(true);
        let node = self.node.lock().await.take();
        let result = match node {
            Some(node) => node.await,
            None => Ok(Ok(())),
        };
        Arc::clone(&self.store).close_apart().await;
        match result {
            Ok(result) => result.map_err(Ended::Stopped),
            Err(error) => Err(Ended::Failed(error.to_string())),
        }
    }
}
