//! The window of one partition: what has been fetched and is not settled.
//!
//! Only what is not settled is kept, so a delivery that takes hours costs nothing but its own
//! entry. How many may be handed out at once is bounded by what the metadata of a commit can say of
//! them, whatever is settled first.

use std::collections::{BTreeMap, VecDeque};

use minutehand_model::DeliveryToken;
use minutehand_ports::Delivery;

use super::marks::{MARKS_LENGTH_MAX, Marks, length_max};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// A successor of somebody else's: known not to be settled, and not fetched yet.
    Expected,
    /// Fetched.
    Ready,
    /// Handed out.
    Handed,
    /// Its settlement is being committed.
    Settling,
}

/// What may be done with a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be committed.
    Open,
    /// It has been committed, or is being.
    Repeated,
    /// It is not ours any more: somebody else settled it, or it will be handed out again.
    Lost,
    /// It lies beyond what was fetched.
    Beyond,
}

/// The window of one partition that this process consumes.
pub(crate) struct Window {
    /// The place when the partition was given to us.
    restored: Marks,
    unsettled: BTreeMap<u64, Held>,
    ready: VecDeque<(u64, Delivery)>,
    ready_bytes: usize,
    /// Handed out, being settled included.
    in_hand: BTreeMap<u64, Delivery>,
    /// Behind the last record that was fetched.
    position: u64,
    /// Behind the highest settled offset.
    high: u64,
    settled: u64,
    settling: Vec<u64>,
    /// How much of that is passed over, and not counted.
    passing: u64,
}

