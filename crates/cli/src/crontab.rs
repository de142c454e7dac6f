//! What a crontab becomes: one schedule per line, with lasting ids, run by the process executor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use minutehand_api::{InvalidField, Schedule, ValidDefinition, validate_action};
use minutehand_calendar::Zone;
use minutehand_crontab::{
    Entry, FileLabel, Format, Known, Line, LineError, Machine, RANDOM_DELAY_MINUTES_MAX, Reason,
    Timing, Undecided, content, follow, id_prefix, parse,
};
use minutehand_model::limits::JITTER_MS_MAX;
use minutehand_model::time::MINUTE_MS;
use minutehand_model::{
    ActionTemplate, DstRule, Guarantee, MisfirePolicy, MisfireRule, OverlapPolicy, QueueName,
    RecurrenceSpec, RetryPolicy, ScheduleDefinition, ScheduleId,
};
use serde_json::Value;

/// The queue of schedules that come from crontabs.
pub const QUEUE_DEFAULT: &str = "crontab";
/// The header that says which executor runs an execution, whatever its queue: the payload describes
/// a command.
const EXECUTOR_HEADER: (&str, &str) = ("minutehand-executor", "process");
/// The header that names the user of a system crontab's line.
const USER_HEADER: &str = "minutehand-user";

const _: () = assert!(
    RANDOM_DELAY_MINUTES_MAX as i64 * MINUTE_MS <= JITTER_MS_MAX,
    "a RANDOM_DELAY is the jitter of a schedule"
);

/// A crontab as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrontabFile {
    /// Where it lies; `-` for standard input.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether lines have a user column; `None` to look at path and content.
    pub format: Option<Format>,
}

/// When a planned line runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedKind {
    /// Once, when the scheduler starts (`@reboot`): nothing recurs.
    AtStart,
    /// Under the definition's recurrence.
    Recurring,
}

/// What one line becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The file.
    pub path: String,
    /// The line as it was read.
    pub entry: Entry,
    /// The schedule's id, which outlives edits of the file.
    pub id: ScheduleId,
    /// When it runs.
    pub kind: PlannedKind,
    /// The schedule. For a line that runs at start only its action counts.
    pub definition: ScheduleDefinition,
}

/// What one file becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where it lies.
    pub path: String,
    /// The lines that were understood, in order.
    pub lines: Vec<Planned>,
    /// The lines that were refused, in order.
    pub refused: Vec<LineError>,
    prefix: String,
    label: FileLabel,
}

/// How files are told apart in the ids of their schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// By their names, whichever folders they lie in.
    Name,
    /// By their paths, as they were given.
    Path,
}

/// Why nothing was planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A file whose format cannot be told.
    #[error("cannot tell whether {path} is a user's crontab or a system crontab: {reason}")]
    Undecided {
        /// Where it lies.
        path: String,
        /// Why not.
        reason: Undecided,
    },
    /// Two files whose schedules would have the same ids, so that each would take the other's.
    #[error("the schedules of {first} and of {second} would have the same ids")]
    SameLabel {
        /// The file that was given first.
        first: String,
        /// The other.
        second: String,
    },
}

/// Plans the schedules of crontabs, each under the id it has when it is made for the first time.
///
/// What cron does is kept: a line runs on the clock of `CRON_TZ`, else of `zone`; it is not run
/// again when it fails; what was missed while the scheduler was down is not made up for; runs may
/// overlap; and a run that a crash interrupts is not repeated.
///
/// # Errors
/// The first file whose format cannot be told, or that cannot be told from one before it.
pub fn plan(
    files: &[CrontabFile],
    (prefix, known_by): (&str, KnownBy),
    queue: &QueueName,
    zone: &Zone,
) -> Result<Vec<PlannedFile>, PlanError> {
    let labels = labels(files, known_by)?;
    let users = user_names();
    let plan_file = |(file, label): (&CrontabFile, FileLabel)| {
        let crontab = parse(&file.bytes, format_of(file, &users)?);
        let mut planned = PlannedFile {
            path: file.path.clone(),
            lines: Vec::new(),
            refused: crontab.errors,
            prefix: prefix.to_owned(),
            label,
        };
        for entry in crontab.entries {
            planned.add(entry, queue, zone);
        }
        planned.refused.sort_by_key(|error| error.line);
        planned.follow(&[]);
        Ok(planned)
    };
    files.iter().zip(labels).map(plan_file).collect()
}

