//! Kafka: one process that is broker and controller, or several of them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ports::joined;
use crate::proxy::Proxy;
use crate::security::{Certificates, PASSWORD, USER};
use crate::server::{Plan, Readiness, Server};
use crate::site::{Site, StartError};
use crate::supervisor::Launch;
use crate::{fetch, ports};

const READY: &str = "Kafka Server started";
const START_LIMIT: Duration = Duration::from_secs(120);

/// What Kafka is to be.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// How many brokers; each is a controller too.
    pub brokers: u16,
    /// How many listeners more, each behind a proxy of its own at every broker, so that the
    /// connections of one client can be cut or delayed and those of another left alone.
    pub proxied_listeners: usize,
    /// A listener more with TLS and SCRAM-SHA-512.
    pub secured: Option<Certificates>,
}

impl Default for KafkaOptions {
    /// One broker, without proxies or passwords.
    fn default() -> KafkaOptions {
        KafkaOptions {
            brokers: 1,
            proxied_listeners: 0,
            secured: None,
        }
    }
}

/// A running Kafka.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Server>,
    proxied: Vec<Vec<Proxy>>,
    secured: Vec<SocketAddr>,
    _site: Site,
}

impl Kafka {
    /// Starts one that dies with this process, and waits until all its brokers are ready.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &KafkaOptions) -> Result<Kafka, StartError> {
        Kafka::start_at(Site::of_process("kafka")?, options)
    }

    pub(crate) fn start_at(site: Site, options: &KafkaOptions) -> Result<Kafka, StartError> {
        let jars = fetch::kafka(&site.cache)?;
        let java = site.java()?;
        let (nodes, proxied, held) = lay_out(&site, options)?;
        let site = site.holding(held);
        let cluster = cluster_id()?;
        let mut brokers = Vec::new();
        for node in &nodes {
            let folder = site.folder().join(format!("broker-{}", node.id));
            fs::create_dir_all(folder.join("tmp"))?;
            fs::write(folder.join("log4j2.properties"), LOG4J)?;
            let settings = settings(node, &nodes, &folder, options.secured.as_ref());
            fs::write(folder.join("server.properties"), settings)?;
            let mut format = Command::new(&java);
            format
                .args(java_options(options.brokers, &folder, &jars))
                .arg("kafka.tools.StorageTool");
            format.args(["format", "-t", &cluster, "-c", "server.properties"]);
            if options.secured.is_some() {
                format.args([
                    "--add-scram",
                    &format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
                ]);
            }
            let output = format.current_dir(&folder).stdin(Stdio::null()).output()?;
            if !output.status.success() {
                let printed =
                    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                return Err(StartError::Prepare {
                    server: format!("kafka-{}", node.id),
                    output: printed,
                });
            }
            let mut arguments = java_options(options.brokers, &folder, &jars);
            arguments.extend(["kafka.Kafka", "server.properties"].map(str::to_owned));
            let log = folder.join("server.log");
            let plan = Plan {
                name: format!("kafka-{}", node.id),
                launch: Launch {
                    program: java.clone(),
                    arguments,
                    folder,
                    log,
                },
                address: node.clients,
                readiness: Readiness::LogLine(READY),
                start_limit: START_LIMIT,
            };
            brokers.push(site.server(plan));
        }
        // Together: a controller alone of three waits for the others.
        for broker in &brokers {
            site.launch(broker)?;
        }
        for broker in &brokers {
            broker.wait_ready()?;
        }
        let secured = nodes.iter().filter_map(|node| node.secured).collect();
        Ok(Kafka {
            brokers,
            proxied,
            secured,
            _site: site,
        })
    }

    /// The brokers.
    pub fn brokers(&self) -> &[Server] {
        &self.brokers
    }

    /// Where clients begin, as `host:port,host:port`.
    pub fn bootstrap(&self) -> String {
        joined(self.brokers.iter().map(Server::address))
    }

    /// The same through the proxies of an extra listener; `None` when there are not so many.
    pub fn proxied_bootstrap(&self, listener: usize) -> Option<String> {
        Some(joined(
            self.proxied.get(listener)?.iter().map(Proxy::address),
        ))
    }

    /// The proxies of an extra listener, one a broker; empty when there are not so many.
    pub fn proxies(&self, listener: usize) -> &[Proxy] {
        self.proxied.get(listener).map_or(&[], Vec::as_slice)
    }

    /// The listener that wants TLS and a password (see [`crate::USER`]); `None` when it was not
    /// asked for.
    pub fn secured_bootstrap(&self) -> Option<String> {
        (!self.secured.is_empty()).then(|| joined(self.secured.iter().copied()))
    }
}

