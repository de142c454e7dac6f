//! Settlements: a group's places, and what must become durable with them.
//!
//! Everything that was left since the last commit becomes durable in one step. When nothing must
//! happen together with the places, that step is one offset commit; otherwise it is one transaction
//! of records and places. Lines for the history alone need no transaction: they are delivered
//! before the places are committed, so that a crash between may keep one twice, and never loses
//! one.
//!
//! All of this runs on the group's own thread, as rebalances do: a partition is never taken away in
//! the middle of a step, and no two steps overlap. After a transaction of which nobody knows how it
//! ended, the next step first begins with a new producer (which settles how it ended) and reads the
//! places again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minutehand_model::{DeliveryToken, LastWord, QueueName, TopicName};
use minutehand_ports::{DeliveryId, ErrorClass, PortError};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::sync::oneshot;

use super::claims::Writer;
use super::group::{Group, Slot, State};
use super::job::{Effects, Job};
use super::marks::Marks;
use super::place;
use super::window::Standing;
use crate::client::Client;
use crate::error::{port_error, softened};
use crate::topics::TopicDefinition;
use crate::transact::{Parcel, Plain, Transactor, unique};

/// Offsets that are reserved for claims at a time: so many deliveries at most are in doubt when a
/// member was killed and the brokers forget its group's place.
const CLAIMS_RESERVED: u64 = 4_096;

/// Carries jobs out, on the group's thread.
pub(crate) struct Settler {
    client: Arc<Client>,
    transactor: Transactor,
    plain: Plain,
    /// A transaction's end is not known.
    is_in_doubt: bool,
    known_letters: BTreeSet<QueueName>,
}

/// What others go on with, on its way to be settled.
struct Passing {
    count: usize,
    answered: oneshot::Receiver<Result<Vec<DeliveryId>, PortError>>,
}

impl Passing {
    fn begin(passed: Vec<DeliveryId>, jobs: &mut Vec<Job>) -> Passing {
        let (answer, answered) = oneshot::channel();
        let count = passed.len();
        jobs.push(Job {
            action: "pass over what other groups go on with".to_owned(),
            settlements: passed
                .into_iter()
                .map(|id| (id, Effects::of_passed()))
                .collect(),
            reports: Vec::new(),
            answer,
        });
        Passing { count, answered }
    }

    /// What was not settled is, with the next step; what went to another member is passed over there.
    fn end(mut self, state: &mut State) {
        if matches!(self.answered.try_recv(), Ok(Ok(_))) {
            // More may have come, behind these.
            state.passed.drain(..self.count);
        }
    }
}

/// What one step does.
struct Step<'a> {
    parcels: Vec<&'a Parcel>,
    /// What is reserved by it, and the records of that. They must not come behind the places.
    reservations: Vec<Parcel>,
    reserved: BTreeMap<u32, u64>,
    is_one_step: bool,
    places: TopicPartitionList,
}

impl Settler {
    pub(crate) fn new(group: &Group) -> Settler {
        let client = Arc::clone(&group.client);
        let id = client.names().settlement_id(
            &client.config().region,
            &group.queue,
            &group.name,
            &unique(),
        );
        Settler {
            transactor: Transactor::new(Arc::clone(&client), id),
            plain: Plain::new(Arc::clone(&client)),
            client,
            is_in_doubt: false,
            known_letters: BTreeSet::new(),
        }
    }

    /// Makes everything that was left durable, and answers. Without a consumer there are no places.
    pub(crate) fn run<C: ConsumerContext>(
        &mut self,
        group: &Group,
        consumer: Option<&BaseConsumer<C>>,
    ) {
        let (mut jobs, has_let_go, passed) = {
            let mut state = group.state();
            let jobs = std::mem::take(&mut state.jobs);
            (jobs, !state.let_go.is_empty(), state.passed.clone())
        };
        let passing = (!passed.is_empty()).then(|| Passing::begin(passed, &mut jobs));
        if !jobs.is_empty() {
            self.run_jobs(group, consumer, jobs);
        }
        if let Some(passing) = passing {
            passing.end(&mut group.state());
        }
        if has_let_go {
            // Behind what was said of them before.
            let lost = group.state().take_back();
            group.news.notify_waiters();
            self.tell(group, lost);
        }
    }

