//! A whole file: the lines in order, with what earlier ones set for later ones.

use minutehand_calendar::Zone;

use crate::entry::Entry;
use crate::environment::{Assignment, Environment, assignment};
use crate::error::{LineError, RANDOM_DELAY_MINUTES_MAX, Reason, shown};
use crate::format::Format;
use crate::line::parts;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crontab {
    /// The lines that run something, in order.
    pub entries: Vec<Entry>,
    /// The lines that were refused, in order; one error each.
    pub errors: Vec<LineError>,
}

/// Reads a crontab. Every line is either an entry, an assignment, a comment, blank, or one error.
///
/// `CRON_TZ=` sets the zone of the entries below it (`CRON_TZ=` with nothing takes it back; a colon
/// before the zone means nothing). `RANDOM_DELAY=` delays their runs by up to so many minutes.
/// `TZ=` does what it does in cron: it is a variable for the command and does not move its times. A
/// byte order mark, CRLF line ends and a last line without an end are accepted, and a comment may
/// hold any bytes.
#[must_use]
pub fn parse(bytes: &[u8], format: Format) -> Crontab {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader {
        format,
        environment: Environment::default(),
        zone: ZoneAbove::None,
        random_delay_minutes: 0,
        crontab: Crontab::default(),
    };
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Err(error) = reader.line(index + 1, line) {
            reader.crontab.errors.push(error);
        }
    }
    reader.crontab
}

/// What a `CRON_TZ` above says.
enum ZoneAbove {
    None,
    Known(Zone),
    RefusedOn(usize),
}

struct Reader {
    format: Format,
    environment: Environment,
    zone: ZoneAbove,
    random_delay_minutes: u16,
    crontab: Crontab,
}

impl Reader {
    fn line(&mut self, number: usize, bytes: &[u8]) -> Result<(), LineError> {
        if bytes.trim_ascii_start().starts_with(b"#") {
            return Ok(());
        }
        let text = text(number, bytes)?;
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(());
        }
        let error_at = |at: usize, beyond: usize, reason| LineError {
            line: number,
            column: text[..at].chars().count() + beyond + 1,
            reason,
        };
        match assignment(text) {
            Some(Ok(found)) => {
                let value_at = found.value_at;
                self.assign(number, found)
                    .map_err(|reason| error_at(value_at, 0, reason))
            }
            Some(Err((at, reason))) => {
                if trimmed.starts_with("CRON_TZ") {
                    self.zone = ZoneAbove::RefusedOn(number);
                }
                Err(error_at(at, 0, reason))
            }
            None => self
                .entry(number, text)
                .map_err(|(at, beyond, reason)| error_at(at, beyond, reason)),
        }
    }

    fn assign(&mut self, number: usize, found: Assignment) -> Result<(), Reason> {
        match found.name.as_str() {
            "CRON_TZ" => self.set_zone(number, &found.value)?,
            "RANDOM_DELAY" => self.random_delay_minutes = random_delay(&found.value)?,
            _ => {}
        }
        self.environment.set(found);
        Ok(())
    }

    fn set_zone(&mut self, number: usize, value: &str) -> Result<(), Reason> {
        self.zone = match value.strip_prefix(':').unwrap_or(value) {
            "" => ZoneAbove::None,
            name => match Zone::parse(name) {
                Ok(zone) => ZoneAbove::Known(zone),
                Err(error) => {
                    self.zone = ZoneAbove::RefusedOn(number);
                    return Err(Reason::Zone(error));
                }
            },
        };
        Ok(())
    }

    fn entry(&mut self, number: usize, text: &str) -> Result<(), (usize, usize, Reason)> {
        let found = parts(text, self.format)?;
        let zone = match &self.zone {
            ZoneAbove::None => None,
            ZoneAbove::Known(zone) => Some(zone.clone()),
            ZoneAbove::RefusedOn(line) => {
                return Err((0, 0, Reason::ZoneRefusedAbove { line: *line }));
            }
        };
        self.crontab.entries.push(Entry {
            line: number,
            timing: found.timing,
            zone,
            user: found.user,
            command: found.command,
            stdin: found.stdin,
            environment: self.environment.clone(),
            quiet: found.quiet,
            random_delay_minutes: self.random_delay_minutes,
        });
        Ok(())
    }
}

fn random_delay(value: &str) -> Result<u16, Reason> {
    match value.parse() {
        Ok(minutes @ 0..=RANDOM_DELAY_MINUTES_MAX) => Ok(minutes),
        _ => Err(Reason::RandomDelay {
            given: shown(value),
        }),
    }
}

fn text(number: usize, bytes: &[u8]) -> Result<&str, LineError> {
    let text = std::str::from_utf8(bytes).map_err(|error| LineError {
        line: number,
        column: String::from_utf8_lossy(&bytes[..error.valid_up_to()])
            .chars()
            .count()
            + 1,
        reason: Reason::NotUtf8,
    })?;
    match text.chars().position(|c| c == '\0') {
        Some(index) => Err(LineError {
            line: number,
            column: index + 1,
            reason: Reason::ZeroByte,
        }),
        None => Ok(text),
    }
}
