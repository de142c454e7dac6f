//! Cassandra: one node, or several in one or two datacenters, on loopback addresses of their own.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::joined;
use crate::proxy::Proxy;
use crate::security::{Certificates, PASSWORD};
use crate::server::{Plan, Readiness, Server};
use crate::site::{Site, StartError};
use crate::supervisor::Launch;
use crate::{cql, fetch, ports};

const READY: &str = "Starting listening for CQL clients";
const START_LIMIT: Duration = Duration::from_secs(240);

/// What Cassandra is to be.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// How many nodes: 127.0.0.1, 127.0.0.2 and so on, all on the same port.
    pub nodes: u16,
    /// Over how many datacenters they are spread, `dc1`, `dc2`: the first nodes are the first
    /// one's.
    pub datacenters: u16,
    /// Whether clients see every node as a proxy, at 127.0.1.1, 127.0.1.2 and so on.
    pub proxied: bool,
    /// Whether a write is on disk before it is acknowledged (`commitlog_sync: group`). Without it a
    /// node that is killed forgets what it acknowledged in the last tenth of a second, and a
    /// machine that is switched off what it did in the last ten seconds: so little that other
    /// replicas make up for it, where there are any.
    pub durable: bool,
    /// Clients connect with TLS, and with a password: at first user and password are both
    /// `cassandra`.
    pub secured: Option<Certificates>,
}

impl Default for CassandraOptions {
    /// One node that writes to disk every ten seconds, without proxies or passwords.
    fn default() -> CassandraOptions {
        CassandraOptions {
            nodes: 1,
            datacenters: 1,
            proxied: false,
            durable: false,
            secured: None,
        }
    }
}

/// A running Cassandra.
#[derive(Debug)]
pub struct Cassandra {
    nodes: Vec<Server>,
    proxies: Vec<Proxy>,
    _site: Site,
}

impl Cassandra {
    /// Starts one that dies with this process, and waits until all its nodes take requests.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &CassandraOptions) -> Result<Cassandra, StartError> {
        Cassandra::start_at(Site::of_process("cassandra")?, options)
    }

    pub(crate) fn start_at(
        site: Site,
        options: &CassandraOptions,
    ) -> Result<Cassandra, StartError> {
        let jars = fetch::cassandra(&site.cache)?;
        let java = site.java()?;
        let (clients, between, proxies) = lay_out(&site, options)?;
        let ports = Ports {
            clients: clients.number,
            between: between.number,
        };
        let site = site.holding(vec![clients, between]);
        let mut nodes = Vec::new();
        for number in 1..=options.nodes {
            let folder = site.folder().join(format!("node-{number}"));
            write_configuration(&folder, number, &ports, options)?;
            let launch = Launch {
                program: java.clone(),
                arguments: java_arguments(&folder, &jars, options.nodes)?,
                log: folder.join("server.log"),
                folder,
            };
            let plan = Plan {
                name: format!("cassandra-{number}"),
                launch,
                address: (address(number), ports.clients).into(),
                readiness: Readiness::LogLine(READY),
                start_limit: START_LIMIT,
            };
            let node = site.server(plan);
            // One after the other: two nodes must not choose their tokens at the same time.
            site.launch(&node)?;
            node.wait_ready()?;
            nodes.push(node);
        }
        if options.secured.is_none() {
            wait_acquainted(&nodes)?;
        }
        Ok(Cassandra {
            nodes,
            proxies,
            _site: site,
        })
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Where clients begin, as `host:port,host:port`: the proxies, when there are any.
    pub fn contact_points(&self) -> String {
        match self.proxies.as_slice() {
            [] => joined(self.nodes.iter().map(Server::address)),
            proxies => joined(proxies.iter().map(Proxy::address)),
        }
    }

    /// The proxies, one a node; empty when they were not asked for.
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }
}

