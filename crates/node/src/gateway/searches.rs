//! Searches for the times of calendars: each may take tens of milliseconds.

use tokio::sync::Semaphore;

use super::Gateway;

/// Most searches under way at once, of all callers: more would only share the cores.
const SEARCHES_MAX: usize = 2;

/// Turns of searches.
pub(super) struct Searches(Semaphore);

impl Default for Searches {
    fn default() -> Searches {
        Searches(Semaphore::new(SEARCHES_MAX))
    }
}

impl Searches {
    async fn run<T: Send + 'static>(&self, search: impl FnOnce() -> T + Send + 'static) -> T {
        let _turn = self.0.acquire().await;
        match tokio::task::spawn_blocking(search).await {
            Ok(found) => found,
            // A panic is a bug and must be seen.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Gateway {
    /// Judges a definition, or looks for its times, where nothing else waits for it, and a few at a
    /// time.
    pub async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.searches.run(search).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[tokio::test]
    async fn searches_are_few_at_once_and_hold_up_nobody() {
        let searches = Arc::new(Searches::default());
        let (begins, begun): (Sender<Sender<()>>, Receiver<Sender<()>>) = channel();
        let asked: Vec<_> = (0..3 * SEARCHES_MAX)
            .map(|_| {
                let (searches, begins) = (Arc::clone(&searches), begins.clone());
                tokio::spawn(async move {
                    let search = move || {
                        let (end, ended) = channel();
                        begins.send(end).expect("the test listens");
                        ended.recv().expect("the test ends it");
                    };
                    searches.run(search).await;
                })
            })
            .collect();
        // One thread serves requests here, and it goes on while searches are under way.
        let (first, begun) = tokio::task::spawn_blocking(move || {
            let first: Vec<Sender<()>> = begun.iter().take(SEARCHES_MAX).collect();
            (first, begun)
        })
        .await
        .expect("no panic");
        assert!(begun.try_recv().is_err(), "no more than its turns");
        let rest = tokio::task::spawn_blocking(move || {
            let ended = first.into_iter().chain(begun.iter().take(2 * SEARCHES_MAX));
            ended.for_each(|end| end.send(()).expect("a search waits"));
        });
        rest.await.expect("no panic");
        for one in asked {
            one.await.expect("a search ends");
        }
    }
}
