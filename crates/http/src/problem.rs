//! The problems that requests end with.

use std::collections::BTreeMap;
use std::ops::Deref;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minutehand_api::{self as api, Malformed, ProblemKind, Unread};
use minutehand_model::limits::BODY_READ_MS_MAX;
use minutehand_node::{
    BackfillError, CancelError, CreateError, CreateScheduleError, InvalidField, LookupError,
    QueryError, RescheduleError, ReviseError, StopError, Unavailable,
};
use minutehand_ports::ErrorClass;
use serde::Serialize;
use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

/// What went wrong, as an answer.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem {
    members: Box<api::Problem>,
    /// The methods that would be taken, where the path takes others.
    #[serde(skip)]
    allow: Option<&'static str>,
}

impl Deref for Problem {
    type Target = api::Problem;
    fn deref(&self) -> &api::Problem {
        &self.members
    }
}

impl Problem {
    /// A problem of a kind, in the words of its detail.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Problem {
        Problem {
            members: Box::new(api::Problem::new(kind, detail)),
            allow: None,
        }
    }

    /// The same with another status than the kind's own.
    pub(crate) fn with_status(mut self, status: u16) -> Problem {
        self.members.status = status;
        self
    }

    /// The same with the field, what would be accepted, and what was given.
    #[must_use]
    pub(crate) fn about(
        mut self,
        field: impl Into<String>,
        limit: impl Into<String>,
        given: impl Into<String>,
    ) -> Problem {
        self.members.field = Some(field.into());
        self.members.limit = Some(limit.into());
        self.members.given = Some(given.into());
        self
    }

    /// The same with reasons.
    #[must_use]
    pub(crate) fn because(mut self, reasons: Vec<String>) -> Problem {
        self.members.reasons = reasons;
        self
    }

    fn at_revision(mut self, current: u64) -> Problem {
        self.members.current_revision = Some(current);
        self
    }

    /// The members, for an answer that has more.
    pub(crate) fn into_inner(self) -> api::Problem {
        *self.members
    }

    /// A request that cannot be read.
    pub(crate) fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::Malformed, detail)
    }

    /// A body or a line that is larger than the route takes.
    pub(crate) fn body_too_large(field: &str, bytes_max: usize) -> Problem {
        let detail = format!("{field} is larger than {bytes_max} bytes");
        let (limit, given) = (
            format!("at most {bytes_max} bytes"),
            format!("more than {bytes_max} bytes"),
        );
        Problem::new(ProblemKind::TooLarge, detail).about(field, limit, given)
    }

    /// A body that ended before its end, and what follows from that.
    pub(crate) fn broken_off(error: &dyn std::error::Error, consequence: &str) -> Problem {
        let cause = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        let detail = format!("the body broke off: {cause}{consequence}");
        Problem::malformed(detail).about("body", "a whole body", "a part of one")
    }

    /// A body whose sender takes too long.
    pub(crate) fn too_slow() -> Problem {
        let detail = format!("the body has not come within {BODY_READ_MS_MAX} ms");
        let limit = format!("the whole body within {BODY_READ_MS_MAX} ms");
        Problem::new(ProblemKind::TooSlow, detail).about("body", limit, "a part of one")
    }

    /// What is there takes other methods.
    pub(crate) fn method_not_allowed(detail: impl Into<String>, allow: &'static str) -> Problem {
        Problem {
            allow: Some(allow),
            ..Problem::new(ProblemKind::MethodNotAllowed, detail)
        }
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::NotFound, detail)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::Forbidden, detail)
    }

    /// The status to answer with.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Describes statuses that are answered with a problem.
macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident { $($status:literal: $about:literal,)+ })+) => {
        $($(#[doc = $doc])+
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                [$(($status, $about),)+].into_iter().map(described).collect()
            }
        })+
    };
}

fn described((status, about): (&str, &str)) -> (String, RefOr<utoipa::openapi::Response>) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description(about)
        .content("application/problem+json", content);
    (status.to_owned(), response.build().into())
}

problems! {
    /// What any operation may be answered with.
    Refused {
        "400": "The request cannot be read",
        "401": "A token is needed",
        "403": "The token does not allow it",
        "422": "A value is not accepted; the problem names the field, the limit and what was given",
        "503": "Not now; try again after the seconds in `Retry-After`",
        "default": "Another problem",
    }
    /// What operations on something of a name may be answered with.
    NotFound { "404": "Not found; also where the namespace is none of the configured ones", }
    /// What operations that take nothing but a token may be answered with.
    Closed {
        "401": "A token is needed",
        "403": "The token does not allow it",
        "default": "Another problem",
    }
    /// What operations that have only so much room may be answered with.
    TooMany { "429": "Too many at once; try again after the seconds in `Retry-After`", }
    /// What operations that depend on the present state may be answered with.
    Conflict { "409": "The present state does not allow it", }
    /// What operations with `If-Match` may be answered with.
    RevisionMismatch { "412": "The schedule is at another revision", }
}

/// What operations that change a schedule may be answered with.
pub(crate) struct RevisionRefused;

