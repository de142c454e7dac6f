//! Chains: tasks that follow the end of another one.
//!
//! What follows is said with a task and carried with it, so that whoever settles its end creates
//! the next task in the same step. It is nested by value: a chain cannot name itself, and ends
//! after [`CHAIN_DEPTH_MAX`](crate::limits::CHAIN_DEPTH_MAX) tasks.

use bytes::Bytes;

use crate::execution::{ExecutionId, OutcomeKind};
use crate::limits::{HEADER_VALUE_BYTES_MAX, RESULT_BYTES_MAX};
use crate::name::{QueueName, TaskId};
use crate::policy::{Guarantee, Precision, RetryPolicy};
use crate::task::Task;
use crate::time::Timestamp;

/// The id of the task whose end a chained one follows.
pub const PARENT_ID_HEADER: &str = "minutehand-parent-id";
/// The id of the execution that ended so.
pub const PARENT_EXECUTION_HEADER: &str = "minutehand-parent-execution-id";
/// How it ended: a word of [`OutcomeKind`].
pub const PARENT_OUTCOME_HEADER: &str = "minutehand-parent-outcome";
/// What was said of it, where the chained task has a payload of its own: the first 4,096 bytes,
/// with blanks for control characters.
pub const PARENT_RESULT_HEADER: &str = "minutehand-parent-result";
/// The headers that a chained task is given, whatever its own are.
pub const PARENT_HEADERS: [&str; 4] = [
    PARENT_ID_HEADER,
    PARENT_EXECUTION_HEADER,
    PARENT_OUTCOME_HEADER,
    PARENT_RESULT_HEADER,
];

/// What its choices, times and lengths cost in an encoded chained task, in bytes at most.
const FRAME_BYTES: usize = 192;
/// The same for a header.
const HEADER_FRAME_BYTES: usize = 16;

/// What follows the end of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The task that is created when it has succeeded.
    pub on_success: Option<Box<ChainedTask>>,
    /// The task that is created when it was given up.
    pub on_failure: Option<Box<ChainedTask>>,
}

/// A task to come: it is created when the one before it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedTask {
    /// The stream its execution goes to.
    pub queue: QueueName,
    /// How long after that end it is due, in milliseconds.
    pub delay_ms: i64,
    /// Its payload; when empty, what was said of the end becomes it.
    pub payload: Bytes,
    /// Names and values for the worker, in the order given.
    pub headers: Vec<(String, String)>,
    /// What happens when it fails.
    pub retry: RetryPolicy,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// How close to its due time it is published.
    pub precision: Precision,
    /// What follows its own end.
    pub chain: Chain,
}

/// Which of the two ways a chain goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Branch {
    /// After a success.
    Success,
    /// After the last failure.
    Failure,
}

/// The end of a task, as what follows it hears of it.
#[derive(Clone, Copy, Debug)]
pub struct ChainEnd<'a> {
    /// How it ended.
    pub kind: OutcomeKind,
    /// What the run said: its result, or why it was given up.
    pub said: &'a str,
    /// When it ended.
    pub at: Timestamp,
}

/// What the id of a task that tells of a dead letter ends with.
const DEAD_LETTER_SUFFIX: &str = "~dead-letter";

/// The id of the task that tells of an execution that was given up.
pub fn dead_letter_id(execution: ExecutionId) -> TaskId {
    following_id(execution, DEAD_LETTER_SUFFIX)
}

fn following_id(execution: ExecutionId, suffix: &str) -> TaskId {
    TaskId::parse(&format!("{execution}{suffix}"))
        .expect("an execution's id and a word are a valid id")
}

impl Branch {
    /// Both.
    pub const ALL: [Branch; 2] = [Branch::Success, Branch::Failure];

    /// The branch that an end leads to. What was cancelled, or never ran, is followed by nothing.
    pub const fn after(kind: OutcomeKind) -> Option<Branch> {
        match kind {
            OutcomeKind::Succeeded => Some(Branch::Success),
            OutcomeKind::Dead | OutcomeKind::Lost => Some(Branch::Failure),
            OutcomeKind::Retried | OutcomeKind::Cancelled | OutcomeKind::Expired => None,
        }
    }

