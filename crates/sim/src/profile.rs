//! Where to look: for each planted bug the faults and the workload under which it is likely to
//! show.
//!
//! A healthy system is tried under every seed's own faults; these profiles only save seeds when a
//! known bug is to be found again.

use minutehand_engine::{Config, PlantedBug};
use minutehand_model::Persist;
use minutehand_model::time::{MINUTE_MS, SECOND_MS};

use crate::faults::FaultModel;
use crate::planted::{Flaw, Planted};
use crate::rng::Rng;
use crate::setup::Setup;

/// Makes a planted bug likely to show.
pub(crate) fn aim_at(planted: Planted, setup: &mut Setup, rng: &mut Rng) {
    setup.model.clock_jumps_per_minute = 0.0;
    setup.model.corrupt_record = 0.0;
    setup.model.corrupt_block = 0.0;
    setup.engine.persist = Persist::BeyondLookAhead;
    match planted {
        Planted::Store(flaw) => aim_at_flaw(flaw, setup, rng),
        Planted::Engine(bug) => aim_at_bug(bug, setup, rng),
    }
}

fn aim_at_flaw(flaw: Flaw, setup: &mut Setup, rng: &mut Rng) {
    match flaw {
        Flaw::Fence | Flaw::EpochReuse | Flaw::SessionReuse => slow_and_paused(&mut setup.model),
        Flaw::LostAck | Flaw::BlockOverwrite | Flaw::TruncateTooFar => far_and_crashing(setup, rng),
        Flaw::PageOverclaims | Flaw::PageSplits => {
            far_and_crashing(setup, rng);
            setup.engine.page_bytes_max = 200;
            setup.engine.block_bytes_max = 200;
            setup.mix.round_due = 0.9;
        }
        Flaw::ExpireEarly => far_and_crashing(setup, rng),
        Flaw::DerivedLost => {
            setup.mix.moves = 20;
            setup.mix.horizon_ms = 3 * MINUTE_MS;
        }
        Flaw::StateLost => schedules(setup),
        Flaw::RecordsSkipped => setup.engine.log_read_bytes_max = 500,
        Flaw::LogEndsEarly => {
            far_and_crashing(setup, rng);
            setup.engine.dedupe_window_ms = 1;
            setup.mix.repeats = 25;
        }
        Flaw::CheckpointStale => far_and_crashing(setup, rng),
        Flaw::PreparedLate => {
            setup.model.drains_per_minute = 12.0;
            setup.tasks_per_second = 100;
            setup.engine.flush_interval_ms = 100;
            setup.engine.look_ahead_ms = 1_000;
            setup.mix.horizon_ms = 3 * MINUTE_MS;
        }
        Flaw::GapsUnsaved => {
            far_and_crashing(setup, rng);
            setup.model.clock_jumps_per_minute = 6.0;
            setup.model.clock_jump_ms_max = MINUTE_MS;
        }
        Flaw::PlacesRounded => {
            far_and_crashing(setup, rng);
            setup.engine.tick_publications_max = 2;
            setup.mix.round_due = 0.95;
            setup.mix.burst = 0.05;
        }
        Flaw::FindMisses => {
            setup.mix.moves = 30;
            setup.mix.cancels = 20;
            setup.mix.horizon_ms = 10 * MINUTE_MS;
            setup.engine.flush_interval_ms = 50;
        }
        Flaw::RevisionsLost => schedules(setup),
        Flaw::DueRounded | Flaw::BodiesSwapped => {
            far_and_crashing(setup, rng);
            setup.mix.round_due = 0.0;
        }
        Flaw::SetAsideLost => setup.model.corrupt_record = 0.05,
        Flaw::PublishedTwice => {}
        Flaw::GenerationOfRecords
        | Flaw::GenerationOfRows
        | Flaw::GenerationOfCheckpoint
        | Flaw::GenerationOfDerived => {
            far_and_crashing(setup, rng);
            setup.several_logs = 1.0;
            setup.mix.cancels = 15;
            setup.mix.moves = 20;
        }
        Flaw::SinkStubborn
        | Flaw::RefusalLost
        | Flaw::RefusalDoubled
        | Flaw::RefusalDropsNeighbours => setup.reception.refused = 100,
        Flaw::RefusalUntold => {
            schedules(setup);
            setup.reception.refused = 300;
        }
        Flaw::PutOffLost | Flaw::PutOffInPlace => setup.reception.put_off = 300,
        Flaw::PutOffTogether => setup.reception.put_off = 1_000,
        Flaw::RetentionShort => far_and_crashing(setup, rng),
        Flaw::SpeakerUnchecked | Flaw::DoubtBelieved | Flaw::HorizonFromClock => adopted(setup),
        Flaw::Atomic | Flaw::TornTick => {}
    }
}

