//! The rig: servers, the program's own roles and a load, each a process of its own, with what
//! ships: a profile and settings in a file, nothing in the source.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use minutehand_node::{Clock, SystemClock};
use minutehand_testkit::{Cassandra, CassandraOptions, Etcd, Kafka, KafkaOptions, Program, Server};

use crate::load::{Deed, LoadReport, Scenario};
use crate::servers::start_servers;

pub use crate::servers::Failure;

/// Longest that a role may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);
/// From the start of the load's process to its first task, where the rig has deeds to do at its
/// times.
const LEAD_MS: i64 = 4_000;
/// A role that is stopped in order may take so long.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a rig consists of.
#[derive(Clone, Debug)]
pub struct RigOptions {
    /// Where settings, logs and the load's report are kept.
    pub folder: PathBuf,
    /// The program whose roles are run.
    pub program: PathBuf,
    /// The laboratory's program, which is run as the load.
    pub lab: PathBuf,
    /// A profile that ships; the default one unless given.
    pub profile: Option<String>,
    /// Settings more, as `--set` takes them.
    pub settings: Vec<String>,
    /// How many schedulers.
    pub schedulers: usize,
    /// How many workers, which run every execution as a line that is not logged.
    pub workers: usize,
    /// Partitions of the command log and of the queues.
    pub partitions: u32,
    /// The scenario, to know its queues and events.
    pub scenario: Scenario,
    /// Words of `minutehand-lab load`, the scenario among them.
    pub load: Vec<String>,
}

/// Servers and roles that run.
struct Rig {
    options: RigOptions,
    kafka: Kafka,
    cassandra: Cassandra,
    etcd: Etcd,
    schedulers: Vec<Role>,
    gateway: Role,
    workers: Vec<Role>,
}

/// A role's process.
struct Role {
    process: Server,
    address: SocketAddr,
}

/// Starts everything, runs the load, does what the scenario's events say, and stops everything.
///
/// # Errors
/// When something does not start, or the load could not be run. That promises are not kept is no
/// error: the report says so.
pub fn run(options: RigOptions, tell: &mut dyn FnMut(&str)) -> Result<LoadReport, Failure> {
    std::fs::create_dir_all(&options.folder)?;
    tell("starting Kafka, Cassandra and etcd");
    let rig = Rig::start(options)?;
    tell("making topics and tables");
    rig.apply_schema()?;
    tell("starting the roles");
    for role in rig.roles() {
        role.process.start()?;
    }
    for role in rig.roles() {
        role.wait_ready()?;
    }
    tell("the load begins");
    let report = rig.load(tell);
    for role in rig.roles() {
        // One that a deed has killed does not run.
        role.process.stop().ok();
    }
    report
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Rig {
    fn start(options: RigOptions) -> Result<Rig, Failure> {
        let (kafka, cassandra, etcd) =
            start_servers(&KafkaOptions::default(), &CassandraOptions::default())?;
        let settings = settings(&options, &kafka, &cassandra, &etcd);
        std::fs::write(options.folder.join("cluster.toml"), settings)?;
        let role = |word: &str, name: String| role(&options, word, name);
        let schedulers = (0..options.schedulers)
            .map(|at| role("scheduler", format!("scheduler-{at}")))
            .collect::<Result<_, _>>()?;
        let workers = (0..options.workers)
            .map(|at| role("worker", format!("worker-{at}")))
            .collect::<Result<_, _>>()?;
        Ok(Rig {
            gateway: role("gateway", "gateway".to_owned())?,
            schedulers,
            workers,
            kafka,
            cassandra,
            etcd,
            options,
        })
    }

    fn roles(&self) -> impl Iterator<Item = &Role> {
        let front = self.schedulers.iter().chain([&self.gateway]);
        front.chain(&self.workers)
    }

    fn apply_schema(&self) -> Result<(), Failure> {
        let output = Command::new(&self.options.program)
            .args(["schema", "apply", "--config"])
            .arg(self.options.folder.join("cluster.toml"))
            .stdin(Stdio::null())
            .output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    }

    /// What the load is to watch: every process, and what the servers store.
    fn watched(&self) -> Vec<String> {
        let servers = self.kafka.brokers().iter().chain(self.cassandra.nodes());
        let servers: Vec<&Server> = servers.chain([self.etcd.server()]).collect();
        let roles = self.roles().map(|role| &role.process);
        let mut words = Vec::new();
        for server in servers.iter().copied().chain(roles) {
            if let Some(pid) = server.pid() {
                words.extend(["--process".to_owned(), format!("{}={pid}", server.name())]);
            }
        }
        for server in servers {
            let folder = server.folder().display();
            words.extend(["--folder".to_owned(), format!("{}={folder}", server.name())]);
        }
        words
    }

    fn load(&self, tell: &mut dyn FnMut(&str)) -> Result<LoadReport, Failure> {
        let out = self.options.folder.join("load.json");
        let mut load = Command::new(&self.options.lab);
        load.arg("load")
            .args(&self.options.load)
            .args(self.watched())
            .args(["--json", "--events-are-done", "--config"])
            .arg(self.options.folder.join("cluster.toml"))
            .args(["--server", &format!("http://{}", self.gateway.address)])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out)?);
        let begin = SystemClock.now().plus_millis(LEAD_MS);
        let events = &self.options.scenario.events;
        if !events.is_empty() {
            load.args(["--begin", &minutehand_api::time_text(begin)]);
        }
        let mut child = load.spawn()?;
        let mut events = events.iter().peekable();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let now = SystemClock.now();
            if let Some(event) = events.next_if(|event| begin.plus_millis(event.at_ms) <= now) {
                tell(&format!("{:?}", event.deed));
                if let Err(error) = self.carry_out(event.deed) {
                    child.kill().ok();
                    child.wait().ok();
                    return Err(error);
                }
            }
            thread::sleep(LOOK);
        };
        let text = std::fs::read_to_string(&out)?;
        // 1: a promise was not kept, which the report says.
        let report = text.trim_end().lines().last();
        match (status.code(), report) {
            (Some(0 | 1), Some(report)) => Ok(serde_json::from_str(report)?),
            _ => Err(format!("the load could not be run: {status}").into()),
        }
    }

    fn carry_out(&self, deed: Deed) -> Result<(), Failure> {
        let first = self.schedulers.first().ok_or("there is no scheduler")?;
        match deed {
            Deed::KillOwner => first.process.kill()?,
            Deed::StartOwner => first.process.launch()?,
            Deed::StopSchedulers => {
                for role in &self.schedulers {
                    role.terminate()?;
                }
            }
            Deed::StartSchedulers => {
                for role in &self.schedulers {
                    role.process.launch()?;
                }
            }
        }
        Ok(())
    }
}

