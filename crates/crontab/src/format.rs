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
    /// Nothing but such words stands in the file, and nobody here knows this one.
    #[error("on line {line} {word:?} is neither a user nor a program of this machine")]
    Unknown {
        /// The line.
        line: usize,
        /// The word behind the time fields.
        word: String,
    },
    /// A file lies where users' crontabs do, and has a user column.
    #[error("it lies among users' crontabs, and line {line} has a user column ({user})")]
    Misplaced {
        /// The line.
        line: usize,
        /// The user.
        user: String,
    },
}

/// What is known of the machine that a crontab is read on.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Whether a word is the name of a user.
    pub is_user: &'a dyn Fn(&str) -> bool,
    /// Whether a word is the name of a program that is found without a path.
    pub is_program: &'a dyn Fn(&str) -> bool,
}

/// Words that a shell obeys by itself, and that no user is named by.
const SHELL_WORDS: [&str; 26] = [
    "alias", "case", "cd", "command", "do", "echo", "eval", "exec", "exit", "export", "false",
    "for", "if", "printf", "read", "set", "source", "test", "time", "trap", "true", "type",
    "ulimit", "umask", "unset", "while",
];

/// What a line says about the format of its file.
enum Vote {
    /// `root`, and something behind it.
    System { user: String },
    /// A user of this machine, and something behind it: it may be a command with an argument as
    /// well.
    Either { word: String },
    /// What stands behind the time fields can be no user with a command.
    User { command: String },
    /// A word that is no user of this machine and no program either, and something behind it.
    Unknown { word: String },
    /// Nothing: a word that could be anything, or a line that is refused in either format.
    None,
}

impl Format {
    /// Tells the format from where a file lies, else from what it says.
    ///
    /// Files in an `etc/cron.d` and an `etc/crontab` are of the system, those in a `spool/cron`, a
    /// `spool/cron/crontabs` and an `etc/crontabs` a user's. Elsewhere a file in which `root`
    /// stands behind the time fields is of the system, and one in which nothing does that could be
    /// a user's name is a user's.
    ///
    /// # Errors
    /// When lines speak for both or against the place, when a word could be a user as well as a
    /// command, or when all there is are words that the machine does not know. What is guessed
    /// wrongly runs wrong commands, so somebody has to say it.
    pub fn detect(path: &str, text: &str, machine: Machine<'_>) -> Result<Format, Undecided> {
        let place = by_place(path);
        if place == Some(Format::System) {
            return Ok(Format::System);
        }
        let votes = Votes::of(text, machine);
        match place {
            Some(_) => votes.agree_with_a_users_place(),
            None => votes.decide(),
        }
    }
}

/// The first line, counted from one, of each kind of vote, and its word.
#[derive(Default)]
struct Votes {
    system: Option<(usize, String)>,
    either: Option<(usize, String)>,
    user: Option<(usize, String)>,
    unknown: Option<(usize, String)>,
}

impl Votes {
    fn of(text: &str, machine: Machine<'_>) -> Votes {
        let mut votes = Votes::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| is_entry(line)) {
            let (first, word) = match vote(line, machine) {
                Vote::System { user } => (&mut votes.system, user),
                Vote::Either { word } => (&mut votes.either, word),
                Vote::User { command } => (&mut votes.user, command),
                Vote::Unknown { word } => (&mut votes.unknown, word),
                Vote::None => continue,
            };
            first.get_or_insert((index + 1, word));
        }
        votes
    }

    fn decide(self) -> Result<Format, Undecided> {
        match (self.system, self.either, self.user, self.unknown) {
            (Some((system_line, user)), _, Some((user_line, command)), _) => {
                Err(Undecided::Mixed {
                    system_line,
                    user,
                    user_line,
                    command,
                })
            }
            (Some(_), _, None, _) => Ok(Format::System),
            (None, Some((line, word)), None, _) => Err(Undecided::EitherWay { line, word }),
            (None, None, None, Some((line, word))) => Err(Undecided::Unknown { line, word }),
            (None, _, _, _) => Ok(Format::User),
        }
    }

    fn agree_with_a_users_place(self) -> Result<Format, Undecided> {
        match self.system {
            Some((line, user)) => Err(Undecided::Misplaced { line, user }),
            None => Ok(Format::User),
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
    let places: [&[&str]; 3] = [
        &["spool", "cron"],
        &["spool", "cron", "crontabs"],
        &["etc", "crontabs"],
    ];
    let is_of_users = places.iter().any(|place| folders.ends_with(place));
    is_of_users.then_some(Format::User)
}

fn is_entry(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && assignment(line).is_none()
}

fn vote(line: &str, machine: Machine<'_>) -> Vote {
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
    let is_known = first == "root" || (machine.is_user)(first);
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
        _ if SHELL_WORDS.contains(&first) => Vote::User {
            command: first.to_owned(),
        },
        _ if is_user_name(first) && second_is_command && (machine.is_program)(first) => Vote::None,
        _ if is_user_name(first) && second_is_command => Vote::Unknown {
            word: first.to_owned(),
        },
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
        let is_program = |word: &str| ["php", "curl", "backup"].contains(&word);
        let machine = Machine {
            is_user: &is_user,
            is_program: &is_program,
        };
        Format::detect(path, text, machine).map_err(|undecided| undecided.to_string())
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
                "* * * * * openwrt ls",
                Format::User,
            ),
            ("etc/crontabs/root", "* * * * * backup /x", Format::User),
            ("x", "0 5 * * * php /srv/run.php", Format::User),
            ("x", "0 5 * * * cd /srv && ./run", Format::User),
            ("x", "0 5 * * * own /x\n@daily /bin/true", Format::User),
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

    #[test]
    fn words_that_nobody_knows_are_not_taken_for_commands() {
        let unknown = "on line 2 \"openwrt\" is neither a user nor a program of this machine";
        for text in [
            "SHELL=/bin/sh\n0 2 * * * openwrt ls /x",
            "0 3 * * * curl x\n0 2 * * * openwrt ls /x",
        ] {
            assert_eq!(detect("j", text), Err(unknown.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_folder_of_users_crontabs_is_known_by_its_whole_place() {
        let text = "17 * * * * root cd / && x";
        assert_eq!(detect("./crontabs/jobs", text), Ok(Format::System));
        let misplaced =
            "it lies among users' crontabs, and line 1 has a user column (root)".to_owned();
        for path in ["/var/spool/cron/alice", "copy/spool/cron/crontabs/alice"] {
            assert_eq!(detect(path, text), Err(misplaced.clone()), "{path}");
        }
    }
}