fn aim_at_bug(bug: PlantedBug, setup: &mut Setup, rng: &mut Rng) {
    match bug {
        PlantedBug::Replay | PlantedBug::Position | PlantedBug::Late => {
            far_and_crashing(setup, rng);
        }
        PlantedBug::Ack => unacknowledged(setup),
        PlantedBug::ReadInFlight | PlantedBug::Unloaded => slow_reads(setup, rng),
        PlantedBug::Pending => {
            far_and_crashing(setup, rng);
            setup.engine.flush_interval_ms = 5_000;
            setup.engine.look_ahead_ms = 5_000;
            setup.mix.horizon_ms = 30 * SECOND_MS;
            setup.model.slow_request = 0.2;
            setup.model.slow_request_ms_max = 6_000;
        }
        PlantedBug::BeforeA => zombies_that_read(setup, rng),
        PlantedBug::Markers | PlantedBug::EndFirst => {
            far_and_crashing(setup, rng);
            setup.mix.cancels = 20;
            setup.mix.replaces = 20;
            setup.engine.log_read_bytes_max = 500;
        }
        PlantedBug::MoveUnasked => {
            setup.mix.cancels = 20;
            setup.mix.moves = 20;
            setup.mix.horizon_ms = 10 * MINUTE_MS;
            setup.engine.flush_interval_ms = 50;
        }
        PlantedBug::Hold | PlantedBug::HoldUnread | PlantedBug::HoldOvertaken => {
            setup.mix.moves = 30;
            setup.mix.horizon_ms = 30 * SECOND_MS;
            setup.model.slow_request = 0.1;
            setup.model.slow_request_ms_max = 3_000;
        }
        PlantedBug::Pair | PlantedBug::Budget => {
            far_and_crashing(setup, rng);
            setup.engine.tick_publications_max = if bug == PlantedBug::Budget { 8 } else { 2 };
            setup.mix.round_due = 0.95;
            setup.mix.burst = 0.05;
            setup.mix.horizon_ms = 30 * SECOND_MS;
        }
        PlantedBug::BacklogUnsaved | PlantedBug::BacklogForgets | PlantedBug::BacklogUnheld => {
            far_and_crashing(setup, rng);
            lagging(setup, rng);
        }
        PlantedBug::OwedUnsaved | PlantedBug::OwedUnnoted => {
            far_and_crashing(setup, rng);
            owing(setup, rng);
        }
        PlantedBug::OwedInOrder => {
            far_and_crashing(setup, rng);
            owing(setup, rng);
            setup.engine.catch_up_after_ms = 0;
            setup.engine.catch_up_rate_per_s = 5;
            setup.model.changed_settings = 0.6;
            setup.engine.tick_publications_max = 2;
        }
        PlantedBug::Dedupe => setup.mix.repeats = 25,
        PlantedBug::TornState | PlantedBug::RevisionOverlap | PlantedBug::StateReplayed => {
            schedules(setup)
        }
        PlantedBug::ClampedRevision => {
            schedules(setup);
            setup.sinks_tell_the_time = false;
            setup.model.clock_skew_ms_max = MINUTE_MS;
            setup.mix.schedule_changes_per_minute = 6;
        }
        PlantedBug::EndAny => {
            schedules(setup);
            setup.mix.schedule_changes_per_minute = 80;
            (setup.mix.restless, setup.mix.forgetful) = (0, 25);
            let runs = &mut setup.mix.runs;
            (runs.long, runs.unheard, runs.stops_lost) = (700, 0, 900);
        }
        PlantedBug::SettleOne => {
            runs_in_progress(setup);
            (setup.mix.restless, setup.mix.runs.long) = (80, 400);
        }
        PlantedBug::EndSettles
        | PlantedBug::ReviseSettles
        | PlantedBug::RestStarts
        | PlantedBug::RestBackfills
        | PlantedBug::PauseNominal
        | PlantedBug::EndJitter
        | PlantedBug::EndBuffer
        | PlantedBug::RunTimeout
        | PlantedBug::StopNominal
        | PlantedBug::StopQueue
        | PlantedBug::StopOnce
        | PlantedBug::Inherits
        | PlantedBug::TriggerPolicy
        | PlantedBug::BackfillTwice
        | PlantedBug::BackfillUnstopped => runs_in_progress(setup),
        PlantedBug::StoppedRetries | PlantedBug::RetryCancelled => {
            runs_in_progress(setup);
            let runs = &mut setup.mix.runs;
            (runs.failing, runs.retried, runs.cancelled, runs.stops_lost) = (500, 800, 400, 400);
        }
        PlantedBug::LateCreation | PlantedBug::EndOwed => {
            runs_in_progress(setup);
            setup.model.outages_per_minute = 8.0;
            setup.model.outage_ms_max = 20_000;
        }
        PlantedBug::StaleAnswer | PlantedBug::DoubtIgnored => {
            far_and_crashing(setup, rng);
            setup.model.commit_in_doubt = 0.05;
            setup.model.repeated_answer = 0.1;
            setup.model.slow_request = 0.1;
            setup.model.slow_request_ms_max = 6_000;
        }
        PlantedBug::HandOverUnflushed => {
            setup.model.drains_per_minute = 8.0;
            setup.engine.flush_interval_ms = 5_000;
            setup.engine.look_ahead_ms = 2_000;
            setup.mix.horizon_ms = 3 * MINUTE_MS;
        }
        PlantedBug::HandOverDrains => {
            lagging(setup, rng);
            setup.engine.catch_up_rate_per_s = 0;
            setup.engine.tick_publications_max = 1;
            setup.tasks_per_second = 300;
            setup.model.outage_ms_max = 20_000;
            setup.model.drains_per_minute = 12.0;
        }
        PlantedBug::HandOverWaits => {
            setup.model.drains_per_minute = 12.0;
            setup.model.outages_per_minute = 8.0;
            setup.model.outage_ms_max = 20_000;
        }
        PlantedBug::MemoryUnbounded => short_of_memory(setup),
        PlantedBug::MemoryInbox => little_memory(setup, rng),
        PlantedBug::LookAheadWide => {
            little_memory(setup, rng);
            setup.sinks_tell_the_time = false;
            setup.model.clock_jumps_per_minute = 6.0;
            setup.model.clock_jump_ms_max = 60 * MINUTE_MS;
            setup.mix.horizon_ms = 10 * MINUTE_MS;
        }
        PlantedBug::ClockUnchecked => {
            setup.sinks_tell_the_time = true;
            setup.model.clock_jumps_per_minute = 4.0;
        }
        PlantedBug::Deaf => {
            setup.model.lost_growth = 0.5;
            setup.model.reader_deaths_per_minute = 6.0;
            setup.engine.dedupe_window_ms = 3_000;
        }
        PlantedBug::MixedBlocks | PlantedBug::PassedWritten => {
            all_written(bug, setup, rng);
        }
        PlantedBug::ShortRead => {
            setup.model.hanging_per_minute = 12.0;
            setup.model.hanging_ms_max = 20_000;
            setup.engine.dedupe_window_ms = 10_000;
            setup.mix.repeats = 30;
            setup.mix.horizon_ms = 30 * SECOND_MS;
        }
        PlantedBug::Horizon => adopted(setup),
        PlantedBug::HorizonNew => {
            adopted(setup);
            schedules(setup);
        }
        PlantedBug::HorizonAssumed => {
            adopted(setup);
            setup.model.lost_answer = 0.3;
        }
        PlantedBug::Early => {}
    }
}

