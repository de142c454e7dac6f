//! `minutehand bucket audit`

use minutehand_api::routes::LEDGER;
use minutehand_api::{Audit, PartitionAudit};
use minutehand_model::{Difference, Verdict};

use crate::args::ServerArgs;
use crate::client::Client;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// Asks the ledger about a minute; fails unless everything ran.
pub(super) async fn run(
    server: &ServerArgs,
    minute: String,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let answer = Client::new(server)?
        .get(LEDGER, &[("minute", Some(minute))])
        .await?;
    let audit: Audit = answer.read()?;
    if json {
        console.json(&audit)?;
    } else {
        let rows = audit.partitions.iter().map(cells).collect();
        console.table(HEAD, rows, "there is no partition")?;
        console.line(&format!("{}: {}", audit.minute, audit.verdict))?;
    }
    ended(&audit)
}

const HEAD: &[&str] = &[
    "partition",
    "verdict",
    "expected",
    "published",
    "late",
    "recurring",
    "early",
    "withdrawn",
    "left out",
    "stored",
    "found",
    "dead letters",
    "digest",
];

fn cells(row: &PartitionAudit) -> Vec<String> {
    let words: Vec<&str> = row.differences.iter().map(|one| one.as_str()).collect();
    let verdict = match words.is_empty() {
        true => row.verdict.to_string(),
        false => format!("{} ({})", row.verdict, words.join(", ")),
    };
    let numbers = [
        row.expected,
        row.published,
        row.late,
        row.recurring,
        row.early,
        row.withdrawn,
        row.left_out,
        row.stored,
    ];
    let found = row
        .found
        .map_or_else(String::new, |found| found.to_string());
    let dead = row
        .dead_letters
        .map_or_else(String::new, |dead| dead.to_string());
    [row.partition.to_string(), verdict]
        .into_iter()
        .chain(numbers.map(|number| number.to_string()))
        .chain([found, dead, row.digest.clone()])
        .collect()
}

fn ended(audit: &Audit) -> Result<(), Failure> {
    let Audit {
        minute,
        verdict,
        partitions,
    } = audit;
    let of = |wanted: Verdict| {
        let some = partitions.iter().filter(|row| row.verdict == wanted);
        let numbers: Vec<String> = some.map(|row| row.partition.to_string()).collect();
        numbers.join(", ")
    };
    match verdict {
        Verdict::Complete => Ok(()),
        Verdict::Differs => {
            let which = of(Verdict::Differs);
            let text = format!("the ledger of minute {minute} differs in partitions {which}");
            Err(Failure::new(Exit::Failed, text).with_hint(hint(partitions)))
        }
        Verdict::Open => {
            let which = of(Verdict::Open);
            let (words, hint) = match is_awaited(minute, partitions) {
                true => ("has no row yet", AWAITED),
                false => ("has no row, and gets none,", NOT_AWAITED),
            };
            let text = format!("minute {minute} {words} in partitions {which}");
            Err(Failure::new(Exit::Unreachable, text).with_hint(hint))
        }
        Verdict::Unverified => {
            let which = of(Verdict::Unverified);
            let text =
                format!("minute {minute} has more records than are compared in partitions {which}");
            Err(Failure::new(Exit::Unreachable, text)
                .with_hint("what was published agrees with what was to be; more partitions hold fewer records each"))
        }
    }
}

const AWAITED: &str = "a minute is closed some seconds after it is over, later while a backlog is caught up with; see `partition list`";
const NOT_AWAITED: &str = "the minute lies before the first whole one after the first start, it was given up because too many were open, the ledger was off, or it is older than 35 days; the history tells what ran";

/// Whether a row may still come: one owner at least has not closed a minute that has none.
fn is_awaited(minute: &str, partitions: &[PartitionAudit]) -> bool {
    let read = |text: &str| minutehand_api::parse_time("minute", text).ok();
    let is_closed = |row: &PartitionAudit| {
        let closed_before = row.closed_before.as_deref().and_then(read);
        read(minute).is_some_and(|minute| closed_before.is_some_and(|before| minute < before))
    };
    let mut open = partitions.iter().filter(|row| row.verdict == Verdict::Open);
    open.any(|row| !is_closed(row))
}

/// What the worst difference means.
fn hint(partitions: &[PartitionAudit]) -> &'static str {
    let has = |difference| {
        let mut all = partitions.iter().flat_map(|row| &row.differences);
        all.any(|one| *one == difference)
    };
    if has(Difference::Stored) {
        "tasks in the timetable were not decided, or twice; docs/RUNBOOKS.md, LedgerDiffers"
    } else if has(Difference::Published) {
        "not as many executions were published as were due; docs/RUNBOOKS.md, LedgerDiffers"
    } else {
        "see docs/RUNBOOKS.md, LedgerDiffers"
    }
}
