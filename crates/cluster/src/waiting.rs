//! Waiting at the start for the servers that a role works with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minutehand_backoff::{Backoff, Pauses};
use minutehand_node::Readiness;
use minutehand_ports::with_causes;

use crate::error::StartError;

/// Between attempts that found nobody.
const PAUSES: Pauses = Pauses::between(Duration::from_millis(250), Duration::from_secs(4));

/// A server, as it is called in a sentence, and where it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server<'a> {
    pub(crate) name: &'static str,
    pub(crate) endpoints: &'a [String],
}

/// The servers that have not answered yet, and why not.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Waiting {
    /// Tries until it succeeds. Who does not answer is waited for; what an operator must mend is an
    /// error at once.
    pub(crate) async fn until<T, F>(
        &self,
        server: Server<'_>,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, StartError>
    where
        F: Future<Output = Result<T, StartError>> + Send,
    {
        let Server { name, endpoints } = server;
        let waits_for = format!("waiting for {name} at {}", endpoints.join(", "));
        self.note(name, waits_for.clone());
        let (mut backoff, mut is_told) = (Backoff::new(PAUSES), false);
        loop {
            match attempt().await {
                Err(StartError::Unreachable(cause)) => {
                    let reason = with_causes(&*cause);
                    if !is_told {
                        tracing::warn!(reason, "{waits_for}");
                        is_told = true;
                    }
                    self.note(name, format!("{waits_for}: {reason}"));
                }
                settled => {
                    self.locked().remove(name);
                    if is_told && settled.is_ok() {
                        tracing::info!(server = name, "it answers");
                    }
                    return settled;
                }
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    /// Not ready, because of whoever has not answered.
    pub fn readiness(&self) -> Readiness {
        let mut reasons: Vec<String> = self.locked().values().cloned().collect();
        if reasons.is_empty() {
            reasons.push("starting".to_owned());
        }
        Readiness::NotReady(reasons)
    }

    fn note(&self, name: &'static str, reason: String) {
        self.locked().insert(name, reason);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server<'static> = Server {
        name: "etcd",
        endpoints: &[],
    };

    fn reasons(waiting: &Waiting) -> Vec<String> {
        match waiting.readiness() {
            Readiness::Ready => Vec::new(),
            Readiness::NotReady(reasons) => reasons,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_named_until_it_does() {
        let (waiting, mut attempts) = (Waiting::default(), 0);
        let endpoints = ["a:1".to_owned(), "b:2".to_owned()];
        let server = Server {
            endpoints: &endpoints,
            ..SERVER
        };
        let found = waiting.until(server, || {
            attempts += 1;
            let said = reasons(&waiting).join("; ");
            assert!(said.starts_with("waiting for etcd at a:1, b:2"), "{said}");
            assert_eq!(
                said.contains("nobody listens there"),
                attempts > 1,
                "{said}"
            );
            std::future::ready(match attempts {
                5 => Ok("found"),
                _ => Err(StartError::Unreachable("nobody listens there".into())),
            })
        });
        assert_eq!(found.await.ok(), Some("found"));
        assert_eq!(attempts, 5);
        assert_eq!(reasons(&waiting), ["starting"]);
    }

    #[tokio::test]
    async fn what_an_operator_must_mend_is_not_waited_for() {
        let waiting = Waiting::default();
        let refused = || Err(StartError::Failed("the password is wrong".into()));
        let failed: Result<(), _> = waiting
            .until(SERVER, || std::future::ready(refused()))
            .await;
        assert!(matches!(failed, Err(StartError::Failed(_))));
    }
}