impl IntoResponses for RevisionRefused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let sets = [
            NotFound::responses(),
            Conflict::responses(),
            RevisionMismatch::responses(),
            Refused::responses(),
        ];
        sets.into_iter().flatten().collect()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Problem {
        let Malformed {
            detail,
            field,
            limit,
            given,
        } = malformed;
        Problem::malformed(detail).about(field, limit, given)
    }
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Problem {
        match unread {
            Unread::Malformed(malformed) => malformed.into(),
            Unread::Refused(refused) => refused.into(),
        }
    }
}

impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Problem {
        let kind = if invalid.too_large {
            ProblemKind::TooLarge
        } else {
            ProblemKind::InvalidField
        };
        Problem::new(kind, invalid.to_string()).about(invalid.field, invalid.limit, invalid.given)
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Problem {
        let detail = error.to_string();
        let is_fatal = match &error {
            Unavailable::Store(store) => store.class == ErrorClass::Fatal,
            Unavailable::Corrupt { .. } => true,
            Unavailable::NotReady { .. } | Unavailable::Behind { .. } => false,
        };
        if let Unavailable::Store(store) = &error
            && store.is_full
        {
            return Problem::new(ProblemKind::StoreFull, detail);
        }
        Problem::new(
            if is_fatal {
                ProblemKind::StoreFailed
            } else {
                ProblemKind::Unavailable
            },
            detail,
        )
    }
}

/// What to think of when a task is not found: that it has run leaves a trace only where its end is
/// kept.
const OF_ENDED_TASKS: &str = "how it ended is told as long as the history keeps it, successes in a cluster only with \
                              worker.history = all";

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Problem {
        match error {
            LookupError::NotFound { what: "task", .. } => {
                Problem::not_found(format!("{error}; {OF_ENDED_TASKS}"))
            }
            LookupError::NotFound { .. } => Problem::not_found(error.to_string()),
            LookupError::Unavailable(error) => error.into(),
        }
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Problem {
        match error {
            CreateError::Invalid(error) => error.into(),
            CreateError::Unavailable(error) => error.into(),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        match error {
            QueryError::Invalid(error) => error.into(),
            QueryError::Unavailable(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Problem {
        let detail = error.to_string();
        match error {
            CancelError::Lookup(error) => error.into(),
            CancelError::TooLate { .. } => Problem::new(ProblemKind::TooLate, detail),
        }
    }
}

impl From<StopError> for Problem {
    fn from(error: StopError) -> Problem {
        let detail = error.to_string();
        match error {
            StopError::Invalid(error) => error.into(),
            StopError::Lookup(error) => error.into(),
            StopError::NotRunning { .. } => Problem::new(ProblemKind::TooLate, detail),
        }
    }
}

impl From<RescheduleError> for Problem {
    fn from(error: RescheduleError) -> Problem {
        let detail = error.to_string();
        match error {
            RescheduleError::Invalid(error) => error.into(),
            RescheduleError::Lookup(error) => error.into(),
            RescheduleError::Ambiguous { .. } => Problem::new(ProblemKind::Ambiguous, detail),
            RescheduleError::TooLate { .. } => Problem::new(ProblemKind::TooLate, detail),
            RescheduleError::BodyForgotten { .. } => {
                Problem::new(ProblemKind::PayloadForgotten, detail)
            }
        }
    }
}

impl From<CreateScheduleError> for Problem {
    fn from(error: CreateScheduleError) -> Problem {
        let detail = error.to_string();
        match error {
            CreateScheduleError::Invalid(error) => error.into(),
            CreateScheduleError::Exists { current } => {
                Problem::new(ProblemKind::Exists, detail).at_revision(current)
            }
            CreateScheduleError::OtherKey { id, key } => {
                let limit = match key {
                    Some(key) => format!("another id; ?key={key} names the schedule that has it"),
                    None => "another id; without ?key the schedule that has it is named".to_owned(),
                };
                Problem::new(ProblemKind::Exists, detail).about("id", limit, id.to_string())
            }
            CreateScheduleError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReviseError> for Problem {
    fn from(error: ReviseError) -> Problem {
        let detail = error.to_string();
        match error {
            ReviseError::Invalid(error) => error.into(),
            ReviseError::Lookup(error) => error.into(),
            ReviseError::Conflict {
                current,
                expected: Some(expected),
            } => Problem::new(ProblemKind::RevisionMismatch, detail)
                .about(
                    "If-Match",
                    format!("\"{current}\""),
                    format!("\"{expected}\""),
                )
                .at_revision(current),
            ReviseError::Conflict {
                current,
                expected: None,
            } => Problem::new(ProblemKind::RevisionConflict, detail).at_revision(current),
        }
    }
}

impl From<BackfillError> for Problem {
    fn from(error: BackfillError) -> Problem {
        match error {
            BackfillError::Invalid(error) => error.into(),
            BackfillError::Lookup(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minutehand_ports::PortError;

    use super::*;

    #[test]
    fn a_full_store_is_told_from_one_that_failed() {
        let status = |is_full| {
            let error =
                PortError::new(ErrorClass::Fatal, "append", "no room").of_a_full_store(is_full);
            Problem::from(Unavailable::Store(Arc::new(error))).status
        };
        assert_eq!((status(true), status(false)), (507, 500));
    }
}
