//! The worker groups of a queue.

use minutehand_model::Timestamp;

use super::lane::GroupLane;

/// A group's place in a queue.
pub(super) struct Group {
    pub(super) lanes: Vec<GroupLane>,
    /// The lane that is looked at first by the next poll, so that none starves.
    pub(super) turn: usize,
    /// When it last polled or settled, as far as its rows say so; they say it at least every few
    /// hours.
    pub(super) seen_at: Timestamp,
}

/// Groups by name. There are one or two of them in each of very many queues, so they are kept
/// small.
#[derive(Default)]
pub(super) struct Groups(Vec<(Box<str>, Group)>);

impl Groups {
    pub(super) fn get(&self, name: &str) -> Option<&Group> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, group)| group)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.0
            .iter_mut()
            .find(|(known, _)| **known == *name)
            .map(|(_, group)| group)
    }

    pub(super) fn get_or_insert(
        &mut self,
        name: &str,
        group: impl FnOnce() -> Group,
    ) -> &mut Group {
        let index = self
            .0
            .iter()
            .position(|(known, _)| **known == *name)
            .unwrap_or_else(|| {
                self.0.reserve_exact(1);
                self.0.push((name.into(), group()));
                self.0.len() - 1
            });
        &mut self.0[index].1
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| **known != *name);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().map(|(name, group)| (&**name, group))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Group> {
        self.0.iter().map(|(_, group)| group)
    }
}
