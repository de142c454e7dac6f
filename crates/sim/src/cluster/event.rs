//! What can happen in a cluster, and requests on their way.

use minutehand_engine::{Input, RequestId};
use minutehand_model::{
    Block, Command, Epoch, LogOffset, RevisionEntry, Tally, TaskKey, Tick, Timestamp,
};

use super::network::Store;
use super::speaker::Extension;

/// Names one owner: a node's life, a partition, and which of its owners there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerId {
    pub(crate) node: usize,
    pub(crate) incarnation: u32,
    pub(crate) partition: usize,
    pub(crate) instance: u64,
}

/// Who asks, and how long for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) owner: OwnerId,
    pub(crate) request: RequestId,
    pub(crate) store: Store,
    /// When its sender stops waiting, in true time.
    pub(crate) gives_up_ms: i64,
    /// Nobody waits for the answer: it was given up, or this is a duplicate on the wire.
    pub(crate) is_stray: bool,
    /// The session of the sender's sink connection.
    pub(crate) session: u64,
    /// The sender's clock.
    pub(crate) clock_ms: i64,
    /// The latest time it has shown lately.
    pub(crate) latest_clock_ms: i64,
}

/// A request on its way to a store.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) envelope: Envelope,
    pub(crate) kind: RequestKind,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum RequestKind {
    Open {
        epoch: Epoch,
    },
    ReadRevisions,
    ReadTimetable {
        from: Timestamp,
        until: Timestamp,
        bytes_max: usize,
    },
    FindTask {
        key: TaskKey,
        due: Timestamp,
    },
    ReadLog {
        from: LogOffset,
        bytes_max: usize,
    },
    WriteBlocks {
        blocks: Vec<Block>,
    },
    WriteRevisions {
        revisions: Vec<RevisionEntry>,
    },
    KeepMinutes {
        tallies: Vec<Tally>,
    },
    Commit {
        tick: Box<Tick>,
    },
    Forget {
        log_below: LogOffset,
        timetable_before: Timestamp,
    },
}

impl RequestKind {
    pub(crate) fn store(&self) -> Store {
        match self {
            RequestKind::Open { .. } | RequestKind::Commit { .. } => Store::Sink,
            RequestKind::ReadLog { .. } | RequestKind::Forget { .. } => Store::Log,
            RequestKind::ReadRevisions
            | RequestKind::ReadTimetable { .. }
            | RequestKind::FindTask { .. }
            | RequestKind::WriteBlocks { .. }
            | RequestKind::WriteRevisions { .. }
            | RequestKind::KeepMinutes { .. } => Store::Timetable,
        }
    }

    pub(crate) fn is_write(&self) -> bool {
        matches!(
            self,
            RequestKind::WriteBlocks { .. }
                | RequestKind::WriteRevisions { .. }
                | RequestKind::KeepMinutes { .. }
                | RequestKind::Commit { .. }
        )
    }

    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            RequestKind::Open { .. } => "open",
            RequestKind::ReadRevisions => "read revisions",
            RequestKind::ReadTimetable { .. } => "read timetable",
            RequestKind::FindTask { .. } => "find task",
            RequestKind::ReadLog { .. } => "read log",
            RequestKind::WriteBlocks { .. } => "write blocks",
            RequestKind::WriteRevisions { .. } => "write revisions",
            RequestKind::KeepMinutes { .. } => "keep minutes",
            RequestKind::Commit { .. } => "commit",
            RequestKind::Forget { .. } => "forget",
        }
    }
}

/// An answer on its way back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) input: Input,
    /// Set by an open that succeeded: the session of later commits.
    pub(crate) session: Option<u64>,
    /// It was given up or given already.
    pub(crate) is_stray: bool,
}

/// A fault, or its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Crash,
    Pause,
    Cut,
    Outage,
    ClockJump,
    Drain,
    ReaderDies,
    TransactionHangs,
    /// Another region takes the right to speak.
    Adopted,
    /// It gives it back.
    GivenBack,
    DrainEnds {
        node: usize,
    },
    Restart {
        node: usize,
    },
    /// Everything is healed; nothing goes wrong from here on.
    Heal,
}

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// An owner's timeout.
    Wake {
        owner: OwnerId,
    },
    Answer {
        owner: OwnerId,
        answer: Box<Answer>,
    },
    Land(Box<Request>),
    LogGrew {
        owner: OwnerId,
    },
    Renew {
        node: usize,
        incarnation: u32,
    },
    RenewLands {
        node: usize,
        incarnation: u32,
        lease: u64,
        clock_ms: i64,
    },
    RenewAnswered {
        node: usize,
        incarnation: u32,
        lease: u64,
        clock_ms: i64,
        granted: bool,
    },
    LeaseEnds {
        node: usize,
        lease: u64,
    },
    /// A node looks at what it should own.
    Reconcile {
        node: usize,
        incarnation: u32,
    },
    AcquireLands {
        node: usize,
        incarnation: u32,
        partition: usize,
        lease: u64,
    },
    AcquireAnswered {
        node: usize,
        incarnation: u32,
        partition: usize,
        lease: u64,
        epoch: Option<Epoch>,
    },
    ReleaseLands {
        node: usize,
        partition: usize,
        epoch: Epoch,
    },
    /// The speaker moves the horizon on.
    ExtendHorizon,
    ExtensionLands(Extension),
    /// The register says whether it was done.
    ExtensionAnswered(Extension, bool),
    /// A node hears of a horizon that was acknowledged.
    HorizonHeard {
        node: usize,
        until_ms: i64,
    },
    /// The next log of a partition begins.
    LogBegins {
        partition: usize,
    },
    /// A producer sends a command.
    Produce,
    /// The workload changes a schedule.
    ChangeSchedule,
    /// A worker's run ends.
    RunEnds {
        partition: usize,
        key: TaskKey,
        number: u64,
    },
    /// A worker's command reaches the log.
    Append {
        partition: usize,
        command: Box<Command>,
    },
    Fault(Fault),
}

impl Event {
    /// The node that must be awake to notice.
    pub(crate) fn node(&self) -> Option<usize> {
        match self {
            Event::Wake { owner } | Event::Answer { owner, .. } | Event::LogGrew { owner } => {
                Some(owner.node)
            }
            Event::Renew { node, .. }
            | Event::RenewAnswered { node, .. }
            | Event::Reconcile { node, .. }
            | Event::HorizonHeard { node, .. }
            | Event::AcquireAnswered { node, .. } => Some(*node),
            _ => None,
        }
    }
}
