//! Problem details (RFC 9457): what went wrong, with the field, the limit and what was given.

use minutehand_model::{Choice, choice};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

choice!(
    /// The kind of a problem; stable.
    ProblemKind, "type" {
        /// Malformed request.
        Malformed = "urn:minutehand:problem:malformed",
        /// Token needed.
        Unauthorized = "urn:minutehand:problem:unauthorized",
        /// Not allowed.
        Forbidden = "urn:minutehand:problem:forbidden",
        /// Foreign origin.
        ForeignOrigin = "urn:minutehand:problem:foreign-origin",
        /// Not found.
        NotFound = "urn:minutehand:problem:not-found",
        /// Method not allowed.
        MethodNotAllowed = "urn:minutehand:problem:method-not-allowed",
        /// Request too slow.
        TooSlow = "urn:minutehand:problem:too-slow",
        /// Conflict: the request is still under way.
        InProgress = "urn:minutehand:problem:in-progress",
        /// Conflict: too late.
        TooLate = "urn:minutehand:problem:too-late",
        /// Conflict: several due times.
        Ambiguous = "urn:minutehand:problem:ambiguous",
        /// Conflict: payload no longer kept.
        PayloadForgotten = "urn:minutehand:problem:payload-forgotten",
        /// Conflict: exists already.
        Exists = "urn:minutehand:problem:exists",
        /// Conflict: changed meanwhile.
        RevisionConflict = "urn:minutehand:problem:revision-conflict",
        /// Conflict: namespaces are configured.
        NamespacesAreListed = "urn:minutehand:problem:namespaces-are-listed",
        /// Another revision than expected.
        RevisionMismatch = "urn:minutehand:problem:revision-mismatch",
        /// Too large.
        TooLarge = "urn:minutehand:problem:too-large",
        /// Too many at once; try again.
        TooMany = "urn:minutehand:problem:too-many",
        /// Unsupported media type.
        UnsupportedMediaType = "urn:minutehand:problem:unsupported-media-type",
        /// Misdirected request.
        Misdirected = "urn:minutehand:problem:misdirected",
        /// Value not accepted.
        InvalidField = "urn:minutehand:problem:invalid-field",
        /// Internal error.
        Internal = "urn:minutehand:problem:internal",
        /// Store failed.
        StoreFailed = "urn:minutehand:problem:store-failed",
        /// Not ready.
        NotReady = "urn:minutehand:problem:not-ready",
        /// Unavailable; try again.
        Unavailable = "urn:minutehand:problem:unavailable",
        /// Bulk creation stopped.
        BulkStopped = "urn:minutehand:problem:bulk-stopped",
        /// Store full.
        StoreFull = "urn:minutehand:problem:store-full",
    }
);

impl ProblemKind {
    /// The kind in plain words.
    pub fn title(self) -> &'static str {
        let meaning = Self::ALL
            .iter()
            .zip(Self::MEANINGS)
            .find(|(kind, _)| **kind == self);
        meaning.map_or("", |(_, meaning)| meaning.trim().trim_end_matches('.'))
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            ProblemKind::Malformed => 400,
            ProblemKind::Unauthorized => 401,
            ProblemKind::Forbidden | ProblemKind::ForeignOrigin => 403,
            ProblemKind::NotFound => 404,
            ProblemKind::MethodNotAllowed => 405,
            ProblemKind::TooSlow => 408,
            ProblemKind::InProgress
            | ProblemKind::TooLate
            | ProblemKind::Ambiguous
            | ProblemKind::PayloadForgotten
            | ProblemKind::Exists
            | ProblemKind::RevisionConflict
            | ProblemKind::NamespacesAreListed => 409,
            ProblemKind::RevisionMismatch => 412,
            ProblemKind::TooLarge => 413,
            ProblemKind::UnsupportedMediaType => 415,
            ProblemKind::Misdirected => 421,
            ProblemKind::InvalidField => 422,
            ProblemKind::TooMany => 429,
            ProblemKind::Internal | ProblemKind::StoreFailed => 500,
            ProblemKind::NotReady | ProblemKind::Unavailable | ProblemKind::BulkStopped => 503,
            ProblemKind::StoreFull => 507,
        }
    }
}

/// What went wrong, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:minutehand:problem:invalid-field", "title": "Value not accepted", "status": 422,
    "detail": "retry.base_ms: is out of range; 1 to 2592000000, given 0",
    "field": "retry.base_ms", "limit": "1 to 2592000000", "given": "0",
}))]
pub struct Problem {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl Problem {
    /// A problem of a kind, with its status.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            field: None,
            limit: None,
            given: None,
            current_revision: None,
            reasons: Vec::new(),
        }
    }
}
