//! `minutehand dev`: everything in one process, on the embedded store.

mod crontab;
mod follow;
mod greeting;
mod store;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use minutehand_cli::{DevArgs, Exit, Failure};
use minutehand_embedded::{EmbeddedStore, Health};
use minutehand_engine::Config;
use minutehand_http::{ApiConfig, IdSource, NamespacePolicy, ServeLimits, TlsFiles};
use minutehand_node::{Clock, SystemClock};
use minutehand_standalone::{Ended, Scheduler};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::descriptors::Descriptors;
use crate::permission::CommandPermission;
use crate::settings::Settings;
use crate::signals::{Signals, unless, until_true};
use crate::telemetry::{self, LogFormat};
use crate::tls;
use crontab::AtStart;
use follow::Follower;

/// Runs until SIGINT or SIGTERM, then hands everything over and stops.
pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let settings = Settings::effective(&args)?;
    let commands = CommandPermission::of_tasks(settings.is_on("process_executor"));
    let follower = Follower::new(&args, commands.clone());
    let mut crontabs = crontab::read(&args)?;
    telemetry::start_logs(&args.log, LogFormat::Text)?;
    let metrics = telemetry::start_metrics()?;
    let descriptors = Descriptors::raised().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    tracing::debug!(
        store = descriptors.for_store(),
        connections = descriptors.for_connections(),
        runs = descriptors.for_runs(),
        "shared out the file descriptors"
    );
    let tokens = tls::tokens(args.tokens_file.clone(), &signals)?;
    let tls_files = args.tls_cert_file.clone().zip(args.tls_key_file.clone());
    let tls_files =
        tls_files.map(|(cert, key)| TlsFiles { cert, key, client_ca: args.tls_client_ca_file.clone() });
    minutehand_http::refuse_open_bind(args.http, &tokens)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let listener = minutehand_http::listen(args.http).map_err(|error| {
        Failure::new(Exit::Failed, format!("could not listen on {}: {error}", args.http))
            .with_hint("choose another address with --http")
    })?;
    let http = listener.local_addr().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;

    let store = store::open(&args, &settings, descriptors).await?;
    let scheduler = Scheduler::start(Arc::clone(&store), engine_config(&settings));
    let (stop, stopping) = watch::channel(false);
    let executors = workers::executors(&settings, commands.clone(), args.data_dir.join("output"))?;
    let drain = Duration::from_millis(settings.number("drain_ms").unsigned_abs());
    // Workers begin when it is known which commands are those of crontabs.
    let (known, executors_known) = oneshot::channel();
    let workers = tokio::spawn({
        let (store, runs_max, stopping) = (store.clone(), descriptors.for_runs(), stopping.clone());
        async move {
            if let Ok(executors) = executors_known.await {
                workers::run(store, executors, settings, runs_max, stopping).await;
            }
        }
    });
    let router = minutehand_http::router(ApiConfig {
        gateway: Arc::clone(scheduler.gateway()),
        tokens,
        namespaces: NamespacePolicy::OnFirstUse,
        ids: IdSource::from_system(),
        metrics: Arc::new(move || metrics.render()),
        default_group: minutehand_worker::GROUP_DEFAULT.to_owned(),
    });
    let is_tls = tls_files.is_some();
    let limits = ServeLimits { drain, ..ServeLimits::default() }.within(descriptors.for_connections());
    let served = tls::serve(listener, tls_files, router, limits, &signals, until_true(stopping))?;
    let served = tokio::spawn(served);

    let begin = Box::pin(async {
        scheduler.ready().await.map_err(|ended| stopped(&ended))?;
        let changes = crontab::follow(scheduler.gateway(), &mut crontabs).await?;
        commands.grant_lines(crontab::lines(&crontabs));
        known.send(executors).ok();
        let followed = changes.apply(scheduler.gateway(), crontabs, AtStart::Now, SystemClock.now()).await?;
        let schedules = (!args.crontab.is_empty()).then_some(followed.schedules);
        println!("{}", greeting::greeting(http, is_tls, &args.data_dir, schedules));
        Ok::<(), Failure>(())
    });
    let work = async {
        if let Err(failure) = begin.await {
            return failure;
        }
        tokio::select! {
            ended = scheduler.ended() => stopped(&ended),
            reason = closed(&store) => Failure::new(Exit::Failed, reason),
            () = follower.run(scheduler.gateway()) => unreachable!("it follows for as long as it is polled"),
        }
    };
    let ended_by_itself = unless(signals.asked_to_stop(), work).await;
    stop.send_replace(true);
    // Callers and runs have the same time to end, side by side; neither waits for the other.
    let _ = tokio::join!(served, timeout(drain + WORKERS_LAST_STEPS, workers));
    let handed_over = scheduler.stop().await;
    match ended_by_itself.or(handed_over.err().map(|ended| stopped(&ended))) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// What workers may take beyond the time to drain: runs that do not end are told to, and what became of them is noted.
const WORKERS_LAST_STEPS: Duration = Duration::from_secs(10);

/// How often the store is asked whether it still takes writes.
const HEALTH_LOOK: Duration = Duration::from_millis(200);

/// Waits until the store takes no more writes (a full disk, a failing one): what failed, and what to do.
async fn closed(store: &EmbeddedStore) -> String {
    loop {
        if let Health::ReadOnly { reason } = store.health() {
            return reason;
        }
        tokio::time::sleep(HEALTH_LOOK).await;
    }
}

fn stopped(ended: &Ended) -> Failure {
    Failure::new(Exit::Failed, ended.to_string())
        .with_hint("the lines before this say why; nothing that was acknowledged is lost")
}

fn engine_config(settings: &Settings) -> Config {
    Config {
        look_ahead_ms: settings.number("look_ahead_ms"),
        dedupe_window_ms: settings.number("dedupe_window_ms"),
        memory_bytes_max: settings.size("memory_bytes_max"),
        persist: settings.text("timetable_persist").parse().expect("words were checked when they were set"),
        flush_interval_ms: settings.number("flush_interval_ms"),
        tick_publications_max: settings.size("tick_publications_max"),
        normal_tick_delay_ms: settings.number("normal_tick_delay_ms"),
        low_tick_delay_ms: settings.number("low_tick_delay_ms"),
        catch_up_after_ms: settings.number("catch_up_after_ms"),
        catch_up_rate_per_s: settings.size("catch_up_rate_per_s") as u64,
        checkpoint_interval_ms: settings.number("checkpoint_interval_ms"),
        ..Config::default()
    }
}