impl Role {
    fn wait_ready(&self) -> Result<(), Failure> {
        let limit = Instant::now() + READY_LIMIT;
        while !self.is_ready() {
            if !self.process.is_running() || Instant::now() > limit {
                let (name, log) = (self.process.name(), self.process.log_tail());
                return Err(format!("{name} is not ready:\n{log}").into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(
                b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Stops it as an operator does.
    fn terminate(&self) -> Result<(), Failure> {
        if let Some(pid) = self.process.pid() {
            let told = Command::new("kill")
                .args(["-TERM", &pid.to_string()])
                .status()?;
            if !told.success() {
                return Err(format!("{} could not be told to stop", self.process.name()).into());
            }
        }
        let limit = Instant::now() + STOP_LIMIT;
        while self.process.is_running() {
            if Instant::now() > limit {
                return Err(format!("{} did not stop", self.process.name()).into());
            }
            thread::sleep(LOOK);
        }
        // It has ended: what is left of it is forgotten.
        self.process.kill()?;
        Ok(())
    }
}

fn role(options: &RigOptions, word: &str, name: String) -> Result<Role, Failure> {
    let address = free_address()?;
    let file = options.folder.join("cluster.toml");
    let mut arguments = vec![
        word.to_owned(),
        "--config".to_owned(),
        file.display().to_string(),
        "--set".to_owned(),
        format!("{word}.listen={address}"),
    ];
    if word == "scheduler" {
        arguments.extend(["--set".to_owned(), format!("scheduler.node_id={name}")]);
    }
    if let Some(profile) = &options.profile {
        arguments.extend(["--profile".to_owned(), profile.clone()]);
    }
    let more = options.settings.iter();
    arguments.extend(more.flat_map(|one| ["--set".to_owned(), one.clone()]));
    let process = Server::of_program(Program {
        log: options.folder.join(format!("{name}.log")),
        name,
        path: options.program.clone(),
        arguments,
        environment: Vec::new(),
        folder: options.folder.clone(),
        address,
    });
    Ok(Role { process, address })
}

/// The settings of all roles, and of the load.
fn settings(options: &RigOptions, kafka: &Kafka, cassandra: &Cassandra, etcd: &Etcd) -> String {
    let quoted = |all: &str| -> String {
        let each = all.split(',').map(|one| format!("{one:?}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let etcd = etcd.endpoint();
    let etcd = etcd
        .rsplit_once("//")
        .map_or(etcd.as_str(), |(_, rest)| rest);
    let queues = options.scenario.queues();
    let queues: Vec<&str> = queues.iter().map(|queue| queue.as_str()).collect();
    let mut text = String::new();
    let partitions = options.partitions;
    let _ = write!(
        text,
        "[cluster]\npartitions = {partitions}\n\n\
         [kafka]\nbrokers = [{}]\nqueue_partitions = {partitions}\n\n\
         [cassandra]\ncontact_points = [{}]\n\n\
         [etcd]\nendpoints = [{etcd:?}]\n\n\
         [worker]\nqueues = [{}]\nunclaimed = \"log\"\n",
        quoted(&kafka.bootstrap()),
        quoted(&cassandra.contact_points()),
        quoted(&queues.join(",")),
    );
    text
}
