//! The percent sign: where the command ends and its standard input begins.

/// Splits the text of a command: what the shell gets, and what it reads from standard input.
///
/// As cronie does: the first unescaped `%` ends the command and `\\%` is a percent sign in it; a
/// backslash that stands behind another escapes nothing, and every other one stays.
pub(crate) fn split(text: &str) -> (String, Option<String>) {
    let mut command = String::with_capacity(text.len());
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '%' if escaped => {
                command.pop();
                command.push('%');
            }
            '%' => return (command, Some(input(&text[at + 1..]))),
            _ => command.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    (command, None)
}

/// Standard input: every `%` is a line end and `\\%` a percent sign, also behind another backslash;
/// a line end is added where there is none.
fn input(text: &str) -> String {
    let mut input = String::with_capacity(text.len() + 1);
    let mut escaped = false;
    let mut line_is_open = false;
    for c in text.chars() {
        if escaped && c != '%' {
            input.push('\\');
        }
        let shown = if c == '%' && !escaped { '\n' } else { c };
        escaped = c == '\\';
        if !escaped {
            input.push(shown);
            line_is_open = shown != '\n';
        }
    }
    if escaped {
        input.push('\\');
    }
    if line_is_open {
        input.push('\n');
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_split_and_escape() {
        let cases = [
            ("date +\\%F", "date +%F", None),
            (
                "mail -s hi root%one%two",
                "mail -s hi root",
                Some("one\ntwo\n"),
            ),
            ("cat%100\\%", "cat", Some("100%\n")),
            ("cat%", "cat", Some("")),
            ("cat%a%", "cat", Some("a\n")),
            ("cat%%a", "cat", Some("\na\n")),
            ("echo \\n \\\\%x", "echo \\n \\\\", Some("x\n")),
            ("echo \\\\\\%x", "echo \\\\%x", None),
            ("echo %", "echo ", Some("")),
            ("cat%b\\\\%c", "cat", Some("b\\%c\n")),
            ("cat%b\\c", "cat", Some("b\\c\n")),
            ("cat%b\\", "cat", Some("b\\\n")),
            ("cat%\\", "cat", Some("\\")),
        ];
        for (text, command, stdin) in cases {
            assert_eq!(
                split(text),
                (command.to_owned(), stdin.map(str::to_owned)),
                "{text}"
            );
        }
    }
}
