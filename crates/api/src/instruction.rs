//! Headers by which a task instructs an executor: refused where they are created, and not only when
//! the task runs.

use minutehand_model::limits::RETRY_DELAY_MS_MAX;

use crate::InvalidField;

/// Header names that begin like this are the scheduler's own.
pub(crate) const OWN_HEADERS: &str = "minutehand-";
/// Those a caller may set: what they ask of an executor, and of the record an execution becomes.
pub(crate) const INSTRUCTIONS: &[&str] = &[
    "minutehand-command",
    "minutehand-envelope",
    "minutehand-executor",
    "minutehand-timeout-ms",
    "minutehand-url",
    "minutehand-user",
];

/// Longest time a run may take, in milliseconds.
const RUN_TIMEOUT_MS_MAX: i64 = RETRY_DELAY_MS_MAX;

/// Whether a header is one of the scheduler's own that callers may set, as they may in the API.
pub fn is_instruction(name: &str) -> bool {
    INSTRUCTIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// The instruction that was probably meant by a name that is none.
pub(crate) fn nearest_instruction(name: &str) -> Option<&'static str> {
    /// More letters than this are no error of typing.
    const TYPING_ERRORS_MAX: usize = 3;
    let name = name.to_ascii_lowercase();
    let distances = INSTRUCTIONS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, known), *known));
    distances
        .min()
        .filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX)
        .map(|(_, known)| known)
}

/// Checks what a header says when it is an instruction. What only the executor can know (whether an
/// address may be reached, whether commands are allowed) is for the executor to say.
///
/// # Errors
/// A value that no executor could follow.
pub fn validate_instruction(name: &str, value: &str) -> Result<(), InvalidField> {
    let refused = |problem: &str, limit: String| {
        let given: String = value.chars().take(60).collect();
        Err(InvalidField::new(
            format!("headers.{name}"),
            problem,
            limit,
            format!("{given:?}"),
        ))
    };
    match name.to_ascii_lowercase().as_str() {
        "minutehand-timeout-ms" => match value.parse::<i64>() {
            Ok(ms) if (1..=RUN_TIMEOUT_MS_MAX).contains(&ms) => Ok(()),
            _ => refused(
                "is not a time limit",
                format!("a whole number from 1 to {RUN_TIMEOUT_MS_MAX}"),
            ),
        },
        "minutehand-envelope"
            if !["cloudevents", "plain"]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(value)) =>
        {
            refused("is not a choice", "one of cloudevents, plain".to_owned())
        }
        // The payload describes a command, whatever queue it goes through.
        "minutehand-executor" if value != "process" => refused(
            "is not an executor that can be asked for",
            "process".to_owned(),
        ),
        // It may hold a secret, and is not repeated.
        "minutehand-url" => url_problem(value).map_or(Ok(()), |problem| {
            let limit = "http or https, a host, and no user name or password";
            Err(InvalidField::new(
                format!("headers.{name}"),
                problem,
                limit,
                "another text",
            ))
        }),
        "minutehand-command" | "minutehand-user" if value.is_empty() => {
            refused("is empty", "a text".to_owned())
        }
        _ => Ok(()),
    }
}

/// What keeps a text from being a URL that can be posted to, as far as its form tells.
fn url_problem(url: &str) -> Option<String> {
    let starts_with = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let Some(scheme) = ["http://", "https://"]
        .into_iter()
        .find(|scheme| starts_with(scheme))
    else {
        return Some("is not a URL that can be posted to".to_owned());
    };
    let rest = &url[scheme.len()..];
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let problem = if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "has blanks"
    } else if authority.contains('@') {
        "has a user name or password"
    } else if authority.is_empty() || authority.starts_with(':') {
        "has no host"
    } else {
        // The same that the executor reads it by; its errors repeat nothing of the text.
        let read = url::Url::parse(url).err();
        return read.map(|error| format!("is not a URL: {error}"));
    };
    Some(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_that_nobody_could_follow_are_refused() {
        for (name, value) in [
            ("minutehand-timeout-ms", "5s"),
            ("Minutehand-Timeout-Ms", "0"),
            ("minutehand-timeout-ms", "-1"),
            ("minutehand-timeout-ms", "2592000001"),
            ("minutehand-timeout-ms", ""),
            ("minutehand-url", "nope"),
            ("minutehand-url", "ftp://example.org/"),
            ("minutehand-url", "http://"),
            ("minutehand-url", "http://:80/"),
            ("minutehand-url", "https:///path"),
            ("minutehand-url", "http://127.0.0.1:99999/"),
            ("minutehand-url", "http://127.0.0.1:+80/"),
            ("minutehand-url", "http://127.0.0.1:80:80/"),
            ("minutehand-url", "http://example.org:http"),
            ("minutehand-url", "http://::1/"),
            ("minutehand-url", "http://[::1"),
            ("minutehand-url", "http://[::1]80"),
            ("minutehand-url", "http://[example.org]/"),
            ("minutehand-url", "http://1.2.3.256/"),
            ("minutehand-url", "http://a<b/"),
            ("minutehand-url", "http://user:secret@example.org/"),
            ("minutehand-url", "http://exa mple.org/"),
            ("minutehand-url", " http://example.org/"),
            ("minutehand-envelope", "json"),
            ("minutehand-executor", "shell"),
            ("minutehand-executor", ""),
            ("minutehand-command", ""),
            ("minutehand-user", ""),
        ] {
            let error = validate_instruction(name, value).expect_err(value);
            assert!(
                error.field.ends_with(name) && !format!("{error:?}").contains("secret"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_misspelt_instruction_is_known_by_its_letters() {
        for (name, meant) in [
            ("minutehand-ulr", Some("minutehand-url")),
            ("Minutehand-Comand", Some("minutehand-command")),
            ("minutehand-timeout", Some("minutehand-timeout-ms")),
            ("minutehand-something", None),
        ] {
            assert_eq!(nearest_instruction(name), meant, "{name}");
        }
    }

    #[test]
    fn what_can_be_followed_and_what_is_no_instruction_pass() {
        for (name, value) in [
            ("minutehand-timeout-ms", "2592000000"),
            ("minutehand-url", "HTTPS://example.org:8443/a?b=c@d#e"),
            ("minutehand-url", "http://[::1]:80"),
            ("minutehand-url", "http://[2001:db8::1]?a"),
            ("minutehand-url", "http://example.org:/"),
            ("minutehand-url", "http://example.org:65535"),
            ("minutehand-url", "http://例え.jp/"),
            ("minutehand-envelope", "CloudEvents"),
            ("minutehand-command", "exit 1"),
            ("minutehand-executor", "process"),
            ("x-timeout-ms", "5s"),
        ] {
            assert_eq!(validate_instruction(name, value), Ok(()), "{name}: {value}");
        }
    }
}