/// The label of each file, no two of which are the same.
fn labels(files: &[CrontabFile], known_by: KnownBy) -> Result<Vec<FileLabel>, PlanError> {
    let mut given = BTreeMap::new();
    let label = |file: &CrontabFile| {
        let label = match known_by {
            KnownBy::Name => FileLabel::of_name(&file.path),
            KnownBy::Path => FileLabel::of_path(&file.path),
        };
        match given.insert(label.clone(), file.path.clone()) {
            None => Ok(label),
            Some(first) => Err(PlanError::SameLabel {
                first,
                second: file.path.clone(),
            }),
        }
    };
    files.iter().map(label).collect()
}

impl PlannedFile {
    /// What the ids of the file's schedules begin with.
    pub(crate) fn id_prefix(&self) -> String {
        id_prefix(&self.prefix, &self.label)
    }

    /// Whether a schedule has an id as the file's schedules have them. Others may begin alike: those
    /// of an import whose prefix is the longer one.
    #[must_use]
    pub fn may_have_made(&self, id: &ScheduleId) -> bool {
        let number = id.as_str().strip_prefix(&self.id_prefix());
        number.is_some_and(|number| !number.contains('/'))
    }

    /// Plans a line, or refuses it: what no scheduler would take is known before one is asked.
    fn add(&mut self, entry: Entry, queue: &QueueName, zone: &Zone) {
        let (kind, definition) = definition(&entry, queue, zone);
        match validate(&kind, &definition) {
            Ok(()) => self.lines.push(Planned {
                path: self.path.clone(),
                entry,
                id: ScheduleId::parse("unnamed").expect("a valid id"),
                kind,
                definition,
            }),
            Err(refused) => self.refused.push(LineError {
                line: entry.line,
                column: 1,
                reason: Reason::NoSchedule {
                    reason: in_words_of_a_crontab(refused).to_string(),
                },
            }),
        }
    }

    /// Gives each line the schedule that was made of it before, also when the line has been edited
    /// since; answers the schedules that no line makes any more.
    pub fn follow(&mut self, known: &[Known]) -> Vec<ScheduleId> {
        // What runs at a start has no schedule to find: it is named behind the others.
        let (mut recurring, mut at_start): (Vec<&mut Planned>, Vec<&mut Planned>) = self
            .lines
            .iter_mut()
            .partition(|line| line.kind == PlannedKind::Recurring);
        let line = |planned: &&mut Planned| Line {
            content: planned.entry.content(),
            timing: timing(&planned.definition),
        };
        let lines: Vec<Line> = recurring.iter().map(line).collect();
        let followed = follow(&self.prefix, &self.label, &lines, known);
        for (planned, id) in recurring.iter_mut().zip(&followed.ids) {
            planned.id = id.clone();
        }
        let taken: Vec<Known> = followed
            .ids
            .into_iter()
            .zip(lines)
            .map(|(id, line)| Known { id, line })
            .collect();
        let never = |planned: &&mut Planned| Line {
            content: format!("{}\0@reboot", planned.entry.content()),
            timing: "@reboot".to_owned(),
        };
        let lines: Vec<Line> = at_start.iter().map(never).collect();
        for (planned, id) in at_start
            .iter_mut()
            .zip(follow(&self.prefix, &self.label, &lines, &taken).ids)
        {
            planned.id = id;
        }
        followed.gone
    }
}

/// The line that a schedule was made of; `None` when it was made of something else.
#[must_use]
pub fn known_line(id: &ScheduleId, definition: &ScheduleDefinition) -> Option<Known> {
    let action = &definition.action;
    let user = action
        .headers
        .iter()
        .find(|(name, _)| name == USER_HEADER)
        .map(|(_, user)| user.as_str());
    let content = content_of(&serde_json::from_slice(&action.payload).ok()?, user)?;
    Some(Known {
        id: id.clone(),
        line: Line {
            content,
            timing: timing(definition),
        },
    })
}

/// The same of a schedule as the API shows it.
pub(crate) fn known_line_of(schedule: &Schedule) -> Option<Known> {
    let id = ScheduleId::parse(&schedule.id).ok()?;
    let definition = schedule.definition.as_ref()?;
    let payload = serde_json::from_str(definition.payload.as_ref()?).ok()?;
    let content = content_of(
        &payload,
        definition.headers.get(USER_HEADER).map(String::as_str),
    )?;
    let timing = timing_text(definition.cron.as_ref()?, definition.time_zone.as_ref()?);
    Some(Known {
        id,
        line: Line { content, timing },
    })
}

fn content_of(payload: &Value, user: Option<&str>) -> Option<String> {
    let command = payload.get("argv")?.as_array()?.last()?.as_str()?;
    Some(content(
        user,
        command,
        payload.get("stdin").and_then(Value::as_str),
    ))
}

fn timing(definition: &ScheduleDefinition) -> String {
    match &definition.recurrence {
        RecurrenceSpec::Cron {
            expression, zone, ..
        } => timing_text(expression, zone),
        RecurrenceSpec::Interval { every_ms, .. } => format!("every {every_ms} ms"),
    }
}