    /// The name of its field.
    pub const fn field(self) -> &'static str {
        match self {
            Branch::Success => "on_success",
            Branch::Failure => "on_failure",
        }
    }

    /// What an id of it ends with.
    const fn suffix(self) -> &'static str {
        match self {
            Branch::Success => "~success",
            Branch::Failure => "~failure",
        }
    }
}

impl Chain {
    /// What follows on a branch.
    pub fn on(&self, branch: Branch) -> Option<&ChainedTask> {
        match branch {
            Branch::Success => self.on_success.as_deref(),
            Branch::Failure => self.on_failure.as_deref(),
        }
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.on_success.is_none() && self.on_failure.is_none()
    }

    /// How many tasks may follow one after the other.
    pub fn depth(&self) -> usize {
        let below = |branch| self.on(branch).map(|next| next.chain.depth());
        Branch::ALL
            .into_iter()
            .filter_map(below)
            .max()
            .map_or(0, |deepest| deepest + 1)
    }

    /// How many bytes it has encoded, at most: payloads and headers of all its tasks, and a little
    /// for each.
    pub fn bytes(&self) -> usize {
        self.every().iter().map(|task| task.own_bytes()).sum()
    }

    /// Every task that may follow, in any order.
    pub fn every(&self) -> Vec<&ChainedTask> {
        let mut found = Vec::new();
        let mut unseen = vec![self];
        while let Some(chain) = unseen.pop() {
            for next in Branch::ALL
                .into_iter()
                .filter_map(|branch| chain.on(branch))
            {
                found.push(next);
                unseen.push(&next.chain);
            }
        }
        found
    }
}

impl ChainedTask {
    /// A task for a queue, due at once, with nothing but what every task has.
    pub fn new(queue: QueueName) -> ChainedTask {
        ChainedTask {
            queue,
            delay_ms: 0,
            payload: Bytes::new(),
            headers: Vec::new(),
            retry: RetryPolicy::default(),
            guarantee: Guarantee::default(),
            precision: Precision::default(),
            chain: Chain::default(),
        }
    }

    fn own_bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + HEADER_FRAME_BYTES);
        FRAME_BYTES + self.queue.as_str().len() + self.payload.len() + headers.sum::<usize>()
    }
}

impl Task {
    /// The task that follows an end of this one; `None` when none does.
    ///
    /// Its id is that of the execution that ended, and which way it ended: whoever tells the end
    /// again creates the same task.
    pub fn chained(&self, end: ChainEnd<'_>) -> Option<Task> {
        let branch = Branch::after(end.kind)?;
        let next = self.chain.on(branch)?;
        let execution = ExecutionId::of(self);
        let id = following_id(execution, branch.suffix());
        let due = end
            .at
            .plus_millis(next.delay_ms)
            .min(Timestamp::END_OF_YEAR_9999);
        let mut headers = next.headers.clone();
        let mut tell = |name: &str, value: String| headers.push((name.to_owned(), value));
        tell(PARENT_ID_HEADER, self.id.to_string());
        tell(PARENT_EXECUTION_HEADER, execution.to_string());
        tell(PARENT_OUTCOME_HEADER, end.kind.as_str().to_owned());
        let payload = if next.payload.is_empty() {
            Bytes::copy_from_slice(beginning(end.said, RESULT_BYTES_MAX).as_bytes())
        } else {
            tell(PARENT_RESULT_HEADER, in_a_header(end.said));
            next.payload.clone()
        };
        Some(Task {
            payload,
            headers,
            retry: next.retry,
            guarantee: next.guarantee,
            precision: next.precision,
            chain: next.chain.clone(),
            ..Task::new(self.namespace.clone(), id, next.queue.clone(), due)
        })
    }

