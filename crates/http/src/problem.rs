//! Problem details (RFC 9457): what went wrong, with the field, the limit and what was given.

use std::ops::Deref;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minutehand_model::limits::BODY_READ_MS_MAX;
use minutehand_node::{
    BackfillError, CancelError, CreateError, CreateScheduleError, InvalidField, LookupError, QueryError,
    RescheduleError, ReviseError, Unavailable,
};
use minutehand_ports::ErrorClass;
use minutehand_request::{Malformed, Unread};
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, as `application/problem+json`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDetails>);

/// The members of a problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails {
    /// Names the kind of problem: `urn:minutehand:problem:invalid-field` and so on; stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: String,
    /// The field that was refused, as the caller wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What was given, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// The newest revision, when a schedule is at another one than expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<u64>,
    /// Reasons, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl Deref for Problem {
    type Target = ProblemDetails;
    fn deref(&self) -> &ProblemDetails {
        &self.0
    }
}

impl Problem {
    /// A problem of a kind, in the words of its title and detail.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(ProblemDetails {
            kind: format!("urn:minutehand:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            limit: None,
            given: None,
            current_revision: None,
            reasons: Vec::new(),
        }))
    }

    /// The same with the field, what would be accepted, and what was given.
    #[must_use]
    pub(crate) fn about(
        mut self,
        field: impl Into<String>,
        limit: impl Into<String>,
        given: impl Into<String>,
    ) -> Problem {
        self.0.field = Some(field.into());
        self.0.limit = Some(limit.into());
        self.0.given = Some(given.into());
        self
    }

    /// The same with reasons.
    #[must_use]
    pub(crate) fn because(mut self, reasons: Vec<String>) -> Problem {
        self.0.reasons = reasons;
        self
    }

    fn at_revision(mut self, current: u64) -> Problem {
        self.0.current_revision = Some(current);
        self
    }

    /// A request that cannot be read.
    pub(crate) fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    /// A body or a line that is larger than the route takes.
    pub(crate) fn body_too_large(field: &str, bytes_max: usize) -> Problem {
        let detail = format!("{field} is larger than {bytes_max} bytes");
        let (limit, given) = (format!("at most {bytes_max} bytes"), format!("more than {bytes_max} bytes"));
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
            .about(field, limit, given)
    }

    /// A body that ended before its end, and what follows from that.
    pub(crate) fn broken_off(error: &dyn std::error::Error, consequence: &str) -> Problem {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        let detail = format!("the body broke off: {cause}{consequence}");
        Problem::malformed(detail).about("body", "a whole body", "a part of one")
    }

    /// A body whose sender takes too long.
    pub(crate) fn too_slow() -> Problem {
        let detail = format!("the body has not come within {BODY_READ_MS_MAX} ms");
        let limit = format!("the whole body within {BODY_READ_MS_MAX} ms");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The request takes too long", detail).about(
            "body",
            limit,
            "a part of one",
        )
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing of that name", detail)
    }

    /// The state of things does not allow it.
    pub(crate) fn conflict(kind: &str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, kind, "It conflicts with how things stand", detail)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "The token does not allow it", detail)
    }

    /// The status to answer with.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
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
        let Malformed { detail, field, limit, given } = malformed;
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
        let (status, kind) = match invalid.too_large {
            true => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            false => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-field"),
        };
        let detail = invalid.to_string();
        let problem = Problem::new(status, kind, "A value is not accepted", detail);
        problem.about(invalid.field, invalid.limit, invalid.given)
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
            return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "store-full", "No room is left", detail);
        }
        match is_fatal {
            true => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store-failed", "A store has failed", detail)
            }
            false => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now; try again", detail)
            }
        }
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Problem {
        match error {
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
            CancelError::TooLate { .. } => Problem::conflict("too-late", detail),
        }
    }
}

impl From<RescheduleError> for Problem {
    fn from(error: RescheduleError) -> Problem {
        let detail = error.to_string();
        match error {
            RescheduleError::Invalid(error) => error.into(),
            RescheduleError::Lookup(error) => error.into(),
            RescheduleError::Ambiguous { .. } => Problem::conflict("ambiguous", detail),
            RescheduleError::TooLate { .. } => Problem::conflict("too-late", detail),
            RescheduleError::BodyForgotten { .. } => Problem::conflict("payload-forgotten", detail),
        }
    }
}

impl From<CreateScheduleError> for Problem {
    fn from(error: CreateScheduleError) -> Problem {
        let detail = error.to_string();
        match error {
            CreateScheduleError::Invalid(error) => error.into(),
            CreateScheduleError::Exists { current } => {
                Problem::conflict("exists", detail).at_revision(current)
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
            ReviseError::Conflict { current, expected: Some(expected) } => {
                let title = "The schedule is at another revision";
                let problem =
                    Problem::new(StatusCode::PRECONDITION_FAILED, "revision-mismatch", title, detail);
                problem
                    .about("If-Match", format!("\"{current}\""), format!("\"{expected}\""))
                    .at_revision(current)
            }
            ReviseError::Conflict { current, expected: None } => {
                Problem::conflict("revision-conflict", detail).at_revision(current)
            }
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
            let error = PortError::new(ErrorClass::Fatal, "append", "no room").of_a_full_store(is_full);
            Problem::from(Unavailable::Store(Arc::new(error))).0.status
        };
        assert_eq!((status(true), status(false)), (507, 500));
    }
}
