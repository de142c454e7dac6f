//! What several operations are answered with alike, as the description of the API shows it.

use std::collections::BTreeMap;

use minutehand_api::{LeasesAnswered, RunsRequested};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::problem::{NotFound, Refused};

type Responses = BTreeMap<String, RefOr<Response>>;

/// Answers to leases are taken, each by itself.
pub(crate) struct AnswersTaken;

impl IntoResponses for AnswersTaken {
    fn responses() -> Responses {
        let taken = answered::<LeasesAnswered>("200", "What became of each answer");
        taken.into_iter().chain(Refused::responses()).collect()
    }
}

/// Runs of a schedule are asked for.
pub(crate) struct RunsAccepted;

impl IntoResponses for RunsAccepted {
    fn responses() -> Responses {
        let accepted = answered::<RunsRequested>("202", "The request is durable");
        let refused = NotFound::responses()
            .into_iter()
            .chain(Refused::responses());
        accepted.into_iter().chain(refused).collect()
    }
}

/// An answer in JSON, whose type the description lists.
fn answered<T: ToSchema>(status: &str, about: &str) -> Responses {
    let content = Content::new(Some(Ref::from_schema_name(T::name())));
    let response = ResponseBuilder::new().description(about);
    let response = response.content("application/json", content).build();
    BTreeMap::from([(status.to_owned(), response.into())])
}
