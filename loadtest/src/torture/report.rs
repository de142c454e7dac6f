//! What a torture says at its end, and what it keeps of a failure.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::audit::Audit;
use super::run::{Outcome, TakeOver};

impl Outcome {
    /// One object with everything a reader of figures wants.
    pub fn json(&self) -> Value {
        let (audit, options) = (&self.ending.audit, &self.options);
        let took = |undisturbed: bool| {
            let chosen = self
                .take_overs
                .iter()
                .filter(|one| one.is_undisturbed || !undisturbed);
            chosen
                .filter_map(|one: &TakeOver| one.took_ms)
                .collect::<Vec<_>>()
        };
        json!({
            "seed": options.seed,
            "minutes": options.length_ms as f64 / 60_000.0,
            "nodes": options.nodes,
            "partitions": options.partitions,
            "records_per_second": options.rate,
            "faults": self.faults,
            "acknowledged": audit.acknowledged,
            "unknown": audit.unknown,
            "executions": audit.executions,
            "ticks": audit.ticks,
            "lost": audit.lost,
            "twice": audit.twice,
            "early": audit.early,
            "violations": audit.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "drained": self.ending.is_drained,
            "backlog_gone_ms": self.backlog_gone_ms,
            "lateness_ms_max": self.lateness_ms_max,
            "take_over_ms": took(true),
            "take_over_amid_other_faults_ms": took(false),
            "schedulers_ended_by_themselves": self.ending.ended_by_themselves,
            "folder": options.folder.display().to_string(),
            "ok": self.is_ok(),
        })
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let audit = &self.ending.audit;
        let mut text = String::new();
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "faults           {}", faults.join(", "));
        let _ = writeln!(
            text,
            "acknowledged     {} (nothing was heard of {})",
            audit.acknowledged, audit.unknown
        );
        let _ = writeln!(
            text,
            "executions       {} in {} ticks",
            audit.executions, audit.ticks
        );
        let _ = writeln!(text, "lost             {}", audit.lost);
        let _ = writeln!(text, "twice            {}", audit.twice);
        let _ = writeln!(text, "early            {}", audit.early);
        let _ = writeln!(
            text,
            "backlog          gone {} ms after healing",
            self.backlog_gone_ms
        );
        let _ = writeln!(
            text,
            "lateness         {} ms at most, faults included",
            self.lateness_ms_max
        );
        for take_over in &self.take_overs {
            let took = take_over
                .took_ms
                .map_or("had no partition".to_owned(), |ms| format!("{ms} ms"));
            let amid = if take_over.is_undisturbed {
                ""
            } else {
                " (amid other faults)"
            };
            let _ = writeln!(text, "take-over        {took}{amid}");
        }
        if !self.ending.is_drained {
            let _ = writeln!(text, "VIOLATION        not everything due was out in time");
        }
        for violation in &audit.violations {
            let _ = writeln!(text, "VIOLATION        {violation}");
        }
        let _ = writeln!(text, "kept in          {}", self.options.folder.display());
        text
    }
}

/// Writes what is needed to look into a failure: the violations, and the journals of the partitions
/// that they are about; of a good run, all journals.
pub(crate) fn keep_evidence(folder: &Path, audit: &Audit) -> std::io::Result<()> {
    let lines = audit
        .violations
        .iter()
        .map(|violation| format!("{violation}\n"));
    std::fs::write(folder.join("violations.txt"), lines.collect::<String>())?;
    for (number, partition) in (0..).zip(&audit.journal.partitions) {
        let is_concerned = audit
            .violations
            .iter()
            .any(|violation| violation.partition == Some(number));
        if !audit.is_ok() && !is_concerned {
            continue;
        }
        let file = std::fs::File::create(folder.join(format!("partition-{number}.journal")))?;
        let mut file = std::io::BufWriter::new(file);
        for record in &partition.log {
            writeln!(file, "log {record:?}")?;
        }
        for (index, tick) in partition.ticks.iter().enumerate() {
            writeln!(file, "tick {index} {tick:?}")?;
        }
        for published in &partition.publications {
            writeln!(file, "execution {published:?}")?;
        }
        for set_aside in &partition.set_aside {
            writeln!(file, "rejected {set_aside}")?;
        }
        for state in &partition.schedule_states {
            writeln!(file, "schedule {state:?}")?;
        }
        file.flush()?;
    }
    Ok(())
}
