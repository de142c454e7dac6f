//! The Docker executor against a scripted engine, on a Unix socket and on TCP.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use minutehand_containers::{
    ContainerLimits, ContainerRules, DockerConfig, DockerExecutor, PullPolicy,
};
use minutehand_worker::{Handler, Run, StopCause, Verdict};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

use crate::server::{Answer, Asked, serve};
use crate::support::{RUN_TIMEOUT_MS, queue, run_image, run_of};

const IMAGE: &str = "registry.example/reports:3";

/// A container of the engine.
#[derive(Clone, Debug)]
struct Container {
    described: Value,
    is_running: bool,
    code: i64,
    is_out_of_memory: bool,
    log: Vec<u8>,
}

#[derive(Default)]
struct State {
    images: BTreeSet<String>,
    /// Images that a registry has.
    registry: BTreeSet<String>,
    containers: BTreeMap<String, Container>,
    asked: Vec<Asked>,
    /// Waits that are answered with an error of the engine.
    waits_to_break: usize,
    /// Removals that fail.
    removals_to_break: usize,
}

/// An engine. What a container does is the first word of its command.
#[derive(Clone, Default)]
struct Engine {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Engine {
    fn with_image() -> Engine {
        let engine = Engine::default();
        engine.state().images.insert(IMAGE.to_owned());
        engine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The paths that were asked for, without the version.
    fn asked(&self) -> Vec<String> {
        let asked = self.state().asked.clone();
        asked
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path.replacen("/v1.41/", "", 1)))
            .collect()
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

    async fn answer(self, asked: Asked) -> Answer {
        self.state().asked.push(asked.clone());
        self.changed.notify_waiters();
        let path = asked.path.strip_prefix("/v1.41/").unwrap().to_owned();
        let words: Vec<&str> = path.split('/').collect();
        let answer = match (&*asked.method, &words[..]) {
            ("POST", ["images", "create"]) => self.pulled(&asked),
            ("GET", ["images", name @ .., "json"]) => {
                let there = self.state().images.contains(&name.join("/"));
                Answer::json(
                    if there { 200 } else { 404 },
                    &json!({"message": "No such image"}),
                )
            }
            ("GET", ["containers", "json"]) => self.listed(),
            ("POST", ["containers", "create"]) => self.created(&asked),
            ("POST", ["containers", name, "wait"]) => self.waited(name).await,
            (method, ["containers", name, rest @ ..]) => self.of_container(method, name, rest),
            _ => Answer::bytes(400, "not in the script"),
        };
        self.changed.notify_waiters();
        answer
    }

    fn pulled(&self, asked: &Asked) -> Answer {
        let mut state = self.state();
        let image = asked.query.strip_prefix("fromImage=").unwrap();
        let image = image.replace("%2F", "/").replace("%3A", ":");
        let line = match state.registry.contains(&image) {
            true => json!({"status": "Downloaded"}),
            false => json!({"error": format!("manifest for {image} not found")}),
        };
        if state.registry.contains(&image) {
            state.images.insert(image);
        }
        Answer::bytes(200, format!("{}\n{line}\n", json!({"status": "Pulling"})))
    }

    fn listed(&self) -> Answer {
        let state = self.state();
        let containers = state.containers.iter().map(|(name, container)| {
            json!({"Names": [format!("/{name}")], "Labels": container.described["Labels"]})
        });
        Answer::json(200, &containers.collect())
    }

    fn created(&self, asked: &Asked) -> Answer {
        let mut state = self.state();
        let name = asked.query.strip_prefix("name=").unwrap().to_owned();
        let image = asked.body["Image"].as_str().unwrap();
        if !state.images.contains(image) {
            return Answer::json(404, &json!({"message": format!("No such image: {image}")}));
        }
        if state.containers.contains_key(&name) {
            return Answer::json(409, &json!({"message": "the name is in use"}));
        }
        let container = Container {
            described: asked.body.clone(),
            is_running: false,
            code: 0,
            is_out_of_memory: false,
            log: Vec::new(),
        };
        state.containers.insert(name, container);
        Answer::json(201, &json!({"Id": "0123"}))
    }

