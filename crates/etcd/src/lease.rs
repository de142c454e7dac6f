//! The lease: granted, kept alive, confirmed, lost, granted again; and the member key that hangs on
//! it.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Compare, CompareOp, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp, TxnOpResponse,
};
use minutehand_model::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{CALL_TIMEOUT, Etcd, now, within};
use crate::error::CallError;
use crate::keys::{NodeFacts, encode};
use crate::pause::{Backoff, part_of};
use crate::pulse::{Beats, stands_still};
use crate::view::View;

/// Every so many renewals the member key is read back: some releases of etcd renew leases that were
/// revoked.
const RENEWALS_PER_CHECK: u32 = 3;

/// How this process stands with etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The lease, from its grant until etcd no longer knows it.
    pub(crate) lease: Option<i64>,
    /// Whether etcd answered within the lease's time to live.
    pub(crate) is_live: bool,
    /// Whether the member key hangs on this lease, and says what it should.
    pub(crate) is_member: bool,
    /// Whether the process wants no partitions any more.
    pub(crate) is_withdrawn: bool,
}

/// When something was sent, by two clocks: one that jumps, and one that stands still while a
/// machine sleeps.
pub(crate) type Sent = (Timestamp, Instant);

/// What the process wants of its membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To be given partitions.
    Member,
    /// To keep the lease, for what it still holds, and be given no partitions.
    Withdrawn,
    /// To end.
    Ended,
}

/// A lease as it was granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    /// Its id.
    pub(crate) lease: i64,
    /// Its time to live.
    pub(crate) ttl: Duration,
    /// When it was asked for.
    pub(crate) asked_at: Sent,
}

/// Asks for a lease.
pub(crate) async fn grant(etcd: &Etcd, ttl_ms: i64) -> Result<Grant, CallError> {
    let asked_at = (now(), Instant::now());
    let mut client = etcd.client();
    let granted = within(
        CALL_TIMEOUT,
        client.lease_grant((ttl_ms + 999) / 1_000, None),
    )
    .await?;
    let ttl = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(0).max(1));
    Ok(Grant {
        lease: granted.id(),
        ttl,
        asked_at,
    })
}

/// Keeps this process's lease and member key.
pub(crate) struct Keeper {
    pub(crate) etcd: Etcd,
    /// The node's id.
    pub(crate) node: String,
    /// What is in the member key.
    pub(crate) facts: NodeFacts,
    /// The time to live that is asked for, in milliseconds.
    pub(crate) ttl_ms: i64,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) wish: watch::Receiver<Wish>,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) confirmed_at: watch::Sender<Timestamp>,
    /// When the newest answered renewal was sent.
    pub(crate) heard: watch::Sender<Sent>,
    /// When the process showed last that it works.
    pub(crate) beats: Beats,
}

