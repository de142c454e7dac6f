//! What becomes of the end of a log.

/// How much of what was printed goes into a reason or a result, in bytes.
const DETAIL_BYTES_MAX: usize = 2 * 1024;

/// The end of a log, as a result.
pub(crate) fn end_of(log: &str) -> &str {
    &log[log.ceil_char_boundary(log.len().saturating_sub(DETAIL_BYTES_MAX))..]
}

/// How something ended, and the end of its log.
pub(crate) fn with_log(how: String, log: &str) -> String {
    match end_of(log) {
        "" => how,
        log => format!("{how}: {log}"),
    }
}
