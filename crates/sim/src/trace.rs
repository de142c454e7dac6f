//! The trace: one line per event, and a running fingerprint of all of them.
//!
//! The fingerprint is always taken, the text only when it is asked for; both are functions of the
//! seed alone.

use std::fmt::Write;

/// Events of a run, as they happened.
#[derive(Debug)]
pub(crate) struct Trace {
    fingerprint: u64,
    lines: u64,
    text: Option<String>,
    begin_ms: i64,
}

/// Who an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    World,
    Node(usize),
    Owner(usize, usize),
    Store(usize),
}

impl Trace {
    pub(crate) fn new(with_text: bool, begin_ms: i64) -> Trace {
        Trace {
            fingerprint: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            text: with_text.then(String::new),
            begin_ms,
        }
    }

    /// Notes an event: `what` names its kind, `figures` tell it from others of its kind, `detail`
    /// is for readers.
    pub(crate) fn note(
        &mut self,
        at_ms: i64,
        who: Who,
        what: &'static str,
        figures: [u64; 2],
        detail: impl FnOnce() -> String,
    ) {
        self.lines += 1;
        let who_figure = match who {
            Who::World => 0,
            Who::Node(node) => 1 << 32 | node as u64,
            Who::Owner(node, partition) => 2 << 32 | (node as u64) << 16 | partition as u64,
            Who::Store(partition) => 3 << 32 | partition as u64,
        };
        let kind = what.bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        for figure in [at_ms as u64, who_figure, kind, figures[0], figures[1]] {
            self.fingerprint = (self.fingerprint ^ figure)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
        if let Some(text) = &mut self.text {
            let (node, partition) = match who {
                Who::World => (String::new(), String::new()),
                Who::Node(node) => (format!("n{node}"), String::new()),
                Who::Owner(node, partition) => (format!("n{node}"), format!("p{partition}")),
                Who::Store(partition) => (String::new(), format!("p{partition}")),
            };
            let seconds = (at_ms - self.begin_ms) as f64 / 1_000.0;
            writeln!(
                text,
                "{seconds:>12.3}  {node:<3} {partition:<4} {what:<16} {}",
                detail()
            )
            .expect("writing to a string cannot fail");
        }
    }

    /// Whether anybody reads the details.
    pub(crate) fn has_text(&self) -> bool {
        self.text.is_some()
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn into_text(self) -> Option<String> {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(with_text: bool, at_ms: i64) -> Trace {
        let mut trace = Trace::new(with_text, 0);
        trace.note(at_ms, Who::Owner(1, 2), "commit", [3, 4], || {
            "tick 3, 4 published".to_owned()
        });
        trace
    }

    #[test]
    fn fingerprints_tell_events_apart_without_their_text() {
        assert_eq!(
            traced(true, 1_500).fingerprint(),
            traced(false, 1_500).fingerprint()
        );
        assert_ne!(
            traced(false, 1_500).fingerprint(),
            traced(false, 1_501).fingerprint()
        );
    }

    #[test]
    fn lines_are_aligned() {
        let text = traced(true, 1_500).into_text().expect("text was asked for");
        assert_eq!(
            text,
            "       1.500  n1  p2   commit           tick 3, 4 published\n"
        );
    }
}