/// Other regions that adopt this one and give it back, again and again.
fn adopted(setup: &mut Setup) {
    setup.engine.has_other_regions = true;
    setup.model.adoptions_per_minute = 6.0;
    setup.model.adoption_ms_max = 20_000;
    setup.model.register_in_doubt = 0.3;
}

/// Outages that leave a backlog, and little room in each tick to catch up with it.
fn lagging(setup: &mut Setup, rng: &mut Rng) {
    setup.tasks_per_second = 60;
    setup.model.outages_per_minute = setup.model.outages_per_minute.max(4.0);
    setup.model.outage_ms_max = 10_000;
    setup.engine.catch_up_after_ms = rng.pick(&[1, 300, 1_000]);
    setup.engine.catch_up_rate_per_s = 20;
    setup.engine.dedupe_window_ms = 3_000;
    setup.mix.horizon_ms = 30 * SECOND_MS;
    setup.mix.moves = 20;
    setup.mix.repeats = 25;
}

/// Many schedules that run often, and outages after which they owe much.
fn owing(setup: &mut Setup, rng: &mut Rng) {
    setup.model.outages_per_minute = setup.model.outages_per_minute.max(4.0);
    setup.model.outage_ms_max = 60_000;
    setup.engine.catch_up_after_ms = rng.pick(&[1, 300, 1_000]);
    setup.engine.catch_up_rate_per_s = 60;
    setup.mix.schedules = 40;
    setup.mix.schedule_changes_per_minute = 100;
    setup.mix.horizon_ms = 30 * SECOND_MS;
}