impl Window {
    /// The window of a partition whose group stands there.
    pub(crate) fn restore(marks: Marks) -> Window {
        Window {
            unsettled: marks
                .unsettled
                .iter()
                .map(|offset| (*offset, Held::Expected))
                .collect(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            in_hand: BTreeMap::new(),
            position: marks.base,
            high: marks.high,
            settled: marks.settled,
            settling: Vec::new(),
            passing: 0,
            restored: marks,
        }
    }

    /// Takes a record that was fetched; those that are settled already are passed over.
    pub(crate) fn add(&mut self, offset: u64, delivery: Delivery) {
        if offset < self.position {
            return;
        }
        // What should have come before this has been forgotten by the log.
        let passed: Vec<u64> = self
            .unsettled
            .range(self.position..offset)
            .map(|(offset, _)| *offset)
            .collect();
        for gone in passed {
            self.unsettled.remove(&gone);
        }
        self.position = offset + 1;
        if !self.restored.is_settled(offset) {
            let held = self.unsettled.insert(offset, Held::Ready);
            debug_assert_ne!(held, Some(Held::Settling), "it comes once");
            self.ready_bytes += delivery.encoded.len();
            self.ready.push_back((offset, delivery));
        }
    }

    /// The next delivery, when there is one and the metadata has room for it. `count` is that of
    /// its token.
    pub(crate) fn hand_out(&mut self, count: u64) -> Option<Delivery> {
        let (offset, _) = self.ready.front()?;
        let span = offset - self.low();
        if *offset >= self.high && length_max(self.in_hand() + 1, span) > MARKS_LENGTH_MAX as u64 {
            return None;
        }
        let (offset, mut delivery) = self.ready.pop_front()?;
        self.ready_bytes -= delivery.encoded.len();
        let held = self.unsettled.insert(offset, Held::Handed);
        debug_assert_eq!(held, Some(Held::Ready), "what is handed out was fetched");
        delivery.token = DeliveryToken {
            epoch: delivery.epoch,
            generation: self.restored.generation,
            count,
        };
        delivery.may_have_run = offset < self.restored.doubtful_below;
        self.in_hand.insert(offset, delivery.clone());
        Some(delivery)
    }

    /// Nobody works on a delivery any more: it is handed out again. `false` when it is settled, or
    /// not in anybody's hands.
    pub(crate) fn let_go(&mut self, offset: u64) -> bool {
        if self.unsettled.get(&offset) != Some(&Held::Handed) {
            return false;
        }
        let Some(delivery) = self.in_hand.remove(&offset) else {
            return false;
        };
        self.unsettled.insert(offset, Held::Ready);
        self.ready_bytes += delivery.encoded.len();
        let at = self.ready.partition_point(|(ready, _)| *ready < offset);
        self.ready.insert(at, (offset, delivery));
        true
    }

    /// Fetched and not handed out: how many, and their bytes.
    pub(crate) fn ready(&self) -> (usize, usize) {
        debug_assert!(
            !self.ready.is_empty() || self.ready_bytes == 0,
            "what is gone takes nothing"
        );
        (self.ready.len(), self.ready_bytes)
    }

    /// Handed out and not settled.
    pub(crate) fn in_hand(&self) -> u64 {
        self.in_hand.len() as u64
    }

    /// Behind the last record that was fetched.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Behind the highest offset that is settled.
    pub(crate) fn high(&self) -> u64 {
        self.high
    }

    pub(crate) fn standing(&self, offset: u64) -> Standing {
        match self.unsettled.get(&offset) {
            Some(Held::Ready | Held::Handed) => Standing::Open,
            Some(Held::Settling) => Standing::Repeated,
            Some(Held::Expected) => Standing::Lost,
            None if self.restored.is_settled(offset) => Standing::Lost,
            None if offset < self.position => Standing::Repeated,
            None => Standing::Beyond,
        }
    }

    /// The generation of the tokens that deliveries are handed out with.
    pub(crate) fn generation(&self) -> u32 {
        self.restored.generation
    }

    /// Begins to settle what is [`Standing::Open`]; what is passed over is not counted.
    pub(crate) fn begin(&mut self, offset: u64, is_passed: bool) {
        match self.unsettled.insert(offset, Held::Settling) {
            // Handed out before the partition went away and came back.
            Some(Held::Ready) => {
                if let Some(index) = self.ready.iter().position(|(ready, _)| *ready == offset)
                    && let Some((_, delivery)) = self.ready.remove(index)
                {
                    self.ready_bytes -= delivery.encoded.len();
                    self.in_hand.insert(offset, delivery);
                }
            }
            other => debug_assert_eq!(other, Some(Held::Handed)),
        }
        self.settling.push(offset);
        self.passing += u64::from(is_passed);
    }

    /// The place once what is being settled is.
    pub(crate) fn marks(&self) -> Marks {
        let high = self
            .settling
            .iter()
            .fold(self.high, |high, offset| high.max(offset + 1));
        let mut unsettled = self
            .unsettled
            .iter()
            .filter(|(_, held)| **held != Held::Settling)
            .map(|(offset, _)| *offset);
        let first = unsettled.next();
        let base = first.unwrap_or(self.position.max(high));
        let unsettled = first
            .into_iter()
            .chain(unsettled)
            .take_while(|offset| *offset < high)
            .collect();
        let settled = self.settled + self.settling_counted();
        let Marks {
            generation,
            doubtful_below,
            ..
        } = self.restored;
        let doubtful_below = if base < doubtful_below {
            doubtful_below
        } else {
            0
        };
        Marks {
            base,
            high: high.max(base),
            unsettled,
            settled,
            generation,
            doubtful_below,
        }
    }

    /// What is being settled is.
    pub(crate) fn commit(&mut self) {
        self.settled += self.settling_counted();
        self.passing = 0;
        for offset in std::mem::take(&mut self.settling) {
            self.remove(offset);
            debug_assert!(offset < self.high, "what is settled lies below");
        }
    }

    /// What is being settled is not, or nobody knows.
    pub(crate) fn give_up(&mut self) {
        self.passing = 0;
        for offset in std::mem::take(&mut self.settling) {
            self.unsettled.insert(offset, Held::Handed);
        }
    }

    /// Learns what became of commits in doubt.
    pub(crate) fn reconcile(&mut self, stored: &Marks) {
        let handed = self
            .unsettled
            .iter()
            .filter(|(_, held)| **held == Held::Handed);
        let gone: Vec<u64> = handed
            .map(|(offset, _)| *offset)
            .filter(|offset| stored.is_settled(*offset))
            .collect();
        for offset in gone {
            self.remove(offset);
        }
        self.settled = self.settled.max(stored.settled);
    }

    fn settling_counted(&self) -> u64 {
        self.settling.len() as u64 - self.passing
    }

    fn remove(&mut self, offset: u64) {
        if self.unsettled.remove(&offset).is_some() {
            self.in_hand.remove(&offset);
            self.high = self.high.max(offset + 1);
        }
    }

    fn low(&self) -> u64 {
        self.unsettled
            .first_key_value()
            .map_or(self.position, |(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::MARKS_LENGTH_MAX;
    use super::*;
    use bytes::Bytes;
    use minutehand_model::{Epoch, LogOffset, PartitionId, TaskKey, Timestamp};
    use minutehand_ports::DeliveryId;

    fn delivery(offset: u64) -> Delivery {
        Delivery {
            id: DeliveryId {
                partition: PartitionId::own(0),
                sequence: offset,
            },
            epoch: Epoch(1),
            token: DeliveryToken::default(),
            offset: LogOffset::START,
            published_at: Timestamp::from_millis(0),
            key: TaskKey(0),
            due: Timestamp::from_millis(0),
            encoded: Bytes::from_static(b"task"),
            may_have_run: false,
        }
    }

    fn filled(offsets: impl Iterator<Item = u64>) -> Window {
        let mut window = Window::restore(Marks::at(0));
        offsets.for_each(|offset| window.add(offset, delivery(offset)));
        window
    }

    fn hand_out_all(window: &mut Window) -> Vec<u64> {
        (1..)
            .map_while(|count| window.hand_out(count))
            .map(|delivery| delivery.id.sequence)
            .collect()
    }

    fn settle(window: &mut Window, offsets: &[u64]) -> Marks {
        offsets
            .iter()
            .for_each(|offset| window.begin(*offset, false));
        let marks = window.marks();
        window.commit();
        marks
    }

    #[test]
    fn exactly_the_unsettled_come_again() {
        let mut window = filled((0..10).map(|index| index * 2));
        assert_eq!(hand_out_all(&mut window).len(), 10);
        let marks = settle(&mut window, &[0, 2, 8, 14]);
        assert_eq!((marks.base, marks.high, marks.settled), (4, 15, 4));
        assert_eq!(marks.unsettled, [4, 6, 10, 12]);
        let mut successor = Window::restore(Marks::decode(marks.base, &marks.encode()).unwrap());
        (0..10)
            .map(|index| index * 2)
            .for_each(|offset| successor.add(offset, delivery(offset)));
        assert_eq!(hand_out_all(&mut successor), [4, 6, 10, 12, 16, 18]);
        assert_eq!(
            successor.standing(8),
            Standing::Lost,
            "somebody else settled it"
        );
    }

    /// What is not fetched yet keeps its place when the first of what was fetched is settled.
    #[test]
    fn the_place_does_not_pass_what_is_still_to_come() {
        let marks = Marks {
            high: 9,
            unsettled: vec![3, 5, 8],
            settled: 6,
            ..Marks::at(3)
        };
        let mut window = Window::restore(marks);
        window.add(3, delivery(3));
        assert_eq!(hand_out_all(&mut window), [3]);
        let marks = settle(&mut window, &[3]);
        assert_eq!(
            (marks.base, marks.high, marks.unsettled),
            (5, 9, vec![5, 8])
        );
        assert_eq!(window.standing(8), Standing::Lost);
        // The log has forgotten 5.
        window.add(8, delivery(8));
        assert_eq!(hand_out_all(&mut window), [8]);
        assert_eq!(settle(&mut window, &[8]).base, 9);
    }

    #[test]
    fn what_is_passed_over_is_settled_and_not_counted() {
        let mut window = filled(0..4);
        hand_out_all(&mut window);
        window.begin(0, true);
        window.begin(1, false);
        assert_eq!((window.marks().base, window.marks().settled), (2, 1));
        window.give_up();
        assert_eq!((window.marks().base, window.marks().settled), (0, 0));
        window.begin(0, true);
        window.commit();
        let marks = settle(&mut window, &[1]);
        assert_eq!((marks.base, marks.settled), (2, 1));
    }

    #[test]
    fn a_settlement_stands_once() {
        let mut window = filled(0..4);
        hand_out_all(&mut window);
        assert_eq!(window.standing(2), Standing::Open);
        window.begin(2, false);
        assert_eq!(window.standing(2), Standing::Repeated);
        window.give_up();
        assert_eq!(window.standing(2), Standing::Open);
        settle(&mut window, &[2]);
        assert_eq!(window.standing(2), Standing::Repeated);
        assert_eq!(window.standing(4), Standing::Beyond);
        assert_eq!(window.in_hand(), 3);
    }

    #[test]
    fn what_was_let_go_comes_again_in_its_place() {
        let marks = Marks {
            generation: 7,
            ..Marks::at(0)
        };
        let mut window = Window::restore(marks);
        (0..6).for_each(|offset| window.add(offset, delivery(offset)));
        let first: Vec<DeliveryToken> = (1..=4)
            .map(|count| window.hand_out(count).unwrap().token)
            .collect();
        settle(&mut window, &[1]);
        assert!(!window.let_go(1) && !window.let_go(4) && !window.let_go(9));
        assert!(window.let_go(2) && window.let_go(0) && !window.let_go(0));
        assert_eq!(window.in_hand(), 1);
        let again: Vec<Delivery> = (5..=8).map_while(|count| window.hand_out(count)).collect();
        let offsets: Vec<u64> = again.iter().map(|delivery| delivery.id.sequence).collect();
        assert_eq!(offsets, [0, 2, 4, 5]);
        assert!(again.iter().all(|delivery| delivery.token > first[3]));
        assert_eq!(window.ready(), (0, 0));
        let marks = settle(&mut window, &[0, 2, 3, 4, 5]);
        assert_eq!((marks.base, marks.generation, window.in_hand()), (6, 7, 0));
    }

    #[test]
    fn what_is_doubtful_stays_so_until_it_is_settled() {
        let mut window = Window::restore(Marks {
            doubtful_below: 2,
            ..Marks::at(0)
        });
        (0..4).for_each(|offset| window.add(offset, delivery(offset)));
        let doubts = |window: &mut Window| -> Vec<bool> {
            (1..)
                .map_while(|count| window.hand_out(count))
                .map(|delivery| delivery.may_have_run)
                .collect()
        };
        assert_eq!(doubts(&mut window), [true, true, false, false]);
        let marks = settle(&mut window, &[0, 2]);
        let mut successor = Window::restore(Marks::decode(marks.base, &marks.encode()).unwrap());
        (0..4).for_each(|offset| successor.add(offset, delivery(offset)));
        assert_eq!(doubts(&mut successor), [true, false]);
        assert_eq!(settle(&mut successor, &[1]).doubtful_below, 0);
    }

    /// A commit whose answer was lost has happened, or not; what is stored says which.
    #[test]
    fn what_became_of_a_commit_is_learnt() {
        let mut window = filled(0..5);
        hand_out_all(&mut window);
        window.begin(1, false);
        window.begin(3, false);
        let stored = window.marks();
        window.give_up();
        window.reconcile(&stored);
        assert_eq!(window.standing(1), Standing::Repeated);
        assert_eq!(window.standing(2), Standing::Open);
        assert_eq!(window.marks(), stored);
        assert_eq!(window.in_hand(), 3);
    }

    /// Whatever is settled first, the metadata has room for it.
    #[test]
    fn hand_outs_wait_while_the_metadata_could_grow_too_long() {
        // What stands before the marks: a version, a generation, and two numbers.
        const NUMBERS_LENGTH_MAX: usize = 60;
        for stride in [1, 2, 40, 2_000] {
            let mut window = Window::restore(Marks::at(0));
            let (mut next, mut longest) = (0, 0);
            for round in 0..120_u64 {
                for _ in 0..200 {
                    next += stride;
                    window.add(next, delivery(next));
                }
                let mut handed = hand_out_all(&mut window);
                // The first of each round never ends, and every other one waits.
                handed.retain(|offset| offset / stride % 2 == round % 2);
                let some: Vec<u64> = handed.into_iter().skip(1).collect();
                longest = longest.max(settle(&mut window, &some).encode().len());
            }
            assert!(
                longest <= MARKS_LENGTH_MAX + NUMBERS_LENGTH_MAX,
                "stride {stride}: {longest}"
            );
            assert!(
                window.in_hand() > 300,
                "stride {stride}: {} are in hand",
                window.in_hand()
            );
            assert!(window.ready().0 > 0, "stride {stride}: some are held back");
        }
    }
}
