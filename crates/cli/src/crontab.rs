//! What a crontab becomes: one schedule per line, with lasting ids, run by the process executor.

use std::path::Path;

use bytes::Bytes;
use minutehand_calendar::Zone;
use minutehand_crontab::{Entry, Format, LineError, Timing, file_labels, parse, schedule_ids};
use minutehand_model::{
    ActionTemplate, Guarantee, MisfirePolicy, MisfireRule, OverlapPolicy, Precision, QueueName,
    RecurrenceSpec, RetryPolicy, ScheduleDefinition, ScheduleId,
};

/// The queue of schedules that come from crontabs, served by a process executor.
pub const QUEUE_DEFAULT: &str = "crontab";
/// The header that names the user of a system crontab's line.
const USER_HEADER: &str = "minutehand-user";

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
    /// The schedule's id, which outlives edits of other lines and of this line's time.
    pub id: ScheduleId,
    /// When it runs.
    pub kind: PlannedKind,
    /// The schedule. For a line that runs at start only its action counts.
    pub definition: ScheduleDefinition,
}

/// Plans the schedules of crontabs; lines that are refused come back with the path of their file.
///
/// What cron does is kept: a line runs on the clock of `CRON_TZ`, else of `zone`; it is not run again when it fails;
/// what was missed while the scheduler was down is not made up for; runs may overlap; and a run that a crash
/// interrupts is not repeated.
#[must_use]
pub fn plan(
    files: &[CrontabFile],
    prefix: &str,
    queue: &QueueName,
    zone: &Zone,
) -> (Vec<Planned>, Vec<(String, LineError)>) {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let users = user_names();
    let (mut planned, mut refused) = (Vec::new(), Vec::new());
    for (file, label) in files.iter().zip(file_labels(&paths)) {
        let text = String::from_utf8_lossy(&file.bytes);
        let is_user = |word: &str| users.iter().any(|user| user == word);
        let format = file.format.unwrap_or_else(|| Format::detect(&file.path, &text, &is_user));
        let crontab = parse(&file.bytes, format);
        refused.extend(crontab.errors.into_iter().map(|error| (file.path.clone(), error)));
        let ids = schedule_ids(prefix, &label, &crontab.entries);
        planned.extend(crontab.entries.into_iter().zip(ids).map(|(entry, id)| {
            let (kind, definition) = definition(&entry, queue, zone);
            Planned { path: file.path.clone(), entry, id, kind, definition }
        }));
    }
    (planned, refused)
}

fn definition(entry: &Entry, queue: &QueueName, zone: &Zone) -> (PlannedKind, ScheduleDefinition) {
    let (kind, expression) = match &entry.timing {
        Timing::AtStart => (PlannedKind::AtStart, "@reboot".to_owned()),
        Timing::Cron(expression) => {
            // Fields may stand apart by tabs and several spaces; a schedule shows them by one.
            (PlannedKind::Recurring, expression.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    };
    let zone = entry.zone.as_ref().unwrap_or(zone).name().to_owned();
    let user = entry.user.iter().map(|user| (USER_HEADER.to_owned(), user.clone()));
    let definition = ScheduleDefinition {
        recurrence: RecurrenceSpec::Cron { expression, zone, dst: "vixie".to_owned() },
        exclude: Vec::new(),
        start: None,
        end: None,
        runs_max: None,
        jitter_ms: 0,
        misfire: MisfirePolicy { rule: MisfireRule::None, ..MisfirePolicy::default() },
        overlap: OverlapPolicy::AllowAll,
        pause_on_failure: false,
        action: ActionTemplate {
            queue: queue.clone(),
            payload: payload(entry),
            headers: user.collect(),
            retry: RetryPolicy::NEVER,
            guarantee: Guarantee::AtMostOnce,
            precision: Precision::Normal,
            verbatim: None,
        },
    };
    (kind, definition)
}

/// What the process executor reads: program and arguments, environment, standard input.
fn payload(entry: &Entry) -> Bytes {
    let environment: serde_json::Map<String, serde_json::Value> =
        entry.environment.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
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
    text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect()
}

/// The zone of this machine's clock: `TZ`, `/etc/timezone` or the target of `/etc/localtime`; else UTC.
#[must_use]
pub fn machine_zone() -> Zone {
    let variable = std::env::var("TZ").ok().map(|zone| zone.trim_start_matches(':').to_owned());
    let file = std::fs::read_to_string("/etc/timezone").ok();
    let link = std::fs::read_link(Path::new("/etc/localtime")).ok();
    let linked = link.and_then(|path| {
        let text = path.to_string_lossy().into_owned();
        text.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
    });
    let candidates = [variable, file, linked].into_iter().flatten();
    candidates.filter_map(|name| Zone::parse(name.trim()).ok()).next().unwrap_or_else(Zone::utc)
}
