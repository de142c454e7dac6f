//! The topics of queues, made and looked after beside the ticks that publish to them.
//!
//! A queue's topic is looked for when the queue is first met, usually when a command names it, long
//! before anything is due. One thread does it for the whole process, many at a time, so that five
//! hundred new queues cost a few requests and hold no tick back. A topic that cannot be used is
//! refused for a while, with the reason, and looked at again. What is known is compared with the
//! cluster now and then, and whenever a tick failed: topics are deleted and altered under running
//! processes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use minutehand_ingress::egress::Envelope;
use minutehand_model::QueueName;
use minutehand_model::limits::TOPIC_RECORD_BYTES_MAX;
use minutehand_ports::{ErrorClass, PortError};

use crate::client::Client;
use crate::config::{BATCH_WITH_FRAME_BYTES_MAX, KafkaConfig};
use crate::error::TopicTrouble;
use crate::settings::Found;
use crate::topics::{APPEARS, Created, IN_SYNC, TopicDefinition};

/// Most topics that one request asks for.
const BATCH_MAX: usize = 50;
/// Most topics that may wait to be looked for; beyond it a tick that needs one asks again.
const WANTED_MAX: usize = 10_000;
/// A topic that was refused is looked at again after this: an operator may have acted.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// How often what is known is compared with the cluster.
const COMPARED_EVERY: Duration = Duration::from_secs(60);
/// How often the thread looks whether it is still needed.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// Pause after a request that failed.
const PAUSE: Duration = Duration::from_millis(250);
/// A broker's word that a record is too large is taken as the topic's limit once; said again so
/// soon, the topic cannot be used.
const SIZE_DOUBTED_FOR: Duration = Duration::from_secs(60);

/// Which topic of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Executions,
    DeadLetters,
}

/// A topic of a queue that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueTopic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    /// Largest record, and batch, that it takes.
    pub(crate) bytes_max: usize,
    pub(crate) envelope: Envelope,
}

/// How a topic stands.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// It is being looked for, or made.
    Wanted,
    Ready(Arc<QueueTopic>),
    /// It cannot be used, and why.
    Refused(Arc<str>),
}

enum Known {
    Wanted,
    Ready(Arc<QueueTopic>),
    Refused { reason: Arc<str>, since: Instant },
}

type Key = (Kind, QueueName);

#[derive(Default)]
struct State {
    known: HashMap<Key, Known>,
    wanted: VecDeque<Key>,
    /// Everything known is to be compared with the cluster now.
    is_doubted: bool,
    /// Topics of which a broker said that a record is too large, and when.
    sizes_doubted: HashMap<String, Instant>,
    is_running: bool,
    compared_at: Option<Instant>,
}

impl State {
    /// What was refused for long enough is not known any more: names are anybody's to make up, and
    /// of those that have no topic there may be any number.
    fn forget_refused(&mut self, now: Instant) {
        self.known.retain(|_, known| match known {
            Known::Refused { since, .. } => now.saturating_duration_since(*since) < REFUSED_FOR,
            Known::Wanted | Known::Ready(_) => true,
        });
    }
}

/// The topics of all queues. Share it behind an [`Arc`].
pub(crate) struct QueueTopics {
    client: Arc<Client>,
    state: Mutex<State>,
    /// The thread waits here for something to do.
    work: Condvar,
    /// Ticks wait here for topics.
    news: Condvar,
    this: Weak<QueueTopics>,
}

