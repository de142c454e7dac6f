//! A gateway and two schedulers, each behind its own listener: the gateway owns nothing and asks.
//!
//! The stores are shared (one embedded store); between the processes-to-be lies HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use minutehand_embedded::EmbeddedStore;
use minutehand_engine::Config;
use minutehand_http::{ApiConfig, IdSource, NamespacePolicy, NodeConfig, Tokens};
use minutehand_model::PartitionId;
use minutehand_node::{
    Clock, Gateway, Limits, Node, OwnerStores, Owners, Readiness, Stores, SystemClock,
};
use minutehand_peers::{PeerToken, RemoteConfig, RemoteOwners};
use minutehand_ports::Coordinator;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PARTITIONS: u32 = 2;
const TOKEN: &str = "0123456789abcdef-cluster";

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let limits = minutehand_http::ServeLimits::default();
    tokio::spawn(minutehand_http::serve(
        listener,
        None,
        router,
        limits,
        std::future::pending(),
    ));
    addr
}

/// A scheduler: owners behind a listener.
struct Scheduler {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    node: JoinHandle<()>,
    _stop_streams: watch::Sender<bool>,
}

impl Scheduler {
    async fn start(store: &Arc<EmbeddedStore>) -> Scheduler {
        let owners = Owners::new(PARTITIONS);
        let (stop_streams, stopping) = watch::channel(false);
        let router = minutehand_http::node_router(NodeConfig {
            owners: Some(Arc::new(owners.clone())),
            tokens: Tokens::single("cluster", TOKEN).unwrap(),
            readiness: Arc::new(|| Readiness::Ready),
            metrics: Arc::new(|| "minutehand_up 1\n".to_owned()),
            stopping,
        });
        let stores = OwnerStores {
            log: store.clone(),
            sink: store.clone(),
            timetable: store.clone(),
            ledger: store.clone(),
        };
        let node = Node::new(
            Config::default(),
            store.clone(),
            stores,
            Arc::new(SystemClock),
            owners,
        );
        let (stop, stopped) = watch::channel(false);
        let node = tokio::spawn(async move { node.run(stopped).await.unwrap() });
        Scheduler {
            addr: listen(router).await,
            stop,
            node,
            _stop_streams: stop_streams,
        }
    }

    /// Hands everything over and listens on.
    async fn hand_over(self) -> watch::Sender<bool> {
        self.stop.send_replace(true);
        self.node.await.unwrap();
        self._stop_streams
    }
}

/// The store, the gateway and what it believes about owners.
struct Pair {
    store: Arc<EmbeddedStore>,
    directory: watch::Sender<BTreeMap<PartitionId, String>>,
    gateway: Arc<Gateway>,
    api: String,
    http: reqwest::Client,
    _folder: TempDir,
}

fn everywhere(addr: SocketAddr) -> BTreeMap<PartitionId, String> {
    (0..PARTITIONS)
        .map(|partition| (PartitionId::own(partition), format!("http://{addr}")))
        .collect()
}

impl Pair {
    async fn start(token: &str) -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let config = minutehand_embedded::Config::new(
            folder.path().to_owned(),
            PARTITIONS,
            Arc::new(|| SystemClock.now()),
        );
        let store = EmbeddedStore::open(config).unwrap();
        let (directory, known) = watch::channel(BTreeMap::new());
        let config = RemoteConfig {
            token: PeerToken::new(token).unwrap(),
            ..RemoteConfig::new(PARTITIONS)
        };
        let remote = RemoteOwners::new(config, known).unwrap();
        let stores = Stores {
            log: store.clone(),
            timetable: store.clone(),
            ledger: store.clone(),
            queue: store.clone(),
            history: store.clone(),
        };
        let limits = Limits {
            apply_wait_ms_max: 10_000,
            ..Limits::default()
        };
        let gateway = Gateway::with_owners(stores, Arc::new(remote), Arc::new(SystemClock), limits);
        let gateway = Arc::new(gateway.with_assignment(store.assignment()));
        let router = minutehand_http::router(ApiConfig {
            gateway: Arc::clone(&gateway),
            tokens: Tokens::none(),
            namespaces: NamespacePolicy::OnFirstUse,
            ids: IdSource::new(1),
            leases: None,
            lease_places: None,
            metrics: Arc::new(String::new),
            default_group: Default::default(),
        });
        let api = format!("http://{}/v1/namespaces/default", listen(router).await);
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        Pair {
            store,
            directory,
            gateway,
            api,
            http,
            _folder: folder,
        }
    }

    async fn ready(&self) {
        while self.gateway.readiness() != Readiness::Ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        let response = self
            .http
            .request(method, format!("{}{path}", self.api))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, body).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, Value::Null).await
    }
}

fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_owners_creates_finds_cancels_and_explains() {
    install_provider();
    let pair = Pair::start(TOKEN).await;
    let scheduler = Scheduler::start(&pair.store).await;
    pair.directory.send_replace(everywhere(scheduler.addr));
    pair.ready().await;

    for number in 0..8 {
        let task =
            json!({"id": format!("t-{number}"), "queue": "q", "delay": "1h", "payload": "x"});
        let (status, created) = pair.post("/tasks", task).await;
        assert_eq!(status, 201, "{created}");
        let (status, found) = pair.get(&format!("/tasks/t-{number}")).await;
        assert_eq!(status, 200, "{found}");
    }
    let (status, cancelled) = pair
        .call(reqwest::Method::DELETE, "/tasks/t-3", Value::Null)
        .await;
    assert_eq!(status, 200, "{cancelled}");
    let (status, listed) = pair.get("/tasks?limit=100").await;
    assert_eq!(status, 200, "{listed}");
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 7, "{listed}");

    let schedule = json!({"id": "nightly", "cron": "0 3 * * *", "queue": "q"});
    let (status, created) = pair.post("/schedules", schedule).await;
    assert_eq!(status, 201, "{created}");
    let (status, shown) = pair.get("/schedules/nightly").await;
    assert_eq!(status, 200, "{shown}");
    assert!(shown.to_string().contains("runs next at"), "{shown}");
    let (status, listed) = pair.get("/schedules").await;
    assert_eq!(
        (status, listed["schedules"].as_array().unwrap().len()),
        (200, 1),
        "{listed}"
    );
    scheduler.hand_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hand_over_the_gateway_asks_the_next_owner() {
    install_provider();
    let pair = Pair::start(TOKEN).await;
    let first = Scheduler::start(&pair.store).await;
    let first_addr = first.addr;
    pair.directory.send_replace(everywhere(first_addr));
    pair.ready().await;
    let (status, created) = pair
        .post(
            "/tasks",
            json!({"id": "kept", "queue": "q", "delay": "1h", "payload": "x"}),
        )
        .await;
    assert_eq!(status, 201, "{created}");

    // The first one still answers, that it owns nothing; the directory follows later.
    let _streams = first.hand_over().await;
    let second = Scheduler::start(&pair.store).await;
    let looked_up = tokio::spawn({
        let (http, api) = (pair.http.clone(), pair.api.clone());
        async move {
            http.get(format!("{api}/tasks/kept"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        }
    });
    pair.directory.send_replace(everywhere(second.addr));
    assert_eq!(looked_up.await.unwrap(), 200);
    pair.ready().await;
    second.hand_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_clusters_token_a_scheduler_says_nothing() {
    install_provider();
    let pair = Pair::start("another-token-of-24-bytes").await;
    let scheduler = Scheduler::start(&pair.store).await;
    let addr = scheduler.addr;
    for (path, method) in [
        ("/internal/v1/ask", reqwest::Method::POST),
        ("/internal/v1/statuses", reqwest::Method::GET),
        ("/metrics", reqwest::Method::GET),
    ] {
        let url = format!("http://{addr}{path}");
        let refused = pair
            .http
            .request(method.clone(), &url)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status().as_u16(), 401, "{path}");
    }
    let live = pair
        .http
        .get(format!("http://{addr}/livez"))
        .send()
        .await
        .unwrap();
    assert_eq!(live.status().as_u16(), 200);
    let garbled = || {
        pair.http
            .post(format!("http://{addr}/internal/v1/ask"))
            .bearer_auth(TOKEN)
            .body("?")
    };
    assert_eq!(garbled().send().await.unwrap().status().as_u16(), 415);
    let garbled = garbled().header("content-type", minutehand_peers::CONTENT_TYPE);
    assert_eq!(garbled.send().await.unwrap().status().as_u16(), 400);
    pair.directory.send_replace(everywhere(addr));
    assert_ne!(pair.gateway.readiness(), Readiness::Ready);
    scheduler.hand_over().await;
}
