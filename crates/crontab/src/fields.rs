//! The words of a line: time fields, a user, and what separates them.

/// Longest name taken for a user's, in bytes: what `useradd` accepts at most is half of it.
const USER_BYTES_MAX: usize = 64;

/// The time fields of a line: bytes `start..end`, without a leading `-`.
pub(crate) struct Fields {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) quiet: bool,
}

/// The five time fields, or the nickname, at the beginning of a line; `None` when there are fewer.
pub(crate) fn split_fields(line: &str) -> Option<Fields> {
    let start = line.len() - line.trim_start_matches(BLANKS).len();
    // What follows the dash follows it at once: `- 0 1 * * * x` has a dash for its minute.
    let quiet = line[start..]
        .strip_prefix('-')
        .is_some_and(|rest| !rest.starts_with(BLANKS));
    let start = start + usize::from(quiet);
    let wanted = if line[start..].starts_with('@') { 1 } else { 5 };
    let mut end = start;
    for _ in 0..wanted {
        let begin = end + (line[end..].len() - line[end..].trim_start_matches(BLANKS).len());
        let length = line[begin..].find(BLANKS).unwrap_or(line.len() - begin);
        if length == 0 {
            return None;
        }
        end = begin + length;
    }
    Some(Fields { start, end, quiet })
}

/// What separates the fields of a line.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

/// Whether a word could stand in a time field and hardly names a program: `*`, `*/5`, `1-5`, `45`.
pub(crate) fn looks_like_time(word: &str) -> bool {
    word.starts_with('*')
        || word == "?"
        || word.starts_with(|c: char| c.is_ascii_digit())
            && word
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '*' | '/' | ',' | '-'))
}

/// Whether a word can be a user's name; those of a directory may have a domain
/// (`user@corp.example`, `CORP\user`).
pub(crate) fn is_user_name(word: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '\\');
    let name = word.strip_suffix('$').unwrap_or(word);
    word.len() <= USER_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(is_inner)
        && !looks_like_time(name)
}
