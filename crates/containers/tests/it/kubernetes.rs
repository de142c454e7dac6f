//! The Kubernetes executor against a scripted API server, over TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use minutehand_containers::{ContainerRules, KubernetesConfig, KubernetesExecutor};
use minutehand_worker::{Handler, Run, StopCause, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Answer, Asked, serve};
use crate::support::{RUN_TIMEOUT_MS, queue, run_image, run_of};

const IMAGE: &str = "registry.example/reports:3";
const JOBS: &str = "/apis/batch/v1/namespaces/batch/jobs";
const PODS: &str = "/api/v1/namespaces/batch/pods";

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, Value>,
    version: u64,
    /// What the pod of every Job says of its end.
    terminated: Value,
    log: String,
    watchers: Vec<mpsc::UnboundedSender<Vec<u8>>>,
    asked: Vec<Asked>,
    /// The one token that is accepted.
    token: String,
}

/// An API server, and the files that a service account has.
#[derive(Clone)]
struct Cluster {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    folder: Arc<TempDir>,
    server: String,
}

impl Cluster {
    async fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("ca.crt"), key.cert.pem()).unwrap();
        std::fs::write(folder.path().join("token"), "first\n").unwrap();
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let cluster = Cluster {
            state: Arc::default(),
            changed: Arc::default(),
            folder: Arc::new(folder),
            server: format!(
                "https://localhost:{}",
                listener.local_addr().unwrap().port()
            ),
        };
        cluster.state().token = "first".to_owned();
        let served = cluster.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let cluster = served.clone();
                    serve(
                        stream,
                        Arc::new(move |asked| {
                            let cluster = cluster.clone();
                            async move { cluster.answer(asked) }
                        }),
                    );
                }
            }
        });
        cluster
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn answer(&self, asked: Asked) -> Answer {
        self.state().asked.push(asked.clone());
        let answer = self.answered(&asked);
        self.changed.notify_waiters();
        answer
    }

    fn answered(&self, asked: &Asked) -> Answer {
        let mut state = self.state();
        if asked.authorization != format!("Bearer {}", state.token) {
            return Answer::json(401, &json!({"message": "Unauthorized"}));
        }
        let none = || Answer::json(404, &json!({"message": "not found"}));
        let job = asked
            .path
            .strip_prefix(JOBS)
            .map(|rest| rest.trim_start_matches('/'));
        match (&*asked.method, job) {
            ("POST", Some("")) => {
                let name = asked.body["metadata"]["name"].as_str().unwrap().to_owned();
                if state.jobs.contains_key(&name) {
                    return Answer::json(409, &json!({"message": "already exists"}));
                }
                state.jobs.insert(name, asked.body.clone());
                Answer::json(201, &asked.body)
            }
            ("GET", Some("")) => {
                assert!(asked.query.contains("watch=1"), "{}", asked.query);
                let (sender, answer) = Answer::stream();
                let from = asked
                    .query
                    .split('&')
                    .find_map(|part| part.strip_prefix("resourceVersion="));
                let from = from.and_then(|from| from.parse::<u64>().ok()).unwrap_or(0);
                // What has changed since then is told first.
                if let Some(job) = state.jobs.values().next().filter(|_| state.version > from) {
                    let event = json!({"type": "MODIFIED", "object": job});
                    sender.send(format!("{event}\n").into_bytes()).unwrap();
                }
                state.watchers.push(sender);
                answer
            }
            ("GET", Some(name)) => match state.jobs.get(name) {
                Some(job) => Answer::json(200, job),
                None => none(),
            },
            ("DELETE", Some(name)) => match state.jobs.remove(name) {
                Some(job) => Answer::json(200, &job),
                None => none(),
            },
            ("GET", None) if asked.path == PODS => Answer::json(
                200,
                &json!({"items": [{
                    "metadata": {"name": "the-pod"},
                    "status": {"containerStatuses": [{"state": {"terminated": state.terminated}}]},
                }]}),
            ),
            ("GET", None) if asked.path == format!("{PODS}/the-pod/log") => {
                Answer::bytes(200, state.log.clone())
            }
            _ => Answer::bytes(400, "not in the script"),
        }
    }

    /// Gives the only Job a condition, and tells those that watch.
    fn ends(&self, kind: &str, reason: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version.to_string();
        let job = state.jobs.values_mut().next().unwrap();
        job["metadata"]["resourceVersion"] = json!(version);
        job["status"] = json!({"conditions": [{"type": kind, "status": "True", "reason": reason}]});
        let event = json!({"type": "MODIFIED", "object": job});
        let line = format!("{event}\n");
        // In two parts: a line comes as it comes.
        let (front, behind) = line.split_at(line.len() / 2);
        for watcher in state.watchers.drain(..) {
            watcher.send(front.as_bytes().to_vec()).ok();
            watcher.send(behind.as_bytes().to_vec()).ok();
        }
    }

    fn config(&self) -> KubernetesConfig {
        KubernetesConfig {
            queues: vec![queue()],
            server: self.server.clone(),
            token_file: self.file("token"),
            ca_file: self.file("ca.crt"),
            namespace: "batch".to_owned(),
            rules: ContainerRules {
                images: vec![IMAGE.to_owned()],
                commands: vec!["/bin/report".to_owned()],
            },
            ..KubernetesConfig::default()
        }
    }

    fn started(&self, run: &Run) -> tokio::task::JoinHandle<Verdict> {
        let executor = executor(self.config());
        let run = run.clone();
        tokio::spawn(async move { executor.run(run).await })
    }

    async fn until_watched(&self) {
        self.until(|state| !state.watchers.is_empty()).await;
    }
}

