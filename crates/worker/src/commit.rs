//! Commits: what has ended becomes durable, many at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use minutehand_model::QueueName;
use minutehand_ports::{Claim, DeliveryId, ErrorClass, PortError, Report, Settlement};
use tracing::warn;

use crate::attempt::{Prepared, Ticket};
use crate::last_word::last_word;
use crate::refused::{Occasion, Told, instead};
use crate::settings::Settings;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row, counted from 1.
pub(crate) fn pause_after(failures: u32) -> Duration {
    PAUSE_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(PAUSE_MAX)
}

/// What one commit makes durable.
#[derive(Default)]
pub(crate) struct Batch {
    /// Runs that have ended.
    pub(crate) settlements: Vec<Told>,
    /// At-most-once executions that may run once this is durable.
    pub(crate) claims: Vec<Prepared>,
    /// Ends of at-most-once runs.
    pub(crate) reports: Vec<Report>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.settlements.len() + self.claims.len() + self.reports.len()
    }

    /// Every delivery that is in it.
    pub(crate) fn ids(&self) -> Vec<DeliveryId> {
        let settled = self.settlements.iter().map(|told| told.settlement.id);
        let claimed = self.claims.iter().map(|claim| claim.ticket.delivery);
        settled
            .chain(claimed)
            .chain(self.reports.iter().map(|report| report.id))
            .collect()
    }
}

/// What a commit has made durable.
#[derive(Default)]
pub(crate) struct Committed {
    /// The claims that may now run.
    pub(crate) claimed: Vec<Prepared>,
    /// Deliveries that had become another process's: they were not settled.
    pub(crate) lost: BTreeSet<DeliveryId>,
}

/// Commits a batch, trying again while that may help.
pub(crate) async fn commit(
    settings: &Settings,
    queue: &QueueName,
    batch: Batch,
) -> Result<Committed, PortError> {
    let Batch {
        settlements,
        claims,
        reports,
    } = batch;
    // At the same time, so that a store may make them durable in one step.
    let (lost, claimed) = futures::try_join!(
        settle(settings, queue, settlements),
        claim(settings, queue, claims)
    )?;
    if !reports.is_empty() {
        let count = reports.len();
        let kept = persist(settings, queue, || {
            settings
                .port
                .report(queue, settings.group.as_str(), reports.clone())
        })
        .await;
        if let Err(error) = kept {
            warn!(%queue, count, %error, "ends of at-most-once runs were not recorded");
            settings.observer.unreported(queue, count);
        }
    }
    Ok(Committed { claimed, lost })
}

/// Settles what has ended; answers with what another process has by now. What the queue refuses for
/// good is set aside, and takes nothing else with it.
async fn settle(
    settings: &Settings,
    queue: &QueueName,
    told: Vec<Told>,
) -> Result<BTreeSet<DeliveryId>, PortError> {
    let (mut parts, mut lost) = (Parts::of(told), BTreeSet::new());
    while let Some(part) = parts.next() {
        let settled = persist(settings, queue, || {
            let settlements = part.iter().map(|told| told.settlement.clone()).collect();
            settings
                .port
                .settle(queue, settings.group.as_str(), settlements)
        });
        match settled.await {
            Ok(elsewhere) => {
                assert!(
                    elsewhere.len() <= part.len(),
                    "a queue tells of what it was asked to settle"
                );
                settings
                    .observer
                    .settled(queue, part.len() - elsewhere.len());
                lost.extend(elsewhere);
            }
            Err(error) => {
                if let Some((told, error)) = parts.divide(part, error)? {
                    set_aside(settings, queue, &told, error).await?;
                }
            }
        }
    }
    Ok(lost)
}