/// Waits until every node tells clients of all the others; a node is ready some time before that.
fn wait_acquainted(nodes: &[Server]) -> Result<(), StartError> {
    let others = i64::try_from(nodes.len()).unwrap_or(i64::MAX) - 1;
    let started = Instant::now();
    for node in nodes {
        while !cql::peer_count(node.address()).is_ok_and(|count| count >= others) {
            if started.elapsed() > START_LIMIT {
                let output = format!(
                    "it does not know all others; the end of its log:\n{}",
                    node.log_tail()
                );
                return Err(StartError::Prepare {
                    server: node.name().to_owned(),
                    output,
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

struct Ports {
    clients: u16,
    between: u16,
}

fn lay_out(
    site: &Site,
    options: &CassandraOptions,
) -> io::Result<(ports::Port, ports::Port, Vec<Proxy>)> {
    let own: Vec<Ipv4Addr> = (1..=options.nodes).map(address).collect();
    let seen: Vec<Ipv4Addr> = (1..=options.nodes).map(proxy_address).collect();
    let all = if options.proxied {
        [own.clone(), seen.clone()].concat()
    } else {
        own.clone()
    };
    let clients = ports::claim(&site.cache, &all)?;
    let between = ports::claim(&site.cache, &own)?;
    let mut proxies = Vec::new();
    if options.proxied {
        for (own, seen) in own.into_iter().zip(seen) {
            proxies.push(Proxy::start(
                (seen, clients.number).into(),
                SocketAddr::from((own, clients.number)),
            )?);
        }
    }
    Ok((clients, between, proxies))
}

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 0, high, low)
}

fn proxy_address(number: u16) -> Ipv4Addr {
    let [_, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 0, 1, low)
}

/// `dc1` for the first nodes, `dc2` for the next ones.
fn datacenter(number: u16, options: &CassandraOptions) -> String {
    format!(
        "dc{}",
        u32::from(number - 1) * u32::from(options.datacenters) / u32::from(options.nodes) + 1
    )
}

fn write_configuration(
    folder: &Path,
    number: u16,
    ports: &Ports,
    options: &CassandraOptions,
) -> io::Result<()> {
    let conf = folder.join("conf");
    fs::create_dir_all(&conf)?;
    fs::create_dir_all(folder.join("tmp"))?;
    fs::write(
        conf.join("cassandra.yaml"),
        settings(folder, number, ports, options),
    )?;
    let place = format!("dc={}\nrack=rack1\n", datacenter(number, options));
    fs::write(conf.join("cassandra-rackdc.properties"), place)?;
    fs::write(conf.join("logback.xml"), LOGBACK)
}

/// A node's `cassandra.yaml`.
fn settings(folder: &Path, number: u16, ports: &Ports, options: &CassandraOptions) -> String {
    let data = folder.join("data");
    let sync = if options.durable {
        // Compressed segments are written, others are mapped: nobody would notice a full disk
        // before the next segment.
        "commitlog_sync: group\ncommitlog_sync_group_window: 5ms\n\
         commitlog_compression:\n  - class_name: LZ4Compressor"
    } else {
        "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms"
    };
    let mut text = format!(
        "cluster_name: minutehand\n\
         num_tokens: 16\n\
         partitioner: org.apache.cassandra.dht.Murmur3Partitioner\n\
         endpoint_snitch: GossipingPropertyFileSnitch\n\
         seed_provider:\n\
         \x20 - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n\
         \x20   parameters:\n\
         \x20     - seeds: \"{seed}:{between}\"\n\
         listen_address: {own}\n\
         storage_port: {between}\n\
         rpc_address: {own}\n\
         native_transport_port: {clients}\n\
         start_native_transport: true\n\
         data_file_directories:\n\
         \x20 - {data}/tables\n\
         commitlog_directory: {data}/commitlog\n\
         saved_caches_directory: {data}/caches\n\
         hints_directory: {data}/hints\n\
         cdc_raw_directory: {data}/cdc\n\
         {sync}\n\
         commitlog_segment_size: 16MiB\n\
         commitlog_total_space: 512MiB\n\
         storage_compatibility_mode: NONE\n\
         memtable:\n\
         \x20 configurations:\n\
         \x20   trie:\n\
         \x20     class_name: TrieMemtable\n\
         \x20   default:\n\
         \x20     inherits: trie\n\
         memtable_heap_space: 192MiB\n\
         memtable_offheap_space: 192MiB\n\
         memtable_allocation_type: offheap_objects\n\
         sstable:\n\
         \x20 selected_format: bti\n\
         file_cache_size: 64MiB\n\
         concurrent_compactors: 1\n\
         auto_snapshot: false\n\
         disk_failure_policy: stop\n\
         commit_failure_policy: stop\n\
         dynamic_snitch: false\n\
         write_request_timeout: 5s\n\
         read_request_timeout: 10s\n\
         cas_contention_timeout: 5s\n\
         truncate_request_timeout: 60s\n",
        seed = address(1),
        own = address(number),
        between = ports.between,
        clients = ports.clients,
        data = data.display(),
    );
    // Writing to a string does not fail.
    if options.proxied {
        let _ = writeln!(text, "broadcast_rpc_address: {}", proxy_address(number));
    }
    match &options.secured {
        Some(certificates) => {
            let _ = write!(
                text,
                "authenticator: PasswordAuthenticator\n\
                 authorizer: CassandraAuthorizer\n\
                 role_manager: CassandraRoleManager\n\
                 client_encryption_options:\n\
                 \x20 enabled: true\n\
                 \x20 optional: false\n\
                 \x20 keystore: {}\n\
                 \x20 keystore_password: {PASSWORD}\n\
                 \x20 store_type: PKCS12\n\
                 \x20 require_client_auth: false\n",
                certificates.server_store().display(),
            );
        }
        None => {
            text.push_str("authenticator: AllowAllAuthenticator\nauthorizer: AllowAllAuthorizer\n")
        }
    }
    text
}

fn java_arguments(folder: &Path, jars: &Path, nodes: u16) -> io::Result<Vec<String>> {
    let heap = if nodes == 1 { "-Xmx1g" } else { "-Xmx768m" };
    let mut arguments: Vec<String> = [
        "-Xms512m",
        heap,
        "-XX:+UseG1GC",
        "-XX:+PerfDisableSharedMem",
        "-Xss512k",
    ]
    .map(str::to_owned)
    .to_vec();
    for package in EXPORTS {
        arguments.push(format!("--add-exports={package}=ALL-UNNAMED"));
    }
    for package in OPENS {
        arguments.push(format!("--add-opens={package}=ALL-UNNAMED"));
    }
    let (conf, temporary) = (folder.join("conf"), folder.join("tmp"));
    arguments.extend([
        "-Djdk.attach.allowAttachSelf=true".to_owned(),
        "-Dio.netty.tryReflectionSetAccessible=true".to_owned(),
        format!("-javaagent:{}", agent(jars)?.display()),
        format!(
            "-Dcassandra.config=file://{}",
            conf.join("cassandra.yaml").display()
        ),
        format!("-Dcassandra.storagedir={}", folder.join("data").display()),
        format!("-Dcassandra.logdir={}", folder.display()),
        // Native libraries are unpacked there, and go with the folder.
        format!("-Djava.io.tmpdir={}", temporary.display()),
        format!("-Djna.tmpdir={}", temporary.display()),
        // A single node need not wait for news of others. One that joins has twice this time to
        // reach the first.
        format!(
            "-Dcassandra.ring_delay_ms={}",
            if nodes == 1 { 100 } else { 3_000 }
        ),
        "-Dcassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
        "-Dcassandra.superuser_setup_delay_ms=0".to_owned(),
        // Without it the daemon closes its outputs, and the log with them.
        "-Dcassandra-foreground=yes".to_owned(),
        "-cp".to_owned(),
        format!("{}:{}/*", conf.display(), jars.display()),
        "org.apache.cassandra.service.CassandraDaemon".to_owned(),
    ]);
    Ok(arguments)
}

/// The agent by which Cassandra measures what its memtables hold.
fn agent(jars: &Path) -> io::Result<PathBuf> {
    for entry in fs::read_dir(jars)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("jamm-") && name.ends_with(".jar") {
            return Ok(path);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("no jamm-*.jar in {}", jars.display()),
    ))
}

/// What Cassandra reaches into that Java 17 keeps to itself.
const EXPORTS: &[&str] = &[
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
];

const OPENS: &[&str] = &[
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
];

/// What goes to the standard output, and with it to the log.
const LOGBACK: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <logger name="org.apache.cassandra.db.lifecycle" level="WARN"/>
  <logger name="org.apache.cassandra.db.memtable" level="WARN"/>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_spread_over_datacenters_the_first_ones_first() {
        let places = |nodes, datacenters| -> Vec<String> {
            let options = CassandraOptions {
                nodes,
                datacenters,
                ..CassandraOptions::default()
            };
            (1..=nodes)
                .map(|number| datacenter(number, &options))
                .collect()
        };
        assert_eq!(places(1, 1), ["dc1"]);
        assert_eq!(places(2, 2), ["dc1", "dc2"]);
        assert_eq!(places(3, 2), ["dc1", "dc1", "dc2"]);
        assert_eq!(places(4, 2), ["dc1", "dc1", "dc2", "dc2"]);
    }

    #[test]
    fn every_node_knows_the_seed_and_has_an_address_of_its_own() {
        let options = CassandraOptions {
            nodes: 2,
            proxied: true,
            ..CassandraOptions::default()
        };
        let text = settings(
            Path::new("/run"),
            2,
            &Ports {
                clients: 1,
                between: 2,
            },
            &options,
        );
        assert!(text.contains("seeds: \"127.0.0.1:2\"\n"), "{text}");
        assert!(text.contains("\nlisten_address: 127.0.0.2\n"), "{text}");
        assert!(
            text.contains("\nbroadcast_rpc_address: 127.0.1.2\n"),
            "{text}"
        );
        assert!(
            text.contains("\nauthenticator: AllowAllAuthenticator\n"),
            "{text}"
        );
    }
}
