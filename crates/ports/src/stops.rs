//! Stop requests on their way to those who run a queue's executions.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minutehand_model::{QueueName, TaskKey, Timestamp};
use tokio::sync::mpsc;

/// A request to stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Which task.
    pub key: TaskKey,
    /// Its due time.
    pub due: Timestamp,
    /// Kill it, instead of asking.
    pub kill: bool,
}

/// Requests a slow listener may fall behind; further ones do not reach it.
const BEHIND_MAX: usize = 16_384;
/// Requests of all queues that are remembered for those who listen later.
const RECENT_MAX: usize = 10_000;
const _: () = assert!(
    RECENT_MAX <= BEHIND_MAX,
    "whoever begins to listen hears all of them"
);

/// The last requests that a process has seen: a run may wait where nobody listens yet.
#[derive(Debug, Default)]
pub struct RecentStops(Mutex<VecDeque<(QueueName, Stop)>>);

impl RecentStops {
    /// Remembers requests of a queue; the oldest of all are forgotten.
    pub fn note(&self, queue: &QueueName, stops: &[Stop]) {
        let mut recent = self.there();
        recent.extend(stops.iter().map(|stop| (queue.clone(), *stop)));
        let surplus = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..surplus);
    }

    fn of(&self, queue: &QueueName) -> Vec<Stop> {
        let recent = self.there();
        let of_queue = recent.iter().filter(|(name, _)| name == queue);
        of_queue.map(|(_, stop)| *stop).collect()
    }

    fn there(&self) -> MutexGuard<'_, VecDeque<(QueueName, Stop)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who listens. A value of it costs next to nothing, and a listener some hundred bytes until
/// requests come.
#[derive(Debug, Default)]
pub struct StopListeners(Mutex<Vec<mpsc::Sender<Stop>>>);

impl StopListeners {
    /// Nobody yet.
    pub fn new() -> StopListeners {
        StopListeners::default()
    }

    /// Requests sent from now on.
    pub fn listen(&self) -> StopReceiver {
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        self.there().push(sender);
        StopReceiver(receiver)
    }

    /// The same, and before them the recent ones of the queue that these are the listeners of.
    pub fn listen_after(&self, queue: &QueueName, recent: &RecentStops) -> StopReceiver {
        let receiver = self.listen();
        // Listening comes first: what is sent meanwhile may come twice, and does no harm.
        let sender = self.there().last().cloned();
        for stop in recent.of(queue) {
            let Some(sender) = &sender else { break };
            if sender.try_send(stop).is_err() {
                break;
            }
        }
        receiver
    }

    /// Sends requests to everybody who listens.
    pub fn send(&self, stops: &[Stop]) {
        for listener in self.there().iter() {
            // What is full is far behind, and what is closed has left just now.
            stops
                .iter()
                .take_while(|stop| listener.try_send(**stop).is_ok())
                .count();
        }
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        !self.there().is_empty()
    }

    /// Those who have not left.
    fn there(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Stop>>> {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.is_closed());
        listeners
    }
}

/// The requests for one listener.
#[derive(Debug)]
pub struct StopReceiver(mpsc::Receiver<Stop>);

impl StopReceiver {
    /// The next request; `None` when there can be no more.
    pub async fn recv(&mut self) -> Option<Stop> {
        self.0.recv().await
    }

    /// The next request, if it has been sent.
    pub fn try_recv(&mut self) -> Option<Stop> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(number: u128) -> Stop {
        Stop {
            key: TaskKey(number),
            due: Timestamp::from_millis(1),
            kill: false,
        }
    }

    #[test]
    fn a_burst_reaches_everybody_who_listens_and_no_one_else() {
        let listeners = StopListeners::new();
        listeners.send(&[stop(0)]);
        assert!(!listeners.is_heard());
        let (mut first, second) = (listeners.listen(), listeners.listen());
        drop(second);
        let burst: Vec<Stop> = (1..5_000).map(stop).collect();
        listeners.send(&burst);
        let heard: Vec<Stop> = std::iter::from_fn(|| first.try_recv()).collect();
        assert_eq!(heard, burst);
        drop(first);
        assert!(!listeners.is_heard());
    }

    #[test]
    fn who_listens_later_hears_the_last_ones_of_its_queue() {
        let queue = |name| QueueName::parse(name).unwrap();
        let (listeners, recent) = (StopListeners::new(), RecentStops::default());
        let many: Vec<Stop> = (0..2 * RECENT_MAX as u128).map(stop).collect();
        recent.note(&queue("mail"), &many);
        recent.note(&queue("other"), &[stop(1), stop(2)]);
        let mut mail = listeners.listen_after(&queue("mail"), &recent);
        let heard: Vec<Stop> = std::iter::from_fn(|| mail.try_recv()).collect();
        assert_eq!(heard, many[RECENT_MAX + 2..]);
        listeners.send(&[stop(7)]);
        assert_eq!(mail.try_recv(), Some(stop(7)));
    }

    #[test]
    fn a_listener_that_does_not_listen_is_sent_only_so_many() {
        let listeners = StopListeners::new();
        let mut receiver = listeners.listen();
        (0..3).for_each(|_| listeners.send(&vec![stop(1); BEHIND_MAX]));
        assert_eq!(
            std::iter::from_fn(|| receiver.try_recv()).count(),
            BEHIND_MAX
        );
    }
}