fn executor(config: KubernetesConfig) -> KubernetesExecutor {
    KubernetesExecutor::new(config, RUN_TIMEOUT_MS)
        .unwrap()
        .expect("it has a queue")
}

#[tokio::test]
async fn a_job_runs_and_is_removed() {
    let cluster = Cluster::start().await;
    cluster.state().log = "sent\n".to_owned();
    let running = cluster.started(&run_image(IMAGE, &["/bin/report"]));
    cluster.until_watched().await;
    cluster.ends("Complete", "");
    let said = Verdict::Success {
        detail: "sent".to_owned(),
    };
    assert_eq!(running.await.unwrap(), said);
    assert!(cluster.state().jobs.is_empty());
    let asked = cluster.state().asked.clone();
    let removed = asked.iter().find(|asked| asked.method == "DELETE").unwrap();
    assert_eq!(removed.query, "propagationPolicy=Background");
}

#[tokio::test]
async fn a_job_has_no_privileges_and_limits() {
    let cluster = Cluster::start().await;
    let payload = json!({"image": IMAGE, "command": ["/bin/report", "$(HOME)"]});
    let run = run_of(&payload.to_string());
    let running = cluster.started(&run);
    cluster.until_watched().await;
    cluster.ends("Complete", "");
    running.await.unwrap();
    let asked = cluster.state().asked.clone();
    let job = asked
        .iter()
        .find(|asked| asked.method == "POST")
        .unwrap()
        .body
        .clone();
    let (spec, pod) = (&job["spec"], &job["spec"]["template"]["spec"]);
    let (container, security) = (
        &pod["containers"][0],
        &pod["containers"][0]["securityContext"],
    );
    for (value, expected) in [
        (
            &job["metadata"]["labels"]["minutehand.dev/execution"],
            json!(run.execution().id.to_string()),
        ),
        (&spec["backoffLimit"], json!(0)),
        (
            &spec["activeDeadlineSeconds"],
            json!(RUN_TIMEOUT_MS / 1_000 + 30),
        ),
        (&spec["ttlSecondsAfterFinished"], json!(3_600)),
        (&pod["restartPolicy"], json!("Never")),
        (&pod["automountServiceAccountToken"], json!(false)),
        (&pod["terminationGracePeriodSeconds"], json!(5)),
        (&container["command"], json!(["/bin/report", "$$(HOME)"])),
        (
            &container["resources"]["limits"],
            json!({"memory": "536870912", "cpu": "1000m"}),
        ),
        (&security["privileged"], json!(false)),
        (&security["allowPrivilegeEscalation"], json!(false)),
        (&security["readOnlyRootFilesystem"], json!(true)),
        (&security["runAsNonRoot"], json!(true)),
        (&security["capabilities"]["drop"], json!(["ALL"])),
    ] {
        assert_eq!(*value, expected, "{job}");
    }
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let cluster = Cluster::start().await;
    for (terminated, reason, expected) in [
        (
            json!({"exitCode": 3, "reason": "Error"}),
            "BackoffLimitExceeded",
            "BackoffLimitExceeded, exit code 3: no such report",
        ),
        (
            json!({"exitCode": 137, "reason": "OOMKilled"}),
            "BackoffLimitExceeded",
            "BackoffLimitExceeded, OOMKilled, exit code 137: no such report",
        ),
        (
            Value::Null,
            "DeadlineExceeded",
            "DeadlineExceeded: no such report",
        ),
    ] {
        cluster.state().terminated = terminated;
        cluster.state().log = "no such report\n".to_owned();
        let running = cluster.started(&run_image(IMAGE, &[]));
        cluster.until_watched().await;
        cluster.ends("Failed", reason);
        assert_eq!(running.await.unwrap(), Verdict::failure(expected));
    }
}

