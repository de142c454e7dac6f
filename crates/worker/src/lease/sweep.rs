//! Purged executions of queues that nobody consumes: they are settled without being handed out.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::limits::LEASES_OF_CALL_MAX;
use minutehand_model::{GroupName, QueueName};

use super::leases::{Ends, Inner, Leases};
use super::offer::LeaseError;
use super::table::LaneName;
use crate::attempt::{Prepared, Ticket, prepare};
use crate::handler::Verdict;
use crate::run::Run;

/// How long a store is given to look: what was purged is there already.
const LOOK: Duration = Duration::from_millis(500);

impl Leases {
    /// Settles what was purged of a queue, as a member of a worker group; how much it was. What was
    /// not purged goes back.
    ///
    /// # Errors
    /// Too many groups, or a queue that does not answer; what is left is settled by whoever comes
    /// to it.
    pub async fn sweep(&self, queue: QueueName, group: GroupName) -> Result<usize, LeaseError> {
        let inner = &self.0;
        if !inner.sweeps_alone && !inner.lanes.serves(&queue) {
            return Ok(0);
        }
        let max = inner.lanes.lanes_max();
        let lane = inner.lane(LaneName { queue, group });
        let lane = lane.ok_or(LeaseError::TooManyGroups { max })?;
        let (queue, settings) = (&lane.name.queue, &lane.settings);
        let mut swept = 0;
        loop {
            let poll = settings
                .port
                .poll(queue, lane.name.group.as_str(), LEASES_OF_CALL_MAX);
            let polled = match tokio::time::timeout(LOOK, poll).await {
                Ok(polled) => polled?,
                Err(_) => Vec::new(),
            };
            let (purged, others): (Vec<_>, Vec<_>) = polled
                .into_iter()
                .partition(|delivery| settings.gates.is_purged(queue, delivery.published_at));
            lane.let_go(others.iter().map(|delivery| delivery.id).collect());
            if purged.is_empty() {
                return Ok(swept);
            }
            swept += purged.len();
            let mut ends = Ends::default();
            for delivery in purged {
                match prepare(&delivery) {
                    Ok(prepared) => inner.purged(&mut ends, &lane, prepared),
                    Err(error) => ends
                        .of(&lane, None)
                        .set_aside(settings, queue, delivery, &error),
                }
            }
            for end in ends.0 {
                inner.make_durable(end).await?;
            }
        }
    }
}

impl Inner {
    /// An execution that was purged ends without having run.
    fn purged(&self, ends: &mut Ends, lane: &Arc<super::lane::LeaseLane>, prepared: Prepared) {
        let Prepared { ticket, execution } = prepared;
        let run = Run::new(execution, lane.settings.now());
        // It is settled as a whole, also where it would be claimed before it runs.
        let ticket = Ticket {
            is_claimed: false,
            ..ticket
        };
        ends.of(lane, None).settle(
            &lane.settings,
            &lane.name.queue,
            &ticket,
            &run,
            Verdict::Cancelled,
        );
    }
}
