//! What the handlers share.

use std::sync::Arc;

use minutehand_metrics::HttpMetrics;
use minutehand_model::GroupName;
use minutehand_model::limits::TASK_WAITERS_MAX;
use minutehand_node::Gateway;
use minutehand_worker::Leases;
use tokio::sync::Semaphore;

use crate::idempotency::IdempotencyKeys;
use crate::ids::IdSource;
use crate::lease_places::LeasePlaces;
use crate::namespaces::{NamespacePolicy, Namespaces};
use crate::tokens::Tokens;

/// Renders the metrics in the text format of Prometheus.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the API is made of.
pub struct ApiConfig {
    /// Answers what callers ask.
    pub gateway: Arc<Gateway>,
    /// Who may call.
    pub tokens: Tokens,
    /// Which namespaces exist.
    pub namespaces: NamespacePolicy,
    /// Makes ids for tasks without one.
    pub ids: IdSource,
    /// Executions on lease; `None`: nothing can be leased here.
    pub leases: Option<Leases>,
    /// Where other gateways hold leases; `None`: there are no others.
    pub lease_places: Option<LeasePlaces>,
    /// What `/metrics` answers.
    pub metrics: RenderMetrics,
    /// The worker group that queue depths are shown for unless the caller names one.
    pub default_group: GroupName,
}

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) tokens: Tokens,
    pub(crate) namespaces: Namespaces,
    pub(crate) ids: IdSource,
    pub(crate) leases: Option<Leases>,
    pub(crate) lease_places: Option<LeasePlaces>,
    pub(crate) metrics: RenderMetrics,
    pub(crate) default_group: GroupName,
    pub(crate) idempotency: IdempotencyKeys,
    pub(crate) requests: HttpMetrics,
    /// Room for calls that wait for the ends of tasks.
    pub(crate) waits: Semaphore,
    /// Room for batches of bulk creations under way, of all callers.
    pub(crate) batches: Arc<Semaphore>,
}

/// Most batches of bulk creations under way at once.
const BATCHES_MAX: usize = 64;

impl Api {
    pub(crate) fn new(config: ApiConfig) -> Api {
        Api {
            gateway: config.gateway,
            tokens: config.tokens,
            namespaces: Namespaces::new(config.namespaces),
            ids: config.ids,
            leases: config.leases,
            lease_places: config.lease_places,
            metrics: config.metrics,
            default_group: config.default_group,
            idempotency: IdempotencyKeys::default(),
            requests: HttpMetrics::new(),
            waits: Semaphore::new(TASK_WAITERS_MAX),
            batches: Arc::new(Semaphore::new(BATCHES_MAX)),
        }
    }
}