    /// Answers once the container does not run.
    async fn waited(&self, name: &str) -> Answer {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.waits_to_break > 0 {
                    state.waits_to_break -= 1;
                    return Answer::bytes(500, "the engine restarts");
                }
                match state.containers.get(name) {
                    None => return Answer::json(404, &json!({"message": "No such container"})),
                    Some(one) if !one.is_running => {
                        return Answer::json(200, &json!({"StatusCode": one.code}));
                    }
                    Some(_) => {}
                }
            }
            changed.await;
        }
    }

    fn of_container(&self, method: &str, name: &str, rest: &[&str]) -> Answer {
        let mut state = self.state();
        if method == "DELETE" && state.removals_to_break > 0 {
            state.removals_to_break -= 1;
            return Answer::bytes(500, "device is busy");
        }
        let Some(container) = state.containers.get_mut(name) else {
            return Answer::json(404, &json!({"message": "No such container"}));
        };
        match (method, rest) {
            ("POST", ["start"]) => {
                container.start();
                Answer::bytes(204, "")
            }
            ("POST", ["stop"]) => {
                if container.is_running {
                    (container.is_running, container.code) = (false, 143);
                }
                Answer::bytes(204, "")
            }
            ("GET", ["json"]) => Answer::json(
                200,
                &json!({
                    "State": {"ExitCode": container.code, "OOMKilled": container.is_out_of_memory},
                    "Config": {"Labels": container.described["Labels"]},
                }),
            ),
            ("GET", ["logs"]) => Answer::bytes(200, container.log.clone()),
            ("DELETE", []) => {
                state.containers.remove(name);
                Answer::bytes(204, "")
            }
            _ => Answer::bytes(400, "not in the script"),
        }
    }

    async fn on_tcp(&self) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let engine = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let engine = engine.clone();
                serve(stream, Arc::new(move |asked| engine.clone().answer(asked)));
            }
        });
        format!("http://{address}")
    }

    fn on_socket(&self, folder: &Path) -> String {
        let path = folder.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let engine = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let engine = engine.clone();
                serve(stream, Arc::new(move |asked| engine.clone().answer(asked)));
            }
        });
        format!("unix://{}", path.display())
    }

    async fn executor(&self) -> DockerExecutor {
        executor(config(self.on_tcp().await))
    }
}

impl Container {
    fn start(&mut self) {
        let print = |text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[1, 0, 0, 0][..], &length, text.as_bytes()].concat()
        };
        let command = self.described["Entrypoint"].clone();
        match command[0].as_str().unwrap_or("exit-0") {
            "hang" => self.is_running = true,
            "exit-3" => (self.code, self.log) = (3, print("no such report\n")),
            "eat" => (self.code, self.is_out_of_memory) = (137, true),
            "flood" => {
                self.log = (0..20_000)
                    .flat_map(|line| print(&format!("line {line}\n")))
                    .collect();
            }
            _ => self.log = print("done\n"),
        }
    }
}

fn config(engine: String) -> DockerConfig {
    DockerConfig {
        queues: vec![queue()],
        engine,
        rules: ContainerRules {
            images: vec!["registry.example/*".to_owned()],
            commands: vec!["*".to_owned()],
        },
        limits: ContainerLimits {
            log_bytes_max: 1_000,
            ..ContainerLimits::default()
        },
        ..DockerConfig::default()
    }
}

fn executor(config: DockerConfig) -> DockerExecutor {
    DockerExecutor::new(config, RUN_TIMEOUT_MS)
        .unwrap()
        .expect("it has a queue")
}

fn said(detail: &str) -> Verdict {
    Verdict::Success {
        detail: detail.to_owned(),
    }
}

fn started(executor: DockerExecutor, run: &Run) -> tokio::task::JoinHandle<Verdict> {
    let run = run.clone();
    tokio::spawn(async move { executor.run(run).await })
}

/// A run whose container runs until it is stopped.
async fn hanging() -> (Engine, Run, tokio::task::JoinHandle<Verdict>) {
    let engine = Engine::with_image();
    let run = run_image(IMAGE, &["hang"]);
    let running = started(engine.executor().await, &run);
    engine
        .until(|state| state.containers.values().any(|one| one.is_running))
        .await;
    (engine, run, running)
}

#[tokio::test]
async fn a_container_runs_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    for over_socket in [false, true] {
        let engine = Engine::with_image();
        let address = match over_socket {
            true => engine.on_socket(folder.path()),
            false => engine.on_tcp().await,
        };
        let executor = executor(config(address));
        assert_eq!(executor.run(run_image(IMAGE, &[])).await, said("done"));
        let name = format!(
            "containers/minutehand-{}",
            run_image(IMAGE, &[]).execution().id
        );
        let wanted = [
            "GET containers/json".to_owned(),
            format!("GET images/{IMAGE}/json"),
            "POST containers/create".to_owned(),
            format!("POST {name}/start"),
            format!("POST {name}/wait"),
            format!("GET {name}/json"),
            format!("GET {name}/logs"),
            format!("DELETE {name}"),
        ];
        assert_eq!(engine.asked(), wanted);
        assert!(engine.state().containers.is_empty());
    }
}

