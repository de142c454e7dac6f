//! What an answer means.

use std::time::Duration;

use minutehand_model::Timestamp;
use minutehand_model::limits::{RESULT_BYTES_MAX, RETRY_DELAY_MS_MAX};
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

use crate::handler::Verdict;

/// How much of a refusal's body goes into the reason, in bytes.
const REASON_BODY_BYTES_MAX: usize = 1_024;
/// How long the body is awaited: the status has said what matters.
const BODY_TIME_MAX: Duration = Duration::from_secs(2);

/// Reads an answer, its body up to a limit, and judges it by its status.
pub(super) async fn judge(
    response: Response,
    body_bytes_max: usize,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
) -> Verdict {
    let status = response.status();
    let retry_after_ms = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| parse_retry_after_ms(value, clock()));
    // Read also on success: a connection whose answer was read to its end can be used again.
    let body = Body::read(response, body_bytes_max).await;
    if status.is_success() {
        return Verdict::Success {
            detail: result(status, &body),
        };
    }
    let reason = reason(status, body.start());
    if is_final(status) {
        Verdict::discard(reason)
    } else {
        Verdict::Failure {
            reason,
            retry_after_ms,
        }
    }
}

/// Whether the same request would be refused again.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429)
}

/// What was answered, as it was, where it is text and all of it is there; else the status.
fn result(status: StatusCode, body: &Body) -> String {
    match std::str::from_utf8(&body.bytes) {
        Ok(text) if body.is_whole && !text.trim().is_empty() => text.to_owned(),
        _ => format!("HTTP {}", status.as_u16()),
    }
}

fn reason(status: StatusCode, body: &[u8]) -> String {
    let words = status.canonical_reason().unwrap_or("no standard status");
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => format!("HTTP {} {words}", status.as_u16()),
        text => format!("HTTP {} {words}: {text}", status.as_u16()),
    }
}

/// The first bytes of a body, at most [`RESULT_BYTES_MAX`].
struct Body {
    bytes: Vec<u8>,
    /// There is nothing behind them.
    is_whole: bool,
}

impl Body {
    /// Reads a body that is no longer than `bytes_max`, and of a longer one its beginning.
    async fn read(mut response: Response, bytes_max: usize) -> Body {
        let mut body = Body {
            bytes: Vec::new(),
            is_whole: false,
        };
        let mut bytes_read = 0;
        let reading = async {
            loop {
                match response.chunk().await {
                    Ok(Some(chunk)) => {
                        let wanted = (RESULT_BYTES_MAX - body.bytes.len()).min(chunk.len());
                        body.bytes.extend_from_slice(&chunk[..wanted]);
                        bytes_read += chunk.len();
                        // One that ends just here is whole: what follows says so.
                        if bytes_read > bytes_max {
                            return false;
                        }
                    }
                    Ok(None) => return bytes_read <= RESULT_BYTES_MAX,
                    Err(_) => return false,
                }
            }
        };
        let is_whole = tokio::time::timeout(BODY_TIME_MAX, reading).await;
        body.is_whole = is_whole.unwrap_or(false);
        body
    }

    /// What goes into a reason.
    fn start(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(REASON_BODY_BYTES_MAX)]
    }
}

/// `Retry-After` in milliseconds from now: a number of seconds or a date (RFC 9110, 10.2.3).
fn parse_retry_after_ms(value: &str, now: Timestamp) -> Option<i64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long time.
        let seconds = value.parse::<i64>().unwrap_or(i64::MAX);
        return Some(seconds.saturating_mul(1_000).min(RETRY_DELAY_MS_MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).ok()?);
    Some(at.millis_since(now).clamp(0, RETRY_DELAY_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after() {
        let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999", Some(RETRY_DELAY_MS_MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60_000)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(RETRY_DELAY_MS_MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after_ms(value, now), expected, "{value:?}");
        }
    }
}