    /// Whether it follows the end of another (see [`chained`](Task::chained)) or tells of it, and
    /// has not been tried or put off before: a second one of its id and due time is no other task.
    pub fn is_first_of_a_chain(&self) -> bool {
        let is_execution = |text: &str| {
            text.strip_prefix("x-").is_some_and(|digits| {
                digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        let suffixes = Branch::ALL.map(Branch::suffix);
        let is_named_so = suffixes.iter().chain([&DEAD_LETTER_SUFFIX]).any(|suffix| {
            let id = self.id.as_str();
            id.strip_suffix(suffix).is_some_and(is_execution)
        });
        is_named_so && self.attempt == 1 && self.replay_of.is_none() && self.group.is_none()
    }
}

/// The first bytes of a text, between two characters.
fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// What a header can bear of a text.
fn in_a_header(text: &str) -> String {
    let text = beginning(text, HEADER_VALUE_BYTES_MAX);
    // A control character takes a byte or two: the text does not grow.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Namespace;

    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn queue(name: &str) -> QueueName {
        QueueName::parse(name).unwrap()
    }

    fn parent(chain: Chain) -> Task {
        let (namespace, id) = (
            Namespace::parse("shop").unwrap(),
            TaskId::parse("order-1").unwrap(),
        );
        Task {
            chain,
            ..Task::new(namespace, id, queue("mail"), AT)
        }
    }

    fn on_both(next: ChainedTask) -> Chain {
        Chain {
            on_success: Some(Box::new(next.clone())),
            on_failure: Some(Box::new(next)),
        }
    }

    fn header<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
        let found = task.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn an_end_is_followed_by_the_task_of_its_branch() {
        let parent = parent(on_both(ChainedTask {
            delay_ms: 5,
            ..ChainedTask::new(queue("next"))
        }));
        let execution = ExecutionId::of(&parent);
        for (kind, suffix) in [
            (OutcomeKind::Succeeded, Some("success")),
            (OutcomeKind::Dead, Some("failure")),
            (OutcomeKind::Lost, Some("failure")),
            (OutcomeKind::Retried, None),
            (OutcomeKind::Cancelled, None),
            (OutcomeKind::Expired, None),
        ] {
            let end = ChainEnd {
                kind,
                said: "so\nit went",
                at: AT,
            };
            let next = parent.chained(end);
            let id = suffix.map(|suffix| format!("{execution}~{suffix}"));
            let given = next.as_ref().map(|next| next.id.to_string());
            assert_eq!(given, id, "{kind}");
            let Some(next) = next else { continue };
            assert_eq!(next.namespace, parent.namespace);
            assert_eq!(
                (next.due, &*next.payload),
                (AT.plus_millis(5), &b"so\nit went"[..])
            );
            assert_eq!(header(&next, PARENT_ID_HEADER), Some("order-1"));
            assert_eq!(header(&next, PARENT_OUTCOME_HEADER), Some(kind.as_str()));
            assert_eq!(header(&next, PARENT_RESULT_HEADER), None);
            assert_eq!(
                parent.chained(end),
                Some(next.clone()),
                "told again it is the same"
            );
            assert!(next.is_first_of_a_chain() && !parent.is_first_of_a_chain());
        }
    }

    #[test]
    fn a_payload_stays_and_the_result_is_a_header() {
        let long = format!("a\u{85}b\n{}", "ä".repeat(HEADER_VALUE_BYTES_MAX));
        let parent = parent(on_both(ChainedTask {
            payload: Bytes::from_static(b"own"),
            ..ChainedTask::new(queue("next"))
        }));
        let end = ChainEnd {
            kind: OutcomeKind::Succeeded,
            said: &long,
            at: Timestamp::END_OF_YEAR_9999,
        };
        let next = parent.chained(end).unwrap();
        assert_eq!(&*next.payload, b"own");
        let told = header(&next, PARENT_RESULT_HEADER).unwrap();
        assert!(told.starts_with("a b ä") && told.len() <= HEADER_VALUE_BYTES_MAX);
    }

    #[test]
    fn depth_and_bytes_of_a_chain_are_counted() {
        let mut chain = Chain::default();
        assert_eq!((chain.depth(), chain.bytes()), (0, 0));
        for level in 1..=20 {
            chain = Chain {
                on_failure: Some(Box::new(ChainedTask {
                    payload: Bytes::from_static(b"0123456789"),
                    chain,
                    ..ChainedTask::new(queue("next"))
                })),
                on_success: None,
            };
            assert_eq!(chain.depth(), level);
            assert_eq!(chain.bytes(), level * (10 + 4 + FRAME_BYTES));
        }
    }
}