/// Settles executions that run at most once; those that another process has by now are dropped, and
/// those that the queue refuses are set aside.
async fn claim(
    settings: &Settings,
    queue: &QueueName,
    claims: Vec<Prepared>,
) -> Result<Vec<Prepared>, PortError> {
    assert!(
        claims.iter().all(|claim| claim.ticket.is_claimed),
        "only what runs at most once is settled before it runs"
    );
    let claim = |claim: &Prepared| {
        let id = claim.ticket.delivery;
        Claim {
            id,
            last_word: last_word(id, &claim.execution, settings),
        }
    };
    let (mut parts, mut ours) = (Parts::of(claims), Vec::new());
    while let Some(part) = parts.next() {
        let claimed = persist(settings, queue, || {
            settings.port.claim(
                queue,
                settings.group.as_str(),
                part.iter().map(claim).collect(),
            )
        });
        match claimed.await {
            Ok(claimed) => {
                settings.observer.settled(queue, claimed.len());
                let claimed: BTreeSet<_> = claimed.into_iter().collect();
                ours.extend(
                    part.into_iter()
                        .filter(|claim| claimed.contains(&claim.ticket.delivery)),
                );
            }
            Err(error) => {
                if let Some((refused, error)) = parts.divide(part, error)? {
                    let Ticket {
                        delivery,
                        key,
                        encoded,
                        hold,
                        ..
                    } = refused.ticket;
                    let settlement = Settlement::bare(delivery);
                    let told = Told {
                        settlement,
                        key,
                        encoded,
                        is_well: false,
                        _hold: hold,
                    };
                    set_aside(settings, queue, &told, error).await?;
                }
            }
        }
    }
    Ok(ours)
}

/// Settles less in place of what was refused; the error is that of the queue, which refuses even
/// the least.
async fn set_aside(
    settings: &Settings,
    queue: &QueueName,
    told: &Told,
    error: PortError,
) -> Result<(), PortError> {
    let id = told.settlement.id;
    let mut refused = error;
    for settlement in instead(
        told,
        settings,
        Occasion {
            queue,
            now: settings.now(),
            error: &refused,
        },
    ) {
        let what = match settlement.dead_letter.is_some() {
            true => "a settlement was refused: its execution is a dead letter",
            false => "a settlement was refused: nothing is kept of what follows from it",
        };
        let settled = persist(settings, queue, || {
            settings
                .port
                .settle(queue, settings.group.as_str(), vec![settlement.clone()])
        });
        match settled.await {
            Ok(_) => {
                warn!(%queue, delivery = ?id, error = %refused, "{what}");
                settings.observer.settled(queue, 1);
                return Ok(());
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Parts of a batch that are committed each for itself.
struct Parts<T>(Vec<Vec<T>>);

impl<T> Parts<T> {
    fn of(all: Vec<T>) -> Parts<T> {
        Parts(vec![all])
    }

    /// The next one with anything in it.
    fn next(&mut self) -> Option<Vec<T>> {
        self.0.pop().filter(|part| !part.is_empty())
    }

    /// Divides a part that was refused for good; answers the one that is refused alone.
    fn divide(
        &mut self,
        mut part: Vec<T>,
        error: PortError,
    ) -> Result<Option<(T, PortError)>, PortError> {
        assert!(!part.is_empty(), "what was refused has something in it");
        if error.class != ErrorClass::Fatal {
            return Err(error);
        }
        if part.len() > 1 {
            let behind = part.split_off(part.len() / 2);
            self.0.extend([behind, part]);
            return Ok(None);
        }
        match part.pop() {
            Some(alone) => Ok(Some((alone, error))),
            None => Err(error),
        }
    }
}

async fn persist<T, F>(
    settings: &Settings,
    queue: &QueueName,
    mut attempt: impl FnMut() -> F,
) -> Result<T, PortError>
where
    F: Future<Output = Result<T, PortError>>,
{
    let mut failures = 0;
    loop {
        let error = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        settings.observer.troubled(queue, &error);
        if error.class != ErrorClass::Retry {
            return Err(error);
        }
        failures += 1;
        let pause = pause_after(failures);
        warn!(%queue, failures, ?pause, %error, "trying again");
        tokio::time::sleep(pause).await;
    }
}
