//! Whose commands a worker runs: those of its own user. A task that names another one is refused,
//! for it would run with rights that it was not meant to have.

use minutehand_model::Task;

/// The task header with the user that a command is meant for.
pub const USER_HEADER: &str = "minutehand-user";

/// This machine's users.
const USERS_FILE: &str = "/etc/passwd";

/// Refuses a command that is meant for another user than this process's own.
pub(super) fn check_user(task: &Task) -> Result<(), String> {
    let Some((_, wanted)) = task
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(USER_HEADER))
    else {
        return Ok(());
    };
    let own = rustix::process::geteuid().as_raw();
    let users = std::fs::read_to_string(USERS_FILE).unwrap_or_default();
    if is_own(wanted, own, &users) {
        return Ok(());
    }
    let shown: String = wanted.chars().take(64).collect();
    Err(format!(
        "{USER_HEADER} is {shown:?}, and this worker runs commands as its own user, number {own}; run it by a worker of that \
         user, or leave the header out"
    ))
}

/// Whether a word is the number, or one of the names, of a user in a file like `/etc/passwd`.
fn is_own(wanted: &str, own: u32, users: &str) -> bool {
    let mut entries = users.lines().map(|line| line.split(':'));
    let named = entries.any(|mut fields| {
        fields.next() == Some(wanted)
            && fields.nth(1).and_then(|number| number.parse().ok()) == Some(own)
    });
    named || wanted.parse() == Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_name_and_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbackup:x:34:34::/var/backups:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n";
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
            assert_eq!(is_own(wanted, own, users), expected, "{wanted:?} as {own}");
        }
    }
}
