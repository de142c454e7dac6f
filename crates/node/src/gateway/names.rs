//! The names of queues that callers bring along. Anybody may make names up, and a queue costs
//! memory and places wherever it is met; so how many a namespace, and all together, name within a
//! while has a limit. A name that was used lately is no new one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use minutehand_api::InvalidField;
use minutehand_model::limits::{QUEUE_NAME_KEPT_MS, QUEUE_NAMES_MAX, QUEUE_NAMES_OF_NAMESPACE_MAX};
use minutehand_model::time::SECOND_MS;
use minutehand_model::{Namespace, QueueName, Timestamp};

/// Names that were used lately.
#[derive(Debug, Default)]
pub(super) struct QueueNames(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    by_namespace: HashMap<Namespace, HashMap<QueueName, Timestamp>>,
    count: usize,
    tidied_at: Option<Timestamp>,
}

impl QueueNames {
    /// Lets a name in, when it is no new one or there is room for it.
    pub(super) fn admit(
        &self,
        namespace: &Namespace,
        queue: &QueueName,
        now: Timestamp,
    ) -> Result<(), InvalidField> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used_at) = used
            .by_namespace
            .get_mut(namespace)
            .and_then(|names| names.get_mut(queue))
        {
            *used_at = now;
            return Ok(());
        }
        if used.refusal(namespace, queue).is_some() {
            used.tidy(now);
            used.refusal(namespace, queue).map_or(Ok(()), Err)?;
        }
        used.by_namespace
            .entry(namespace.clone())
            .or_default()
            .insert(queue.clone(), now);
        used.count += 1;
        Ok(())
    }
}

impl Used {
    fn refusal(&self, namespace: &Namespace, queue: &QueueName) -> Option<InvalidField> {
        let minutes = QUEUE_NAME_KEPT_MS / (60 * SECOND_MS);
        let within = |limit: usize, whose: &str| {
            let limit =
                format!("at most {limit} names are taken within {minutes} minutes in {whose}");
            InvalidField::new("queue", "is one new name too many", limit, queue)
        };
        let of_namespace = self.by_namespace.get(namespace).map_or(0, HashMap::len);
        if of_namespace >= QUEUE_NAMES_OF_NAMESPACE_MAX {
            return Some(within(
                QUEUE_NAMES_OF_NAMESPACE_MAX,
                &format!("namespace {namespace}"),
            ));
        }
        (self.count >= QUEUE_NAMES_MAX).then(|| within(QUEUE_NAMES_MAX, "all namespaces together"))
    }

    /// Forgets what has not been used lately. Whoever is refused may ask again at once, so this
    /// happens once a second at most.
    fn tidy(&mut self, now: Timestamp) {
        let was_just_now = self
            .tidied_at
            .is_some_and(|at| (0..SECOND_MS).contains(&now.millis_since(at)));
        if was_just_now {
            return;
        }
        self.tidied_at = Some(now);
        // A time to come is that of a clock that has gone back since.
        let is_kept =
            |used_at: &Timestamp| (0..QUEUE_NAME_KEPT_MS).contains(&now.millis_since(*used_at));
        self.by_namespace.retain(|_, names| {
            names.retain(|_, used_at| is_kept(used_at));
            !names.is_empty()
        });
        self.count = self.by_namespace.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(names: &QueueNames, namespace: &str, queue: usize, now_ms: i64) -> Result<(), String> {
        let namespace = Namespace::parse(namespace).unwrap();
        let queue = QueueName::parse(&format!("q{queue}")).unwrap();
        let admitted = names.admit(&namespace, &queue, Timestamp::from_millis(now_ms));
        admitted.map_err(|refused| refused.to_string())
    }

    #[test]
    fn new_names_are_refused_beyond_the_limit_until_others_rest() {
        let names = QueueNames::default();
        for queue in 0..QUEUE_NAMES_OF_NAMESPACE_MAX {
            assert_eq!(admit(&names, "one", queue, 0), Ok(()));
        }
        let refused = admit(&names, "one", 999_999, 10).unwrap_err();
        assert_eq!(
            refused,
            "queue: is one new name too many; at most 10000 names are taken within 60 minutes in namespace one, given q999999"
        );
        assert_eq!(admit(&names, "one", 5, 10), Ok(()), "it is no new one");
        assert_eq!(
            admit(&names, "two", 999_999, 10),
            Ok(()),
            "others have room of their own"
        );
        assert_eq!(
            admit(&names, "one", 999_999, QUEUE_NAME_KEPT_MS + 5),
            Ok(()),
            "all but one have rested"
        );
        assert_eq!(names.0.lock().unwrap().count, 3);
    }

    #[test]
    fn all_namespaces_together_have_a_limit() {
        let names = QueueNames::default();
        let mut admitted = 0;
        for namespace in ["a", "b", "c"] {
            let queues = 0..QUEUE_NAMES_OF_NAMESPACE_MAX;
            admitted += queues
                .filter(|queue| admit(&names, namespace, *queue, 0).is_ok())
                .count();
        }
        assert_eq!(admitted, QUEUE_NAMES_MAX);
        let refused = admit(&names, "c", 0, 5).unwrap_err();
        assert!(refused.contains("all namespaces together"), "{refused}");
        assert_eq!(admit(&names, "c", 0, -1_000), Ok(()), "the clock went back");
    }
}