/// Where a broker listens.
#[derive(Debug)]
struct Node {
    id: u16,
    clients: SocketAddr,
    controller: SocketAddr,
    /// What it listens on, and what it tells clients: its proxy.
    proxied: Vec<(SocketAddr, SocketAddr)>,
    secured: Option<SocketAddr>,
}

type LaidOut = (Vec<Node>, Vec<Vec<Proxy>>, Vec<ports::Port>);

fn lay_out(site: &Site, options: &KafkaOptions) -> io::Result<LaidOut> {
    let mut held = Vec::new();
    let mut claim = || {
        let port = ports::claim(&site.cache, &[Ipv4Addr::LOCALHOST])?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
        held.push(port);
        io::Result::Ok(address)
    };
    let mut proxies: Vec<Vec<Proxy>> = (0..options.proxied_listeners).map(|_| Vec::new()).collect();
    let mut nodes = Vec::new();
    for id in 1..=options.brokers {
        let (clients, controller) = (claim()?, claim()?);
        let mut proxied = Vec::new();
        for listener in &mut proxies {
            let behind = claim()?;
            let proxy = Proxy::start(claim()?, behind)?;
            proxied.push((behind, proxy.address()));
            listener.push(proxy);
        }
        let secured = options.secured.is_some().then(&mut claim).transpose()?;
        nodes.push(Node {
            id,
            clients,
            controller,
            proxied,
            secured,
        });
    }
    Ok((nodes, proxies, held))
}

/// A broker's `server.properties`.
fn settings(
    node: &Node,
    nodes: &[Node],
    folder: &Path,
    certificates: Option<&Certificates>,
) -> String {
    let mut listeners = vec![format!("PLAINTEXT://{}", node.clients)];
    let mut advertised = listeners.clone();
    let mut protocols = vec![
        "PLAINTEXT:PLAINTEXT".to_owned(),
        "CONTROLLER:PLAINTEXT".to_owned(),
    ];
    for (index, (behind, proxy)) in node.proxied.iter().enumerate() {
        listeners.push(format!("PROXIED{index}://{behind}"));
        advertised.push(format!("PROXIED{index}://{proxy}"));
        protocols.push(format!("PROXIED{index}:PLAINTEXT"));
    }
    if let Some(secured) = node.secured {
        listeners.push(format!("SECURED://{secured}"));
        advertised.push(format!("SECURED://{secured}"));
        protocols.push("SECURED:SASL_SSL".to_owned());
    }
    listeners.push(format!("CONTROLLER://{}", node.controller));
    let voters: Vec<String> = nodes
        .iter()
        .map(|node| format!("{}@{}", node.id, node.controller))
        .collect();
    // With three brokers one may be lost; with one, nothing is kept twice.
    let (replicas, in_sync) = if nodes.len() >= 3 { (3, 2) } else { (1, 1) };
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         listeners={listeners}\n\
         advertised.listeners={advertised}\n\
         listener.security.protocol.map={protocols}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.voters={voters}\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         default.replication.factor={replicas}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={replicas}\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         share.coordinator.state.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.session.timeout.ms=6000\n\
         broker.heartbeat.interval.ms=1000\n\
         transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
         log.cleaner.threads=1\n\
         log.cleaner.backoff.ms=1000\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         background.threads=2\n\
         num.recovery.threads.per.data.dir=2\n",
        id = node.id,
        listeners = listeners.join(","),
        advertised = advertised.join(","),
        protocols = protocols.join(","),
        voters = voters.join(","),
        data = folder.join("data").display(),
    );
    if let Some(certificates) = certificates {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.secured.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.secured.ssl.keystore.type=PEM\n\
             listener.name.secured.ssl.keystore.location={}\n\
             listener.name.secured.ssl.truststore.type=PEM\n\
             listener.name.secured.ssl.truststore.location={}\n\
             listener.name.secured.ssl.client.auth=none\n",
            certificates.server_key_and_chain().display(),
            certificates.authority().display(),
        );
    }
    text
}

