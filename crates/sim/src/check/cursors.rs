//! Epochs never go back, ticks have no holes, and the cursors A, F and R only move forward and in
//! their order.

use crate::journal::{Journal, PartitionJournal};

pub(super) fn check(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    for pair in about.ticks.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let name = format!("epoch {} tick {}", new.epoch, new.number);
        if new.epoch < old.epoch {
            return Err(format!(
                "{name} was committed after epoch {} tick {}",
                old.epoch, old.number
            ));
        }
        if new.number != old.number + 1 {
            return Err(format!(
                "{name} follows tick {} of epoch {}",
                old.number, old.epoch
            ));
        }
        if new.applied < old.applied {
            return Err(format!(
                "{name}: A went back from {} to {}",
                old.applied, new.applied
            ));
        }
        if new.head < old.head {
            return Err(format!(
                "{name}: F went back from {:?} to {:?}",
                old.head, new.head
            ));
        }
        if new.replay_from < old.replay_from {
            return Err(format!(
                "{name}: R went back from {} to {}",
                old.replay_from, new.replay_from
            ));
        }
    }
    if about.ticks.first().is_some_and(|first| first.number != 1) {
        return Err(format!(
            "the first tick has number {}",
            about.ticks[0].number
        ));
    }
    let reversed = about
        .ticks
        .iter()
        .find(|tick| tick.replay_from > tick.applied);
    match reversed {
        Some(tick) => Err(format!(
            "tick {}: R {} is beyond A {}",
            tick.number, tick.replay_from, tick.applied
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::check;
    use crate::check::story::Story;

    #[test]
    fn accepts_steps_forward_and_refuses_every_step_back() {
        let good = Story::default().ticks(10, &[]).ticks(20, &[]);
        assert_eq!(good.ask(check), Ok(()));
        let bad = [
            good.clone().but(|tick| tick.epoch = 0),
            good.clone().but(|tick| tick.number = 3),
            good.clone().but(|tick| tick.number = 1),
            good.clone().but(|tick| tick.applied = LogOffset::at(9)),
            good.clone()
                .but(|tick| tick.head.due = super::super::story::ms(9)),
            good.clone()
                .but(|tick| tick.replay_from = LogOffset::at(21)),
            good.ticks(30, &[])
                .but(|tick| tick.replay_from = LogOffset::at(5))
                .ticks(40, &[]),
            Story::default().ticks(10, &[]).but(|tick| tick.number = 2),
        ];
        for (index, story) in bad.iter().enumerate() {
            assert!(story.ask(check).is_err(), "story {index}");
        }
    }
}
