//! The two formats of crontab files, and how to tell them apart.

use crate::environment::assignment;
use crate::line::split_fields;

/// Whether lines have a user column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A user's own crontab: time fields and command.
    User,
    /// `/etc/crontab` and `/etc/cron.d/*`: a user between time fields and command.
    System,
}

impl Format {
    /// Tells the format from where a file lies, else from what it says.
    ///
    /// Below `/etc` files are of the system, below a `crontabs` folder a user's. Elsewhere a file is taken for
    /// the system's when on each line the word after the time fields is a user (`is_user` knows the machine's;
    /// `root` always is one) and the word after that does not look like an option or an operator.
    #[must_use]
    pub fn detect(path: &str, text: &str, is_user: &dyn Fn(&str) -> bool) -> Format {
        if path == "/etc/crontab" || path.starts_with("/etc/cron.d/") {
            return Format::System;
        }
        if path.contains("/crontabs/") {
            return Format::User;
        }
        let mut lines = text.lines().filter(|line| is_entry(line)).peekable();
        if lines.peek().is_some() && lines.all(|line| has_user(line, is_user)) {
            Format::System
        } else {
            Format::User
        }
    }
}

fn is_entry(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && assignment(line).is_none()
}

fn has_user(line: &str, is_user: &dyn Fn(&str) -> bool) -> bool {
    let Some(fields) = split_fields(line) else { return false };
    let mut words = line[fields.end..].split_whitespace();
    let user = words.next().is_some_and(|word| word == "root" || is_user(word));
    user && words.next().is_some_and(|word| !word.starts_with(['-', '|', '>', '<', ';', '&']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_place_and_content() {
        let is_user = |word: &str| ["www-data", "mail", "sync"].contains(&word);
        let cases = [
            ("/etc/crontab", "", Format::System),
            ("/etc/cron.d/php", "* * * * * ls", Format::System),
            ("/var/spool/cron/crontabs/alice", "* * * * * root ls", Format::User),
            ("x", "# c\nSHELL=/bin/sh\n\n0 5 * * * root ls\n@daily www-data ls", Format::System),
            ("x", "0 5 * * * root ls\n@daily /bin/true", Format::User),
            ("x", "0 5 * * * mail -s hi me", Format::User),
            ("x", "0 5 * * * sync", Format::User),
            ("x", "0 5 * *", Format::User),
            ("x", "", Format::User),
        ];
        for (path, text, format) in cases {
            assert_eq!(Format::detect(path, text, &is_user), format, "{path} {text}");
        }
    }
}
