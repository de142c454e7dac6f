//! Carrying a load out: consumers first, then schedules, then tasks at their time, then waiting for
//! the last.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};

use super::payload::Payloads;
use super::plan::Plan;
use super::report::{Course, LoadReport};
use super::sample::Sampler;
use super::scenario::Due;
use super::shared::{AskedSchedules, Part, Shared};
use super::timeline::{Spread, row_ms};
use super::verifier::{Counts, Verifier};
use super::{LoadError, LoadOptions, Target, via_http};

/// From the start of the program to the first task, unless a time is given.
const LEAD_MS: i64 = 500;
/// Tasks that are due later after the end than this are not waited for.
const WAITED_FOR_MS_MAX: i64 = 150_000;
/// How often progress is told, and how often is looked whether the last has come.
const TOLD_EVERY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
/// The same where every task is looked at.
const LOOK_AT_ALL: Duration = Duration::from_millis(500);
/// So long after their creation schedules are expected to run, in milliseconds.
const SCHEDULES_SETTLE_MS: i64 = 5_000;

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Seconds since it began.
    pub at_s: f64,
    /// Tasks handed over.
    pub asked: u64,
    /// Tasks of the whole plan.
    pub tasks: u64,
    /// What became of them so far.
    pub counts: Counts,
    /// From due to started so far, in milliseconds.
    pub start_ms: Spread,
}