    /// Tells of runs that are lost. What cannot be told now is found again when this member is
    /// gone.
    fn tell(&mut self, group: &Group, lost: Vec<(u32, u64, LastWord)>) {
        if lost.is_empty() {
            return;
        }
        let count = lost.len();
        let told = Effects::of_lost(&self.client, &group.consumer_group, lost);
        let told = told.and_then(|effects| {
            let sent = self.transactor.commit(effects.parcels.iter(), None);
            self.is_in_doubt |= sent.is_err();
            sent.map_err(|error| port_error("tell of runs that are lost", error))
        });
        match told {
            Ok(()) => {
                tracing::info!(queue = %group.queue, group = %group.name, count, "told of runs that are lost")
            }
            Err(error) => {
                tracing::warn!(queue = %group.queue, count, %error, "could not tell of runs that are lost")
            }
        }
    }

    /// Tells of runs whose members have left the group without a word, in the partitions that are
    /// this member's.
    pub(crate) fn look_for_lost<C: ConsumerContext>(
        &mut self,
        group: &Group,
        consumer: &BaseConsumer<C>,
    ) -> KafkaResult<()> {
        let partitions: Vec<u32> = group.state().slots.keys().copied().collect();
        let found = group
            .claims
            .of_others(&group.consumer_group, &partitions, &group.claimer)?;
        if found.is_empty() {
            return Ok(());
        }
        let groups =
            consumer.fetch_group_list(Some(&group.consumer_group), self.client.timeout())?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        let members: BTreeSet<String> = members
            .map(|member| member.client_id().to_owned())
            .collect();
        // A list without ourselves is none of this group as it stands.
        if members.contains(&group.claimer) {
            let lost = found
                .into_iter()
                .filter(|found| !members.contains(&found.claimer));
            self.tell(
                group,
                lost.map(|found| (found.partition, found.offset, found.word))
                    .collect(),
            );
        }
        Ok(())
    }

    /// Says that nothing more is claimed in some partitions than what is settled, so that less is
    /// in doubt when their places are forgotten.
    pub(crate) fn release(&mut self, group: &Group, partitions: &[u32]) {
        let writer = Writer::new(&self.client, &group.consumer_group);
        let parcels: Vec<Parcel> = {
            let mut state = group.state();
            let given_back = partitions.iter().filter_map(|partition| {
                let reserved = state.reserved.remove(partition)?;
                let Some(Slot::Open(window)) = state.slots.get(partition) else {
                    return None;
                };
                (window.high() < reserved).then(|| writer.reservation(*partition, window.high()))
            });
            given_back.collect()
        };
        // Where this fails more stays in doubt than need be.
        if !parcels.is_empty()
            && let Err(error) = self.plain.deliver(parcels.iter())
        {
            tracing::debug!(queue = %group.queue, %error, "reservations were not given back");
        }
    }

    fn run_jobs<C: ConsumerContext>(
        &mut self,
        group: &Group,
        consumer: Option<&BaseConsumer<C>>,
        jobs: Vec<Job>,
    ) {
        match self.step(group, consumer, &jobs) {
            Ok(answers) => answer(jobs, answers),
            // One that is refused for good takes no other with it.
            Err(error) if error.class == ErrorClass::Fatal && jobs.len() > 1 => {
                for job in jobs {
                    let alone = self.step(group, consumer, std::slice::from_ref(&job));
                    let answers = alone.unwrap_or_else(|error| vec![Err(error)]);
                    answer(vec![job], answers);
                }
            }
            Err(error) => {
                let answers = jobs
                    .iter()
                    .map(|job| Err(again(&error, &job.action)))
                    .collect();
                answer(jobs, answers);
            }
        }
        group.news.notify_waiters();
    }