/// Much to do, little memory, and stores that are out for long.
fn short_of_memory(setup: &mut Setup) {
    (setup.partitions, setup.tasks_per_second) = (1, 300);
    setup.model = FaultModel {
        outages_per_minute: 4.0,
        outage_ms_max: 60_000,
        ..FaultModel::healthy()
    };
    setup.engine = Config {
        look_ahead_ms: 2_000,
        dedupe_window_ms: 3_000,
        memory_bytes_max: 256 * 1024,
        page_bytes_max: 16 * 1024,
        flush_interval_ms: 50,
        ..Config::default()
    };
    setup.mix.horizon_ms = 10 * MINUTE_MS;
    setup.mix.schedules = 0;
}

/// Owners that are often away, small tasks that run soon and are remembered for long, and hardly
/// any memory.
fn little_memory(setup: &mut Setup, rng: &mut Rng) {
    (setup.partitions, setup.tasks_per_second) = (1, 24);
    far_and_crashing(setup, rng);
    setup.engine.look_ahead_ms = 2_000;
    setup.engine.dedupe_window_ms = 30_000;
    setup.engine.memory_bytes_max = 16 * 1_024;
    setup.engine.log_read_bytes_max = 1024 * 1024;
    setup.mix.horizon_ms = 30 * SECOND_MS;
}

/// Everything is written, and R follows soon: what a successor is to know stands in the timetable.
fn all_written(bug: PlantedBug, setup: &mut Setup, rng: &mut Rng) {
    far_and_crashing(setup, rng);
    setup.engine.persist = Persist::All;
    setup.engine.look_ahead_ms = rng.pick(&[5_000, 15_000]);
    setup.engine.flush_interval_ms = 300;
    setup.engine.dedupe_window_ms = 30_000;
    setup.mix.horizon_ms = 30 * SECOND_MS;
    if bug != PlantedBug::MixedBlocks {
        // R is exact to some hundred offsets.
        (setup.partitions, setup.tasks_per_second) = (1, 240);
        setup.mix.repeats = 25;
        setup.mix.schedules = 0;
        setup.model.outages_per_minute = 8.0;
        setup.model.outage_ms_max = 10_000;
    }
}

