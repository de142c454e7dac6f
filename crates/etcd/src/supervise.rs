//! The tasks of a member, or of a directory: none of them ends in silence. What one of them no
//! longer does (renew, follow, place) the others cannot make up for; so a panic ends all of them,
//! and whoever started them is told.

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks that belong together. Dropping it ends them.
pub(crate) struct Supervised {
    supervisor: JoinSet<()>,
    failed: watch::Receiver<Option<String>>,
}

impl Supervised {
    /// Watches over tasks; their owner in words, for whoever is told.
    pub(crate) fn new(owner: &'static str, tasks: JoinSet<()>) -> Supervised {
        let (sender, failed) = watch::channel(None);
        let mut supervisor = JoinSet::new();
        supervisor.spawn(supervise(owner, tasks, sender));
        Supervised { supervisor, failed }
    }

    /// Why the tasks have ended, once one of them has panicked.
    pub(crate) fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Ends them, and waits until they have ended.
    pub(crate) async fn shutdown(&mut self) {
        self.supervisor.shutdown().await;
    }
}

async fn supervise(
    owner: &'static str,
    mut tasks: JoinSet<()>,
    failed: watch::Sender<Option<String>>,
) {
    while let Some(ended) = tasks.join_next().await {
        let Err(error) = ended else { continue };
        if error.is_panic() {
            let reason = format!(
                "a task of the {owner} panicked: {}",
                words(&*error.into_panic())
            );
            tracing::error!(reason, "it renews and follows nothing any more");
            tasks.shutdown().await;
            failed.send_replace(Some(reason));
            return;
        }
    }
    // Whoever watches goes on watching: an orderly end is no failure.
    failed.closed().await;
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_all_tasks_and_is_told() {
        let (held, mut others) = watch::channel(());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tasks.spawn(async {});
        tasks.spawn(async { panic!("out of order") });
        let supervised = Supervised::new("member", tasks);
        let mut failed = supervised.failed();
        let reason = failed
            .wait_for(Option::is_some)
            .await
            .expect("it is told")
            .clone();
        assert_eq!(
            reason.as_deref(),
            Some("a task of the member panicked: out of order")
        );
        assert!(others.changed().await.is_err(), "the others have ended");
    }

    #[tokio::test]
    async fn an_orderly_end_is_no_failure() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        let mut supervised = Supervised::new("member", tasks);
        let failed = supervised.failed();
        supervised.shutdown().await;
        assert_eq!(*failed.borrow(), None);
    }
}
