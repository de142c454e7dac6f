//! What a task must keep to, whichever way it comes in.

use std::ops::Deref;

use minutehand_model::limits::{
    DUE_PAST_MS_MAX, HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, NOTE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
};
use minutehand_model::policy::RetryPolicyError;
use minutehand_model::run::names_a_run;
use minutehand_model::{RetryPolicy, Task, Timestamp};

use crate::InvalidField;
use crate::chain::validate_chain;
use crate::instruction::{
    INSTRUCTIONS, OWN_HEADERS, is_instruction, nearest_instruction, validate_instruction,
};

/// A task that kept to every limit when it came in. It is made here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidTask(Task);

impl ValidTask {
    /// The task, if it keeps to every limit.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn new(task: Task, now: Timestamp) -> Result<ValidTask, InvalidField> {
        validate_action(&task.payload, &task.headers, task.retry)?;
        ValidTask::with_a_record(task, now)
    }

    /// The same where what is delivered is a record that comes out as it came in, which has limits
    /// of its own.
    ///
    /// # Errors
    /// As [`ValidTask::new`], but for what is delivered.
    pub fn with_a_record(task: Task, now: Timestamp) -> Result<ValidTask, InvalidField> {
        if task.origin.is_none() && names_a_run(task.id.as_str()) {
            let limit = "an id that does not end with @ and a time, as those of schedules' runs do";
            return Err(InvalidField::new(
                "id",
                "has the form of a schedule's run",
                limit,
                &task.id,
            ));
        }
        validate_due("due_at", task.due, now)?;
        validate_chain(&task.chain)?;
        Ok(ValidTask(task))
    }
}

impl Deref for ValidTask {
    type Target = Task;
    fn deref(&self) -> &Task {
        &self.0
    }
}

/// Checks a due time: from ten years ago to the end of the year 9999.
pub fn validate_due(field: &str, due: Timestamp, now: Timestamp) -> Result<(), InvalidField> {
    let earliest = now.plus_millis(-DUE_PAST_MS_MAX);
    if (earliest..=Timestamp::END_OF_YEAR_9999).contains(&due) {
        return Ok(());
    }
    let limit = format!(
        "must lie between {earliest} (ten years ago) and {}",
        Timestamp::END_OF_YEAR_9999
    );
    Err(InvalidField::new(field, "is out of range", limit, due))
}

/// Checks what a task and the action of a schedule have in common.
///
/// # Errors
/// The first field that does not keep to its limit.
pub fn validate_action(
    payload: &[u8],
    headers: &[(String, String)],
    retry: RetryPolicy,
) -> Result<(), InvalidField> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let limit = format!("at most {PAYLOAD_BYTES_MAX} bytes (256 KiB)");
        let given = format!("{} bytes", payload.len());
        return Err(InvalidField::new("payload", "is too large", limit, given).for_its_size());
    }
    validate_headers(headers)?;
    match retry.validated() {
        Ok(_) => Ok(()),
        Err(RetryPolicyError {
            field,
            given,
            low,
            high,
        }) => {
            within(&format!("retry.{field}"), given, low, high)?;
            Err(InvalidField::new(
                format!("retry.{field}"),
                "is out of range",
                format!("{low} to {high}"),
                given,
            ))
        }
    }
}

fn validate_headers(headers: &[(String, String)]) -> Result<(), InvalidField> {
    if headers.len() > HEADERS_MAX {
        let limit = format!("at most {HEADERS_MAX} headers");
        return Err(InvalidField::new(
            "headers",
            "are too many",
            limit,
            headers.len(),
        ));
    }
    for (name, value) in headers {
        validate_header(name, value)?;
    }
    Ok(())
}

/// Checks the name of a header that is delivered, however the task comes in: with any other, a
/// webhook could not bear it.
///
/// # Errors
/// A name that is empty or too long, or has characters that HTTP does not allow.
pub fn validate_header_name(name: &str) -> Result<(), InvalidField> {
    if !name.is_empty() && name.len() <= HEADER_NAME_BYTES_MAX && name.bytes().all(is_token_byte) {
        return Ok(());
    }
    let limit = format!(
        "a name has 1 to {HEADER_NAME_BYTES_MAX} letters, digits and {TOKEN_MARKS}, as in HTTP"
    );
    let given = format!(
        "{:?} ({} bytes)",
        name.chars().take(60).collect::<String>(),
        name.len()
    );
    Err(InvalidField::new(
        "headers",
        "has a name that is not accepted",
        limit,
        given,
    ))
}

fn validate_header(name: &str, value: &str) -> Result<(), InvalidField> {
    validate_header_name(name)?;
    let is_own = name
        .get(..OWN_HEADERS.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(OWN_HEADERS));
    if is_own && !is_instruction(name) {
        let known = INSTRUCTIONS.join(", ");
        let near = nearest_instruction(name)
            .map_or_else(String::new, |near| format!("did you mean {near}? "));
        let limit =
            format!("{near}of the names that begin with {OWN_HEADERS:?} only {known} are accepted");
        return Err(InvalidField::new(
            "headers",
            "has a reserved name",
            limit,
            name,
        ));
    }
    let field = || format!("headers.{name}");
    if value.len() > HEADER_VALUE_BYTES_MAX {
        let limit = format!("at most {HEADER_VALUE_BYTES_MAX} bytes");
        return Err(InvalidField::new(
            field(),
            "is too long",
            limit,
            format!("{} bytes", value.len()),
        ));
    }
    if let Some(found) = value.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(InvalidField::new(
            field(),
            "has a control character",
            "none but tab",
            format!("{found:?}"),
        ));
    }
    validate_instruction(name, value)
}

/// What a header's name may hold besides letters and digits (RFC 9110, 5.6.2).
const TOKEN_MARKS: &str = "!#$%&'*+-.^_`|~";

/// Whether a header's name may hold this.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || TOKEN_MARKS.as_bytes().contains(&byte)
}

/// Checks the note on a revision.
///
/// # Errors
/// A note that is too long.
pub fn validate_note(note: &str) -> Result<(), InvalidField> {
    if note.len() > NOTE_BYTES_MAX {
        let limit = format!("at most {NOTE_BYTES_MAX} bytes");
        return Err(InvalidField::new(
            "note",
            "is too long",
            limit,
            format!("{} bytes", note.len()),
        ));
    }
    Ok(())
}

/// Checks a number against its two limits.
pub(crate) fn within(field: &str, given: i64, low: i64, high: i64) -> Result<(), InvalidField> {
    if (low..=high).contains(&given) {
        return Ok(());
    }
    Err(InvalidField::new(
        field,
        "is out of range",
        format!("must be between {low} and {high}"),
        given,
    ))
}