#[tokio::test]
async fn a_container_has_no_privileges_and_limits() {
    let engine = Engine::with_image();
    let payload = json!({"image": IMAGE, "command": ["/bin/report", "-v"], "env": {"LEVEL": "2"}});
    let run = run_of(&payload.to_string());
    let execution = run.execution().clone();
    engine.executor().await.run(run).await;
    let asked = engine.state().asked.clone();
    let created = asked
        .iter()
        .find(|asked| asked.path.ends_with("create"))
        .unwrap();
    let (body, host) = (&created.body, &created.body["HostConfig"]);
    for (value, expected) in [
        (&body["User"], json!("65534:65534")),
        (&body["NetworkDisabled"], json!(true)),
        (&body["Entrypoint"], json!(["/bin/report", "-v"])),
        (&host["Privileged"], json!(false)),
        (&host["ReadonlyRootfs"], json!(true)),
        (&host["CapDrop"], json!(["ALL"])),
        (&host["SecurityOpt"], json!(["no-new-privileges"])),
        (&host["NetworkMode"], json!("none")),
        (&host["Memory"], json!(512 << 20)),
        (&host["MemorySwap"], json!(512 << 20)),
        (&host["NanoCpus"], json!(1_000_000_000)),
        (&host["PidsLimit"], json!(128)),
        (&host["Binds"], Value::Null),
        (&host["Mounts"], Value::Null),
    ] {
        assert_eq!(*value, expected, "{body}");
    }
    let env: Vec<&str> = body["Env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for expected in [
        "LEVEL=2".to_owned(),
        format!("MINUTEHAND_MESSAGE_ID={}", execution.message),
        format!("MINUTEHAND_EXECUTION_ID={}", execution.id),
        format!("MINUTEHAND_DELIVERY_TOKEN={}", execution.token),
    ] {
        assert!(env.contains(&&*expected), "{env:?}");
    }
}

#[tokio::test]
async fn the_exit_code_decides_and_logs_are_bounded() {
    let engine = Engine::with_image();
    let executor = engine.executor().await;
    for (command, expected) in [
        ("exit-3", "exit code 3: no such report"),
        ("eat", "out of memory, exit code 137"),
    ] {
        let verdict = executor.run(run_image(IMAGE, &[command])).await;
        assert_eq!(verdict, Verdict::failure(expected));
    }
    let Verdict::Success { detail } = executor.run(run_image(IMAGE, &["flood"])).await else {
        panic!("it failed")
    };
    assert!(
        detail.len() <= 1_000 && detail.ends_with("line 19999"),
        "{detail}"
    );
}

