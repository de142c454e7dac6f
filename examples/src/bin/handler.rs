//! Handlers: what they answer, and how an effect outside happens once although a task may run
//! twice.
//!
//! A handler is tried on its own here, as a unit test would: it needs no scheduler.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use minutehand_model::{
    DeliveryToken, Epoch, Execution, IdParts, LogOffset, Namespace, PartitionId, QueueName, Task,
    TaskId, Timestamp,
};
use minutehand_worker::{Handler, Run, Verdict};

/// What stands for a database here: payments by the message that asked for them.
///
/// At least once means that a run may come again after a crash. The message's id is the same over
/// all attempts, so who remembers it does the effect once. A database does both in one statement:
/// `INSERT … ON CONFLICT (message) DO NOTHING`.
#[derive(Default)]
struct Payments(Mutex<BTreeMap<String, u64>>);

impl Payments {
    /// Answers whether the payment is new.
    fn pay(&self, message: &str, cents: u64) -> bool {
        let mut payments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !payments.contains_key(message);
        payments.entry(message.to_owned()).or_insert(cents);
        is_new
    }
}

/// Pays what the payload says, in cents.
struct Pay(Arc<Payments>);

#[async_trait]
impl Handler for Pay {
    async fn run(&self, run: Run) -> Verdict {
        let text = String::from_utf8_lossy(&run.task().payload).into_owned();
        match text.as_str() {
            // The other side is busy: tried again as the retry policy says, but not sooner than it
            // asks.
            "busy" => Verdict::Failure {
                reason: "the bank is busy".to_owned(),
                retry_after_ms: Some(60_000),
            },
            _ => match text.parse() {
                Ok(cents) => match self.0.pay(&run.execution().message.to_string(), cents) {
                    true => Verdict::Success {
                        detail: format!("paid {cents}"),
                    },
                    false => Verdict::Success {
                        detail: "was paid before".to_owned(),
                    },
                },
                // Trying again cannot help: a dead letter at once.
                Err(_) => Verdict::discard(format!("{text:?} is not an amount")),
            },
        }
    }
}

/// An execution as a worker would hand it out.
fn delivery(payload: &'static str, count: u64) -> Result<Execution, Box<dyn Error>> {
    let due = Timestamp::from_millis(1_900_000_000_000);
    let (namespace, queue) = (Namespace::parse("default")?, QueueName::parse("payments")?);
    let task = Task {
        payload: payload.into(),
        ..Task::new(namespace, TaskId::parse("order-7")?, queue, due)
    };
    let parts = IdParts::of(&task);
    Ok(Execution {
        id: parts.execution(),
        message: parts.message(),
        published_at: due,
        partition: PartitionId::own(0),
        epoch: Epoch(1),
        token: DeliveryToken {
            epoch: Epoch(1),
            generation: 1,
            count,
        },
        offset: LogOffset::START,
        task,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pay = Pay(Arc::default());
    // The second delivery of an order comes after a crash: the same message, a higher fencing
    // token.
    for (payload, count) in [("1250", 1), ("1250", 2), ("busy", 3), ("a lot", 4)] {
        let run = Run::new(
            delivery(payload, count)?,
            Timestamp::from_millis(1_900_000_000_000),
        );
        match pay.run(run).await {
            Verdict::Success { detail } => println!("{payload}: {detail}"),
            Verdict::Failure {
                reason,
                retry_after_ms,
            } => {
                println!(
                    "{payload}: {reason}, again after {} ms",
                    retry_after_ms.unwrap_or(0)
                );
            }
            Verdict::Discard { reason } => println!("{payload}: dead letter, {reason}"),
            Verdict::Cancelled | Verdict::Killed => println!("{payload}: asked to stop"),
        }
    }
    Ok(())
}
