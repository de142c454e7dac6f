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
use minutehand_http::{ApiConfig, IdSource, NamespacePolicy, ServeLimits};
use minutehand_node::{Clock, SystemClock};
use minutehand_standalone::{Ended, Scheduler};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::descriptors::Descriptors;
use crate::executors::Executors;
use crate::permission::CommandPermission;
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
    let descriptors =
        Descriptors::raised().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    tracing::debug!(
        store = descriptors.for_store(),
        connections = descriptors.for_connections(),
        runs = descriptors.for_runs(),
        "shared out the file descriptors"
    );
    let tokens = tls::tokens(settings.gateway.tokens_file.clone(), &signals)?;
    let tls_files = settings.http.tls_files()?;
    let wanted = settings.gateway.listen;
    minutehand_http::refuse_open_bind(wanted, &tokens)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let listener = minutehand_http::listen(wanted).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("could not listen on {wanted}: {error}"),
        )
        .with_hint("choose another address with --http")
    })?;
    let http = listener
        .local_addr()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;

    let store = store::open(&loaded, descriptors).await?;
    let scheduler = Scheduler::start(Arc::clone(&store), settings.engine.clone());
    let (stop, stopping) = watch::channel(false);
    let data_dir = settings.embedded.data_dir.clone();
    let output = settings
        .worker
        .output_dir
        .clone()
        .unwrap_or_else(|| data_dir.join("output"));
    let executors = Executors::new(&settings, commands.clone(), Some(output))?;
    let drain = Duration::from_millis(settings.http.drain_ms);
    let workers_drain = Duration::from_millis(settings.worker.drain_ms.unsigned_abs());
    let shared = workers::Shared::new(&store);
    let leases = shared.leases(&store, &settings.worker, stopping.clone());
    tokio::spawn(crate::observer::watch_leases(
        leases.clone(),
        stopping.clone(),
    ));
    // Workers begin when it is known which commands are those of crontabs.
    let (known, executors_known) = oneshot::channel();
    let workers = tokio::spawn({
        let (store, runs_max, stopping) = (store.clone(), descriptors.for_runs(), stopping.clone());
        async move {
            if let Ok(executors) = executors_known.await {
                workers::run(
                    store,
                    executors,
                    settings.worker,
                    runs_max,
                    shared,
                    stopping,
                )
                .await;
            }
        }
    });
    let router = minutehand_http::router(ApiConfig {
        gateway: Arc::clone(scheduler.gateway()),
        tokens,
        namespaces: NamespacePolicy::OnFirstUse,
        ids: IdSource::from_system(),
        leases: Some(leases.clone()),
        lease_places: None,
        metrics,
        default_group: minutehand_worker::GROUP_DEFAULT.to_owned(),
    });
    let is_tls = tls_files.is_some();
    let limits = ServeLimits {
        drain,
        ..ServeLimits::default()
    }
    .within(descriptors.for_connections());
    let served = tls::serve(
        listener,
        tls_files,
        router,
        limits,
        &signals,
        until_true(stopping),
    )?;
    let served = tokio::spawn(served);

    let begin = Box::pin(async {
        scheduler.ready().await.map_err(|ended| stopped(&ended))?;
        let changes = crontab::follow(scheduler.gateway(), &mut crontabs).await?;
        commands.grant_lines(crontab::lines(&crontabs));
        known.send(executors).ok();
        let followed = changes
            .apply(
                scheduler.gateway(),
                crontabs,
                AtStart::Now,
                SystemClock.now(),
            )
            .await?;
        let schedules = (!args.crontab.is_empty()).then_some(followed.schedules);
        println!("{}", greeting::greeting(http, is_tls, &data_dir, schedules));
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
    let ended_by_itself = unless(signals.asked_to_stop(), work).await;
    stop.send_replace(true);
    // Callers and runs have the same time to end, side by side; neither waits for the other.
    let _ = tokio::join!(served, timeout(workers_drain + WORKERS_LAST_STEPS, workers));
    leases.close().await;
    let handed_over = scheduler.stop().await;
    match ended_by_itself.or(handed_over.err().map(|ended| stopped(&ended))) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
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