#[tokio::test]
async fn images_come_from_a_registry_as_the_policy_says() {
    for (pull, is_there, in_registry, pulls, expected) in [
        (PullPolicy::Missing, true, false, 0, Ok(())),
        (PullPolicy::Missing, false, true, 1, Ok(())),
        (PullPolicy::Missing, false, false, 1, Err("not found")),
        (PullPolicy::Always, true, true, 1, Ok(())),
        (PullPolicy::Never, true, true, 0, Ok(())),
        (PullPolicy::Never, false, true, 0, Err("No such image")),
    ] {
        let engine = Engine::default();
        if is_there {
            engine.state().images.insert(IMAGE.to_owned());
        }
        if in_registry {
            engine.state().registry.insert(IMAGE.to_owned());
        }
        let config = DockerConfig {
            pull,
            ..config(engine.on_tcp().await)
        };
        let verdict = executor(config).run(run_image(IMAGE, &[])).await;
        let asked = engine.asked();
        let pulled = asked
            .iter()
            .filter(|asked| *asked == "POST images/create")
            .count();
        assert_eq!(pulled, pulls, "{pull:?} {is_there} {in_registry}");
        match expected {
            Ok(()) => assert_eq!(verdict, said("done")),
            Err(reason) => assert!(
                matches!(&verdict, Verdict::Failure { reason: given, .. } if given.contains(reason)),
                "{verdict:?}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_not_allowed_reaches_no_engine() {
    let engine = Engine::with_image();
    let executor = executor(DockerConfig {
        rules: ContainerRules {
            images: vec![IMAGE.to_owned()],
            commands: Vec::new(),
        },
        ..config(engine.on_tcp().await)
    });
    for payload in [
        "hello",
        r#"{"image": "registry.example/other:1"}"#,
        r#"{"image": "registry.example/reports:3", "command": ["/bin/sh"]}"#,
        r#"{"image": "registry.example/reports:3", "privileged": true}"#,
    ] {
        let verdict = executor.run(run_of(payload)).await;
        assert!(
            matches!(verdict, Verdict::Discard { .. }),
            "{payload}: {verdict:?}"
        );
    }
    assert!(engine.asked().is_empty());
}

#[tokio::test]
async fn a_stop_reaches_the_container() {
    for (cause, expected) in [
        (StopCause::Requested, Verdict::Cancelled),
        (StopCause::TimedOut, Verdict::failure("exit code 143")),
    ] {
        let (engine, run, running) = hanging().await;
        run.ask_to_stop(cause);
        assert_eq!(running.await.unwrap(), expected);
        let asked = engine.state().asked.clone();
        let stopped = asked
            .iter()
            .find(|asked| asked.path.ends_with("/stop"))
            .unwrap();
        assert_eq!(stopped.query, "t=5");
        assert!(engine.state().containers.is_empty());
    }
}

#[tokio::test]
async fn a_worker_that_goes_down_leaves_the_container_to_the_next() {
    let (engine, run, running) = hanging().await;
    run.ask_to_stop(StopCause::ShuttingDown);
    // A worker does not settle it then: it is delivered again.
    assert_eq!(running.await.unwrap(), Verdict::Cancelled);
    assert!(engine.state().containers.values().all(|one| one.is_running));
    assert_eq!(engine.state().containers.len(), 1);
}

#[tokio::test]
async fn a_dropped_run_removes_its_container() {
    let (engine, _run, running) = hanging().await;
    running.abort();
    engine.until(|state| state.containers.is_empty()).await;
}

#[tokio::test]
async fn a_container_of_an_earlier_delivery_is_not_begun_twice() {
    let engine = Engine::with_image();
    let run = run_image(IMAGE, &["hang"]);
    let name = format!("minutehand-{}", run.execution().id);
    // The worker that had it was killed: nothing of it is left but the container.
    let container = Container {
        described: json!({"Labels": {"minutehand.execution": run.execution().id.to_string()}, "Entrypoint": ["hang"]}),
        is_running: true,
        code: 0,
        is_out_of_memory: false,
        log: Vec::new(),
    };
    engine.state().containers.insert(name.clone(), container);
    let next = started(engine.executor().await, &run);
    engine
        .until(|state| {
            state
                .asked
                .iter()
                .any(|asked| asked.path.ends_with("/wait"))
        })
        .await;
    engine.state().containers.get_mut(&name).unwrap().is_running = false;
    engine.changed.notify_waiters();
    assert_eq!(next.await.unwrap(), said(""));
}

#[tokio::test]
async fn a_name_that_is_somebody_elses_is_left_alone() {
    let engine = Engine::with_image();
    let run = run_image(IMAGE, &[]);
    let name = format!("minutehand-{}", run.execution().id);
    let other = Container {
        described: json!({"Labels": {"minutehand.execution": "x-other"}}),
        is_running: true,
        code: 0,
        is_out_of_memory: false,
        log: Vec::new(),
    };
    engine.state().containers.insert(name, other);
    let verdict = engine.executor().await.run(run).await;
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.contains("the name is in use")),
        "{verdict:?}"
    );
    assert_eq!(engine.state().containers.len(), 1);
}

#[tokio::test]
async fn an_engine_that_restarts_is_asked_again() {
    let engine = Engine::with_image();
    engine.state().waits_to_break = 2;
    engine.state().removals_to_break = 2;
    let verdict = engine.executor().await.run(run_image(IMAGE, &[])).await;
    assert_eq!(verdict, said("done"));
    assert!(engine.state().containers.is_empty());
}

#[tokio::test]
async fn what_was_left_behind_is_removed_when_its_time_is_over() {
    let engine = Engine::with_image();
    let left = |until: &str| Container {
        described: json!({"Labels": {"minutehand.until": until}}),
        is_running: true,
        code: 0,
        is_out_of_memory: false,
        log: Vec::new(),
    };
    engine
        .state()
        .containers
        .insert("old".to_owned(), left("1"));
    engine
        .state()
        .containers
        .insert("new".to_owned(), left("99999999999"));
    engine.executor().await.run(run_image(IMAGE, &[])).await;
    let left: Vec<String> = engine.state().containers.keys().cloned().collect();
    assert_eq!(left, ["new"]);
}

#[tokio::test]
async fn an_engine_that_is_not_there_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix://{}", folder.path().join("none.sock").display());
    let verdict = executor(config(address)).run(run_image(IMAGE, &[])).await;
    assert!(
        matches!(&verdict, Verdict::Failure { reason, .. } if reason.starts_with("the container engine: image: ")),
        "{verdict:?}"
    );
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let new = |config| DockerExecutor::new(config, RUN_TIMEOUT_MS);
    assert!(new(DockerConfig::default()).unwrap().is_none());
    for engine in [
        "",
        "unix://relative",
        "tcp://h:1",
        "https://h:1",
        "http://h:1/path",
        "http://",
    ] {
        let error = new(config(engine.to_owned())).err().unwrap().to_string();
        assert!(error.starts_with("docker.engine is"), "{error}");
    }
    let nothing = DockerConfig {
        rules: ContainerRules::default(),
        ..config("http://h:1".to_owned())
    };
    let error = new(nothing).err().unwrap().to_string();
    assert!(error.contains("docker.images is empty"), "{error}");
}