/// Nearly everything that a broker allocates dies at once: a large young generation is collected
/// seldom, and in little time by the collector that stops everything. The one that aims at short
/// pauses takes its time from the clients here.
fn java_options(brokers: u16, folder: &Path, jars: &Path) -> Vec<String> {
    let heap = if brokers == 1 {
        ["-Xms640m", "-Xmx640m", "-Xmn448m"]
    } else {
        ["-Xms384m", "-Xmx384m", "-Xmn256m"]
    };
    let mut options = heap.map(str::to_owned).to_vec();
    options.extend([
        "-XX:+UseParallelGC".to_owned(),
        "-XX:+PerfDisableSharedMem".to_owned(),
        // Native libraries are unpacked there, and go with the folder.
        format!("-Djava.io.tmpdir={}", folder.join("tmp").display()),
        format!(
            "-Dlog4j2.configurationFile={}",
            folder.join("log4j2.properties").display()
        ),
        "-cp".to_owned(),
        format!("{}/*", jars.display()),
    ]);
    options
}

/// What goes to the standard output, and with it to the log.
const LOG4J: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
logger.quota.name=org.apache.kafka.server.quota
logger.quota.level=warn
";

/// An id as Kafka wants it: 16 random bytes in URL-safe base 64, without padding.
fn cluster_id() -> io::Result<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    // 128 bits are 21 digits and two bits; and an id must not begin with a dash, which would look
    // like an option.
    let number = u128::from_be_bytes(bytes) >> 1;
    let digit = |index: u32| char::from(DIGITS[(number >> (122 - 6 * index) & 63) as usize]);
    let mut id: String = (0..21).map(digit).collect();
    id.push('A');
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u16) -> Node {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Node {
            id,
            clients: at(1000 + id),
            controller: at(2000 + id),
            proxied: Vec::new(),
            secured: None,
        }
    }

    #[test]
    fn three_brokers_form_a_cluster_and_keep_three_copies() {
        let nodes = [node(1), node(2), node(3)];
        let text = settings(&nodes[1], &nodes, Path::new("/run"), None);
        assert!(text.contains("\nnode.id=2\n"), "{text}");
        assert!(
            text.contains("=1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003\n"),
            "{text}"
        );
        assert!(
            text.contains("\noffsets.topic.replication.factor=3\n"),
            "{text}"
        );
        assert!(
            text.contains("\ntransaction.state.log.min.isr=2\n"),
            "{text}"
        );
    }

    #[test]
    fn a_proxied_listener_tells_clients_the_proxys_address() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let nodes = [Node {
            proxied: vec![(at(3001), at(4001))],
            ..node(1)
        }];
        let text = settings(&nodes[0], &nodes, Path::new("/run"), None);
        assert!(
            text.contains(
                "\nlisteners=PLAINTEXT://127.0.0.1:1001,PROXIED0://127.0.0.1:3001,CONTROLLER:"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "\nadvertised.listeners=PLAINTEXT://127.0.0.1:1001,PROXIED0://127.0.0.1:4001\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn cluster_ids_are_22_digits_and_differ() {
        let ids = [cluster_id().unwrap(), cluster_id().unwrap()];
        assert!(
            ids.iter()
                .all(|id| id.len() == 22 && !id.starts_with(['-', '_'])),
            "{ids:?}"
        );
        assert_ne!(ids[0], ids[1]);
    }
}
