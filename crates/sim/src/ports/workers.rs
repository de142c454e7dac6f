//! What workers and the API work with: the execution queue and the history.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LastWord, Outcome, PartitionId, QueueName, TaskKey};
use minutehand_ports::{
    Claim, DeadLetter, DeadLetterPage, Delivery, DeliveryId, EndedPage, EndedQuery, ErrorClass,
    ExecutionQueue, History, PortError, QueueDepth, Report, Settlement, Stop, StopReceiver,
    refuse_output,
};
use minutehand_record::task::is_for;

use super::{Group, MemoryStores, State};

impl State {
    fn hand_out(&mut self, queue: &QueueName, group: &str, count_max: usize) -> Vec<Delivery> {
        let name = group;
        let group = self
            .groups
            .entry((queue.clone(), name.to_owned()))
            .or_default();
        let kept = self.deliveries.get(queue).into_iter().flatten().flatten();
        let is_for = |one: &&Delivery| is_for(&one.encoded, name);
        let others = kept.clone().filter(|one| !is_for(one));
        group.passed.extend(others.map(|one| one.id));
        let is_new = |one: &&Delivery| {
            is_for(one) && !group.in_progress.contains(&one.id) && !group.settled.contains(&one.id)
        };
        let chosen: Vec<Delivery> = kept.filter(is_new).take(count_max).cloned().collect();
        group.in_progress.extend(chosen.iter().map(|one| one.id));
        chosen
    }

    fn exists(&self, queue: &QueueName, id: DeliveryId) -> bool {
        let kept = self
            .deliveries
            .get(queue)
            .and_then(|queue| queue.get(id.partition.index()));
        kept.is_some_and(|kept| id.sequence < kept.len() as u64)
    }

    fn append_all(&mut self, commands: Vec<(PartitionId, Bytes)>) {
        let now_ms = self.clock_ms;
        for (partition, payload) in commands {
            self.stores.logs[partition.index()].append(now_ms, payload);
        }
    }

    fn settle_one(&mut self, settlement: Settlement) {
        self.append_all(settlement.commands);
        if let Some(letter) = settlement.dead_letter {
            self.add_dead_letter(letter);
        }
        self.outcomes.extend(settlement.outcome);
    }

    pub(super) fn add_dead_letter(&mut self, letter: DeadLetter) {
        self.dead_letters_ever += 1;
        self.dead_letters.push((self.dead_letters_ever, letter));
    }

    fn tell(&mut self, word: LastWord) {
        self.append_all(word.commands);
        self.outcomes.extend(word.outcome);
    }

    /// What a new process finds: whatever was in progress is over.
    pub(super) fn forget_progress(&mut self) {
        let words: Vec<LastWord> = self
            .groups
            .values_mut()
            .flat_map(|group| {
                group.in_progress.clear();
                std::mem::take(&mut group.last_words).into_values()
            })
            .collect();
        words.into_iter().for_each(|word| self.tell(word));
    }
}

fn refused(queue: &QueueName, reason: impl Into<String>) -> PortError {
    PortError::new(
        ErrorClass::Fatal,
        format!("settle deliveries of queue {queue}"),
        reason,
    )
}

#[async_trait]
impl ExecutionQueue for MemoryStores {
    fn partitions(&self) -> u32 {
        self.state().stores.logs.len() as u32
    }

    async fn poll(
        &self,
        queue: &QueueName,
        group: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        loop {
            let published = self.shared.published.notified();
            tokio::pin!(published);
            published.as_mut().enable();
            let chosen = self.state().hand_out(queue, group, count_max);
            if !chosen.is_empty() {
                return Ok(chosen);
            }
            published.await;
        }
    }