fn slow_and_paused(model: &mut FaultModel) {
    model.pauses_per_minute = 6.0;
    model.pause_ms_max = 20_000;
    model.slow_request = 0.05;
    model.slow_request_ms_max = 20_000;
    model.duplicate_write = 0.05;
    model.duplicate_write_ms_max = 30_000;
}

fn far_and_crashing(setup: &mut Setup, rng: &mut Rng) {
    setup.model.crashes_per_minute = setup.model.crashes_per_minute.max(4.0);
    setup.model.crash_loses_request = setup.model.crash_loses_request.max(0.5);
    setup.model.restart_ms_max = setup.model.restart_ms_max.min(10_000);
    setup.engine.look_ahead_ms = rng.pick(&[2_000, 5_000]);
    setup.engine.flush_interval_ms = rng.pick(&[300, 1_000]);
    setup.mix.horizon_ms = rng.pick(&[3 * MINUTE_MS, 10 * MINUTE_MS]);
}

fn schedules(setup: &mut Setup) {
    setup.mix.schedules = 6;
    setup.mix.schedule_changes_per_minute = 20;
    setup.model.crashes_per_minute = setup.model.crashes_per_minute.max(4.0);
    setup.model.restart_ms_max = setup.model.restart_ms_max.min(10_000);
}

/// Schedules that are changed all the time, and runs that go on, fail and are asked to stop.
fn runs_in_progress(setup: &mut Setup) {
    schedules(setup);
    setup.mix.schedule_changes_per_minute = 60;
    setup.mix.restless = 30;
    let runs = &mut setup.mix.runs;
    (runs.unheard, runs.long) = (runs.unheard.max(50), 200);
    runs.failing = runs.failing.max(200);
}

/// R is counted in chunks of some hundred offsets: one busy partition whose commands settle soon,
/// stores that are often out for a while, and owners that die before they could write what they had
/// sent.
fn unacknowledged(setup: &mut Setup) {
    (setup.nodes, setup.partitions, setup.tasks_per_second) = (2, 1, 240);
    setup.model = FaultModel {
        crashes_per_minute: 10.0,
        restart_ms_max: 3_000,
        crash_loses_request: 1.0,
        outages_per_minute: 12.0,
        outage_ms_max: 10_000,
        ..FaultModel::healthy()
    };
    setup.engine = Config {
        look_ahead_ms: 2_000,
        dedupe_window_ms: 1,
        flush_interval_ms: 50,
        checkpoint_interval_ms: 100,
        ..Config::default()
    };
    setup.mix.horizon_ms = 3 * MINUTE_MS;
    setup.mix.schedules = 0;
}

/// Reads of the timetable that take longer than the look-ahead lasts, while blocks are written at
/// once.
fn slow_reads(setup: &mut Setup, rng: &mut Rng) {
    setup.tasks_per_second = 60;
    setup.model.slow_request = 0.2;
    setup.model.slow_request_ms_max = 4_000;
    setup.engine.look_ahead_ms = rng.pick(&[2_000, 5_000]);
    setup.engine.flush_interval_ms = 50;
    setup.engine.block_bytes_max = 200;
    setup.engine.block_writes_max = 8;
    setup.mix.horizon_ms = 30 * SECOND_MS;
}

/// Owners that lose coordinator and sink but go on reading the log and writing blocks, while their
/// successors cannot read the log.
fn zombies_that_read(setup: &mut Setup, rng: &mut Rng) {
    setup.model = FaultModel {
        cuts_per_minute: 12.0,
        cut_ms_max: 60_000,
        slow_request: 0.02,
        slow_request_ms_max: 5_000,
        ..FaultModel::healthy()
    };
    setup.tasks_per_second = 36;
    setup.engine.look_ahead_ms = rng.pick(&[2_000, 5_000]);
    setup.engine.flush_interval_ms = 50;
    setup.engine.memory_bytes_max = 512 * 1024 * 1024;
    setup.mix.horizon_ms = 2 * MINUTE_MS;
    setup.mix.replaces = 20;
}
