//! The description of the API, in OpenAPI 3.1.

use std::sync::OnceLock;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{bulk, operations, partitions, queues, schedule_actions, schedules, tasks};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Minutehand",
        description = "A distributed task scheduler. Times are RFC 3339, written in UTC with milliseconds. What goes \
            wrong is answered as problem details (RFC 9457) that name the field, the limit and what was given.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    servers((url = "/")),
    tags(
        (name = "tasks", description = "Run something once at its time"),
        (name = "schedules", description = "Run something again and again"),
        (name = "queues", description = "What waits for workers, and what failed for good"),
        (name = "operations", description = "How the scheduler itself is doing"),
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
    paths(
        tasks::create, tasks::list, tasks::find, tasks::cancel, tasks::reschedule, bulk::create,
        schedules::create, schedules::list, schedules::show, schedules::revise, schedules::delete,
        schedules::revisions, schedules::preview, schedules::preview_unsaved,
        schedule_actions::pause, schedule_actions::resume, schedule_actions::rollback,
        schedule_actions::trigger, schedule_actions::backfill, schedule_actions::stop_backfill,
        schedule_actions::forget_runs, schedules::backfills,
        queues::list, queues::show, queues::dead_letters, queues::replay, queues::discard,
        operations::list_namespaces, operations::create_namespace, operations::partitions, operations::damage, operations::buckets,
        partitions::skip,
        operations::metrics, operations::live, operations::ready, operations::openapi,
    ),
    components(schemas(crate::dto::RefusedLine)),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The description as JSON, as it is committed at `schema/openapi.json`.
pub fn openapi_json() -> &'static str {
    static JSON: OnceLock<String> = OnceLock::new();
    JSON.get_or_init(|| {
        let mut json = Description::openapi().to_pretty_json().unwrap_or_default();
        json.push('\n');
        json
    })
}