/// Runs a load to its end; tells how far it is, once a second.
///
/// # Errors
/// When it cannot be carried out. That promises are not kept is no error: the report says so.
pub fn run(
    options: &LoadOptions,
    tell: &mut dyn FnMut(&Progress),
) -> Result<LoadReport, LoadError> {
    check(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let way = Way::open(options, &runtime)?;
    let run = options.run.clone();
    let run = run.unwrap_or_else(|| format!("l{}", SystemClock.now().as_millis()));
    let schedules = way.create_schedules(options, &run, &runtime)?;
    // What is still being applied may count or not: soon all of it does.
    let schedules_from = SystemClock.now().plus_millis(SCHEDULES_SETTLE_MS);
    let begin = options.begin;
    let begin = begin.unwrap_or_else(|| SystemClock.now().plus_millis(LEAD_MS));
    let plan = Plan::new(options.scenario.clone(), begin, run, way.partitions())?;
    let row_ms = row_ms(options.scenario.lasts());
    let shared = std::sync::Arc::new(Shared {
        payloads: Payloads::new(options.scenario.seed, options.scenario.payload_bytes),
        verifier: Mutex::new(Verifier::new(plan.clone(), options.early_margin_ms, row_ms)),
        plan,
        since: Instant::now()
            + Duration::from_millis(begin.millis_since(SystemClock.now()).max(0) as u64),
        asked: AtomicU64::new(0),
        behind_ms_max: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        failed: Mutex::new(None),
    });
    let sampler = Sampler::start(
        options.watched.clone(),
        Duration::from_millis(row_ms as u64),
    );
    let consuming = options
        .verify
        .then(|| way.consume(options, &shared, &runtime));
    shared.verifier().scheduled(schedules, schedules_from);
    let producing = way.produce(options, &shared, &runtime);
    follow(&shared, tell, LOOK, || {
        producing.iter().all(|one| one.is_finished())
    });
    for one in producing {
        one.join().map_err(|_| ended("a generator"))?;
    }
    let by = wait(options, &shared, tell);
    shared.is_over.store(true, Ordering::Relaxed);
    for one in consuming.into_iter().flatten() {
        one.join().map_err(|_| ended("a consumer"))?;
    }
    let sampled = sampler.finish();
    let failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = failed.clone() {
        return Err(LoadError::Target(why));
    }
    drop(failed);
    drop(way);
    let course = Course {
        via: options.target.word(),
        share: options.share,
        is_verified: options.verify,
        asked: shared.asked.load(Ordering::Relaxed),
        behind_ms_max: shared.behind_ms_max.load(Ordering::Relaxed),
        sampled,
    };
    let unread = Verifier::new(shared.plan.clone(), 0, row_ms);
    let verifier = std::mem::replace(&mut *shared.verifier(), unread);
    // Without a consumer nothing is expected.
    let by = if options.verify { by } else { Timestamp::MIN };
    Ok(LoadReport::new(&shared.plan, verifier.finish(by), course))
}

fn ended(what: &str) -> LoadError {
    LoadError::System(std::io::Error::other(format!("{what} panicked")))
}

fn check(options: &LoadOptions) -> Result<(), LoadError> {
    let refused = |words: String| Err(LoadError::Options(words));
    let (part, of) = options.share;
    if part == 0 || part > of || of > 1_000 {
        return refused(format!(
            "--share is {part}/{of}; it must be K/N with K from 1 to N, at most 1000"
        ));
    }
    if of > 1 && (options.run.is_none() || options.begin.is_none()) {
        let words = "several machines share --run and --begin: give both beside --share";
        return refused(words.to_owned());
    }
    if !(1..=64).contains(&options.generators) {
        let given = options.generators;
        return refused(format!("--generators is {given}; it must be 1 to 64"));
    }
    let longest = minutehand_model::limits::ID_BYTES_MAX / 2;
    let is_plain = |run: &str| {
        (1..=longest).contains(&run.len())
            && run
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(run) = options.run.as_deref().filter(|run| !is_plain(run)) {
        return refused(format!(
            "--run is {run:?}; it must be 1 to {longest} letters, digits and _"
        ));
    }
    if !options.scenario.events.is_empty() && !options.events_are_done {
        return refused(format!(
            "the scenario {:?} stops and kills schedulers, which the rig does: cargo xtask rig --scenario {0}",
            options.scenario.name
        ));
    }
    Ok(())
}

/// Which way things go, with what that needs.
enum Way {
    Http(via_http::ViaHttp),
    #[cfg(feature = "cluster")]
    Kafka(super::kafka::ViaKafka),
}

type All = std::sync::Arc<Shared>;

impl Way {
    fn open(options: &LoadOptions, runtime: &tokio::runtime::Runtime) -> Result<Way, LoadError> {
        Ok(match &options.target {
            Target::Http(target) => Way::Http(via_http::ViaHttp::open(target, runtime)?),
            #[cfg(feature = "cluster")]
            Target::Kafka(config) => Way::Kafka(super::kafka::ViaKafka::open(config, runtime)?),
        })
    }

    fn partitions(&self) -> u32 {
        match self {
            Way::Http(way) => way.partitions(),
            #[cfg(feature = "cluster")]
            Way::Kafka(way) => way.partitions(),
        }
    }

    /// Creates the schedules, if there are some and it is the first machine; answers how many.
    fn create_schedules(
        &self,
        options: &LoadOptions,
        run: &str,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<u64, LoadError> {
        let schedules = options.scenario.schedules.as_ref();
        let Some(schedules) = schedules.filter(|_| options.share.0 == 1) else {
            return Ok(0);
        };
        // They end by themselves, some time after the run.
        let lasts_ms = 2 * options.scenario.lasts() + options.wait_ms;
        let asked = AskedSchedules {
            run,
            schedules,
            end: SystemClock.now().plus_millis(lasts_ms),
        };
        match self {
            Way::Http(way) => runtime.block_on(way.create_schedules(&asked))?,
            #[cfg(feature = "cluster")]
            Way::Kafka(way) => way.create_schedules(&asked)?,
        }
        Ok(schedules.count)
    }

    fn consume(
        &self,
        options: &LoadOptions,
        shared: &All,
        runtime: &tokio::runtime::Runtime,
    ) -> Vec<Part> {
        match self {
            Way::Http(way) => way.consume(options, shared, runtime),
            #[cfg(feature = "cluster")]
            Way::Kafka(way) => way.consume(shared),
        }
    }

    fn produce(
        &self,
        options: &LoadOptions,
        shared: &All,
        runtime: &tokio::runtime::Runtime,
    ) -> Vec<Part> {
        match self {
            Way::Http(way) => way.produce(options, shared, runtime),
            #[cfg(feature = "cluster")]
            Way::Kafka(way) => way.produce(options, shared),
        }
    }
}

/// Tells how far it is until it is there.
fn follow(
    shared: &Shared,
    tell: &mut dyn FnMut(&Progress),
    look: Duration,
    is_there: impl Fn() -> bool,
) {
    let mut told = Instant::now();
    while !is_there() {
        std::thread::sleep(look);
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            tell(&progress(shared));
        }
    }
}

fn progress(shared: &Shared) -> Progress {
    let verifier = shared.verifier();
    Progress {
        at_s: shared.elapsed_ms().unwrap_or(0.0) / 1_000.0,
        asked: shared.asked.load(Ordering::Relaxed),
        tasks: shared.plan.tasks(),
        counts: verifier.counts(),
        start_ms: verifier.timeline().start(),
    }
}

/// Waits for what is due soon, and then until all of it has come or the patience is over; answers
/// by when what was due is expected.
fn wait(options: &LoadOptions, shared: &Shared, tell: &mut dyn FnMut(&Progress)) -> Timestamp {
    let end = shared.plan.begin().plus_millis(options.scenario.lasts());
    let by = end.plus_millis(due_after_ms(options));
    if !options.verify {
        return by;
    }
    follow(shared, tell, LOOK, || {
        SystemClock.now() >= by || shared.has_failed()
    });
    let deadline = by.plus_millis(options.wait_ms);
    follow(shared, tell, LOOK_AT_ALL, || {
        shared.has_failed() || SystemClock.now() >= deadline || shared.verifier().missing(by) == 0
    });
    by
}

/// How long after the last creation the last task is due that is waited for, in milliseconds.
fn due_after_ms(options: &LoadOptions) -> i64 {
    let dues = options
        .scenario
        .streams
        .iter()
        .map(|stream| match stream.due {
            Due::Between(_, to) if to <= WAITED_FOR_MS_MAX => to,
            Due::MinuteAfter(ahead) if ahead <= WAITED_FOR_MS_MAX => ahead + 60_000,
            Due::Between(..) | Due::MinuteAfter(_) | Due::Overdue(_) => 0,
        });
    dues.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_do_not_fit_are_refused_in_words() {
        let target = super::super::HttpTarget {
            server: "http://127.0.0.1:1".to_owned(),
            token: None,
            cacert: None,
        };
        let scenario = |name| super::super::Scenario::find(name).expect("a scenario");
        let plain = LoadOptions::new(scenario("steady"), Target::Http(target));
        let refused = |change: &dyn Fn(&mut LoadOptions), says: &str| {
            let mut options = plain.clone();
            change(&mut options);
            let error = run(&options, &mut |_| {}).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(&|options| options.share = (3, 2), "--share is 3/2");
        refused(
            &|options| options.share = (1, 2),
            "give both beside --share",
        );
        refused(&|options| options.generators = 0, "--generators is 0");
        refused(
            &|options| options.run = Some("a b".to_owned()),
            "--run is \"a b\"",
        );
        refused(
            &|options| options.scenario = scenario("owner-killed"),
            "cargo xtask rig --scenario owner-killed",
        );
        refused(&|_| {}, "did not answer");
    }
}
