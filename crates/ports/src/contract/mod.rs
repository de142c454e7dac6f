//! The contract: what every adapter is held to, whatever it stands on.
//!
//! Each case is a sentence of the ports' documentation, run against stores that a [`Harness`]
//! makes. An adapter writes a harness and one line, [`contract_tests!`](crate::contract_tests), in
//! its tests. Nothing here knows of disks, brokers or clocks; what an adapter may do ("it may keep
//! more") is not asked for.

mod absent;
pub mod coordinator;
pub mod history;
pub mod ledger;
pub mod log;
pub mod queue;
mod samples;
pub mod sink;
pub mod timetable;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::Timestamp;

use self::absent::Absent;
use crate::{
    CommandLog, Coordinator, ErrorClass, ExecutionQueue, ExecutionSink, History, Ledger, PortError,
    Timetable,
};

/// The partitions that a harness's stores have.
pub const PARTITIONS: u32 = 3;

/// Everything one node works with.
pub struct Stores {
    /// The command log.
    pub log: Arc<dyn CommandLog>,
    /// Where ticks go.
    pub sink: Arc<dyn ExecutionSink>,
    /// The timetable.
    pub timetable: Arc<dyn Timetable>,
    /// What was decided about every minute.
    pub ledger: Arc<dyn Ledger>,
    /// Who owns what.
    pub coordinator: Arc<dyn Coordinator>,
    /// What workers consume.
    pub queue: Arc<dyn ExecutionQueue>,
    /// What has been.
    pub history: Arc<dyn History>,
    /// Whatever must live as long as the stores, for the harness's own use.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Stores {
    /// Stores that are not there: every call fails with class `Fatal`. An adapter of some ports
    /// fills in those it has.
    pub fn absent() -> Stores {
        Stores {
            log: Arc::new(Absent),
            sink: Arc::new(Absent),
            timetable: Arc::new(Absent),
            ledger: Arc::new(Absent),
            coordinator: Arc::new(Absent),
            queue: Arc::new(Absent),
            history: Arc::new(Absent),
            keep: Box::new(()),
        }
    }
}

/// Makes stores to test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// New, empty stores with [`PARTITIONS`] partitions.
    async fn fresh(&self) -> Stores;

    /// The same stores as a new process would find them after this one has ended.
    async fn reopen(&self, stores: Stores) -> Stores;

    /// Sets the clock that the log stamps records with; `false` when it cannot be set.
    fn set_clock(&self, stores: &Stores, now: Timestamp) -> bool {
        let _ = (stores, now);
        false
    }
}

/// The class of a refusal.
fn refused<T: std::fmt::Debug>(result: Result<T, PortError>) -> ErrorClass {
    result.expect_err("this must be refused").class
}

