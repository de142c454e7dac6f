//! kill -9 under load: a child process creates and runs tasks as fast as it can, is killed at
//! random moments, and is started again; then every acknowledged task is accounted for.
//!
//! The child keeps two journals outside the store: ids whose creation was acknowledged, and runs as
//! the handler saw them. A run names its publication (epoch and time), so that an execution
//! delivered again after a crash, which at-least-once allows, is told from one published twice,
//! which is never allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use minutehand_node::{Clock, SystemClock, ValidTask};
use minutehand_worker::Run;

use crate::Figure;
use crate::end_to_end::{Failure, Rig};
use crate::engine::sample_task;

/// Tasks in one bulk call of the child.
const BULK: u64 = 500;
/// Tasks are due up to this much later than they are created, so that some wait in every place
/// there is.
const AHEAD_MS: u64 = 2_000;

/// What the audit found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Tasks whose creation was acknowledged.
    pub acknowledged: u64,
    /// Of these, those that never ran.
    pub lost: u64,
    /// Executions that were published more than once.
    pub published_twice: u64,
    /// Executions that ran more than once although published once: the handler ran, its settlement
    /// died with the process.
    pub ran_again: u64,
}

fn journal(folder: &Path, name: &str) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(name))
}

/// The child: creates tasks until it is killed; with `drain` it creates none and ends when nothing
/// is left.
pub async fn child(folder: &Path, drain: bool) -> Result<(), Failure> {
    let acknowledged = lines(folder, "acknowledged")?;
    let runs = Mutex::new(journal(folder, "runs")?);
    let record = move |run: &Run| {
        let execution = run.execution();
        let line = format!(
            "{} {} {}\n",
            execution.task.id,
            execution.epoch,
            execution.published_at.as_millis()
        );
        runs.lock()
            .expect("no holder panics")
            .write_all(line.as_bytes())
            .expect("the journal can be written");
    };
    let rig = Rig::start_with(&folder.join("data"), record).await?;
    println!("ready");
    if drain {
        let wanted: BTreeSet<String> = acknowledged.into_iter().collect();
        loop {
            let ran: BTreeSet<String> = ran(folder)?.into_keys().collect();
            if wanted.is_subset(&ran) {
                return rig.stop().await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let mut journal = journal(folder, "acknowledged")?;
    let mut number = SystemClock.now().as_millis() as u64 * 10_000;
    loop {
        let now = SystemClock.now();
        let due = |n: u64| now.plus_millis((n.wrapping_mul(7_919) % AHEAD_MS) as i64);
        let tasks =
            (number..number + BULK).map(|n| ValidTask::new(sample_task(n, due(n), 64), now));
        let tasks: Vec<ValidTask> = tasks.collect::<Result<_, _>>()?;
        let ids: Vec<String> = tasks.iter().map(|task| format!("{}\n", task.id)).collect();
        let answers = rig.scheduler.gateway().create(tasks).await;
        let acknowledged = ids
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_ok())
            .map(|(id, _)| id.as_str());
        journal.write_all(acknowledged.collect::<String>().as_bytes())?;
        number += BULK;
    }
}

/// Kills the child `kills` times, lets it drain, and audits.
pub fn run(program: &Path, folder: &Path, kills: u32) -> Result<(Audit, Vec<Figure>), Failure> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..kills {
        let mut child = spawn(program, folder, "crash")?;
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(200 + (state >> 33) % 1_500));
        child.kill()?;
        child.wait()?;
    }
    let ended = spawn(program, folder, "drain")?.wait()?;
    if !ended.success() {
        return Err(format!("the child that drains ended with {ended}").into());
    }
    let audit = audit(folder)?;
    let of = |figure: &str, value: u64| {
        Figure::new("crash", figure, value as f64, "tasks")
            .with("kills", kills)
            .with("acknowledged", audit.acknowledged)
    };
    let figures = vec![
        of("lost", audit.lost),
        of("published twice", audit.published_twice),
        of("ran again after a kill (allowed)", audit.ran_again),
    ];
    Ok((audit, figures))
}

/// Starts a child and waits until it is ready.
fn spawn(program: &Path, folder: &Path, role: &str) -> Result<std::process::Child, Failure> {
    let mut child = Command::new(program)
        .args(["child", role, "--data-dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    match line.trim() {
        "ready" => Ok(child),
        other => Err(format!("the child did not get ready: {other:?}").into()),
    }
}

fn audit(folder: &Path) -> Result<Audit, Failure> {
    let acknowledged: BTreeSet<String> = lines(folder, "acknowledged")?.into_iter().collect();
    let ran = ran(folder)?;
    let mut audit = Audit {
        acknowledged: acknowledged.len() as u64,
        ..Audit::default()
    };
    audit.lost = acknowledged
        .iter()
        .filter(|id| !ran.contains_key(*id))
        .count() as u64;
    for publications in ran.values() {
        audit.published_twice += u64::from(publications.len() > 1);
        audit.ran_again +=
            u64::from(publications.len() == 1 && publications.values().any(|runs| *runs > 1));
    }
    Ok(audit)
}

/// Runs by task, and in it by publication.
fn ran(folder: &Path) -> Result<BTreeMap<String, BTreeMap<String, u64>>, Failure> {
    let mut ran: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in lines(folder, "runs")? {
        if let Some((id, publication)) = line.split_once(' ') {
            *ran.entry(id.to_owned())
                .or_default()
                .entry(publication.to_owned())
                .or_insert(0) += 1;
        }
    }
    Ok(ran)
}

/// The whole lines of a journal; the last one may have been cut off by a kill.
fn lines(folder: &Path, name: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().map(str::to_owned).collect())
}
