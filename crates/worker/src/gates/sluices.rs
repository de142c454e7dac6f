//! The sluices of a process, one for each group on a queue of which something was said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use minutehand_model::QueueName;
use tokio::time::Instant;

use super::sluice::Sluice;

/// So many are kept without a look at whether anybody needs them.
const UNSEEN_MAX: usize = 1_024;

/// A queue and a group.
pub(super) type Name = (QueueName, String);

/// The sluices.
#[derive(Default)]
pub(super) struct Sluices(Mutex<Kept>);

struct Kept {
    sluices: BTreeMap<Name, Sluice>,
    /// Beyond so many they are looked through.
    count_max: usize,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept {
            sluices: BTreeMap::new(),
            count_max: UNSEEN_MAX,
        }
    }
}

impl Sluices {
    /// Looks at one. `is_needed`: whose sluices have to be remembered.
    pub(super) fn with<T>(
        &self,
        name: Name,
        is_needed: impl Fn(&Name) -> bool,
        look: impl FnOnce(&mut Sluice) -> T,
    ) -> T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.sluices.len() > kept.count_max {
            kept.sluices.retain(|name, _| is_needed(name));
            kept.count_max = UNSEEN_MAX.max(2 * kept.sluices.len());
        }
        assert!(
            kept.sluices.len() <= kept.count_max,
            "what nobody needs is forgotten in time"
        );
        let sluice = kept.sluices.entry(name);
        look(sluice.or_insert_with(|| Sluice::new(Instant::now())))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn groups_that_are_gone_are_forgotten_and_seldom_looked_at() {
        let (sluices, looks) = (Sluices::default(), Cell::new(0));
        let queue = QueueName::parse("mail").unwrap();
        for number in 0..100_000 {
            let is_needed = |(_, group): &Name| {
                looks.set(looks.get() + 1);
                group.len() == 1
            };
            sluices.with((queue.clone(), number.to_string()), is_needed, |_| ());
        }
        let kept = sluices.0.lock().unwrap();
        assert!(kept.sluices.len() <= UNSEEN_MAX + 1);
        assert_eq!(
            kept.sluices.keys().filter(|name| name.1.len() == 1).count(),
            10
        );
        assert!(looks.get() <= 200_000, "{} looks", looks.get());
    }
}
