//! Whether a consumer that delivers nothing has nothing to deliver.
//!
//! librdkafka can stop fetching a partition for good without an error, while its connections work
//! (seen after brokers were paused and restarted). That the partition goes on behind the consumer's
//! position is no proof: what lies there may be ends of transactions, or records of transactions
//! that were given up, which no consumer is shown. So, where nothing was delivered for a while, the
//! brokers are asked where the partition ends, and when that is further on, another consumer reads
//! there once, for the first record that can be read. When that record exists, and the consumer
//! still has not brought it a while later, it will not: it is to be replaced.
//!
//! Every consumer of this crate that is followed for long has a [`Guard`]: the reader of the
//! command log, the members of worker groups, and the readers of load generators and audits. What
//! is decided is in [`watch`], what is asked in [`ask`].

mod ask;
mod watch;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

pub(crate) use self::watch::{Answer, Patience, Stuck};
use self::watch::{Finding, Watch};
use crate::client::Client;

/// How often positions are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the brokers said of partitions from offsets on.
type Answers = Vec<((u32, u64), Answer)>;

/// Watches one consumer of a topic. Questions are asked on another thread: whoever follows the
/// consumer is not held up by a broker that does not answer.
pub(crate) struct Guard {
    client: Arc<Client>,
    topic: String,
    watch: Watch,
    answers: Option<Receiver<Answers>>,
    looked_at: Option<Instant>,
}

impl Guard {
    pub(crate) fn new(client: &Arc<Client>, topic: &str, patience: Patience) -> Guard {
        Guard {
            client: Arc::clone(client),
            topic: topic.to_owned(),
            watch: Watch::new(patience),
            answers: None,
            looked_at: None,
        }
    }

    /// To be called as often as is convenient: `positions` says, for every partition that is
    /// followed, from where on nothing was delivered yet. Answers which of them is stuck, if one
    /// is.
    pub(crate) fn look<P>(&mut self, positions: impl FnOnce() -> P) -> Option<Stuck>
    where
        P: IntoIterator<Item = (u32, u64)>,
    {
        let now = Instant::now();
        if self.looked_at.is_some_and(|at| now - at < LOOK) {
            return None;
        }
        self.looked_at = Some(now);
        self.hear(now);
        match self.watch.look(positions(), now) {
            Finding::Fine => None,
            Finding::Doubtful(places) => {
                self.ask(places);
                None
            }
            Finding::Stuck(stuck) => Some(stuck),
        }
    }

    /// The consumer is held back on purpose, so that its silence says nothing.
    pub(crate) fn hold(&mut self) {
        self.watch.begin_anew();
        self.answers = None;
    }

    /// Up to where a partition holds nothing that can be read from a position on, where that was
    /// found out. It stays so: what is committed later lies behind it.
    pub(crate) fn empty_from(&self, partition: u32, position: u64) -> Option<u64> {
        self.watch.empty_from(partition, position)
    }

    fn hear(&mut self, now: Instant) {
        let Some(asked) = &self.answers else { return };
        match asked.try_recv() {
            Ok(answers) => {
                self.answers = None;
                for (place, answer) in answers {
                    self.watch.hear(place, answer, now);
                }
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.answers = None,
        }
    }

    fn ask(&mut self, places: Vec<(u32, u64)>) {
        debug_assert!(!places.is_empty(), "there is something to ask");
        if self.answers.is_some() {
            return;
        }
        let (tell, answers) = sync_channel(1);
        let (client, topic) = (Arc::clone(&self.client), self.topic.clone());
        let asking = move || {
            // Who asked may be gone.
            tell.send(ask::ask(&client, &topic, &places)).ok();
        };
        let thread = std::thread::Builder::new().name("silence".to_owned());
        if thread.spawn(asking).is_ok() {
            self.answers = Some(answers);
        }
    }
}

/// Says that a consumer is replaced, and why.
pub(crate) fn tell(topic: &str, stuck: Stuck) {
    let Stuck {
        partition,
        position,
        record,
    } = stuck;
    tracing::warn!(
        topic,
        partition,
        position,
        record,
        "a consumer delivers nothing although there is a record; it is replaced"
    );
}
