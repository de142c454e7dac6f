//! Which hosts keep connections for their next request. A kept connection is a descriptor that does
//! nothing, hosts are anybody's to name, and the client bounds what it keeps for each host alone. So
//! only some hosts keep any: those that were called last, as long as they go on being called.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Connections that are kept for the next request to the same host, and for how long.
pub(super) const IDLE_PER_HOST_MAX: usize = 16;
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(10);

/// A host that keeps connections.
struct Host {
    name: String,
    requests: usize,
    /// When a request last ended.
    ended_at: Instant,
}

/// The hosts that keep connections, at most so many.
pub(super) struct Warm {
    hosts: Mutex<Vec<Host>>,
    hosts_max: usize,
}

/// A request to a host that keeps connections.
pub(super) struct Request<'a> {
    warm: &'a Warm,
    name: String,
}

impl Warm {
    /// For this many connections in all.
    pub(super) fn new(idle_max: usize) -> Warm {
        Warm {
            hosts: Mutex::default(),
            hosts_max: idle_max / IDLE_PER_HOST_MAX,
        }
    }

    /// A request to a host begins; `None` when its connection is not to be kept. A host gives its
    /// place up when nothing of it can be kept any more.
    pub(super) fn begin(&self, name: &str) -> Option<Request<'_>> {
        let now = Instant::now();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.iter_mut().find(|host| host.name == name) {
            Some(host) => host.requests += 1,
            None => {
                hosts.retain(|host| host.requests > 0 || now < host.ended_at + IDLE_TIME_MAX);
                if hosts.len() >= self.hosts_max {
                    return None;
                }
                hosts.push(Host {
                    name: name.to_owned(),
                    requests: 1,
                    ended_at: now,
                });
            }
        }
        Some(Request {
            warm: self,
            name: name.to_owned(),
        })
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut hosts = self
            .warm
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.iter_mut().find(|host| host.name == self.name) {
            host.requests -= 1;
            host.ended_at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_of_hosts_keeps_connections() {
        let warm = Warm::new(2 * IDLE_PER_HOST_MAX + 1);
        let (first, second) = (warm.begin("a:443"), warm.begin("b:443"));
        assert!(first.is_some() && second.is_some());
        assert!(warm.begin("c:443").is_none(), "two hosts have them all");
        assert!(warm.begin("a:443").is_some(), "one of them");
        drop(first);
        tokio::time::advance(IDLE_TIME_MAX / 2).await;
        assert!(warm.begin("c:443").is_none(), "they are still kept");
        tokio::time::advance(IDLE_TIME_MAX).await;
        assert!(
            warm.begin("c:443").is_some(),
            "nothing of the first is kept"
        );
        assert!(warm.begin("a:443").is_none());
        assert!(warm.begin("b:443").is_some(), "its request goes on");
    }
}
