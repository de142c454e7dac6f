//! A scheduler on an embedded store, and the API over it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use minutehand_embedded::EmbeddedStore;
use minutehand_http::{ApiConfig, IdSource, NamespacePolicy, Tokens};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::ExecutionQueue;
use minutehand_standalone::Scheduler;
use minutehand_worker::{Gates, HistoryPolicy, LeaseLimits, Leases, LeasesConfig, Worker};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) limits: Option<LeaseLimits>,
    pub(crate) tokens: &'static str,
}

pub(crate) struct Rig {
    router: Router,
    _scheduler: Scheduler,
    pub(crate) leases: Leases,
    /// What replaces them counts.
    pub(crate) tokens: Tokens,
    /// What a worker beside the leases would be given.
    pub(crate) port: Arc<dyn ExecutionQueue>,
    pub(crate) gates: Gates,
    pub(crate) stop: watch::Sender<bool>,
    _folder: TempDir,
}

pub(crate) fn ids(leases: &[Value]) -> Vec<&str> {
    leases
        .iter()
        .map(|lease| lease["lease_id"].as_str().unwrap())
        .collect()
}

pub(crate) fn statuses(body: &Value) -> Vec<String> {
    let items = body["items"].as_array().unwrap_or_else(|| panic!("{body}"));
    items
        .iter()
        .map(|item| item["status"].as_str().unwrap().to_owned())
        .collect()
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        Rig::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(|| SystemClock.now());
        let config = minutehand_embedded::Config::new(folder.path().to_owned(), 2, now);
        let store = EmbeddedStore::open(config).unwrap();
        let scheduler = Scheduler::start(Arc::clone(&store), minutehand_engine::Config::default());
        scheduler.ready().await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let usual = LeasesConfig::new(stopping);
        let config = LeasesConfig {
            limits: setup.limits.unwrap_or(usual.limits),
            ..usual
        };
        let (port, gates): (Arc<dyn ExecutionQueue>, _) = (store.clone(), Gates::new(store));
        let worker = Worker::builder(Arc::clone(&port)).history(HistoryPolicy::All);
        let leases = Leases::new(worker.gates(gates.clone()), config);
        let tokens = if setup.tokens.is_empty() {
            Tokens::none()
        } else {
            Tokens::parse(setup.tokens).unwrap()
        };
        let router = minutehand_http::router(ApiConfig {
            gateway: Arc::clone(scheduler.gateway()),
            tokens: tokens.clone(),
            namespaces: NamespacePolicy::OnFirstUse,
            ids: IdSource::new(1),
            leases: Some(leases.clone()),
            lease_places: None,
            metrics: Arc::new(String::new),
            default_group: Default::default(),
        });
        Rig {
            router,
            _scheduler: scheduler,
            leases,
            tokens,
            port,
            gates,
            stop,
            _folder: folder,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Body,
    ) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        request = request.header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.answer(request.body(body).unwrap()).await
    }

    /// Status and body of what a request is answered with.
    pub(crate) fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = (u16, Value)> + Send + use<> {
        let router = self.router.clone();
        async move {
            let response = router.oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX);
            let body = serde_json::from_slice(&bytes.await.unwrap());
            (status, body.unwrap_or(Value::Null))
        }
    }

    /// The status of an answer, and the methods that it says are taken.
    pub(crate) async fn allowed(&self, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let allow = response.headers().get("allow");
        let methods = allow.map_or("", |allow| allow.to_str().unwrap()).to_owned();
        (response.status().as_u16(), methods)
    }

    pub(crate) async fn post_as(
        &self,
        token: Option<&str>,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        self.send("POST", path, token, Body::from(body.to_string()))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.post_as(None, path, body).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> (u16, Value) {
        self.send("GET", path, Some(token), Body::empty()).await
    }

    pub(crate) async fn refused(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, None, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, None, Body::empty()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None, Body::empty()).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Creates a task of the queue `mail` that is due now, unless `more` says otherwise.
    pub(crate) async fn create(&self, id: &str, more: Value) {
        let mut body = json!({ "id": id, "queue": "mail" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        if body.get("due_at").is_none() {
            body["delay"] = json!("0s");
        }
        let (status, answer) = self.post("/v1/namespaces/default/tasks", body).await;
        assert!(matches!(status, 200..=202), "{status}: {answer}");
    }

    pub(crate) async fn lease(&self, body: Value) -> Vec<Value> {
        let (status, answer) = self.post("/v1/queues/mail:lease", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["leases"].as_array().unwrap().clone()
    }

    /// Waits for one lease.
    pub(crate) async fn lease_one(&self, visibility: &str) -> Value {
        let mut leases = self
            .lease(json!({ "max": 1, "wait": "30s", "visibility": visibility }))
            .await;
        assert_eq!(leases.len(), 1, "there is one");
        leases.remove(0)
    }

    /// What becomes of answers.
    pub(crate) async fn say(&self, action: &str, items: Value) -> Vec<String> {
        let (status, body) = self
            .post(
                &format!("/v1/queues/mail:{action}"),
                json!({ "items": items }),
            )
            .await;
        assert_eq!(status, 200, "{body}");
        statuses(&body)
    }

    /// Waits until there are so many dead letters.
    pub(crate) async fn until_dead(&self, count: u64) {
        while self.get("/v1/queues/mail").await["dead_letters"] != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
