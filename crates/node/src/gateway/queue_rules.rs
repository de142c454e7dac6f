//! What operators say of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use minutehand_api::{LimitTerms, PauseTerms};
use minutehand_model::limits::QUEUE_RULES_MAX;
use minutehand_model::{Gate, Opening, Purge, QueueName, QueueRules};
use minutehand_ports::{ErrorClass, PortError, QueueRulebook};

use super::{Gateway, QueryError, Unavailable};

/// What is to be said of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueChange {
    /// It hands out nothing.
    Pause(PauseTerms),
    /// It hands out again; what waited at a rate, where one is given now or was before.
    Resume {
        /// The rate, in executions a second.
        drain_per_second: Option<u32>,
    },
    /// What waits now is not to run.
    Purge,
    /// So many executions a second, of a key, and of namespaces; as many as there are where nothing
    /// is said.
    Limit(LimitTerms),
    /// Nothing of what was said before, and what waits now is not to run.
    Forget,
}

impl Gateway {
    /// The same gateway, where operators may say something of queues.
    #[must_use]
    pub fn with_rulebook(self, book: Arc<dyn QueueRulebook>) -> Gateway {
        Gateway {
            rulebook: Some(book),
            ..self
        }
    }

    /// Whether operators may say something of queues here.
    pub fn takes_rules(&self) -> bool {
        self.rulebook.is_some()
    }

    /// What was said of every queue of which something was.
    pub(super) fn said_of_queues(&self) -> BTreeMap<QueueName, QueueRules> {
        let said = self.rulebook.as_ref().and_then(|book| {
            let rules = book.rules();
            let all = rules.borrow();
            all.as_deref().cloned()
        });
        said.unwrap_or_default()
    }

    /// Says something of a queue, also of one to which nothing was published yet; what holds then.
    ///
    /// # Errors
    /// When too much has been said, or the store does not take it.
    pub async fn change_queue(
        &self,
        queue: &QueueName,
        change: QueueChange,
        by: &str,
    ) -> Result<QueueRules, QueryError> {
        let action = format!("say what holds for the queue {queue}");
        let Some(book) = &self.rulebook else {
            let reason = "nothing can be said of queues here";
            return Err(
                Unavailable::from(PortError::new(ErrorClass::Fatal, action, reason)).into(),
            );
        };
        // Two callers do not take the last place.
        let _turn = self.rules_turn.lock().await;
        let now = self.now();
        self.make_place(book.as_ref(), queue).await?;
        let by_whom = by.to_owned();
        let change =
            move |before: &QueueRules| Some(changed(before.clone(), change, now, &by_whom));
        let after = book.change(queue, Box::new(change)).await;
        let after = after.map_err(Unavailable::from)?.unwrap_or_default();
        tracing::info!(%queue, by, ?after, "an operator has said what holds for a queue");
        Ok(after)
    }

    /// Forgets what is spent when something is said of one queue more than there is room for.
    async fn make_place(
        &self,
        book: &dyn QueueRulebook,
        queue: &QueueName,
    ) -> Result<(), QueryError> {
        let (now, said) = (self.now(), self.said_of_queues());
        if said.contains_key(queue) || said.len() < QUEUE_RULES_MAX {
            return Ok(());
        }
        let spent = said.iter().find(|(_, rules)| rules.is_spent(now));
        let Some((spent, _)) = spent else {
            return Err(minutehand_api::InvalidField::new(
                "queue",
                "is one more of which something is said",
                format!("at most {QUEUE_RULES_MAX}; resume some"),
                queue.as_str(),
            )
            .into());
        };
        let forget = move |rules: &QueueRules| rules.is_spent(now).then(QueueRules::default);
        let forgotten = book.change(spent, Box::new(forget)).await;
        forgotten.map_err(Unavailable::from)?;
        Ok(())
    }
}

fn changed(
    mut rules: QueueRules,
    change: QueueChange,
    now: minutehand_model::Timestamp,
    by: &str,
) -> QueueRules {
    let purged_before = rules.purge.as_ref().map(|purge| purge.through);
    let purge = || {
        Some(Purge {
            // Nothing that was purged comes back, whatever the clock says now.
            through: purged_before.map_or(now, |before| before.max(now)),
            by: by.to_owned(),
        })
    };
    match change {
        QueueChange::Pause(terms) => {
            // It has been closed since it was, whatever is said of it meanwhile.
            let closed_at = rules.closed(now).map_or(now, |gate| gate.closed_at);
            rules.gate = Some(Gate {
                closed_at,
                closed_by: by.to_owned(),
                reason: terms.reason,
                until: terms.until,
                probe_every_ms: terms.probe_every_ms,
                drain_per_second: terms.drain_per_second,
                opened: None,
            });
        }
        QueueChange::Resume { drain_per_second } => {
            if let Some(gate) = &mut rules.gate {
                gate.drain_per_second = drain_per_second.or(gate.drain_per_second);
                if gate.is_closed(now) {
                    gate.opened = Some(Opening {
                        at: now,
                        by: by.to_owned(),
                    });
                }
            }
        }
        QueueChange::Purge => rules.purge = purge(),
        QueueChange::Limit(terms) => {
            rules = QueueRules {
                gate: rules.gate,
                purge: rules.purge,
                per_second_max: terms.per_second_max,
                per_key_max: terms.per_key_max,
                of_each_namespace: terms.of_each_namespace,
                of_namespaces: Arc::new(terms.of_namespaces),
                breaker: terms.breaker,
            }
        }
        QueueChange::Forget => {
            rules = QueueRules {
                purge: purge(),
                ..QueueRules::default()
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use minutehand_model::Timestamp;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn who_pauses_again_changes_the_end_and_not_the_beginning() {
        let pause = |until| {
            QueueChange::Pause(PauseTerms {
                until: Some(at(until)),
                ..PauseTerms::default()
            })
        };
        let first = changed(QueueRules::default(), pause(100), at(10), "a");
        let second = changed(first.clone(), pause(200), at(50), "b");
        let gate = second.gate.clone().unwrap();
        assert_eq!((gate.closed_at, gate.until), (at(10), Some(at(200))));
        assert_eq!(gate.closed_by, "b");
        let resume = QueueChange::Resume {
            drain_per_second: Some(5),
        };
        let open = changed(second, resume, at(60), "c");
        assert!(open.closed(at(60)).is_none());
        assert_eq!(open.per_second(at(59)), Some(5));
        let later = changed(open, pause(900), at(300), "a");
        assert_eq!(later.gate.unwrap().closed_at, at(300));
        // To resume what is open changes nothing.
        let resume = QueueChange::Resume {
            drain_per_second: None,
        };
        let over = changed(first, resume, at(150), "c").gate.unwrap();
        assert_eq!(over.opened, None);
    }

    #[test]
    fn forgetting_leaves_the_purge_alone() {
        let limit = QueueChange::Limit(LimitTerms {
            per_second_max: Some(9),
            ..LimitTerms::default()
        });
        let limited = changed(QueueRules::default(), limit, at(10), "a");
        let forgotten = changed(limited, QueueChange::Forget, at(20), "a");
        assert_eq!(forgotten.per_second_max, None);
        assert!(forgotten.is_purged(at(20)) && !forgotten.is_purged(at(21)));
    }
}
