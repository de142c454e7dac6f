//! Problem documents (RFC 9457) as one line and a hint.

use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::output::table::printable;

/// Characters of an answer that is no problem document which are shown.
const SHOWN_MAX: usize = 200;

/// What an error status with this body means; `has_token` says whether the request bore a token.
pub(crate) fn failure_of(status: u16, body: &[u8], has_token: bool) -> Failure {
    let exit = match status {
        401 | 403 => Exit::Denied,
        404 | 410 => Exit::NotFound,
        409 | 412 | 428 => Exit::Conflict,
        400 | 405 | 406 | 411 | 413 | 414 | 415 | 422 | 431 => Exit::Refused,
        408 | 429 | 502 | 503 | 504 | 507 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let problem: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let message = match &problem {
        Some(problem) if status == 401 && has_token => {
            format!("the token was refused: {}", line(status, problem))
        }
        Some(problem) => line(status, problem),
        None => {
            let text: String = String::from_utf8_lossy(body)
                .chars()
                .take(SHOWN_MAX)
                .collect();
            format!(
                "the server answered {status}{}{}",
                if text.is_empty() { "" } else { ": " },
                printable(&text)
            )
        }
    };
    let told = problem.as_ref().and_then(|problem| text(problem, "hint"));
    let hint = told.or_else(|| hint(status, has_token).map(str::to_owned));
    Failure {
        exit,
        message,
        hint,
        problem,
    }
}

/// `detail (field delay, limit 1, given "0s")`; what the detail already says is not said again.
fn line(status: u16, problem: &Value) -> String {
    let detail = text(problem, "detail").or_else(|| text(problem, "title"));
    let mut line = detail.unwrap_or_else(|| format!("the server answered {status}"));
    let facts: Vec<String> = ["field", "limit", "given"]
        .iter()
        .filter_map(|name| {
            let value = problem.get(*name).filter(|value| !value.is_null())?;
            let shown = value.as_str().map_or_else(|| value.to_string(), printable);
            (!line.contains(&shown)).then(|| format!("{name} {shown}"))
        })
        .collect();
    if !facts.is_empty() {
        line.push_str(&format!(" ({})", facts.join(", ")));
    }
    if let Some(picture) = text_of_lines(problem, "picture") {
        line.push('\n');
        line.push_str(&picture);
    }
    line
}

fn text(problem: &Value, name: &str) -> Option<String> {
    problem
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(printable)
}

fn text_of_lines(problem: &Value, name: &str) -> Option<String> {
    let text = problem
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())?;
    Some(
        text.lines()
            .map(printable)
            .collect::<Vec<String>>()
            .join("\n"),
    )
}

fn hint(status: u16, has_token: bool) -> Option<&'static str> {
    match status {
        401 if has_token => {
            Some("look at MINUTEHAND_TOKEN or --token: the server does not know it")
        }
        401 => Some("give a token with MINUTEHAND_TOKEN"),
        403 => Some("the token may not do this"),
        412 => Some("it was changed meanwhile; look at it again, then repeat the change"),
        429 | 503 => Some("try again in a moment"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_exit_codes() {
        let cases = [
            (400, Exit::Refused),
            (401, Exit::Denied),
            (403, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (412, Exit::Conflict),
            (413, Exit::Refused),
            (422, Exit::Refused),
            (500, Exit::Failed),
            (429, Exit::Unreachable),
            (503, Exit::Unreachable),
            (507, Exit::Unreachable),
        ];
        for (status, exit) in cases {
            assert_eq!(failure_of(status, b"", false).exit, exit, "{status}");
        }
    }

    #[test]
    fn problems_are_one_line_with_what_the_detail_leaves_out() {
        let body = br#"{"title":"refused","status":422,"detail":"payload is too large","field":"payload","limit":262144,"given":300000,"hint":"store it elsewhere"}"#;
        let failure = failure_of(422, body, false);
        assert_eq!(
            failure.message,
            "payload is too large (limit 262144, given 300000)"
        );
        assert_eq!(failure.hint.as_deref(), Some("store it elsewhere"));
        assert_eq!(
            failure_of(404, br#"{"title":"no such task"}"#, false).message,
            "no such task"
        );
        assert_eq!(
            failure_of(502, b"<html>\x1b[2J", false).message,
            "the server answered 502: <html>?[2J"
        );
        assert_eq!(
            failure_of(500, b"", false).message,
            "the server answered 500"
        );
        assert_eq!(
            failure_of(401, b"", false).hint.as_deref(),
            Some("give a token with MINUTEHAND_TOKEN")
        );
        let refused = failure_of(401, br#"{"detail":"no such token"}"#, true);
        assert_eq!(refused.message, "the token was refused: no such token");
        assert!(
            refused
                .hint
                .is_some_and(|hint| hint.contains("does not know it"))
        );
    }
}
