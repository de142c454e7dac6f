//! What a run is asked to do, and what its seed makes of that.

use minutehand_engine::Config;
use minutehand_model::time::{MINUTE_MS, SECOND_MS};
use minutehand_model::{LogGeneration, Persist};

use crate::faults::FaultModel;
use crate::planted::{Breakable, Planted};
use crate::profile;
use crate::rng::Rng;
use crate::setup::{Mix, Setup};
use crate::store::Reception;
use crate::workload::RunMix;

/// True time at the beginning of every run: 2026-01-01T00:00:00Z.
pub(crate) const BEGIN_MS: i64 = 1_767_225_600_000;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// A bug to plant.
    pub planted: Option<Planted>,
    /// Nodes of the cluster, at least 1.
    pub nodes: usize,
    /// Partitions, at least 1.
    pub partitions: usize,
    /// Commands a second, over all partitions, at least 1.
    pub tasks_per_second: u64,
    /// How long commands and faults go on, in virtual seconds; then everything is healed and
    /// drained.
    pub virtual_seconds: u64,
    /// Whether the report carries the trace as text.
    pub trace: bool,
    /// The faults; `None`: each seed draws its own, one seed in eight none.
    pub fault_model: Option<FaultModel>,
    /// What the timetable gets; `None`: each seed draws it.
    pub persist: Option<Persist>,
    /// Whether a ledger is kept. It makes other requests, so it is another run of the same seed.
    pub ledger: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            planted: None,
            nodes: 3,
            partitions: 3,
            tasks_per_second: 12,
            virtual_seconds: 90,
            trace: false,
            fault_model: None,
            persist: None,
            ledger: false,
        }
    }
}

impl Setup {
    pub(crate) fn draw(seed: u64, options: &Options) -> Setup {
        let mut setup = Setup::draw_aimed(seed, options);
        match options.planted {
            Some(Planted::Engine(bug)) => setup.rules.broken = Some(bug),
            Some(Planted::Store(flaw)) => setup.flaw = Some(flaw),
            None => {}
        }
        setup
    }

    /// The setup under which a planted bug is looked for, without the bug.
    pub(crate) fn draw_aimed(seed: u64, options: &Options) -> Setup {
        let mut rng = Rng::fork(seed, 7);
        let drawn = if rng.chance(0.125) {
            FaultModel::healthy()
        } else {
            FaultModel::draw(&mut rng, &mut Rng::fork(seed, 17))
        };
        let mut mix = draw_mix(&mut rng, &mut Rng::fork(seed, 13));
        mix.horizon_ms = mix
            .horizon_ms
            .min(options.virtual_seconds as i64 * 20 * SECOND_MS);
        let faults_end_ms = BEGIN_MS + options.virtual_seconds.max(1) as i64 * SECOND_MS;
        let mut setup = Setup {
            seed,
            begin_ms: BEGIN_MS,
            faults_end_ms,
            drain_ms: mix.horizon_ms + 2 * MINUTE_MS,
            nodes: options.nodes.max(1),
            partitions: options.partitions.max(1),
            tasks_per_second: options.tasks_per_second.max(1),
            model: drawn,
            engine: draw_engine(&mut rng),
            rules: Breakable::default(),
            flaw: None,
            trace: options.trace,
            sinks_tell_the_time: false,
            log_has_markers: rng.chance(0.3),
            several_logs: 0.25,
            log_generation: LogGeneration::FIRST,
            logs_begin: Vec::new(),
            log_keeps_all: false,
            reception: Reception::default(),
            mix,
        };
        // Drawn apart, so that a seed's other choices do not depend on it.
        draw_catching_up(&mut Rng::fork(seed, 8), &mut setup.engine);
        let mut persisting = Rng::fork(seed, 9);
        setup.engine.persist = persisting.pick(Persist::ALL);
        let mut comparing = Rng::fork(seed, 10);
        setup.sinks_tell_the_time = comparing.chance(0.5);
        setup.engine.clock_skew_ms_max = comparing.pick(&[500, 2_000, 5_000]);
        let mut receiving = Rng::fork(seed, 12);
        setup.log_keeps_all = receiving.chance(0.3);
        setup.reception.refused = receiving.pick(&[0, 0, 20, 100]);
        setup.reception.put_off = receiving.pick(&[0, 0, 50, 300]);
        setup.engine.has_other_regions =
            options.planted.is_none() && Rng::fork(seed, 18).chance(0.3);
        if let Some(planted) = options.planted {
            profile::aim_at(planted, &mut setup, &mut rng);
        }
        setup.engine.ledger = options.ledger;
        // Last, because planted bugs set the number of partitions.
        setup.draw_logs(&mut Rng::fork(seed, 11));
        if let Some(model) = &options.fault_model {
            setup.model = model.clone();
        }
        if let Some(persist) = options.persist {
            setup.engine.persist = persist;
        }
        setup.drain_ms = setup.mix.horizon_ms + 2 * MINUTE_MS;
        setup
    }

    /// Draws which logs the partitions have: mostly one, the first.
    fn draw_logs(&mut self, rng: &mut Rng) {
        if !rng.chance(self.several_logs) {
            return;
        }
        self.log_generation = rng.pick(&[
            LogGeneration::FIRST,
            LogGeneration::FIRST.next().unwrap_or_default(),
        ]);
        for partition in 0..self.partitions {
            for _ in 0..rng.below(3) {
                self.logs_begin
                    .push((rng.range(self.begin_ms, self.faults_end_ms), partition));
            }
        }
    }

