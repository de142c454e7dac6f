//! Parameters that many operations take, as the description of the API shows them.

use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// The name of a task or a schedule: its namespace, its id and its key.
pub(crate) struct Named;

impl IntoParams for Named {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            of_path("ns", "The namespace"),
            of_path("id", "The id, percent-encoded"),
            optional(
                ParameterIn::Query,
                "key",
                "The key that it was created with",
            ),
        ]
    }
}

/// The revision that a schedule must be at.
pub(crate) struct AtRevision;

impl IntoParams for AtRevision {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "Only if its `ETag` is this";
        vec![optional(ParameterIn::Header, "If-Match", about)]
    }
}

/// The name of a queue.
pub(crate) struct OfQueue;

impl IntoParams for OfQueue {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![of_path("queue", "The queue")]
    }
}

fn of_path(name: &str, about: &str) -> Parameter {
    text(ParameterIn::Path, name, about, Required::True)
}

fn optional(place: ParameterIn, name: &str, about: &str) -> Parameter {
    text(place, name, about, Required::False)
}

fn text(place: ParameterIn, name: &str, about: &str, required: Required) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(text))
        .build()
}
