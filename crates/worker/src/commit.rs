//! Commits: what has ended becomes durable, many at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use minutehand_model::QueueName;
use minutehand_ports::{Claim, DeliveryId, ErrorClass, PortError, Report, Settlement};
use tracing::warn;

use crate::attempt::Prepared;
use crate::last_word::last_word;
use crate::settings::Settings;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row, counted from 1.
pub(crate) fn pause_after(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX)
}

/// What one commit makes durable.
#[derive(Default)]
pub(crate) struct Batch {
    /// Runs that have ended.
    pub(crate) settlements: Vec<Settlement>,
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
        let settled = self.settlements.iter().map(|settlement| settlement.id);
        let claimed = self.claims.iter().map(|claim| claim.ticket.delivery);
        settled.chain(claimed).chain(self.reports.iter().map(|report| report.id)).collect()
    }
}

/// Commits a batch, trying again while that may help, and answers with the claims, which may now run.
pub(crate) async fn commit(
    settings: &Settings,
    queue: &QueueName,
    batch: Batch,
) -> Result<Vec<Prepared>, PortError> {
    let Batch { settlements, claims, reports } = batch;
    // At the same time, so that a store may make them durable in one step.
    let ((), claims) =
        futures::try_join!(settle(settings, queue, settlements), claim(settings, queue, claims))?;
    if !reports.is_empty() {
        let count = reports.len();
        let kept =
            persist(settings, queue, || settings.port.report(queue, &settings.group, reports.clone())).await;
        if let Err(error) = kept {
            warn!(%queue, count, %error, "ends of at-most-once runs were not recorded");
            settings.observer.unreported(queue, count);
        }
    }
    Ok(claims)
}

async fn settle(
    settings: &Settings,
    queue: &QueueName,
    settlements: Vec<Settlement>,
) -> Result<(), PortError> {
    if !settlements.is_empty() {
        let count = settlements.len();
        persist(settings, queue, || settings.port.settle(queue, &settings.group, settlements.clone()))
            .await?;
        settings.observer.settled(queue, count);
    }
    Ok(())
}

/// Settles executions that run at most once; those that another process has by now are dropped.
async fn claim(
    settings: &Settings,
    queue: &QueueName,
    claims: Vec<Prepared>,
) -> Result<Vec<Prepared>, PortError> {
    if claims.is_empty() {
        return Ok(claims);
    }
    let now = settings.now();
    let claim = |claim: &Prepared| {
        let id = claim.ticket.delivery;
        Claim { id, last_word: last_word(id, &claim.execution, settings.history, now) }
    };
    let made: Vec<Claim> = claims.iter().map(claim).collect();
    let ours = persist(settings, queue, || settings.port.claim(queue, &settings.group, made.clone())).await?;
    settings.observer.settled(queue, ours.len());
    let ours: BTreeSet<_> = ours.into_iter().collect();
    Ok(claims.into_iter().filter(|claim| ours.contains(&claim.ticket.delivery)).collect())
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