    /// Whether what is late is left behind by every owner, so that the rest is on time.
    pub(crate) fn leaves_behind(&self) -> bool {
        self.engine.catch_up_after_ms > 0 && self.model.changed_settings == 0.0
    }

    /// The most memory that an owner may take for what is neither due soon nor only remembered: its
    /// budget, the quarter beyond it that urgent reads may take, answers of the stores, and pages
    /// that what was due soon still holds.
    pub(crate) fn far_bytes_max(&self) -> usize {
        let Config {
            memory_bytes_max,
            look_ahead_ms,
            ..
        } = self.engine;
        let near_ms = look_ahead_ms + NEAR_MORE_MS;
        let rate = self.tasks_per_second.div_ceil(self.partitions as u64) + 2;
        let near = usize::try_from(near_ms).unwrap_or(usize::MAX) / 1_000 * rate as usize;
        memory_bytes_max.saturating_mul(3) / 2 + (near + NEAR_TASKS_MORE) * TASK_BYTES
    }

    /// The setup of a speed measurement: default settings, no faults, due times up to ten minutes
    /// ahead.
    pub(crate) fn for_speed(seed: u64, options: &Options) -> Setup {
        let mut setup = Setup::draw(seed, options);
        setup.model = options
            .fault_model
            .clone()
            .unwrap_or_else(FaultModel::healthy);
        setup.engine = Config {
            ledger: options.ledger,
            ..Config::default()
        };
        setup.rules = Breakable::default();
        setup.engine.has_other_regions = false;
        setup.log_has_markers = false;
        (setup.log_generation, setup.logs_begin) = (LogGeneration::FIRST, Vec::new());
        setup.reception = Reception::default();
        setup.mix.horizon_ms = 10 * MINUTE_MS;
        setup.drain_ms = setup.mix.horizon_ms + MINUTE_MS;
        setup
    }
}

fn draw_mix(rng: &mut Rng, running: &mut Rng) -> Mix {
    Mix {
        horizon_ms: rng.pick(&[
            30 * SECOND_MS,
            3 * MINUTE_MS,
            10 * MINUTE_MS,
            60 * MINUTE_MS,
        ]),
        late_ms_max: running.pick(&[5_000, 5_000, 20_000, 120_000]),
        round_due: rng.below(100) as f64 / 150.0,
        burst: if rng.chance(0.3) { 0.02 } else { 0.0 },
        cancels: rng.below(16),
        moves: rng.below(14),
        replaces: rng.below(12),
        repeats: rng.below(16),
        schedules: rng.below(7) as usize,
        schedule_changes_per_minute: rng.range(2, 20),
        restless: running.pick(&[0, 15, 15, 50]),
        forgetful: 5,
        runs: RunMix::draw(running),
    }
}

/// What is left behind, and how fast it is caught up with.
pub(crate) fn draw_catching_up(rng: &mut Rng, config: &mut Config) {
    config.catch_up_after_ms = rng.pick(&[0, 1, 100, 300, 1_000, 2_000]);
    config.catch_up_rate_per_s = rng.pick(&[0, 0, 20, 300]);
}

const KIB: usize = 1_024;
/// What is near takes so many bytes for each millisecond of the look-ahead: less memory than that
/// makes everything late.
const NEAR_BYTES_PER_MS: usize = 4;
/// What a task of the workload takes in memory, at most.
const TASK_BYTES: usize = 250;
/// How much longer than the look-ahead tasks may be near, in milliseconds.
const NEAR_MORE_MS: i64 = 3_000;
/// Tasks of one burst, or of one due time.
const NEAR_TASKS_MORE: usize = 200;

/// Small limits in many seeds, so that every edge is met often.
fn draw_engine(rng: &mut Rng) -> Config {
    let look_ahead_ms = rng.pick(&[2_000, 5_000, 15_000, 30_000, 90_000]);
    let dedupe_window_ms = rng.pick(&[3_000, 10_000, 30_000]);
    Config {
        look_ahead_ms,
        dedupe_window_ms,
        memory_bytes_max: rng
            .pick(&[32 * KIB, 128 * KIB, 512 * KIB * KIB, 512 * KIB * KIB])
            .max(look_ahead_ms as usize * NEAR_BYTES_PER_MS),
        page_bytes_max: rng.pick(&[1, 700, 4_096, 4 * 1024 * 1024]),
        log_read_bytes_max: rng.pick(&[1, 500, 4_096, 1024 * 1024]),
        block_bytes_max: rng.pick(&[200, 1_000, 16 * 1024]),
        flush_interval_ms: rng.pick(&[50, 300, 1_000, 5_000]),
        block_writes_max: rng.pick(&[1, 2, 8]),
        tick_publications_max: rng.pick(&[1, 2, 7, 64, 8_192]),
        tick_bytes_max: rng.pick(&[500, 8 * 1024 * 1024, 8 * 1024 * 1024]),
        normal_tick_delay_ms: rng.pick(&[0, 0, 20]),
        low_tick_delay_ms: rng.pick(&[0, 100, 500]),
        checkpoint_interval_ms: rng.pick(&[100, 500, 2_000]),
        lease_ttl_ms: 5_000,
        retry_delay_ms: rng.pick(&[10, 50, 300]),
        schedule_occurrences_per_tick_max: rng.pick(&[1, 10, 256]),
        ..Config::default()
    }
}
