//! The two formats of crontab files, and how to tell them apart.

use std::path::{Component, Path};

use crate::environment::assignment;
use crate::fields::{is_user_name, looks_like_time, split_fields};

/// Whether lines have a user column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A user's own crontab: time fields and command.
    User,
    /// `/etc/crontab` and `/etc/cron.d/*`: a user between time fields and command.
    System,
}

/// Why the format of a file cannot be told: a wrong guess would run what nobody wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// One line has a user and another has none.
    #[error(
        "line {system_line} has a user column ({user}), and line {user_line} has none ({command})"
    )]
    Mixed {
        /// A line with a user.
        system_line: usize,
        /// The user.
        user: String,
        /// A line without one.
        user_line: usize,
        /// Where its command begins.
        command: String,
    },
    /// A word could be both.
    #[error("on line {line} {word:?} may be a user of this machine or a command")]
    EitherWay {
        /// The line.
        line: usize,
        /// The word behind the time fields.
        word: String,
    },
}

/// What a line says about the format of its file.
enum Vote {
    /// `root`, and something behind it.
    System { user: String },
    /// A user of this machine, and something behind it: it may be a command with an argument as
    /// well.
    Either { word: String },
    /// What stands behind the time fields can be no user with a command.
    User { command: String },
    /// Nothing: a word that could be anything, or a line that is refused in either format.
    None,
}

impl Format {
    /// Tells the format from where a file lies, else from what it says.
    ///
    /// Files in an `etc/cron.d` and an `etc/crontab` are of the system, those in a folder
    /// `crontabs` a user's. Elsewhere a file in which `root` stands behind the time fields is of
    /// the system, and one in which nothing does that could be a user's name is a user's (`is_user`
    /// knows the machine's).
    ///
    /// # Errors
    /// When lines speak for both, or a word could be a user as well as a command. What is guessed
    /// wrongly runs wrong commands, so somebody has to say it.
    pub fn detect(
        path: &str,
        text: &str,
        is_user: &dyn Fn(&str) -> bool,
    ) -> Result<Format, Undecided> {
        if let Some(format) = by_place(path) {
            return Ok(format);
        }
        let (mut system, mut either, mut user) = (None, None, None);
        for (index, line) in text.lines().enumerate().filter(|(_, line)| is_entry(line)) {
            match vote(line, is_user) {
                Vote::System { user } => system = system.or(Some((index + 1, user))),
                Vote::Either { word } => either = either.or(Some((index + 1, word))),
                Vote::User { command } => user = user.or(Some((index + 1, command))),
                Vote::None => {}
            }
        }
        match (system, either, user) {
            (Some((system_line, user)), _, Some((user_line, command))) => Err(Undecided::Mixed {
                system_line,
                user,
                user_line,
                command,
            }),
            (Some(_), _, None) => Ok(Format::System),
            (None, Some((line, word)), None) => Err(Undecided::EitherWay { line, word }),
            (None, _, _) => Ok(Format::User),
        }
    }
}

/// The format that a path names by itself, in this machine's `/etc` or in a copy of one.
fn by_place(path: &str) -> Option<Format> {
    let names: Vec<&str> = Path::new(path)
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let (_, folders) = names.split_last()?;
    if names.ends_with(&["etc", "crontab"]) || folders.ends_with(&["etc", "cron.d"]) {
        return Some(Format::System);
    }
    folders.contains(&"crontabs").then_some(Format::User)
}

fn is_entry(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && assignment(line).is_none()
}

fn vote(line: &str, is_user: &dyn Fn(&str) -> bool) -> Vote {
    let Some(fields) = split_fields(line) else {
        return Vote::None;
    };
    let mut words = line[fields.end..].split_whitespace();
    let Some(first) = words.next() else {
        return Vote::None;
    };
    if looks_like_time(first) {
        return Vote::None;
    }
    let second = words.next();
    let is_known = first == "root" || is_user(first);
    let second_is_command =
        second.is_some_and(|word| !word.starts_with(['-', '|', '>', '<', ';', '&', '%']));
    match (is_known, second_is_command) {
        (true, true) if first == "root" => Vote::System {
            user: first.to_owned(),
        },
        (true, true) => Vote::Either {
            word: first.to_owned(),
        },
        (true, false) if second.is_none() => Vote::None,
        _ if is_user_name(first) && second_is_command => Vote::None,
        _ => Vote::User {
            command: first.chars().take(40).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(path: &str, text: &str) -> Result<Format, String> {
        let is_user = |word: &str| ["www-data", "mail", "backup", "sync"].contains(&word);
        Format::detect(path, text, &is_user).map_err(|undecided| undecided.to_string())
    }

    #[test]
    fn files_are_told_apart_by_place_and_content() {
        let cases = [
            ("/etc/crontab", "", Format::System),
            ("/etc/cron.d/php", "* * * * * ls", Format::System),
            (
                "repo/etc/cron.d/munin",
                "*/5 * * * * munin if [ -x a ]; then a; fi",
                Format::System,
            ),
            ("./etc/crontab", "* * * * * ls", Format::System),
            (
                "/var/spool/cron/crontabs/alice",
                "* * * * * root ls",
                Format::User,
            ),
            ("crontab", "", Format::User),
            (
                "x",
                "# c\nSHELL=/bin/sh\n\n0 5 * * * root ls\n@daily www-data ls",
                Format::System,
            ),
            // A name that this machine does not have, a line that is refused anyway: neither turns
            // the file round.
            (
                "x",
                "17 * * * * root cd / && x\n0 2 * * * openwrt ls /x",
                Format::System,
            ),
            (
                "x",
                "17 * * * * root cd / && x\n0 5 * *\n* * * * * * root x",
                Format::System,
            ),
            ("x", "0 5 * * * root ls\n0 5 * * * mail ls", Format::System),
            ("x", "0 5 * * * mail -s hi me", Format::User),
            (
                "x",
                "0 5 * * * php /srv/run.php\n@daily /bin/true",
                Format::User,
            ),
            (
                "x",
                "0 5 * * * /bin/backup all\n0 5 * * * backup /home",
                Format::User,
            ),
            ("x", "0 5 * * * root -b -q macro.C", Format::User),
            ("x", "0 5 * * * sync", Format::User),
            ("x", "0 5 * *", Format::User),
            ("x", "", Format::User),
        ];
        for (path, text, format) in cases {
            assert_eq!(detect(path, text), Ok(format), "{path} {text}");
        }
    }

    #[test]
    fn what_could_be_either_is_not_guessed() {
        let mixed = "line 1 has a user column (root), and line 3 has none (/bin/true)";
        assert_eq!(
            detect("x", "0 5 * * * root ls\n# c\n@daily /bin/true"),
            Err(mixed.to_owned())
        );
        let mixed = "line 2 has a user column (root), and line 1 has none ([)";
        assert_eq!(
            detect("x", "0 5 * * * [ -x a ] && a\n0 5 * * * root ls"),
            Err(mixed.to_owned())
        );
        for (text, word) in [
            ("0 5 * * * backup /home", "backup"),
            ("0 6 * * * mail ops@x%Hi", "mail"),
            ("0 6 * * * www-data php x", "www-data"),
        ] {
            let either = format!("on line 1 {word:?} may be a user of this machine or a command");
            assert_eq!(detect("x", text), Err(either), "{text}");
        }
    }
}
