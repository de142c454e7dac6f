//! `minutehand explain`: one expression for a person or a script, or a stream of questions.

use std::io::{self, BufRead};

use serde::Serialize;

use crate::args::ExplainArgs;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::explain::{Answer, Defaults, Fault, Question, Understood};
use crate::output::time::{relative, timestamp};

/// Longest line of a batch, in bytes; an expression has at most a kilobyte.
const LINE_BYTES_MAX: usize = 64 * 1024;

fn defaults(args: &ExplainArgs, console: &Console) -> Result<Defaults, Failure> {
    let from = match &args.from {
        Some(text) => timestamp(text).map_err(Failure::refused)?,
        None => console.now(),
    };
    Ok(Defaults {
        tz: args.tz.clone(),
        dst: args.dst,
        from,
        n: args.n,
    })
}

/// Explains the expression of the command line.
pub(super) fn one(args: &ExplainArgs, console: &mut Console, json: bool) -> Result<(), Failure> {
    let defaults = defaults(args, console)?;
    let expr = args.expression.clone().unwrap_or_default();
    let question = Question {
        expr,
        tz: None,
        dst: None,
        from: None,
        n: None,
    };
    let understood = Understood::of(&question, &defaults).map_err(|fault| refusal(&fault))?;
    let answer = Answer::to(&question, &understood);
    if json {
        return console.json(&answer);
    }
    console.line(&answer.expression)?;
    console.line(&answer.words)?;
    console.line("")?;
    let now = console.now();
    let rows = understood
        .next()
        .into_iter()
        .zip(answer.local.iter().zip(&answer.next))
        .map(|(at, (local, utc))| vec![local.clone(), utc.clone(), relative(at, now)])
        .collect();
    let local = format!("local ({})", answer.zone);
    console.table(
        &[&local, "UTC", "from now"],
        rows,
        "it never fires after that time",
    )?;
    if !answer.notes.is_empty() {
        console.line("")?;
        console.line(&format!("clock changes (rule {}):", answer.dst))?;
        for note in &answer.notes {
            console.line(&format!("  {}", note.message))?;
        }
    }
    Ok(())
}

/// The caret picture, or the message when the fault is not in the expression.
fn refusal(fault: &Fault) -> Failure {
    let message = match &fault.picture {
        Some(picture) => format!("the expression cannot be read\n{picture}"),
        None => fault.message.clone(),
    };
    let mut failure = Failure::refused(message);
    failure.problem = Some(
        serde_json::json!({ "detail": fault.message, "column": fault.column, "error": fault }),
    );
    failure
}

/// A line of answers.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Next(Vec<String>),
    Error(Fault),
}

/// Answers questions line by line, in order. What has been answered is handed out before waiting
/// for more.
pub(super) fn batch(args: &ExplainArgs, console: &mut Console) -> Result<(), Failure> {
    let defaults = defaults(args, console)?;
    let mut lines = Lines {
        input: console.take_stdin(),
        is_drained: true,
    };
    let mut line = Vec::new();
    while lines.read(&mut line, console)? {
        let text = line.trim_ascii();
        if !text.is_empty() {
            console.json(&answer(text, &defaults))?;
        }
    }
    Ok(())
}

fn answer(text: &[u8], defaults: &Defaults) -> Line {
    let elsewhere = |message: String| {
        Line::Error(Fault {
            message,
            column: None,
            picture: None,
        })
    };
    if text.len() > LINE_BYTES_MAX {
        return elsewhere(format!("the line has more than {LINE_BYTES_MAX} bytes"));
    }
    let question: Question = match serde_json::from_slice(text) {
        Ok(question) => question,
        Err(error) => return elsewhere(format!("the line is not a question: {error}")),
    };
    match Understood::of(&question, defaults) {
        Ok(understood) => Line::Next(understood.next().iter().map(ToString::to_string).collect()),
        Err(fault) => Line::Error(fault),
    }
}

/// The lines of the input.
struct Lines {
    input: Box<dyn BufRead + Send>,
    /// Whether everything that has arrived was taken, so that reading on may wait.
    is_drained: bool,
}

impl Lines {
    /// Reads a line and answers whether there was one. Of an overlong line as much is kept as shows
    /// that it is.
    fn read(&mut self, line: &mut Vec<u8>, console: &mut Console) -> Result<bool, Failure> {
        line.clear();
        loop {
            if self.is_drained {
                console.flush()?;
            }
            let failed = |error: io::Error| {
                Failure::new(
                    Exit::Failed,
                    format!("could not read the questions: {error}"),
                )
            };
            let available = self.input.fill_buf().map_err(failed)?;
            if available.is_empty() {
                return Ok(!line.is_empty());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |at| at + 1);
            let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
            line.extend_from_slice(&available[..taken.min(room)]);
            self.is_drained = taken == available.len();
            self.input.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}