/// Expands to one test for each case, against the stores of a harness.
///
/// `contract_tests!(MyHarness::new());` in an integration test; the test crate needs tokio with
/// `macros` and `rt`. An adapter of some ports names their groups: `contract_tests!(log, sink:
/// MyHarness::new());`, and its harness fills the rest of the stores from
/// [`Stores::absent`](crate::contract::Stores::absent).
#[macro_export]
macro_rules! contract_tests {
    ($($group:ident),+: $harness:expr) => {
        $($crate::contract_tests!(@$group $harness);)+
    };
    (@log $harness:expr) => {
        $crate::contract_tests!(@group $harness, log: [
            offsets_follow_each_other_without_holes,
            appends_of_many_callers_are_told_apart,
            an_append_of_nothing_changes_nothing,
            time_never_goes_back,
            a_read_takes_about_what_was_asked_for_and_goes_on,
            a_read_at_the_end_is_empty,
            a_read_below_the_start_is_fatal,
            what_lies_at_or_above_a_truncation_stays,
            a_truncated_log_goes_on_where_it_ended,
            the_end_can_be_awaited,
            partitions_are_apart,
            everything_is_there_after_a_restart,
        ]);
    };
    (@sink $harness:expr) => {
        $crate::contract_tests!(@group $harness, sink: [
            a_partition_never_owned_has_no_checkpoint,
            a_tick_is_visible_in_all_its_parts,
            the_next_owner_finds_the_last_tick,
            opening_fences_lower_epochs,
            a_lower_epoch_cannot_open,
            a_hole_in_the_numbers_is_fenced_without_effect,
            a_repeated_tick_is_fenced_without_effect,
            a_fenced_tick_has_no_effect_at_all,
            schedule_states_are_replaced_and_removed,
            everything_is_there_after_a_restart,
            a_bare_tick_publishes_nothing,
        ]);
    };
    (@timetable $harness:expr) => {
        $crate::contract_tests!(@group $harness, timetable: [
            a_block_comes_back_as_it_was_written,
            writing_a_block_again_changes_nothing,
            blocks_of_the_same_ends_stand_side_by_side,
            a_range_is_inclusive_at_its_start_and_exclusive_at_its_end,
            pages_join_without_loss_or_repetition,
            blocks_with_the_same_first_due_are_not_split,
            the_page_says_how_far_it_is_complete,
            partitions_are_apart,
            a_task_is_found_with_all_its_facts,
            loads_count_tasks_per_minute,
            expiry_keeps_what_is_not_past,
            revisions_come_in_order_of_their_offsets,
            revisions_of_a_schedule_are_read_alone,
            writing_a_revision_again_changes_nothing,
            revisions_that_are_forgotten_are_gone,
            everything_is_there_after_a_restart,
        ]);
    };
    (@ledger $harness:expr) => {
        $crate::contract_tests!(@group $harness, ledger: [
            a_row_comes_back_as_it_was_written,
            writing_a_row_again_changes_nothing,
            a_minute_closed_twice_has_two_rows,
            a_range_of_minutes_is_read_in_order,
            everything_is_there_after_a_restart,
        ]);
    };
    (@coordinator $harness:expr) => {
        $crate::contract_tests!(@group $harness, coordinator: [
            every_partition_is_assigned_to_somebody,
            an_acquired_partition_is_not_given_twice,
            epochs_only_grow,
            releasing_what_is_not_held_changes_nothing,
            epochs_grow_over_restarts,
            the_lease_is_confirmed,
        ]);
    };
    (@queue $harness:expr) => {
        $crate::contract_tests!(@group $harness, queue: [
            deliveries_come_in_order_and_as_published,
            a_poll_waits_for_a_publication,
            a_poll_takes_no_more_than_it_asked_for,
            what_was_handed_out_is_not_handed_out_again,
            unsettled_deliveries_come_again_after_a_restart,
            groups_are_independent,
            what_a_group_goes_on_with_is_that_groups_alone,
            a_new_group_begins_with_the_oldest_kept,
            pollers_of_a_group_share_without_overlap,
            a_settlement_is_atomic_in_all_its_parts,
            settling_again_changes_nothing,
            a_settlement_that_is_refused_has_no_effect,
            settlements_survive_a_restart,
            what_is_let_go_is_handed_out_again,
            a_lost_claim_has_one_last_word,
            who_listens_is_asked_to_stop,
            stop_requests_reach_who_listens,
            queues_are_listed_in_order,
            the_depth_counts,
            an_empty_queue_of_a_partition_does_not_hide_another,
        ]);
    };
    (@history $harness:expr) => {
        $crate::contract_tests!(@group $harness, history: [
            outcomes_come_oldest_first,
            a_task_without_history_has_none,
            ends_are_listed_by_kind_and_queue,
            successes_are_listed_whatever_they_said,
            dead_letters_are_listed_in_pages,
            removed_dead_letters_are_gone_and_the_others_stay,
            a_replay_is_one_step,
            a_replay_happens_once,
            dead_letters_survive_a_restart,
        ]);
    };
    (@group $harness:expr, $group:ident: [$($case:ident,)+]) => {
        mod $group {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    $crate::contract::$group::$case(&$harness).await;
                }
            )+
        }
    };
    ($harness:expr) => {
        $crate::contract_tests!(log, sink, timetable, ledger, coordinator, queue, history: $harness);
    };
}