impl QueueTopics {
    pub(crate) fn new(client: Arc<Client>) -> Arc<QueueTopics> {
        Arc::new_cyclic(|this| QueueTopics {
            client,
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
            this: Weak::clone(this),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a topic stands; one that nobody has asked for is looked for from now on.
    pub(crate) fn look(&self, kind: Kind, queue: &QueueName) -> Standing {
        let key = (kind, queue.clone());
        let mut state = self.state();
        match state.known.get(&key) {
            Some(Known::Ready(topic)) => return Standing::Ready(Arc::clone(topic)),
            Some(Known::Refused { reason, since }) if since.elapsed() < REFUSED_FOR => {
                return Standing::Refused(Arc::clone(reason));
            }
            Some(Known::Wanted) => return Standing::Wanted,
            Some(Known::Refused { .. }) | None => {}
        }
        if state.wanted.len() < WANTED_MAX {
            state.known.insert(key.clone(), Known::Wanted);
            state.wanted.push_back(key);
            self.run(&mut state);
        }
        Standing::Wanted
    }

    /// Waits until every topic is ready or refused, not longer than a limit; answers whether they
    /// are.
    pub(crate) fn wait(&self, kind: Kind, queues: &BTreeSet<QueueName>, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state();
        loop {
            let is_wanted = |queue: &&QueueName| {
                matches!(
                    state.known.get(&(kind, (*queue).clone())),
                    Some(Known::Wanted) | None
                )
            };
            if !queues.iter().any(|queue| is_wanted(&queue)) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .news
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// A tick failed: what is known may not be so any more.
    pub(crate) fn doubt(&self) {
        let mut state = self.state();
        state.is_doubted = !state.known.is_empty();
        self.run(&mut state);
    }

    /// A broker did not take a record of a topic, for a reason that lies in the topic. Answers
    /// whether it is one of a queue's.
    pub(crate) fn failed(&self, topic: &str, reason: &str, trouble: TopicTrouble) -> bool {
        let mut state = self.state();
        let key = state.known.iter().find_map(|(key, known)| match known {
            Known::Ready(ready) if ready.name == topic => Some(key.clone()),
            _ => None,
        });
        let Some(key) = key else { return false };
        self.client.forget(topic);
        let may_have_changed = match trouble {
            TopicTrouble::Gone => true,
            // Its limit may have been lowered: it is read again, and then each record is measured
            // by it.
            TopicTrouble::Size => {
                state
                    .sizes_doubted
                    .retain(|_, doubted| doubted.elapsed() <= SIZE_DOUBTED_FOR);
                state
                    .sizes_doubted
                    .insert(topic.to_owned(), Instant::now())
                    .is_none()
            }
            TopicTrouble::Refuses => false,
        };
        if may_have_changed {
            state.known.insert(key.clone(), Known::Wanted);
            state.wanted.push_back(key);
            self.run(&mut state);
        } else {
            let reason = format!("{topic}: {reason}").into();
            state.known.insert(
                key,
                Known::Refused {
                    reason,
                    since: Instant::now(),
                },
            );
        }
        true
    }

    /// Makes sure that there is a thread, and that it looks.
    fn run(&self, state: &mut State) {
        self.work.notify_all();
        if state.is_running {
            return;
        }
        let this = Weak::clone(&self.this);
        let started = std::thread::Builder::new()
            .name("topics".to_owned())
            .spawn(move || {
                // Gone with the sink: nobody needs topics then. A panic ends the thread; whoever
                // needs it next starts another.
                let _ending = Ending(Weak::clone(&this));
                while let Some(topics) = this.upgrade() {
                    topics.work();
                }
            });
        match started {
            Ok(_) => {
                state.is_running = true;
                // What a thread before had in hand when it ended is looked for again.
                let known = state.known.iter();
                let wanted = known
                    .filter(|(_, known)| matches!(known, Known::Wanted))
                    .map(|(key, _)| key.clone());
                state.wanted = wanted.collect();
            }
            Err(error) => tracing::error!(%error, "could not start the thread that makes topics"),
        }
    }

    /// One round of the thread.
    fn work(&self) {
        let mut state = self.state();
        if state.wanted.is_empty() && !state.is_doubted {
            state = self
                .work
                .wait_timeout(state, LOOKS_EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.forget_refused(Instant::now());
        let count = state.wanted.len().min(BATCH_MAX);
        let wanted: Vec<Key> = state.wanted.drain(..count).collect();
        let is_due = state
            .compared_at
            .is_none_or(|compared_at| compared_at.elapsed() > COMPARED_EVERY);
        let compares = std::mem::take(&mut state.is_doubted) || is_due;
        if compares {
            state.compared_at = Some(Instant::now());
        }
        drop(state);
        if compares {
            self.compare();
        }
        if wanted.is_empty() {
            return;
        }
        match self.find(&wanted) {
            Ok(found) => {
                let mut state = self.state();
                for (key, known) in found {
                    if matches!(known, Known::Wanted) {
                        state.wanted.push_back(key.clone());
                    }
                    state.known.insert(key, known);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "topics are looked for again");
                self.state().wanted.extend(wanted);
                std::thread::sleep(PAUSE);
            }
        }
        self.news.notify_all();
    }

    /// Forgets what is not as it was.
    fn compare(&self) {
        let Ok(there) = self.client.list() else {
            return;
        };
        let mut state = self.state();
        let changed: Vec<Key> = state
            .known
            .iter()
            .filter_map(|(key, known)| match known {
                Known::Ready(topic) if there.get(&topic.name) != Some(&topic.partitions) => {
                    Some(key.clone())
                }
                _ => None,
            })
            .collect();
        for key in changed {
            tracing::warn!(queue = %key.1, "the queue's topic was deleted or altered; it is looked at anew");
            self.client.forget(&self.name(&key));
            state.known.insert(key.clone(), Known::Wanted);
            state.wanted.push_back(key);
        }
    }

    fn name(&self, (kind, queue): &Key) -> String {
        match kind {
            Kind::Executions => self.client.names().executions(queue),
            Kind::DeadLetters => self.client.names().dead_letters(queue),
        }
    }

    fn definition(&self, key: &Key) -> TopicDefinition {
        let name = self.name(key);
        match key.0 {
            Kind::Executions => TopicDefinition::executions(self.client.config(), &name),
            Kind::DeadLetters => TopicDefinition::dead_letters(self.client.config(), &name),
        }
    }

    /// Looks for topics, makes those that are missing, and says how each stands then.
    fn find(&self, keys: &[Key]) -> Result<Vec<(Key, Known)>, PortError> {
        let there = self.client.list()?;
        let mut outcomes: BTreeMap<&Key, Known> = BTreeMap::new();
        let room = self.room(&there);
        let missing: Vec<&Key> = keys
            .iter()
            .filter(|key| !there.contains_key(&self.name(key)))
            .collect();
        for key in missing.iter().skip(room) {
            let reason = format!(
                "the installation has as many topics of queues as kafka.queue_topics_max allows ({}); raise it, or use fewer \
                 queues",
                self.client.config().queue_topics_max
            );
            outcomes.insert(key, refused(&reason));
        }
        let tried: Vec<&Key> = missing.iter().take(room).copied().collect();
        let made = self.make(&tried, &mut outcomes)?;
        let expected: Vec<&Key> = keys
            .iter()
            .filter(|key| !outcomes.contains_key(key))
            .collect();
        let there = self.await_all(&expected)?;
        let old: Vec<String> = expected
            .iter()
            .filter(|key| !made.contains(**key))
            .map(|key| self.name(key))
            .collect();
        let mut found = self.found_settings(&old)?;
        for key in expected {
            let name = self.name(key);
            let known = match there.get(&name) {
                Some(partitions) => {
                    if let Some(found) = found.get_mut(&name) {
                        self.raise_copies(&self.definition(key), found)?;
                    }
                    self.judged(key, name.clone(), *partitions, found.get(&name))
                }
                None => Known::Wanted,
            };
            outcomes.insert(key, known);
        }
        Ok(outcomes
            .into_iter()
            .map(|(key, known)| (key.clone(), known))
            .collect())
    }

    /// Makes topics that are not listed; answers which of them are as they were asked for, and adds
    /// to the outcomes what cannot be used.
    fn make<'a>(
        &self,
        keys: &[&'a Key],
        outcomes: &mut BTreeMap<&'a Key, Known>,
    ) -> Result<BTreeSet<&'a Key>, PortError> {
        let mut made = BTreeSet::new();
        if keys.is_empty() {
            return Ok(made);
        }
        let definitions: Vec<TopicDefinition> =
            keys.iter().map(|key| self.definition(key)).collect();
        let creating = self.client.create_all(&definitions);
        let answers = self.client.runtime().block_on(creating)?;
        for (key, answer) in keys.iter().zip(answers) {
            match answer {
                Ok(Created::Now) => drop(made.insert(*key)),
                // Not listed yet: its settings are to be read like those of any other.
                Ok(Created::ByAnother) => {}
                Err(error) if error.class == ErrorClass::Retry => {
                    drop(outcomes.insert(key, Known::Wanted));
                }
                Err(error) => drop(outcomes.insert(key, refused(&error.to_string()))),
            }
        }
        Ok(made)
    }

    /// How many topics of queues may still be made.
    fn room(&self, there: &BTreeMap<String, u32>) -> usize {
        let names = self.client.names();
        let count = there
            .keys()
            .filter(|topic| names.is_of_queue(topic))
            .count();
        (self.client.config().queue_topics_max as usize).saturating_sub(count)
    }

    /// What the cluster lists once it lists all of some topics, or when that took too long.
    fn await_all(&self, keys: &[&Key]) -> Result<BTreeMap<String, u32>, PortError> {
        let deadline = self.client.deadline();
        loop {
            let there = self.client.list()?;
            let is_complete = keys.iter().all(|key| there.contains_key(&self.name(key)));
            if is_complete || Instant::now() > deadline {
                return Ok(there);
            }
            std::thread::sleep(APPEARS);
        }
    }

    /// How topics are set up which others may have made. Where that may not be read nothing is
    /// known of one but its name.
    ///
    /// # Errors
    /// Class `Retry`: the cluster did not answer, or does not know one of the topics yet. Nothing
    /// is assumed of it then.
    fn found_settings(&self, topics: &[String]) -> Result<BTreeMap<String, Found>, PortError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let reading = self.client.topic_settings(&names);
        let mut found = match self.client.runtime().block_on(reading) {
            Ok(found) => found,
            Err(error) if error.class == ErrorClass::Retry => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "how topics of queues are set up cannot be read; Kafka's defaults are assumed");
                BTreeMap::new()
            }
        };
        let known = |topic: &String| (topic.clone(), found.remove(topic).unwrap_or_default());
        Ok(topics.iter().map(known).collect())
    }

    /// Earlier releases made topics of queues that ask for no more copies than the brokers do: they
    /// are given what new ones get, where they have the copies. What somebody said of a topic
    /// itself stays as it is, and is judged.
    fn raise_copies(
        &self,
        definition: &TopicDefinition,
        found: &mut Found,
    ) -> Result<(), PortError> {
        let wanted = definition
            .settings
            .iter()
            .find(|setting| setting.name == IN_SYNC);
        let Some(wanted) = wanted.filter(|wanted| wanted.difference(found.get(IN_SYNC)).is_some())
        else {
            return Ok(());
        };
        let has_copies = self.client.copies(&definition.name)?
            >= usize::try_from(self.client.config().replication_factor).unwrap_or(0);
        if !has_copies {
            return Ok(());
        }
        let raising = self
            .client
            .set_up_unsaid(&definition.name, IN_SYNC, &wanted.value);
        match self.client.runtime().block_on(raising) {
            Ok(true) => {
                tracing::info!(topic = %definition.name, value = %wanted.value, "raised min.insync.replicas of a queue's topic");
                found.insert(IN_SYNC.to_owned(), wanted.value.clone());
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) if error.class == ErrorClass::Retry => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a queue's topic asks for too few copies, and cannot be altered");
                Ok(())
            }
        }
    }

    /// Whether a topic that is there can be used.
    fn judged(
        &self,
        key @ (kind, queue): &Key,
        name: String,
        partitions: u32,
        found: Option<&Found>,
    ) -> Known {
        let KafkaConfig {
            partitions: own,
            cloudevents_queues,
            ..
        } = self.client.config();
        if *kind == Kind::Executions
            && !partitions.is_multiple_of(*own)
            && !own.is_multiple_of(partitions)
        {
            return refused(&format!(
                "{name} has {partitions} partitions, which is neither a divisor nor a multiple of the {own} of the command \
                 log; make the topic anew"
            ));
        }
        // Such a topic would lose what waits in it, or what one broker alone had acknowledged.
        let differences: Vec<String> = self
            .definition(key)
            .settings
            .iter()
            .filter_map(|setting| setting.difference(found?.get(setting.name)))
            .map(|difference| difference.to_string())
            .collect();
        if !differences.is_empty() {
            return refused(&format!(
                "{name} {}; set it right on the topic",
                differences.join(", ")
            ));
        }
        let bytes_max = found.map_or(TOPIC_RECORD_BYTES_MAX, |found| {
            let said = found
                .get("max.message.bytes")
                .and_then(|said| said.parse().ok());
            said.unwrap_or(BATCH_WITH_FRAME_BYTES_MAX)
        });
        if bytes_max < BATCH_WITH_FRAME_BYTES_MAX {
            return refused(&format!(
                "{name} has max.message.bytes={bytes_max}, which must be at least {BATCH_WITH_FRAME_BYTES_MAX}; raise it on \
                 the topic"
            ));
        }
        let is_event = cloudevents_queues.contains(queue);
        let envelope = if is_event {
            Envelope::CloudEvents
        } else {
            Envelope::Plain
        };
        Known::Ready(Arc::new(QueueTopic {
            name,
            partitions,
            bytes_max,
            envelope,
        }))
    }
}

/// The thread's end, however it comes.
struct Ending(Weak<QueueTopics>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(topics) = self.0.upgrade() {
            topics.state().is_running = false;
        }
    }
}

fn refused(reason: &str) -> Known {
    Known::Refused {
        reason: reason.into(),
        since: Instant::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_forgotten_after_a_while() {
        let key = |name: &str| (Kind::Executions, QueueName::parse(name).unwrap());
        let mut state = State::default();
        state.known.insert(key("made-up"), refused("too many"));
        state.known.insert(key("wanted"), Known::Wanted);
        let now = Instant::now();
        state.forget_refused(now);
        assert_eq!(state.known.len(), 2);
        state.forget_refused(now + REFUSED_FOR);
        let left: Vec<&Key> = state.known.keys().collect();
        assert_eq!(left, [&key("wanted")]);
    }
}
