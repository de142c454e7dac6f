//! Whose rights commands have: the worker's own user, or the one that its settings name. A task that
//! names another one is refused, for it would run with rights that it was not meant to have.

use minutehand_model::Task;

/// A user that commands cannot run as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error(
        "{section}.user is {given:?}, which {USERS_FILE} does not know; name a user of this machine, or give a number"
    )]
    Unknown {
        /// The section of the settings.
        section: &'static str,
        /// What was given.
        given: String,
    },
    /// This process cannot take the user's place.
    #[error(
        "{section}.user is {given:?}, and this process runs as user number {own}: only root may run commands as somebody \
         else; leave the setting out, or start the worker as root"
    )]
    NotRoot {
        /// The section of the settings.
        section: &'static str,
        /// What was given.
        given: String,
        /// The number of this process's user.
        own: u32,
    },
}

/// The task header with the user that a command is meant for.
pub const USER_HEADER: &str = "minutehand-user";

/// This machine's users.
const USERS_FILE: &str = "/etc/passwd";

/// A user whose rights commands have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    user: u32,
    /// User and group that a command must become first.
    to_become: Option<(u32, u32)>,
}

impl Identity {
    /// This process's own user, or the one that a section of the settings names.
    pub(super) fn of(section: &'static str, wanted: Option<&str>) -> Result<Identity, UserError> {
        let own = rustix::process::geteuid().as_raw();
        let Some(given) = wanted else {
            return Ok(Identity {
                user: own,
                to_become: None,
            });
        };
        let users = std::fs::read_to_string(USERS_FILE).unwrap_or_default();
        Identity::among(section, given, own, &users)
    }

    fn among(
        section: &'static str,
        given: &str,
        own: u32,
        users: &str,
    ) -> Result<Identity, UserError> {
        let named = entries(users).find(|entry| entry.is_called(given));
        let number = given.parse::<u32>().ok();
        let (user, group) = match (named, number) {
            (Some(entry), _) => (entry.user, entry.group),
            (None, Some(number)) => (number, number),
            (None, None) => {
                let given = given.chars().take(64).collect();
                return Err(UserError::Unknown { section, given });
            }
        };
        if user != own && own != 0 {
            let given = given.chars().take(64).collect();
            return Err(UserError::NotRoot {
                section,
                given,
                own,
            });
        }
        Ok(Identity {
            user,
            to_become: (user != own).then_some((user, group)),
        })
    }

    /// User and group that a command must become, unless it is so already.
    pub(super) fn to_become(&self) -> Option<(u32, u32)> {
        self.to_become
    }

    /// Refuses a command that is meant for another user.
    pub(super) fn check(&self, task: &Task) -> Result<(), String> {
        let header = task
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(USER_HEADER));
        let Some((_, wanted)) = header else {
            return Ok(());
        };
        let users = std::fs::read_to_string(USERS_FILE).unwrap_or_default();
        if self.is_called(wanted, &users) {
            return Ok(());
        }
        let shown: String = wanted.chars().take(64).collect();
        Err(format!(
            "{USER_HEADER} is {shown:?}, and this worker runs commands as its own user, number {}; run it by a worker of that \
             user, or leave the header out",
            self.user
        ))
    }

    /// Whether a word is the user's number, or one of its names in a file like `/etc/passwd`.
    fn is_called(&self, wanted: &str, users: &str) -> bool {
        let named = entries(users).any(|entry| entry.name == wanted && entry.user == self.user);
        named || wanted.parse() == Ok(self.user)
    }
}

/// A line of a file like `/etc/passwd`.
struct Entry<'a> {
    name: &'a str,
    user: u32,
    group: u32,
}

impl Entry<'_> {
    fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || wanted.parse() == Ok(self.user)
    }
}

fn entries(users: &str) -> impl Iterator<Item = Entry<'_>> {
    users.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some(Entry {
            name: fields.first().copied().filter(|name| !name.is_empty())?,
            user: number(2)?,
            group: number(3)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbackup:x:34:35::/var/backups:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n";

    #[test]
    fn a_user_is_known_by_name_and_by_number() {
        for (wanted, own, expected) in [
            ("root", 0, true),
            ("toor", 0, true),
            ("0", 0, true),
            ("backup", 34, true),
            ("backup", 0, false),
            ("root", 34, false),
            ("nobody", 0, false),
            ("x", 0, false),
            ("", 0, false),
            ("root:x", 0, false),
        ] {
            let identity = Identity {
                user: own,
                to_become: None,
            };
            assert_eq!(
                identity.is_called(wanted, USERS),
                expected,
                "{wanted:?} as {own}"
            );
        }
    }

    #[test]
    fn only_root_becomes_somebody_else() {
        let as_user = |given, own| Identity::among("pool", given, own, USERS);
        let become_of = |given, own| as_user(given, own).unwrap().to_become();
        assert_eq!(become_of("backup", 0), Some((34, 35)));
        assert_eq!(become_of("34", 0), Some((34, 35)));
        assert_eq!(become_of("1234", 0), Some((1234, 1234)));
        assert_eq!(become_of("backup", 34), None);
        let error = as_user("root", 34).unwrap_err().to_string();
        assert!(
            error.contains("pool.user is \"root\"") && error.contains("34"),
            "{error}"
        );
        let error = as_user("nobody-here", 0).unwrap_err().to_string();
        assert!(error.contains("/etc/passwd"), "{error}");
    }
}
