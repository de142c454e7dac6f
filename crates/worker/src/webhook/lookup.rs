//! Looks names up without a thread for each: a name whose servers are silent costs nobody else
//! anything.
//!
//! As the system does: `/etc/hosts` goes first, then the name servers of `/etc/resolv.conf`; both
//! are read again when they have changed.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// What the system's own resolver reads.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Names whose addresses are kept, for as long as their servers say.
const NAMES_KEPT_MAX: u64 = 4_096;
/// Longest time that an address is kept, whatever its server says.
const KEPT_MAX: Duration = Duration::from_secs(60);
/// Questions under way on one connection; the library's own limit of 32 would refuse good names
/// beside silent ones.
const QUESTIONS_MAX: usize = 1 << 14;

/// Looks names up; answers with addresses of any port.
pub(super) trait Lookup: Send + Sync + 'static {
    /// Every address of a name.
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver, asked for so long at most.
pub(super) struct SystemLookup {
    time_max: Duration,
    current: Mutex<Option<Current>>,
}

struct Current {
    resolver: Arc<TokioResolver>,
    /// When the files had been written that it was made of.
    versions: [Option<SystemTime>; FILES.len()],
    looked_at: Instant,
}

impl SystemLookup {
    pub(super) fn new(time_max: Duration) -> SystemLookup {
        SystemLookup {
            time_max,
            current: Mutex::default(),
        }
    }

    /// A resolver that knows what the files say now, or some seconds ago.
    fn resolver(&self) -> io::Result<Arc<TokioResolver>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(current) = current.as_mut() {
            if now.duration_since(current.looked_at) < LOOK_INTERVAL {
                return Ok(Arc::clone(&current.resolver));
            }
            current.looked_at = now;
            if current.versions == versions() {
                return Ok(Arc::clone(&current.resolver));
            }
        }
        let versions = versions();
        let resolver = Arc::new(resolver_of(system_config())?);
        *current = Some(Current {
            resolver: Arc::clone(&resolver),
            versions,
            looked_at: now,
        });
        Ok(resolver)
    }
}

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (name, time_max, resolver) = (name.to_owned(), self.time_max, self.resolver());
        Box::pin(async move { addresses_of(&*resolver?, &name, time_max).await })
    }
}

async fn addresses_of(
    resolver: &TokioResolver,
    name: &str,
    time_max: Duration,
) -> io::Result<Vec<IpAddr>> {
    match tokio::time::timeout(time_max, resolver.lookup_ip(name)).await {
        Ok(Ok(found)) => Ok(found.iter().collect()),
        Ok(Err(error)) => Err(io::Error::other(format!(
            "the name {name} was not found: {error}"
        ))),
        Err(_) => {
            let (kind, ms) = (io::ErrorKind::TimedOut, time_max.as_millis());
            Err(io::Error::new(
                kind,
                format!("the servers of the name {name} did not answer within {ms} ms"),
            ))
        }
    }
}

fn versions() -> [Option<SystemTime>; FILES.len()] {
    FILES.map(|path| {
        std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    })
}

/// What the system says; where it says nothing that can be understood, the server that its resolver
/// would ask as well.
fn system_config() -> (ResolverConfig, ResolverOpts) {
    hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|error| {
        tracing::warn!(%error, file = FILES[0], "cannot be understood; names are asked of 127.0.0.1");
        let server = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        (ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default())
    })
}

fn resolver_of((config, mut options): (ResolverConfig, ResolverOpts)) -> io::Result<TokioResolver> {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = NAMES_KEPT_MAX;
    options.positive_max_ttl = Some(KEPT_MAX);
    options.negative_max_ttl = Some(KEPT_MAX);
    options.max_active_requests = QUESTIONS_MAX;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::ConnectionConfig;
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that answers questions for names of `good.test` with 93.184.216.34, and no
    /// others.
    async fn name_server() -> NameServerConfig {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let mut udp = ConnectionConfig::udp();
        udp.port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let question = &question[..length];
                let ends_at = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
                let is_v4 = question[ends_at - 3] == 1;
                if !question
                    .windows(11)
                    .any(|window| window.eq_ignore_ascii_case(b"\x04good\x04test\x00"))
                {
                    continue;
                }
                let mut answer = question[..ends_at].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
                if is_v4 {
                    answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 216, 34]);
                }
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        NameServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, vec![udp])
    }

    #[tokio::test]
    async fn silent_names_by_the_thousand_delay_no_other() {
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server().await]);
        let resolver = Arc::new(resolver_of((config, ResolverOpts::default())).unwrap());
        // Never ends by itself: the good names must be found while all of these wait.
        let forever = Duration::from_secs(3_600);
        let silent: Vec<_> = (0..1_000)
            .map(|number| {
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move {
                    addresses_of(&resolver, &format!("h{number}.silent.test."), forever).await
                })
            })
            .collect();
        for number in 0..20 {
            let found = addresses_of(&resolver, &format!("h{number}.good.test."), forever)
                .await
                .unwrap();
            assert_eq!(found, [IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34))]);
        }
        silent.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_name_that_is_not_answered_is_given_up() {
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server().await]);
        let resolver = resolver_of((config, ResolverOpts::default())).unwrap();
        let error = addresses_of(&resolver, "h.silent.test.", Duration::from_millis(10))
            .await
            .unwrap_err();
        let expected = "the servers of the name h.silent.test. did not answer within 10 ms";
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn names_of_the_hosts_file_are_found() {
        let found = SystemLookup::new(Duration::from_secs(60))
            .addresses("localhost")
            .await
            .unwrap();
        assert!(
            found.iter().all(IpAddr::is_loopback) && !found.is_empty(),
            "{found:?}"
        );
    }
}
