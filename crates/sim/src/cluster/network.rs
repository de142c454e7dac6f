//! Which node can reach which store at the moment.

/// What a node talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Log,
    Sink,
    Timetable,
    Coordinator,
}

impl Store {
    pub(crate) const ALL: [Store; 4] = [
        Store::Log,
        Store::Sink,
        Store::Timetable,
        Store::Coordinator,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Store::Log => "log",
            Store::Sink => "sink",
            Store::Timetable => "timetable",
            Store::Coordinator => "coordinator",
        }
    }
}

/// Until when connections are cut and stores are out, in true time.
#[derive(Debug)]
pub(crate) struct Network {
    cut_until_ms: Vec<[i64; 4]>,
    out_until_ms: [i64; 4],
}

impl Network {
    pub(crate) fn new(nodes: usize) -> Network {
        Network {
            cut_until_ms: vec![[i64::MIN; 4]; nodes],
            out_until_ms: [i64::MIN; 4],
        }
    }

    pub(crate) fn cut(&mut self, node: usize, store: Store, until_ms: i64) {
        let until = &mut self.cut_until_ms[node][store as usize];
        *until = (*until).max(until_ms);
    }

    /// When a cut connection is healed; `None` when it is not cut.
    pub(crate) fn cut_until(&self, node: usize, store: Store, now_ms: i64) -> Option<i64> {
        Some(self.cut_until_ms[node][store as usize]).filter(|until| *until > now_ms)
    }

    pub(crate) fn take_out(&mut self, store: Store, until_ms: i64) {
        let until = &mut self.out_until_ms[store as usize];
        *until = (*until).max(until_ms);
    }

    pub(crate) fn is_out(&self, store: Store, now_ms: i64) -> bool {
        self.out_until_ms[store as usize] > now_ms
    }
}
