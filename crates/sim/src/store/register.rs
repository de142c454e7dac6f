//! The register of regions: which region speaks, and up to which due time it may publish.

/// A right to speak that was taken away: what an adopter knows of the region that had it. Times in
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When it was taken away, in true time.
    pub at_ms: i64,
    /// The horizon that was acknowledged by then: F does not come further under that right.
    pub horizon_ms: i64,
    /// When it was given back, in true time; `None` while it is not.
    pub reopened_at_ms: Option<i64>,
}

/// One linearizable row. Whatever changes it names the epoch under which it does.
#[derive(Clone, Debug)]
pub(crate) struct RegisterStore {
    epoch: u64,
    is_adopted: bool,
    horizon_ms: i64,
    closings: Vec<Closing>,
    /// Planted: an extension is applied whatever its epoch.
    pub(crate) epochs_ignored: bool,
}

impl RegisterStore {
    /// The region speaks, under the first epoch.
    pub(crate) fn new(horizon_ms: i64) -> RegisterStore {
        RegisterStore {
            epoch: 1,
            is_adopted: false,
            horizon_ms,
            closings: Vec::new(),
            epochs_ignored: false,
        }
    }

    /// The epoch and the horizon, while the region speaks.
    pub(crate) fn right(&self) -> Option<(u64, i64)> {
        (!self.is_adopted).then_some((self.epoch, self.horizon_ms))
    }

    /// Moves the horizon on, if the region still has the right that it was asked under; answers
    /// whether it was done.
    pub(crate) fn extend(&mut self, epoch: u64, until_ms: i64) -> bool {
        let is_right = self.right().is_some_and(|(present, _)| present == epoch);
        if !is_right && !self.epochs_ignored {
            return false;
        }
        self.horizon_ms = self.horizon_ms.max(until_ms);
        true
    }

    /// Another region takes the right; answers whether there was one to take.
    pub(crate) fn adopt(&mut self, at_ms: i64) -> bool {
        if self.is_adopted {
            return false;
        }
        (self.is_adopted, self.epoch) = (true, self.epoch + 1);
        self.closings.push(Closing {
            at_ms,
            horizon_ms: self.horizon_ms,
            reopened_at_ms: None,
        });
        true
    }

    /// The right comes back, under an epoch of its own.
    pub(crate) fn give_back(&mut self, at_ms: i64) {
        if let Some(closing) = self.closings.last_mut().filter(|_| self.is_adopted) {
            closing.reopened_at_ms = Some(at_ms);
            (self.is_adopted, self.epoch) = (false, self.epoch + 1);
        }
    }

    /// Every time that the right was taken away.
    pub(crate) fn closings(&self) -> &[Closing] {
        &self.closings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_was_taken_away_extends_nothing() {
        let mut register = RegisterStore::new(5_000);
        let (first, _) = register.right().expect("it speaks");
        assert!(register.extend(first, 6_000));
        assert!(register.adopt(1_000));
        assert!(!register.adopt(1_001), "there is nothing left to take");
        assert_eq!(register.right(), None);
        assert!(!register.extend(first, 9_000));
        register.give_back(2_000);
        assert!(!register.extend(first, 9_000), "the old right stays lost");
        let (second, horizon_ms) = register.right().expect("it speaks again");
        assert_eq!((second > first, horizon_ms), (true, 6_000));
        let closing = Closing {
            at_ms: 1_000,
            horizon_ms: 6_000,
            reopened_at_ms: Some(2_000),
        };
        assert_eq!(register.closings(), [closing]);
    }
}