    async fn settle(
        &self,
        queue: &QueueName,
        group: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let mut state = self.state();
        let name = (queue.clone(), group.to_owned());
        if !state.groups.contains_key(&name) {
            return Err(refused(
                queue,
                format!("group {group} has never been handed anything"),
            ));
        }
        refuse_output(&settlements, "settle")?;
        for settlement in &settlements {
            if !state.exists(queue, settlement.id) {
                return Err(refused(
                    queue,
                    format!("there is no delivery {:?}", settlement.id),
                ));
            }
            for (partition, _) in &settlement.commands {
                state.index(*partition, "append to the log")?;
            }
        }
        for settlement in settlements {
            let group = state.groups.entry(name.clone()).or_default();
            group.in_progress.remove(&settlement.id);
            if group.settled.insert(settlement.id) {
                state.settle_one(settlement);
            }
        }
        self.announce_ends(&state);
        Ok(Vec::new())
    }

    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let ids: Vec<DeliveryId> = claims.iter().map(|claim| claim.id).collect();
        self.settle(
            queue,
            group,
            ids.iter().map(|id| Settlement::bare(*id)).collect(),
        )
        .await?;
        let mut state = self.state();
        let group = state
            .groups
            .entry((queue.clone(), group.to_owned()))
            .or_default();
        let words = claims
            .into_iter()
            .filter_map(|claim| Some((claim.id, claim.last_word?)));
        group.last_words.extend(words);
        Ok(ids)
    }

    async fn report(
        &self,
        queue: &QueueName,
        group: &str,
        reports: Vec<Report>,
    ) -> Result<(), PortError> {
        let mut state = self.state();
        for Report {
            id,
            commands,
            dead_letter,
            outcome,
        } in reports
        {
            state
                .groups
                .entry((queue.clone(), group.to_owned()))
                .or_default()
                .last_words
                .remove(&id);
            state.settle_one(Settlement {
                commands,
                dead_letter,
                outcome,
                ..Settlement::bare(id)
            });
        }
        self.announce_ends(&state);
        Ok(())
    }

    fn let_go(&self, queue: &QueueName, group: &str, ids: Vec<DeliveryId>) {
        let mut state = self.state();
        let Some(group) = state.groups.get_mut(&(queue.clone(), group.to_owned())) else {
            return;
        };
        group.in_progress.retain(|id| !ids.contains(id));
        let words: Vec<LastWord> = ids
            .iter()
            .filter_map(|id| group.last_words.remove(id))
            .collect();
        words.into_iter().for_each(|word| state.tell(word));
        self.announce_ends(&state);
        drop(state);
        self.shared.published.notify_waiters();
    }

    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        if let Some(listeners) = self.state().stops.get(queue) {
            listeners.send(&stops);
        }
        Ok(())
    }

    fn stops(&self, queue: &QueueName) -> StopReceiver {
        self.state()
            .stops
            .entry(queue.clone())
            .or_default()
            .listen()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        Ok(self.state().deliveries.keys().cloned().collect())
    }

    async fn depth(&self, queue: &QueueName, group: &str) -> Result<QueueDepth, PortError> {
        let state = self.state();
        let published = state
            .deliveries
            .get(queue)
            .into_iter()
            .flatten()
            .map(Vec::len)
            .sum::<usize>() as u64;
        let group = state.groups.get(&(queue.clone(), group.to_owned()));
        let (in_progress, settled, passed) = group.map_or((0, 0, 0), |group| {
            let Group {
                in_progress,
                settled,
                passed,
                ..
            } = group;
            (in_progress.len(), settled.len() as u64, passed.len() as u64)
        });
        let dead_letters = state
            .dead_letters
            .iter()
            .filter(|(_, letter)| letter.queue == *queue)
            .count();
        Ok(QueueDepth {
            waiting: published - settled - passed,
            in_progress: in_progress as u64,
            settled,
            dead_letters: dead_letters as u64,
        })
    }
}

#[async_trait]
impl History for MemoryStores {
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError> {
        let state = self.state();
        let mine = state.outcomes.iter().filter(|(task, _)| *task == key);
        Ok(mine.map(|(_, outcome)| outcome.clone()).collect())
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage, PortError> {
        let state = self.state();
        let end = query.before.as_ref().map_or(usize::MAX, |(place, _)| {
            usize::try_from(*place).unwrap_or_default()
        });
        let found = state.outcomes.iter().enumerate().rev();
        let found = found.filter(|(index, (_, outcome))| *index < end && query.wants(outcome));
        Ok(query.page(
            found.map(|(index, (_, outcome))| ((index as i64, String::new()), outcome.clone())),
        ))
    }

    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError> {
        let state = self.state();
        let wanted =
            |(number, letter): &&(u64, DeadLetter)| *number >= from && letter.queue == *queue;
        let mut found = state.dead_letters.iter().filter(wanted);
        let letters = found.by_ref().take(count_max).cloned().collect();
        Ok(DeadLetterPage {
            letters,
            next: found.next().map(|(number, _)| *number),
        })
    }

    async fn remove_dead_letters(
        &self,
        queue: &QueueName,
        numbers: Vec<u64>,
        commands: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError> {
        let mut state = self.state();
        for (partition, _) in &commands {
            state.index(*partition, "append to the log")?;
        }
        let numbers: BTreeSet<u64> = numbers.into_iter().collect();
        let before = state.dead_letters.len();
        state
            .dead_letters
            .retain(|(number, letter)| letter.queue != *queue || !numbers.contains(number));
        let removed = before - state.dead_letters.len();
        // Who comes second finds nothing to replay.
        if removed > 0 {
            state.append_all(commands);
            self.announce_ends(&state);
        }
        Ok(removed)
    }
}
