//! The description of the API, in OpenAPI 3.1.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Array, Object, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::routes::{
    bulk, leases, operations, partitions, queue_actions, queues, schedule_actions, schedules, tasks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Minutehand",
        description = "A distributed task scheduler. Times are RFC 3339, written in UTC with milliseconds. What goes \
            wrong is answered as problem details (RFC 9457) that name the field, the limit and what was given. An \
            `Idempotency-Key` is obeyed by the operation that describes it; every other that changes something refuses it (400).",
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
    modifiers(&Bearer, &PartsInPlace, &AbsentNotNull),
    paths(
        tasks::create, tasks::list, tasks::find, tasks::cancel, tasks::reschedule, bulk::create,
        schedules::create, schedules::list, schedules::show, schedules::revise, schedules::delete,
        schedules::revisions, schedules::preview, schedules::preview_unsaved,
        schedule_actions::pause, schedule_actions::resume, schedule_actions::rollback,
        schedule_actions::trigger, schedule_actions::backfill, schedule_actions::stop_backfill,
        schedule_actions::forget_runs, schedules::backfills,
        queues::list, queues::show, queue_actions::pause, queue_actions::resume, queue_actions::purge, queue_actions::limit,
        queue_actions::delete, queues::dead_letters, queues::replay, queues::discard,
        leases::lease, leases::ack, leases::nack, leases::extend, leases::snooze,
        operations::list_namespaces, operations::create_namespace, operations::partitions, operations::damage, operations::buckets, operations::audit,
        partitions::skip,
        operations::metrics, operations::live, operations::ready, operations::openapi,
    ),
    components(schemas(minutehand_api::Problem, minutehand_api::LeasesAnswered)),
)]
struct Description;

/// The methods of operations.
pub(crate) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What an operation takes beside its path and its body.
pub(crate) struct DescribedParameters {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The names of the parameters in its query.
    pub(crate) query: BTreeSet<String>,
    pub(crate) headers: BTreeSet<String>,
}

/// What each operation takes.
pub(crate) fn described_parameters() -> Vec<DescribedParameters> {
    let mut described = Vec::new();
    for (path, item) in Description::openapi().paths.paths {
        let operations = [item.get, item.post, item.put, item.patch, item.delete];
        for (method, operation) in METHODS.into_iter().zip(operations) {
            let Some(operation) = operation else { continue };
            let parameters = operation.parameters.unwrap_or_default();
            let (path, query) = (path.clone(), named(&parameters, ParameterIn::Query));
            let headers = named(&parameters, ParameterIn::Header);
            described.push(DescribedParameters {
                method,
                path,
                query,
                headers,
            });
        }
    }
    described
}

fn named(parameters: &[RefOr<Parameter>], place: ParameterIn) -> BTreeSet<String> {
    let here = parameters.iter().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == place => Some(parameter.name.clone()),
        _ => None,
    });
    here.collect()
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// A part that has no name of its own is described where it is: its members are the whole's.
struct PartsInPlace;

impl Modify for PartsInPlace {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut openapi.components.get_or_insert_default().schemas;
        schemas.values_mut().for_each(with_parts_in_place);
    }
}

fn with_parts_in_place(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::AllOf(all)) = schema else {
        return;
    };
    all.items.iter_mut().for_each(with_parts_in_place);
    let objects = all.items.iter().map(|item| match item {
        RefOr::T(Schema::Object(object)) => Some(object),
        _ => None,
    });
    let Some(objects) = objects.collect::<Option<Vec<&Object>>>() else {
        return;
    };
    let mut whole = Object::new();
    whole.description.clone_from(&all.description);
    whole.example.clone_from(&all.example);
    for object in objects {
        whole.properties.extend(object.properties.clone());
        whole.required.extend(object.required.iter().cloned());
    }
    *schema = RefOr::T(Schema::Object(whole));
}

/// What may be left out is described as left out: it need not be null as well.
struct AbsentNotNull;

impl Modify for AbsentNotNull {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        openapi
            .components
            .get_or_insert_default()
            .schemas
            .values_mut()
            .for_each(without_null);
        let lists = openapi
            .paths
            .paths
            .values_mut()
            .flat_map(operations)
            .filter_map(|one| one.parameters.as_mut());
        for parameter in lists.flatten() {
            if let RefOr::T(parameter) = parameter
                && let Some(schema) = &mut parameter.schema
            {
                never_null(schema);
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let methods = [
        &mut path.get,
        &mut path.post,
        &mut path.put,
        &mut path.patch,
        &mut path.delete,
    ];
    methods.into_iter().flatten()
}

/// Takes null out of a schema's optional members, and out of what it is made of.
fn without_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(inner) = schema else { return };
    match inner {
        Schema::Object(object) => {
            for (name, member) in &mut object.properties {
                if object.required.contains(name) {
                    without_null(member);
                } else {
                    never_null(member);
                }
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(never_null),
        Schema::OneOf(one) => one.items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn never_null(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::OneOf(one)) = schema {
        one.items
            .retain(|item| !matches!(item, RefOr::T(Schema::Object(object)) if is_null(&object.schema_type)));
        if one.items.len() == 1 {
            *schema = one.items.remove(0);
        }
    }
    if let RefOr::T(
        Schema::Object(Object { schema_type, .. }) | Schema::Array(Array { schema_type, .. }),
    ) = schema
        && let SchemaType::Array(types) = schema_type
    {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            *schema_type = SchemaType::Type(only.clone());
        }
    }
    without_null(schema);
}

fn is_null(types: &SchemaType) -> bool {
    *types == SchemaType::Type(Type::Null)
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