#[tokio::test]
async fn a_watch_that_breaks_off_loses_no_end() {
    let cluster = Cluster::start().await;
    let running = cluster.started(&run_image(IMAGE, &[]));
    for last in [
        &b""[..],
        b"{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n",
        b"{broken\n",
    ] {
        cluster.until_watched().await;
        let watcher = cluster.state().watchers.pop().unwrap();
        watcher.send(last.to_vec()).unwrap();
    }
    cluster.until_watched().await;
    // It ends while nobody watches.
    cluster.state().watchers.clear();
    cluster.ends("Complete", "");
    let verdict = running.await.unwrap();
    assert!(matches!(verdict, Verdict::Success { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_stop_removes_the_job() {
    for (cause, expected) in [
        (StopCause::Requested, Verdict::Cancelled),
        (StopCause::TimedOut, Verdict::failure("the Job was removed")),
    ] {
        let cluster = Cluster::start().await;
        let run = run_image(IMAGE, &[]);
        let running = cluster.started(&run);
        cluster.until_watched().await;
        run.ask_to_stop(cause);
        assert_eq!(running.await.unwrap(), expected);
        assert!(cluster.state().jobs.is_empty());
    }
}

#[tokio::test]
async fn a_job_of_an_earlier_delivery_is_not_begun_twice() {
    let cluster = Cluster::start().await;
    let run = run_image(IMAGE, &[]);
    let id = run.execution().id.to_string();
    let name = format!("minutehand-{id}");
    let job = json!({"metadata": {"name": name, "labels": {"minutehand.dev/execution": id}}});
    cluster.state().jobs.insert(name.clone(), job);
    let running = cluster.started(&run);
    cluster.until_watched().await;
    cluster.ends("Complete", "");
    assert!(matches!(running.await.unwrap(), Verdict::Success { .. }));
    // One of that name that is somebody else's is left alone.
    let job = json!({"metadata": {"name": name, "labels": {}}});
    cluster.state().jobs.insert(name.clone(), job);
    let verdict = cluster.started(&run).await.unwrap();
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.contains("already exists")),
        "{verdict:?}"
    );
    assert!(cluster.state().jobs.contains_key(&name));
}

#[tokio::test]
async fn a_job_that_somebody_removes_has_failed() {
    let cluster = Cluster::start().await;
    let running = cluster.started(&run_image(IMAGE, &[]));
    cluster.until_watched().await;
    {
        let mut state = cluster.state();
        let (_, job) = state.jobs.pop_first().unwrap();
        let event = json!({"type": "DELETED", "object": job});
        let watcher = state.watchers.pop().unwrap();
        watcher.send(format!("{event}\n").into_bytes()).unwrap();
    }
    let verdict = running.await.unwrap();
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.starts_with("the Job is gone")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn the_token_is_read_again() {
    let cluster = Cluster::start().await;
    let executor = executor(cluster.config());
    cluster.state().token = "second".to_owned();
    let verdict = executor.run(run_image(IMAGE, &[])).await;
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.contains("401") && !reason.contains("first")),
        "{verdict:?}"
    );
    std::fs::write(cluster.file("token"), "second").unwrap();
    let running = tokio::spawn(async move { executor.run(run_image(IMAGE, &[])).await });
    cluster.until_watched().await;
    cluster.ends("Complete", "");
    assert!(matches!(running.await.unwrap(), Verdict::Success { .. }));
    std::fs::remove_file(cluster.file("token")).unwrap();
    let verdict = cluster.started(&run_image(IMAGE, &[])).await.unwrap();
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.contains("could not read")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let (cluster, other) = (Cluster::start().await, Cluster::start().await);
    std::fs::copy(other.file("ca.crt"), cluster.file("ca.crt")).unwrap();
    let verdict = cluster.started(&run_image(IMAGE, &[])).await.unwrap();
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.starts_with("Kubernetes: create the Job")),
        "{verdict:?}"
    );
    assert!(cluster.state().asked.is_empty(), "it was shown the token");
}

#[tokio::test]
async fn what_is_not_allowed_reaches_no_server() {
    let cluster = Cluster::start().await;
    for payload in [
        "hello",
        r#"{"image": "registry.example/other:1"}"#,
        r#"{"image": "registry.example/reports:3", "command": ["/bin/sh"]}"#,
    ] {
        let verdict = executor(cluster.config()).run(run_of(payload)).await;
        assert!(
            matches!(verdict, Verdict::Discard { .. }),
            "{payload}: {verdict:?}"
        );
    }
    assert!(cluster.state().asked.is_empty());
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused() {
    let new = |config| KubernetesExecutor::new(config, RUN_TIMEOUT_MS);
    assert!(new(KubernetesConfig::default()).unwrap().is_none());
    let good = Cluster::start().await.config();
    let with = |change: &dyn Fn(&mut KubernetesConfig)| {
        let mut config = good.clone();
        change(&mut config);
        new(config).err().unwrap().to_string()
    };
    assert!(with(&|config| config.server = "http://h".to_owned()).contains("kubernetes.server"));
    assert!(with(&|config| config.namespace = "a/b".to_owned()).contains("kubernetes.namespace"));
    let account = with(&|config| config.service_account = Some("A".to_owned()));
    assert!(account.contains("kubernetes.service_account"));
    assert!(with(&|config| config.rules.images.clear()).contains("kubernetes.images is empty"));
}
