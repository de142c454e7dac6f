//! Logs and metrics of the process.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use minutehand_cli::{Exit, Failure};
use minutehand_http::RenderMetrics;
use minutehand_settings::Loaded;
use tracing_subscriber::EnvFilter;

use crate::process_standing::Standing;
use crate::settings::{LogFormat, Settings, TelemetryConfig};

/// How often histograms are brought up to date, so that samples do not pile up between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Sends logs to standard error, as far as the filter lets them through, and begins with what the
/// settings warn of.
pub(crate) fn start_logs(loaded: &Loaded<Settings>) -> Result<(), Failure> {
    let TelemetryConfig {
        log: filter,
        log_format: format,
        ..
    } = &loaded.settings.telemetry;
    let refused = |error| {
        let what = format!("telemetry.log is {filter:?}, which is not a filter: {error}");
        Failure::new(Exit::Usage, what)
    };
    let filter = EnvFilter::try_new(filter).map_err(refused)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say so on standard error, which is what could not be written, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| {
        Failure::new(Exit::Failed, format!("could not start the logs: {error}"))
    })?;
    loaded
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    Ok(())
}

/// Installs the recorder behind `/metrics`; answers what `/metrics` shows. `data_dir` is watched
/// where there is one.
pub(crate) fn start_metrics(data_dir: Option<PathBuf>) -> Result<RenderMetrics, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        let what = format!("could not start the metrics: {error}");
        Failure::new(Exit::Failed, what)
    };
    let builder = PrometheusBuilder::new()
        .set_buckets(&minutehand_metrics::HISTOGRAM_BUCKETS)
        .map_err(|error| failed(&error))?;
    let handle = builder.install_recorder().map_err(|error| failed(&error))?;
    minutehand_metrics::describe();
    let zones = minutehand_node::tzdb_version();
    minutehand_metrics::set_build_info(env!("CARGO_PKG_VERSION"), zones);
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    let standing = Standing::new(data_dir);
    Ok(Arc::new(move || {
        standing.observe();
        handle.render()
    }))
}