    /// One step of all jobs. The inner results are the answers, one a job; the outer error concerns
    /// all of them.
    fn step<C: ConsumerContext>(
        &mut self,
        group: &Group,
        consumer: Option<&BaseConsumer<C>>,
        jobs: &[Job],
    ) -> Result<Vec<Result<Vec<DeliveryId>, PortError>>, PortError> {
        let action = jobs.first().map_or("", |job| &job.action);
        if self.is_in_doubt {
            self.learn(group, consumer)
                .map_err(|error| softened(port_error(action, error)))?;
        }
        self.make_topics(jobs)?;
        self.find_topics(jobs)?;
        let (answers, step) = prepare(group, jobs);
        debug_assert_eq!(answers.len(), jobs.len(), "everybody is answered");
        let outcome = self.carry_out(consumer, &step);
        let mut state = group.state();
        if outcome.is_ok() {
            state.reserved.extend(&step.reserved);
        }
        for slot in state.slots.values_mut() {
            if let Slot::Open(window) = slot {
                if outcome.is_ok() {
                    window.commit()
                } else {
                    window.give_up()
                }
            }
        }
        drop(state);
        if let Err(error) = outcome {
            self.is_in_doubt |= step.is_one_step;
            // One of them may be gone: the next step finds out.
            topics_of_others(jobs).for_each(|topic| self.client.forget(topic.as_str()));
            return Err(softened(port_error(action, error)));
        }
        Ok(answers)
    }

    fn carry_out<C: ConsumerContext>(
        &mut self,
        consumer: Option<&BaseConsumer<C>>,
        step: &Step<'_>,
    ) -> KafkaResult<()> {
        let parcels = step.parcels.iter().copied().chain(&step.reservations);
        let has_places = step.places.count() > 0;
        if step.is_one_step {
            let membership = consumer
                .filter(|_| has_places)
                .map(|consumer| consumer.group_metadata());
            return match membership {
                Some(Some(membership)) => self
                    .transactor
                    .commit(parcels, Some((&step.places, &membership))),
                Some(None) => Err(KafkaError::ConsumerCommit(
                    RDKafkaErrorCode::UnknownMemberId,
                )),
                None => self.transactor.commit(parcels, None),
            };
        }
        if !step.parcels.is_empty() || !step.reservations.is_empty() {
            self.plain.deliver(parcels)?;
        }
        match consumer {
            Some(consumer) if has_places => consumer.commit(&step.places, CommitMode::Sync),
            _ => Ok(()),
        }
    }

    /// Finds out how a transaction in doubt ended.
    fn learn<C: ConsumerContext>(
        &mut self,
        group: &Group,
        consumer: Option<&BaseConsumer<C>>,
    ) -> KafkaResult<()> {
        self.transactor.begin()?;
        if let Some(consumer) = consumer {
            let partitions: Vec<u32> = group.state().slots.keys().copied().collect();
            for (partition, marks) in
                place::read(&self.client, consumer, &group.topic, &partitions)?
            {
                if let Some(Slot::Open(window)) = group.state().slots.get_mut(&partition)
                    && let Some(marks) = marks
                {
                    window.reconcile(&marks);
                }
            }
        }
        self.is_in_doubt = false;
        Ok(())
    }

    /// Refuses for good what would be left on a topic that is not there: it is made by whoever
    /// reads it.
    fn find_topics(&self, jobs: &[Job]) -> Result<(), PortError> {
        for topic in topics_of_others(jobs) {
            if self.client.look_up(topic.as_str())?.is_none() {
                let reason = format!(
                    "the run leaves a record on {topic}, and there is no such topic, or this worker may not see it; make \
                     it, or allow it"
                );
                return Err(PortError::new(ErrorClass::Fatal, "find topics", reason));
            }
        }
        Ok(())
    }

    fn make_topics(&mut self, jobs: &[Job]) -> Result<(), PortError> {
        let effects = jobs.iter().flat_map(|job| {
            job.settlements
                .iter()
                .map(|(_, effects)| effects)
                .chain(&job.reports)
        });
        for queue in effects.flat_map(|effects| &effects.letters) {
            if !self.known_letters.contains(queue) {
                let name = self.client.names().dead_letters(queue);
                let definition = TopicDefinition::dead_letters(self.client.config(), &name);
                self.client.ensure(&definition)?;
                self.known_letters.insert(queue.clone());
            }
        }
        Ok(())
    }
}

fn topics_of_others(jobs: &[Job]) -> impl Iterator<Item = &TopicName> {
    let settlements = jobs.iter().flat_map(|job| &job.settlements);
    settlements.flat_map(|(_, effects)| &effects.topics)
}

