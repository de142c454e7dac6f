//! A cluster of child processes on real servers, with names of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use minutehand_testkit::{Endpoints, Service};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longest wait for anything; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until something is so.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(LOOK);
    }
}

/// Settings and folder of one cluster; its topics, tables and keys have names of their own.
pub(crate) struct Cluster {
    folder: TempDir,
    endpoints: Endpoints,
    pub(crate) name: String,
}

impl Cluster {
    pub(crate) fn new(partitions: u32) -> Cluster {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("it{}x{count}", std::process::id());
        let folder = tempfile::tempdir().expect("a folder");
        let settings = format!(
            "[cluster]\nregion = \"{name}\"\npartitions = {partitions}\n\n\
             [kafka]\ntopic_prefix = \"{name}\"\nqueue_partitions = {partitions}\n\n\
             [cassandra]\nkeyspace = \"{name}\"\n\n[etcd]\nprefix = \"/{name}\"\n\n\
             [scheduler]\nlisten = \"127.0.0.1:0\"\n\n[gateway]\nlisten = \"127.0.0.1:0\"\n\n\
             [worker]\nlisten = \"127.0.0.1:0\"\n"
        );
        std::fs::write(folder.path().join("cluster.toml"), settings).expect("written");
        Cluster {
            folder,
            endpoints: minutehand_testkit::endpoints(),
            name,
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("cluster.toml")
    }

    /// A client of the cluster's topics, for records that no role would write, and the runtime that
    /// it works on.
    pub(crate) fn kafka(&self) -> (Runtime, Arc<minutehand_cluster::kafka::Client>) {
        let runtime = Runtime::new().expect("a runtime");
        let within = runtime.enter();
        let config = minutehand_cluster::kafka::KafkaConfig {
            brokers: vec![self.endpoints.of(Service::Kafka).to_owned()],
            topic_prefix: self.name.clone(),
            ..minutehand_cluster::kafka::KafkaConfig::default()
        };
        let client =
            minutehand_cluster::kafka::Client::new(config).expect("settings that can be used");
        drop(within);
        (runtime, client)
    }

    /// Where etcd is.
    pub(crate) fn etcd(&self) -> &str {
        self.endpoints.of(Service::Etcd)
    }

    /// The program, knowing the servers by the environment.
    pub(crate) fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minutehand"));
        command
            .current_dir(self.folder.path())
            .args(words)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MINUTEHAND_")) {
            command.env_remove(name);
        }
        command.envs(self.endpoints.variables());
        command
    }

    /// A verb that reads the file of settings, run to its end.
    pub(crate) fn run(&self, words: &[&str], set: &[&str]) -> Output {
        let mut command = self.program(words);
        command.arg("--config").arg(self.config());
        command.args(set.iter().flat_map(|word| ["--set", word]));
        command.output().expect("the program runs")
    }

    pub(crate) fn apply_schema(&self) {
        let applied = self.run(&["schema", "apply"], &[]);
        assert!(applied.status.success(), "{}", said(&applied));
    }

    /// Starts a role and does not wait for it.
    pub(crate) fn launch(&self, role: &str, set: &[&str]) -> Role {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = self.folder.path().join(format!(
            "{role}-{}.log",
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let mut command = self.program(&[role]);
        command.arg("--config").arg(self.config());
        command.args(set.iter().flat_map(|word| ["--set", word]));
        let file = std::fs::File::create(&log).expect("a log");
        let child = command
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the program starts");
        Role {
            child,
            log,
            greeting: String::new(),
        }
    }

    /// Starts a role and reads its greeting.
    pub(crate) fn start(&self, role: &str, set: &[&str]) -> Role {
        let mut role_running = self.launch(role, set);
        let output = role_running
            .child
            .stdout
            .take()
            .expect("its output is piped");
        let last = match role {
            "scheduler" => "etcd",
            "gateway" => "region",
            _ => "kafka",
        };
        for line in BufReader::new(output).lines() {
            let line = line.expect("the greeting is text");
            let is_last = line.split_whitespace().any(|word| word == last);
            role_running.greeting.push_str(&line);
            role_running.greeting.push('\n');
            if is_last {
                return role_running;
            }
        }
        panic!("{role} ended without its greeting:\n{}", self.logs());
    }

    /// Runs a verb of the client against a gateway; answers what it printed as JSON.
    pub(crate) fn client(&self, gateway: &Role, words: &[&str]) -> Output {
        let mut command = self.program(words);
        command
            .args(["--json", "--server", &gateway.base()])
            .output()
            .expect("the program runs")
    }

    /// The same, expected to succeed.
    #[track_caller]
    pub(crate) fn ask(&self, gateway: &Role, words: &[&str]) -> serde_json::Value {
        let output = self.client(gateway, words);
        assert!(
            output.status.success(),
            "{words:?}: {}\n{}",
            said(&output),
            self.logs()
        );
        serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// Waits until a role answers that it is ready.
    pub(crate) fn ready(&self, role: &Role) {
        eventually(&format!("readiness of {}", role.greeting), || {
            get(&role.base(), "/readyz").filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
    }

    /// The ends of all logs, for a failed assertion.
    pub(crate) fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        let logs = files.filter_map(|file| Some(file.ok()?.path()));
        let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let end = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(40).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("== {}\n{}\n", path.display(), lines.join("\n"))
        };
        logs.map(end).collect()
    }
}

/// What a run printed.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A role that is killed when the test ends, however it ends.
pub(crate) struct Role {
    child: Child,
    log: PathBuf,
    pub(crate) greeting: String,
}

impl Role {
    /// `http://127.0.0.1:12345`, from the first line of its log.
    pub(crate) fn base(&self) -> String {
        eventually("a role that listens", || {
            let log = self.log();
            let (_, url) = log.split_once("listening at=\"")?;
            url.split_once('"').map(|(url, _)| url.to_owned())
        })
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// What it answers when it is asked whether it is ready.
    pub(crate) fn readiness(&self) -> String {
        self.get("/readyz")
    }

    /// Its whole answer to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        eventually("an answer of a role", || get(&self.base(), path))
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        eventually("the end of a role", || {
            self.child.try_wait().expect("it is our child")
        })
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let told = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        assert!(told.success());
        self.ended()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The whole answer to a GET; `None` when nobody answers.
fn get(base: &str, path: &str) -> Option<String> {
    let address: SocketAddr = base
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        )
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A receiver of webhooks that answers each with success and remembers the bodies.
pub(crate) struct Receiver {
    pub(crate) url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        Receiver { url, bodies }
    }

    /// The bodies so far, in order of their text.
    pub(crate) fn received(&self) -> Vec<String> {
        let mut bodies = self.bodies.lock().expect("nobody panics with it").clone();
        bodies.sort();
        bodies
    }
}

/// Reads requests off one connection until it ends.
fn serve(stream: TcpStream, bodies: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        bodies
            .lock()
            .ok()?
            .push(String::from_utf8_lossy(&body).into_owned());
        writer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}
