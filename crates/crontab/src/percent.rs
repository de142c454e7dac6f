//! The percent sign: where the command ends and its standard input begins.

/// Splits the text of a command: what the shell gets, and what it reads from standard input.
///
/// The first unescaped `%` ends the command; every further one is a line end; `\%` is a percent sign in both
/// parts. Any other backslash stays, and one that stands behind another escapes nothing. A line end is added to
/// standard input that has none, unless it is empty.
pub(crate) fn split(text: &str) -> (String, Option<String>) {
    let mut parts = [String::with_capacity(text.len()), String::new()];
    let mut in_stdin = false;
    let mut escaped = false;
    for c in text.chars() {
        let part = &mut parts[usize::from(in_stdin)];
        match c {
            '%' if escaped => {
                part.pop();
                part.push('%');
            }
            '%' if in_stdin => part.push('\n'),
            '%' => in_stdin = true,
            _ => part.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    let [command, mut stdin] = parts;
    if !stdin.is_empty() && !stdin.ends_with('\n') {
        stdin.push('\n');
    }
    (command, in_stdin.then_some(stdin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_split_and_escape() {
        let cases = [
            ("date +\\%F", "date +%F", None),
            ("mail -s hi root%one%two", "mail -s hi root", Some("one\ntwo\n")),
            ("cat%100\\%", "cat", Some("100%\n")),
            ("cat%", "cat", Some("")),
            ("cat%a%", "cat", Some("a\n")),
            ("cat%%a", "cat", Some("\na\n")),
            ("echo \\n \\\\%x", "echo \\n \\\\", Some("x\n")),
            ("echo \\\\\\%x", "echo \\\\%x", None),
            ("echo %", "echo ", Some("")),
        ];
        for (text, command, stdin) in cases {
            assert_eq!(split(text), (command.to_owned(), stdin.map(str::to_owned)), "{text}");
        }
    }
}
