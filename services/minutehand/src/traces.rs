//! Traces: a span for each run whose producer is traced, sent to a collector (OTLP over HTTP).
//!
//! A span is made when its run has ended, from what is known then; until a run ends nothing is kept
//! of its trace but the headers that its task has. Spans wait in a bounded queue, and those that
//! find no room are dropped: a collector that is away holds up nothing.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use minutehand_cli::{Exit, Failure};
use minutehand_model::{OutcomeKind, QueueName, Task, Timestamp};
use minutehand_worker::EndedRun;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::settings::TelemetryConfig;

/// Longest that one request to the collector may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long the last spans are waited for when the process ends.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The process's tracer; there is none where no collector is named.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The way to the collector; the last spans are sent when it is dropped.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to send spans, where the settings name a collector.
    ///
    /// # Errors
    /// When its address is none.
    pub(crate) fn start(config: &TelemetryConfig, role: &'static str) -> Result<Traces, Failure> {
        let TelemetryConfig {
            traces_url,
            traced_percent,
            ..
        } = config;
        let Some(url) = traces_url.clone().map(String::from) else {
            return Ok(Traces(None));
        };
        // The process has a provider by now, or has it now.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(&url)
            .with_timeout(REQUEST_LIMIT)
            .build();
        let exporter = exporter.map_err(|error| {
            let words = format!(
                "telemetry.traces_url is {url:?}, which cannot be used: {error}; give the URL of a collector, \
                 http://HOST:4318/v1/traces for example"
            );
            Failure::new(Exit::Usage, words)
        })?;
        let resource = Resource::builder()
            .with_service_name("minutehand")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("minutehand.role", role))
            .build();
        let of_others = Sampler::TraceIdRatioBased(f64::from(*traced_percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(of_others)))
            .with_resource(resource)
            .build();
        // A second one in a process would be a second role: the first serves both.
        TRACER.set(provider.tracer("minutehand")).ok();
        Ok(Traces(Some(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
        {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The headers of a task, as the trace context is read from them.
struct Headers<'a>(&'a Task);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut headers = self.0.headers.iter();
        let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.headers.iter().map(|(name, _)| &**name).collect()
    }
}

/// A run has ended: where there is a collector, and the producer's trace is sampled, its span is
/// sent.
pub(crate) fn ended(queue: &QueueName, run: EndedRun<'_>) {
    let Some(tracer) = TRACER.get() else { return };
    if !run.has_begun {
        return;
    }
    let producer =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(run.task));
    let produced_by = producer.span().span_context().clone();
    let builder = tracer
        .span_builder(format!("run {queue}"))
        .with_kind(SpanKind::Consumer)
        .with_start_time(system_time(run.started_at));
    let mut span = tracer.build_with_context(builder, &producer);
    if !span.is_recording() {
        return;
    }
    span.set_attributes(attributes(queue, run));
    if produced_by.is_valid() {
        // For collectors that have closed the trace by the time of the run.
        span.add_link(produced_by, Vec::new());
    }
    if !matches!(run.kind, OutcomeKind::Succeeded | OutcomeKind::Cancelled) {
        // Not why: what a handler says may be secret.
        span.set_status(Status::error(run.kind.as_str()));
    }
    span.end_with_timestamp(system_time(run.ended_at));
}

fn attributes(queue: &QueueName, run: EndedRun<'_>) -> Vec<KeyValue> {
    let task = run.task;
    let mut attributes = vec![
        KeyValue::new("messaging.system", "minutehand"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", queue.to_string()),
        KeyValue::new("minutehand.namespace", task.namespace.to_string()),
        KeyValue::new("minutehand.task_id", task.id.to_string()),
        KeyValue::new("minutehand.attempt", i64::from(task.attempt)),
        KeyValue::new("minutehand.due_at", task.due.to_string()),
        KeyValue::new("minutehand.late_ms", run.started_at.millis_since(task.due)),
        KeyValue::new("minutehand.outcome", run.kind.as_str()),
    ];
    if let Some(origin) = &task.origin {
        let schedule = origin.schedule.to_string();
        attributes.push(KeyValue::new("minutehand.schedule", schedule));
    }
    attributes
}

fn system_time(time: Timestamp) -> SystemTime {
    let since_epoch = u64::try_from(time.as_millis()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(since_epoch)
}
