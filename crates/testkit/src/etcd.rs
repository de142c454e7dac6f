//! etcd: one member.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::security::Certificates;
use crate::server::{Plan, Readiness, Server};
use crate::site::{Site, StartError};
use crate::supervisor::Launch;
use crate::{fetch, ports};

const START_LIMIT: Duration = Duration::from_secs(60);

/// What etcd is to be.
#[derive(Clone, Debug, Default)]
pub struct EtcdOptions {
    /// Clients connect with TLS. Users are made through a client: etcd starts without any.
    pub secured: Option<Certificates>,
}

/// A running etcd.
#[derive(Debug)]
pub struct Etcd {
    server: Server,
    is_secured: bool,
    _site: Site,
}

impl Etcd {
    /// Starts one that dies with this process, and waits until it is healthy.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &EtcdOptions) -> Result<Etcd, StartError> {
        Etcd::start_at(Site::of_process("etcd")?, options)
    }

    pub(crate) fn start_at(site: Site, options: &EtcdOptions) -> Result<Etcd, StartError> {
        let program = fetch::etcd(&site.cache)?;
        let mut claimed = Vec::new();
        for _ in 0..3 {
            claimed.push(ports::claim(&site.cache, &[Ipv4Addr::LOCALHOST])?);
        }
        let at = |index: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, claimed[index].number));
        let (clients, peers, health) = (at(0), at(1), at(2));
        let site = site.holding(claimed);
        let folder = site.folder().join("member");
        fs::create_dir_all(&folder)?;
        let log = folder.join("server.log");
        let launch = Launch {
            program,
            arguments: arguments(clients, peers, health, options),
            folder,
            log,
        };
        let plan = Plan {
            name: "etcd".to_owned(),
            launch,
            address: clients,
            readiness: Readiness::Health(health),
            start_limit: START_LIMIT,
        };
        let server = site.server(plan);
        site.launch(&server)?;
        server.wait_ready()?;
        Ok(Etcd {
            server,
            is_secured: options.secured.is_some(),
            _site: site,
        })
    }

    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where clients connect to: `host:port`, or `https://host:port` when they need TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_secured { "https://" } else { "" };
        format!("{scheme}{}", self.server.address())
    }
}

fn arguments(
    clients: SocketAddr,
    peers: SocketAddr,
    health: SocketAddr,
    options: &EtcdOptions,
) -> Vec<String> {
    let scheme = if options.secured.is_some() {
        "https"
    } else {
        "http"
    };
    let mut arguments = vec![
        "--name=minutehand".to_owned(),
        "--data-dir=data".to_owned(),
        format!("--listen-client-urls={scheme}://{clients}"),
        format!("--advertise-client-urls={scheme}://{clients}"),
        format!("--listen-peer-urls=http://{peers}"),
        format!("--initial-advertise-peer-urls=http://{peers}"),
        format!("--initial-cluster=minutehand=http://{peers}"),
        // Health is asked for without TLS and without a user.
        format!("--listen-metrics-urls=http://{health}"),
        "--logger=zap".to_owned(),
        "--log-level=info".to_owned(),
    ];
    if let Some(certificates) = &options.secured {
        arguments.push(format!(
            "--cert-file={}",
            certificates.server_certificate().display()
        ));
        arguments.push(format!(
            "--key-file={}",
            certificates.server_key().display()
        ));
        arguments.push(format!(
            "--trusted-ca-file={}",
            certificates.authority().display()
        ));
    }
    arguments
}
