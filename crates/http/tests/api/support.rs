//! The API over real owners on stores in memory, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use minutehand_http::{ApiConfig, IdSource, NamespacePolicy, Tokens};
use minutehand_model::Timestamp;
use minutehand_node::{
    Clock, Damage, Gateway, Limits, Node, OwnerStores, Owners, Readiness, Stores,
};
use minutehand_sim::ports::MemoryStores;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::ServiceExt;

/// 2026-11-23T16:00:00Z, when every test begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_449_600_000);
pub(crate) const PARTITIONS: u32 = 2;

/// Virtual time: moves when everybody sleeps.
struct VirtualClock {
    begin: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        START.plus_millis(self.begin.elapsed().as_millis() as i64)
    }
}

pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) store: Arc<MemoryStores>,
    /// Ends the node when dropped.
    _shutdown: watch::Sender<bool>,
}

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) tokens: &'static str,
    pub(crate) namespaces: NamespacePolicy,
    pub(crate) no_node: bool,
    pub(crate) limits: Option<Limits>,
}

/// A node that is ready, and the API over it.
pub(crate) async fn api() -> Api {
    api_with(Setup::default()).await
}

pub(crate) async fn api_with(setup: Setup) -> Api {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock {
        begin: Instant::now(),
    });
    let now = Arc::clone(&clock);
    let store = Arc::new(MemoryStores::new(PARTITIONS, move || now.now()));
    let owners = Owners::new(PARTITIONS);
    let stores = Stores {
        log: store.clone(),
        timetable: store.clone(),
        ledger: store.clone(),
        queue: store.clone(),
        history: store.clone(),
    };
    let gateway = Gateway::new(
        stores,
        owners.clone(),
        Arc::clone(&clock),
        setup.limits.unwrap_or_default(),
    );
    let damage = Damage {
        position: "log of partition 1, row at offset 9".to_owned(),
        reason: "a bit".to_owned(),
    };
    let gateway = gateway.with_damage(Arc::new(move || vec![damage.clone()]));
    let gateway =
        Arc::new(gateway.with_assignment(minutehand_ports::Coordinator::assignment(&*store)));
    let (shutdown, is_down) = watch::channel(false);
    if !setup.no_node {
        let owner_stores = OwnerStores {
            log: store.clone(),
            sink: store.clone(),
            timetable: store.clone(),
            ledger: store.clone(),
        };
        let config = minutehand_engine::Config::default();
        let node = Node::new(
            config,
            store.clone(),
            owner_stores,
            Arc::clone(&clock),
            owners,
        );
        tokio::spawn(node.run(is_down));
        let renewing = store.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                renewing.confirm();
            }
        });
        while gateway.readiness() != Readiness::Ready {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let router = minutehand_http::router(ApiConfig {
        gateway,
        tokens: if setup.tokens.is_empty() {
            Tokens::none()
        } else {
            Tokens::parse(setup.tokens).unwrap()
        },
        namespaces: setup.namespaces,
        ids: IdSource::new(1),
        leases: None,
        lease_places: None,
        metrics: Arc::new(|| "minutehand_up 1\n".to_owned()),
        default_group: Default::default(),
    });
    Api {
        router,
        store,
        _shutdown: shutdown,
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body, once the status is as expected.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The body of a problem: status, media type and the members every problem has are checked.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }
}

/// A request as a client makes it: with a host and the kind of its body, unless `headers` say
/// otherwise; with an empty value they are left out.
pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Request<Body> {
    let kind = if path.ends_with(":bulk") {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let usual = [("host", "localhost"), ("content-type", kind)];
    let is_given = |name: &str| {
        headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    let is_left_out =
        |name: &str, value: &str| value.is_empty() && usual.iter().any(|(usual, _)| *usual == name);
    let added = usual.iter().filter(|(name, _)| !is_given(name));
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in added
        .chain(headers)
        .filter(|(name, value)| !is_left_out(name, value))
    {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

impl Api {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send(request(method, path, &[], body.into())).await
    }

    pub(crate) async fn with_headers(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.send(request(method, path, headers, Body::from(body.to_owned())))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call(Method::POST, path, body.to_owned()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &str) -> Answer {
        self.call(Method::PATCH, path, body.to_owned()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "").await
    }

    /// How often each task id was published.
    pub(crate) fn published(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for record in self.store.published() {
            let task = minutehand_record::task::decode(&record.encoded).unwrap();
            *counts.entry(task.id.to_string()).or_default() += 1;
        }
        counts
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

pub(crate) const TASKS: &str = "/v1/namespaces/default/tasks";
pub(crate) const SCHEDULES: &str = "/v1/namespaces/default/schedules";

impl Answer {
    /// The lines of an NDJSON answer.
    #[track_caller]
    pub(crate) fn expect_lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