fn timing_text(expression: &str, zone: &str) -> String {
    format!("{expression} {zone}")
}

fn format_of(file: &CrontabFile, users: &[String]) -> Result<Format, PlanError> {
    let detect = || {
        let text = String::from_utf8_lossy(&file.bytes);
        let is_user = |word: &str| users.iter().any(|user| user == word);
        let machine = Machine {
            is_user: &is_user,
            is_program: &is_program,
        };
        Format::detect(&file.path, &text, machine)
    };
    file.format
        .map_or_else(detect, Ok)
        .map_err(|reason| PlanError::Undecided {
            path: file.path.clone(),
            reason,
        })
}

/// Whether a program of this name is found where the shell of a job, or this one, looks.
fn is_program(word: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_cron = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(of_cron)
        .any(|folder| folder.is_absolute() && folder.join(word).is_file())
}

fn definition(entry: &Entry, queue: &QueueName, zone: &Zone) -> (PlannedKind, ScheduleDefinition) {
    let (kind, expression) = match &entry.timing {
        Timing::AtStart => (PlannedKind::AtStart, "@reboot".to_owned()),
        Timing::Cron(expression) => {
            // Fields may stand apart by tabs and several spaces; a schedule shows them by one.
            (
                PlannedKind::Recurring,
                expression.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        }
    };
    let zone = entry.zone.as_ref().unwrap_or(zone).name().to_owned();
    let executor = (EXECUTOR_HEADER.0.to_owned(), EXECUTOR_HEADER.1.to_owned());
    let user = entry
        .user
        .iter()
        .map(|user| (USER_HEADER.to_owned(), user.clone()));
    let definition = ScheduleDefinition {
        recurrence: RecurrenceSpec::Cron {
            expression,
            zone,
            dst: DstRule::Vixie,
        },
        exclude: Vec::new(),
        start: None,
        end: None,
        runs_max: None,
        jitter_ms: i64::from(entry.random_delay_minutes) * MINUTE_MS,
        misfire: MisfirePolicy {
            rule: MisfireRule::None,
            ..MisfirePolicy::default()
        },
        overlap: OverlapPolicy::AllowAll,
        pause_on_failure: false,
        run_timeout_ms: None,
        action: ActionTemplate {
            headers: std::iter::once(executor).chain(user).collect(),
            retry: RetryPolicy::NEVER,
            guarantee: Guarantee::AtMostOnce,
            ..ActionTemplate::new(queue.clone(), payload(entry))
        },
    };
    (kind, definition)
}

/// Whether a scheduler takes what a line becomes.
fn validate(kind: &PlannedKind, definition: &ScheduleDefinition) -> Result<(), InvalidField> {
    match kind {
        PlannedKind::AtStart => {
            let action = &definition.action;
            validate_action(&action.payload, &action.headers, action.retry)
        }
        PlannedKind::Recurring => ValidDefinition::new(definition.clone()).map(drop),
    }
}

/// Names what a crontab has instead of what a schedule has.
fn in_words_of_a_crontab(mut refused: InvalidField) -> InvalidField {
    if refused.field == "payload" {
        refused.field = "the command with its input and the variables above it".to_owned();
    }
    refused
}

/// What the process executor reads: program and arguments, environment, standard input.
fn payload(entry: &Entry) -> Bytes {
    let environment: serde_json::Map<String, serde_json::Value> = entry
        .environment
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut payload = serde_json::json!({ "argv": entry.argv() });
    if !environment.is_empty() {
        payload["env"] = environment.into();
    }
    if let Some(stdin) = &entry.stdin {
        payload["stdin"] = stdin.as_str().into();
    }
    Bytes::from(payload.to_string())
}

/// The names in this machine's list of users; none where there is no list.
fn user_names() -> Vec<String> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(':').next())
        .map(str::to_owned)
        .collect()
}

/// The zone of this machine's clock: `TZ`, `/etc/timezone` or the target of `/etc/localtime`; else
/// UTC.
#[must_use]
pub fn machine_zone() -> Zone {
    let variable = std::env::var("TZ")
        .ok()
        .map(|zone| zone.trim_start_matches(':').to_owned());
    let file = std::fs::read_to_string("/etc/timezone").ok();
    let link = std::fs::read_link(Path::new("/etc/localtime")).ok();
    let linked = link.and_then(|path| {
        let text = path.to_string_lossy().into_owned();
        text.split_once("zoneinfo/")
            .map(|(_, name)| name.to_owned())
    });
    let candidates = [variable, file, linked].into_iter().flatten();
    candidates
        .filter_map(|name| Zone::parse(name.trim()).ok())
        .next()
        .unwrap_or_else(Zone::utc)
}
