//! Two gateways behind a balancer: an answer finds the one that holds its lease, or is told that
//! there is none.

use std::sync::Arc;

use minutehand_embedded::EmbeddedStore;
use minutehand_http::{ApiConfig, IdSource, LeasePlaces, NamespacePolicy, ServeLimits, Tokens};
use minutehand_node::{Clock, SystemClock};
use minutehand_peers::{LeasePeers, PeerToken, RemoteConfig};
use minutehand_ports::ExecutionQueue;
use minutehand_standalone::Scheduler;
use minutehand_worker::{Leases, LeasesConfig, Worker};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::rig::statuses;

const TOKEN: &str = "0123456789abcdef-cluster";
const CALLER: &str = "0123456789abcdef-caller";

struct Gateway {
    url: String,
    _leases: Leases,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

async fn gateway(store: &Arc<EmbeddedStore>, scheduler: &Scheduler, cluster: &str) -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopping) = watch::channel(false);
    let port: Arc<dyn ExecutionQueue> = store.clone();
    let leases = Leases::new(Worker::builder(port), LeasesConfig::new(stopping.clone()));
    let remote = RemoteConfig {
        token: PeerToken::new(cluster).unwrap(),
        ..RemoteConfig::new(2)
    };
    let places = LeasePlaces {
        tokens: Tokens::single("cluster", TOKEN).unwrap(),
        address: url.clone(),
        peers: LeasePeers::new(&remote).unwrap(),
    };
    let router = minutehand_http::router(ApiConfig {
        gateway: Arc::clone(scheduler.gateway()),
        tokens: Tokens::single("caller", CALLER).unwrap(),
        namespaces: NamespacePolicy::OnFirstUse,
        ids: IdSource::new(1),
        leases: Some(leases.clone()),
        lease_places: Some(places),
        metrics: Arc::new(String::new),
        default_group: Default::default(),
    });
    let mut stopped = stopping;
    let shutdown = async move {
        stopped.wait_for(|stopped| *stopped).await.ok();
    };
    let served = tokio::spawn(minutehand_http::serve(
        listener,
        None,
        router,
        ServeLimits::default(),
        shutdown,
    ));
    Gateway {
        url,
        _leases: leases,
        stop,
        served,
    }
}

struct Pair {
    http: reqwest::Client,
    store: Arc<EmbeddedStore>,
    scheduler: Scheduler,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(|| SystemClock.now());
        let store = EmbeddedStore::open(minutehand_embedded::Config::new(
            folder.path().to_owned(),
            2,
            now,
        ))
        .unwrap();
        let scheduler = Scheduler::start(Arc::clone(&store), minutehand_engine::Config::default());
        scheduler.ready().await.unwrap();
        // The first of them chooses how TLS is done, for clients of any kind.
        LeasePeers::new(&RemoteConfig::new(2)).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        Pair {
            http,
            store,
            scheduler,
            _folder: folder,
        }
    }

    async fn gateway(&self, cluster: &str) -> Gateway {
        gateway(&self.store, &self.scheduler, cluster).await
    }

    async fn post(&self, url: String, token: &str, body: Value) -> (u16, Value) {
        let sent = self
            .http
            .post(url)
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
            .unwrap();
        (
            sent.status().as_u16(),
            sent.json().await.unwrap_or(Value::Null),
        )
    }

    /// A lease of a new task, from a gateway.
    async fn lease(&self, from: &Gateway, id: &str) -> Value {
        let task = json!({ "id": id, "queue": "mail", "delay": 0 });
        let (status, created) = self
            .post(
                format!("{}/v1/namespaces/default/tasks", from.url),
                CALLER,
                task,
            )
            .await;
        assert!((200..300).contains(&status), "{created}");
        let ask = json!({ "max": 1, "wait": "30s", "visibility": "10m" });
        let (_, leased) = self
            .post(format!("{}/v1/queues/mail:lease", from.url), CALLER, ask)
            .await;
        leased["leases"][0]["lease_id"].clone()
    }

    async fn say(&self, to: &Gateway, action: &str, items: Value) -> Vec<String> {
        let url = format!("{}/v1/queues/mail:{action}", to.url);
        let (status, body) = self.post(url, CALLER, json!({ "items": items })).await;
        assert_eq!(status, 200, "{body}");
        statuses(&body)
    }
}

#[tokio::test]
async fn an_answer_finds_the_gateway_that_holds_its_lease() {
    let pair = Pair::start().await;
    let (first, second) = (pair.gateway(TOKEN).await, pair.gateway(TOKEN).await);
    let (here, there) = (
        pair.lease(&second, "here").await,
        pair.lease(&first, "there").await,
    );
    let extend = json!([{ "lease_id": there, "visibility": "1h" }]);
    assert_eq!(pair.say(&second, "extend", extend).await, ["done"]);
    let both =
        json!([{ "lease_id": there, "result": "x" }, { "lease_id": here }, { "lease_id": there }]);
    assert_eq!(
        pair.say(&second, "ack", both).await,
        ["done", "done", "lease-lost"]
    );
    assert_eq!(
        pair.say(&first, "ack", json!([{ "lease_id": there }]))
            .await,
        ["lease-lost"]
    );
}

#[tokio::test]
async fn when_its_gateway_is_gone_a_lease_is_lost() {
    let pair = Pair::start().await;
    let (first, second) = (pair.gateway(TOKEN).await, pair.gateway(TOKEN).await);
    let lease = pair.lease(&first, "a").await;
    first.stop.send_replace(true);
    first.served.await.unwrap();
    assert_eq!(
        pair.say(&second, "ack", json!([{ "lease_id": lease }]))
            .await,
        ["lease-lost"]
    );
}

#[tokio::test]
async fn a_gateway_that_is_refused_tells_that_it_is_not_known() {
    let pair = Pair::start().await;
    let (first, stranger) = (
        pair.gateway(TOKEN).await,
        pair.gateway("another-token-0123456789").await,
    );
    let lease = pair.lease(&first, "a").await;
    assert_eq!(
        pair.say(&stranger, "ack", json!([{ "lease_id": lease }]))
            .await,
        ["unavailable"]
    );
    // The tokens of callers open nothing among gateways.
    let url = format!("{}/internal/v1/queues/mail:ack", first.url);
    let items = json!({ "items": [{ "lease_id": lease }] });
    assert_eq!(pair.post(url.clone(), CALLER, items.clone()).await.0, 401);
    let (status, told) = pair.post(url, TOKEN, items).await;
    assert_eq!((status, statuses(&told)), (200, vec!["done".to_owned()]));
}
