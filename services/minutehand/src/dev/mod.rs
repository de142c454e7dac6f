//! `minutehand dev`: everything in one process, on the embedded store.

mod crontab;
mod follow;
mod greeting;
mod store;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use minutehand_cli::{DevArgs, Exit, Failure};
use minutehand_http::{
    ApiConfig, IdSource, NamespacePolicy, RenderMetrics, Router, ServeLimits, Tokens,
};
use minutehand_model::GroupName;
use minutehand_node::{Clock, SystemClock};
use minutehand_standalone::{EmbeddedStore, Ended, Health, Scheduler};
use minutehand_worker::Leases;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::descriptors::Descriptors;
use crate::executors::Executors;
use crate::observer::watch_leases;
use crate::permission::CommandPermission;
use crate::say;
use crate::service_manager;
use crate::settings::{self, Mode};
use crate::signals::{Signals, unless, until_true};
use crate::telemetry;
use crate::tls;
use crate::traces::Traces;
use crontab::AtStart;
use follow::Follower;

/// Runs until SIGINT or SIGTERM, then hands everything over and stops.
pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let loaded = settings::load(Mode::Dev, &args.sources())?;
    let settings = loaded.settings.clone();
    settings.worker.refuse_result_topics()?;
    let commands = CommandPermission::of_tasks(settings.worker.process_executor);
    let follower = Follower::new(&args, commands.clone());
    let mut crontabs = crontab::read(&args)?;
    telemetry::start_logs(&loaded)?;
    let _traces = Traces::start(&settings.telemetry, "dev")?;
    let metrics = telemetry::start_metrics(Some(settings.embedded.data_dir.clone()))?;
    let descriptors = descriptors()?;
    let tokens = tls::tokens(settings.gateway.tokens_file.clone(), &signals)?;
    let tls_files = settings.http.tls_files()?;
    let listener = listen(settings.gateway.listen, &tokens)?;
    let http = listener.local_addr().map_err(|error| failed(&error))?;

    let store = store::open(&loaded, descriptors).await?;
    let scheduler = Scheduler::start(Arc::clone(&store), settings.engine.clone());
    let (stop, stopping) = watch::channel(false);
    let data_dir = settings.embedded.data_dir.clone();
    let output = settings.worker.output_dir.clone();
    let output = output.unwrap_or_else(|| data_dir.join("output"));
    let executors = Executors::new(&settings, commands.clone(), Some(output), descriptors)?;
    let workers_drain = Duration::from_millis(settings.worker.drain_ms.unsigned_abs());
    let shared = workers::Shared::new(&store);
    let leases = shared.leases(&store, &settings.worker, stopping.clone());
    tokio::spawn(watch_leases(leases.clone(), stopping.clone()));
    shared.watch(&store, leases.clone(), &stopping);
    // Workers begin when it is known which commands are those of crontabs.
    let runs_max = descriptors.for_runs();
    let (known, workers) = shared.begin(&store, &settings.worker, runs_max, &stopping);
    let router = router(&scheduler, tokens, leases.clone(), metrics);
    let is_tls = tls_files.is_some();
    let limits = limits(settings.http.drain_ms, descriptors);
    let stop_serving = until_true(stopping);
    let served = tls::serve(listener, tls_files, router, limits, &signals, stop_serving)?;
    let served = tokio::spawn(served);

    let begin = Box::pin(async {
        let gateway = scheduler.gateway();
        scheduler.ready().await.map_err(|ended| stopped(&ended))?;
        let changes = crontab::follow(gateway, &mut crontabs).await?;
        commands.grant_lines(crontab::lines(&crontabs));
        known.send(executors).ok();
        let (at, now) = (AtStart::Now, SystemClock.now());
        let followed = changes.apply(gateway, crontabs, at, now).await?;
        let schedules = (!args.crontab.is_empty()).then_some(followed.schedules);
        say::greeting(&greeting::greeting(http, is_tls, &data_dir, schedules));
        service_manager::ready();
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
    let ended_by_itself = Box::pin(unless(signals.asked_to_stop(), work)).await;
    stop.send_replace(true);
    // Callers and runs have the same time to end, side by side; neither waits for the other.
    let _ = tokio::join!(served, timeout(workers_drain + WORKERS_LAST_STEPS, workers));
    leases.close().await;
    let handed_over = scheduler.stop().await;
    let failure = ended_by_itself.or(handed_over.err().map(|ended| stopped(&ended)));
    failure.map_or(Ok(()), Err)
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// As many file descriptors as can be had, shared out.
fn descriptors() -> Result<Descriptors, Failure> {
    let descriptors = Descriptors::raised().map_err(|error| failed(&error))?;
    tracing::debug!(
        store = descriptors.for_store(),
        connections = descriptors.for_connections(),
        runs = descriptors.for_runs(),
        "shared out the file descriptors"
    );
    Ok(descriptors)
}

/// Takes the address of the API.
fn listen(wanted: SocketAddr, tokens: &Tokens) -> Result<TcpListener, Failure> {
    minutehand_http::refuse_open_bind(wanted, tokens)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    minutehand_http::listen(wanted).map_err(|error| {
        let message = format!("could not listen on {wanted}: {error}");
        Failure::new(Exit::Failed, message).with_hint("choose another address with --http")
    })
}

/// The API on this scheduler.
fn router(scheduler: &Scheduler, tokens: Tokens, leases: Leases, metrics: RenderMetrics) -> Router {
    minutehand_http::router(ApiConfig {
        gateway: Arc::clone(scheduler.gateway()),
        tokens,
        namespaces: NamespacePolicy::OnFirstUse,
        ids: IdSource::from_system(),
        leases: Some(leases),
        lease_places: None,
        metrics,
        default_group: GroupName::default(),
    })
}

/// How many connections there may be, and how long requests may take at the end.
fn limits(drain_ms: u64, descriptors: Descriptors) -> ServeLimits {
    let limits = ServeLimits {
        drain: Duration::from_millis(drain_ms),
        ..ServeLimits::default()
    };
    limits.within(descriptors.for_connections())
}

/// What workers may take beyond the time to drain: runs that do not end are told to, and what
/// became of them is noted.
const WORKERS_LAST_STEPS: Duration = Duration::from_secs(10);

/// How often the store is asked whether it still takes writes.
const HEALTH_LOOK: Duration = Duration::from_millis(200);

/// Waits until the store takes no more writes (a full disk, a failing one): what failed, and what
/// to do.
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