/// How the life of a lease ended.
enum End {
    /// etcd no longer knows it, or the member key is gone.
    Lost(&'static str),
    /// The process wants to end.
    Wished,
}

/// The keep-alive stream of a lease.
type Stream = (LeaseKeeper, LeaseKeepAliveStream);

/// A lease while it lives.
struct Life {
    grant: Grant,
    stream: Option<Stream>,
    renews_at: Instant,
    renewals: u32,
    /// Whether somebody has been told that another process has the node's id.
    has_complained: bool,
}

/// Notes when etcd has not answered for as long as the lease lives: from then on others may have
/// everything.
pub(crate) async fn expire(
    mut heard: watch::Receiver<Sent>,
    ttl: Duration,
    standing: watch::Sender<Standing>,
) {
    loop {
        let ends_at = heard.borrow_and_update().1 + ttl;
        tokio::select! {
            () = tokio::time::sleep_until(ends_at) => {}
            heard_again = heard.changed() => match heard_again {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        let is_over = standing.send_if_modified(|standing| {
            // A confirmation is noted in `heard` before it is in the standing.
            let is_over = standing.is_live && heard.borrow().1 + ttl <= Instant::now();
            standing.is_live &= !is_over;
            is_over
        });
        if is_over {
            tracing::warn!(
                "etcd has not answered for as long as the lease lives; everything is given up"
            );
        }
        if heard.changed().await.is_err() {
            return;
        }
    }
}

impl Keeper {
    /// Keeps leases until the process wants to end.
    pub(crate) async fn run(mut self, mut grant: Grant) {
        loop {
            let lease = grant.lease;
            match self.keep(grant).await {
                End::Wished => return,
                End::Lost(why) => {
                    tracing::warn!(lease, why, "lost the lease; everything is given up");
                    self.standing.send_modify(|standing| {
                        *standing = Standing {
                            is_withdrawn: standing.is_withdrawn,
                            ..Standing::default()
                        };
                    });
                    // What still hangs on it nobody owns any more. It ends by itself when this does
                    // not arrive.
                    let mut client = self.etcd.client();
                    let _ = within(CALL_TIMEOUT, client.lease_revoke(lease)).await;
                }
            }
            match self.grant_again(grant.ttl).await {
                Some(granted) => grant = granted,
                None => return,
            }
        }
    }

    /// A new lease, as soon as etcd grants one. Nodes that lost theirs together do not come back in
    /// one moment.
    async fn grant_again(&mut self, ttl: Duration) -> Option<Grant> {
        let mut backoff = Backoff::default();
        let mut pause = part_of(ttl / 10);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.wish.wait_for(|wish| *wish == Wish::Ended) => return None,
            }
            if stands_still(*self.beats.borrow(), Instant::now()) {
                continue;
            }
            match grant(&self.etcd, self.ttl_ms).await {
                Ok(granted) => return Some(granted),
                Err(error) => tracing::debug!(%error, "could not get a lease"),
            }
            pause = backoff.next();
        }
    }

    /// Keeps one lease, to its end.
    async fn keep(&mut self, grant: Grant) -> End {
        let mut life = Life {
            grant,
            stream: None,
            renews_at: Instant::now() + grant.ttl / 3,
            renewals: 0,
            has_complained: false,
        };
        self.confirm(&life, grant.asked_at);
        loop {
            let wish = *self.wish.borrow_and_update();
            match wish {
                Wish::Ended => return End::Wished,
                Wish::Withdrawn if !self.facts.draining => self.withdraw(),
                Wish::Withdrawn | Wish::Member => {}
            }
            if stands_still(*self.beats.borrow(), Instant::now()) {
                return End::Lost("the process does not do its work: its threads have stood still");
            }
            let is_there = self.is_in_view();
            if !self.standing.borrow().is_member {
                self.register(&mut life).await;
            } else if !is_there && self.is_member_key_gone(&life).await {
                return End::Lost("the member key is gone");
            }
            tokio::select! {
                () = tokio::time::sleep_until(life.renews_at) => {}
                Ok(()) = self.view.changed() => {}
                Ok(()) = self.wish.changed() => {}
            }
            if Instant::now() >= life.renews_at
                && let Some(end) = self.renew(&mut life).await
            {
                return end;
            }
        }
    }

    /// Sends one renewal and waits for its answer. A stream that is late is given up, and its
    /// answers with it: so an answer is never taken for that of a later renewal.
    async fn renew(&mut self, life: &mut Life) -> Option<End> {
        let third = life.grant.ttl / 3;
        let sent = (now(), Instant::now());
        let answer = match tokio::time::timeout(third, ask(&self.etcd, life)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::TimedOut(third)),
        };
        match answer {
            Ok(true) => {
                life.renews_at = sent.1 + third;
                life.renewals += 1;
                self.confirm(life, sent);
                let is_due = life.renewals.is_multiple_of(RENEWALS_PER_CHECK);
                let is_member = self.standing.borrow().is_member;
                if is_due && is_member && self.is_member_key_gone(life).await {
                    return Some(End::Lost(
                        "etcd renews the lease, but the member key is gone",
                    ));
                }
                None
            }
            Ok(false) => Some(End::Lost("it has run out")),
            Err(error) => {
                tracing::debug!(%error, "a renewal went unanswered");
                life.stream = None;
                life.renews_at = Instant::now() + third / 8 + part_of(third / 8);
                None
            }
        }
    }