/// Begins to settle what can be, and gathers what goes with it.
fn prepare<'a>(
    group: &Group,
    jobs: &'a [Job],
) -> (Vec<Result<Vec<DeliveryId>, PortError>>, Step<'a>) {
    let mut state = group.state();
    let mut step = Step {
        parcels: Vec::new(),
        reservations: Vec::new(),
        reserved: BTreeMap::new(),
        is_one_step: false,
        places: TopicPartitionList::new(),
    };
    let (mut changed, mut claimed) = (BTreeSet::new(), BTreeSet::new());
    let mut take = |effects: &'a Effects| {
        step.parcels.extend(&effects.parcels);
        step.is_one_step |= effects.is_one_step;
    };
    let mut answers = Vec::new();
    for job in jobs {
        if let Some(id) = job
            .settlements
            .iter()
            .map(|(id, _)| *id)
            .find(|id| is_unknown(&state, *id))
        {
            let reason = format!("{id:?} has not been handed out");
            answers.push(Err(PortError::new(ErrorClass::Fatal, &job.action, reason)));
            continue;
        }
        let mut lost = Vec::new();
        for (id, effects) in &job.settlements {
            match standing(&state, *id, effects.held_as) {
                Some((partition, offset, Standing::Open)) => {
                    if let Some(Slot::Open(window)) = state.slots.get_mut(&partition) {
                        window.begin(offset, effects.is_passed);
                        changed.insert(partition);
                        take(effects);
                        if effects.is_claim {
                            claimed.insert(partition);
                        }
                    }
                }
                // Settled once and for all: what comes with a repetition was said before.
                Some((_, _, Standing::Repeated)) => {}
                _ => {
                    // It is somebody else's, and so is what is told of it.
                    if let Some(place) = state.place(*id) {
                        state.words.remove(&place);
                    }
                    lost.push(*id);
                }
            }
        }
        job.reports.iter().for_each(&mut take);
        answers.push(Ok(lost));
    }
    debug_assert!(
        claimed.is_subset(&changed),
        "what is claimed is settled as well"
    );
    let places: Vec<(u32, Marks)> = changed
        .into_iter()
        .filter_map(|partition| match state.slots.get(&partition) {
            Some(Slot::Open(window)) => Some((partition, window.marks())),
            _ => None,
        })
        .collect();
    step.places = place::list(&group.topic, &places);
    let writer = Writer::new(&group.client, &group.consumer_group);
    for (partition, marks) in places
        .iter()
        .filter(|(partition, _)| claimed.contains(partition))
    {
        if state
            .reserved
            .get(partition)
            .is_none_or(|reserved| *reserved < marks.high)
        {
            step.reserved
                .insert(*partition, marks.high + CLAIMS_RESERVED);
            step.reservations
                .push(writer.reservation(*partition, marks.high + CLAIMS_RESERVED));
        }
    }
    (answers, step)
}

fn standing(
    state: &State,
    id: DeliveryId,
    held_as: Option<DeliveryToken>,
) -> Option<(u32, u64, Standing)> {
    let (partition, offset) = state.shares?.place(id);
    match state.slots.get(&partition)? {
        // It went away and came back since.
        Slot::Open(window)
            if held_as.is_some_and(|token| token.generation != window.generation()) =>
        {
            Some((partition, offset, Standing::Lost))
        }
        Slot::Open(window) => Some((partition, offset, window.standing(offset))),
        Slot::Unread(_) => None,
    }
}

/// Whether this process has never seen what a settlement is about.
fn is_unknown(state: &State, id: DeliveryId) -> bool {
    let Some(shares) = state.shares else {
        return true;
    };
    let (partition, offset) = shares.place(id);
    if partition >= shares.topic {
        return true;
    }
    let is_here = matches!(state.slots.get(&partition), Some(Slot::Open(_)));
    is_here
        && state
            .seen
            .get(&partition)
            .is_none_or(|seen| offset >= *seen)
}

fn again(error: &PortError, action: &str) -> PortError {
    PortError::new(error.class, action, error.reason.clone())
}

fn answer(jobs: Vec<Job>, answers: Vec<Result<Vec<DeliveryId>, PortError>>) {
    for (job, answer) in jobs.into_iter().zip(answers) {
        // Whoever asked may have gone away.
        job.answer.send(answer).ok();
    }
}
