//! Waiting at the start for the servers that a role works with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minutehand_cli::{Exit, Failure};
use minutehand_node::Readiness;

/// Pause after the first attempt that found nobody; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A server, as it is called in a sentence, and where it should be.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) endpoints: Vec<String>,
}

/// The servers that have not answered yet, and why not.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Waiting {
    /// Tries until it succeeds. Who does not answer is waited for; what an operator must mend is an
    /// error at once.
    pub(super) async fn until<T, F>(
        &self,
        server: Server,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let Server { name, endpoints } = server;
        let waits_for = format!("waiting for {name} at {}", endpoints.join(", "));
        self.note(name, waits_for.clone());
        let (mut pause, mut is_told) = (FIRST_PAUSE, false);
        loop {
            match attempt().await {
                Err(failure) if failure.exit == Exit::Unreachable => {
                    if !is_told {
                        tracing::warn!(reason = failure.message, "{waits_for}");
                        is_told = true;
                    }
                    self.note(name, format!("{waits_for}: {}", failure.message));
                }
                settled => {
                    self.locked().remove(name);
                    if is_told && settled.is_ok() {
                        tracing::info!(server = name, "it answers");
                    }
                    return settled;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Not ready, because of whoever has not answered.
    pub(super) fn readiness(&self) -> Readiness {
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

    fn server() -> Server {
        Server {
            name: "etcd",
            endpoints: vec!["a:1".to_owned(), "b:2".to_owned()],
        }
    }

    fn reasons(waiting: &Waiting) -> Vec<String> {
        match waiting.readiness() {
            Readiness::Ready => Vec::new(),
            Readiness::NotReady(reasons) => reasons,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_named_until_it_does() {
        let (waiting, mut attempts) = (Waiting::default(), 0);
        let found = waiting.until(server(), || {
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
                _ => Err(Failure::new(Exit::Unreachable, "nobody listens there")),
            })
        });
        assert_eq!(found.await, Ok("found"));
        assert_eq!(attempts, 5);
        assert_eq!(reasons(&waiting), ["starting"]);
    }

    #[tokio::test]
    async fn what_an_operator_must_mend_is_not_waited_for() {
        let refused = Failure::new(Exit::Failed, "the password is wrong");
        let waiting = Waiting::default();
        let failed: Result<(), _> = waiting
            .until(server(), || std::future::ready(Err(refused.clone())))
            .await;
        assert_eq!(failed, Err(refused));
    }
}