    /// etcd has answered what was sent at that time.
    fn confirm(&self, life: &Life, sent: Sent) {
        self.heard.send_replace(sent);
        self.confirmed_at.send_replace(sent.0);
        let lease = Some(life.grant.lease);
        self.standing.send_if_modified(|standing| {
            let next = Standing {
                lease,
                is_live: true,
                ..*standing
            };
            std::mem::replace(standing, next) != next
        });
    }

    /// Writes the member key, unless a process of the same node id has one.
    async fn register(&mut self, life: &mut Life) {
        let key = self.etcd.keys().node(&self.node);
        let lease = life.grant.lease;
        let put = |key| {
            TxnOp::put(
                key,
                encode(&self.facts),
                Some(PutOptions::new().with_lease(lease)),
            )
        };
        let is_absent = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
        let txn = Txn::new().when([is_absent]).and_then([put(key.clone())]);
        let answer = match self
            .etcd
            .txn(txn.or_else([TxnOp::get(key.clone(), None)]))
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "could not register as a member");
                return;
            }
        };
        if answer.succeeded() {
            return self.registered();
        }
        let Some(TxnOpResponse::Get(found)) = answer.op_responses().pop() else {
            return;
        };
        let Some(entry) = found.kvs().first() else {
            return;
        };
        let facts = serde_json::from_slice::<NodeFacts>(entry.value()).ok();
        if facts
            .as_ref()
            .is_none_or(|facts| facts.instance != self.facts.instance)
        {
            if !std::mem::replace(&mut life.has_complained, true) {
                let address = facts.map(|facts| facts.address).unwrap_or_default();
                let node = self.node.as_str();
                tracing::warn!(
                    node,
                    address,
                    "another process is a member under this id; waiting for its end"
                );
            }
        } else if entry.lease() == lease && facts.as_ref() == Some(&self.facts) {
            self.registered();
        } else {
            // Ours, on a lease that has been given up, or from before this process withdrew.
            let is_same =
                Compare::mod_revision(key.clone(), CompareOp::Equal, entry.mod_revision());
            let txn = Txn::new().when([is_same]).and_then([put(key)]);
            if self
                .etcd
                .txn(txn)
                .await
                .is_ok_and(|answer| answer.succeeded())
            {
                self.registered();
            }
        }
    }

    fn registered(&self) {
        self.standing
            .send_modify(|standing| standing.is_member = true);
        tracing::info!(node = self.node.as_str(), "is a member");
    }

    /// The member key is to say that this node wants no partitions.
    fn withdraw(&mut self) {
        self.facts.draining = true;
        self.standing.send_modify(|standing| {
            standing.is_withdrawn = true;
            standing.is_member = false;
        });
    }

    /// Whether the region's view has this process as a member.
    fn is_in_view(&self) -> bool {
        let view = self.view.borrow();
        view.nodes
            .get(&self.node)
            .is_some_and(|facts| facts.instance == self.facts.instance)
    }

    /// Reads the member key itself. An answer that does not come says nothing.
    async fn is_member_key_gone(&self, life: &Life) -> bool {
        match self.etcd.get(self.etcd.keys().node(&self.node), None).await {
            Ok(found) => found
                .kvs()
                .first()
                .is_none_or(|entry| entry.lease() != life.grant.lease),
            Err(_) => false,
        }
    }
}

/// Renews the lease; whether etcd still knows it.
async fn ask(etcd: &Etcd, life: &mut Life) -> Result<bool, CallError> {
    let mut client = etcd.client();
    let Some((keeper, answers)) = &mut life.stream else {
        return match client.lease_keep_alive(life.grant.lease).await {
            // Opening the stream is a renewal.
            Ok(stream) => {
                life.stream = Some(stream);
                Ok(true)
            }
            Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(client
                .lease_time_to_live(life.grant.lease, None)
                .await?
                .ttl()
                > 0),
            Err(error) => Err(error.into()),
        };
    };
    keeper.keep_alive().await?;
    let answer = answers.message().await?;
    let answer =
        answer.ok_or_else(|| CallError::Ended("etcd ended the keep-alive stream".to_owned()))?;
    Ok(answer.ttl() > 0)
}
