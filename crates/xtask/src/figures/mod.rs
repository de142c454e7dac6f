//! `cargo xtask house --figures`: the shape of the code in numbers, to be compared from one change
//! to the next.
//!
//! Counted is what is built into programs: without tests, examples and what only tests use. Nothing
//! here judges, but for the names of tests, which are a rule of the house.

pub mod circles;
mod defaults;
pub mod repeats;
pub mod shapes;
pub mod source;

use std::fmt;

use serde_json::{Value, json};

use crate::packages::DependencyKind;
use crate::{Tree, Workspace};
use source::Source;

/// Functions with more lines than this are long.
const LONG_FUNCTION_LINES: usize = 70;
/// Names of tests with more characters than this are too long to be read.
pub const TEST_NAME_CHARACTERS_MAX: usize = 60;
/// The crates whose protocols are worth assertions.
const ASSERTING: &[&str] = &[
    "crates/engine",
    "crates/kafka",
    "crates/cassandra",
    "crates/worker",
];
/// The tests that all adapters run: a library, and no part of any program.
pub(crate) const SUITE: &str = "crates/ports/src/contract/";
/// The program whose dependencies among our crates are counted.
const PROGRAM: &str = "minutehand";

/// One figure: a name for scripts, what it says to people, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct HouseFigure {
    /// The name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The unit.
    pub unit: &'static str,
    /// Where the value comes from, where one place is to blame.
    pub place: Option<String>,
}

impl HouseFigure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> HouseFigure {
        HouseFigure {
            name: name.into(),
            value,
            unit,
            place: None,
        }
    }

    fn at(self, place: impl Into<String>) -> HouseFigure {
        HouseFigure {
            place: Some(place.into()),
            ..self
        }
    }

    /// As one JSON object.
    pub fn as_json(&self) -> Value {
        json!({ "figure": self.name, "value": self.value, "unit": self.unit, "place": self.place })
    }
}

impl fmt::Display for HouseFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.value.fract() == 0.0 { 0 } else { 2 };
        write!(
            f,
            "{:<52} {:>9.decimals$} {}",
            self.name, self.value, self.unit
        )?;
        match &self.place {
            Some(place) => write!(f, "  {place}"),
            None => Ok(()),
        }
    }
}

/// Every source file of a tree.
pub fn sources(tree: &Tree) -> Vec<Source> {
    let files = tree.files.iter().filter(|file| file.path.ends_with(".rs"));
    files
        .map(|file| Source::of(&file.path, &file.text))
        .collect()
}

/// All figures.
///
/// # Errors
/// In words, when rustfmt cannot be run.
pub fn measure(tree: &Tree, workspace: &Workspace) -> Result<Vec<HouseFigure>, String> {
    let all = sources(tree);
    let is_counted = |source: &&Source| source.lines() > 0 && !source.path.starts_with(SUITE);
    let sources: Vec<Source> = all.iter().filter(is_counted).cloned().collect();
    let mut figures = files(&sources);
    figures.extend(functions(&sources, "as it is formatted"));
    let at_defaults = defaults::formatted(&sources_as_written(tree, &sources))?;
    figures.extend(functions(&at_defaults, "at rustfmt's defaults"));
    figures.extend(widest_structure(&sources));
    figures.extend(dependencies(workspace));
    figures.extend(tests(&all));
    figures.extend(repeats_and_circles(&sources));
    figures.extend(densities(&sources));
    Ok(figures)
}

/// The texts behind sources.
fn sources_as_written<'a>(tree: &'a Tree, sources: &[Source]) -> Vec<(&'a str, &'a str)> {
    let files = sources.iter().filter_map(|source| tree.file(&source.path));
    files
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect()
}

fn files(sources: &[Source]) -> Vec<HouseFigure> {
    let mut lines: Vec<usize> = sources.iter().map(Source::lines).collect();
    lines.sort_unstable();
    let longest = sources.iter().max_by_key(|source| source.lines());
    vec![
        HouseFigure::new("files", lines.len() as f64, "files"),
        HouseFigure::new("lines", lines.iter().sum::<usize>() as f64, "lines"),
        HouseFigure::new("file, median", percentile(&lines, 50), "lines"),
        HouseFigure::new("file, p90", percentile(&lines, 90), "lines"),
        HouseFigure::new("file, longest", percentile(&lines, 100), "lines")
            .at(longest.map_or("", |source| &source.path)),
    ]
}

fn functions(sources: &[Source], formatted: &str) -> Vec<HouseFigure> {
    let mut lines: Vec<usize> = sources
        .iter()
        .flat_map(|source| shapes::function_lines(&source.code))
        .collect();
    lines.sort_unstable();
    let long = lines
        .iter()
        .filter(|lines| **lines > LONG_FUNCTION_LINES)
        .count();
    let of = |what: &str| format!("{what}, {formatted}");
    vec![
        HouseFigure::new(of("functions"), lines.len() as f64, "functions"),
        HouseFigure::new(of("function, p90"), percentile(&lines, 90), "lines"),
        HouseFigure::new(of("function, longest"), percentile(&lines, 100), "lines"),
        HouseFigure::new(of("functions over 70 lines"), share(long, lines.len()), "%"),
    ]
}

fn widest_structure(sources: &[Source]) -> Option<HouseFigure> {
    let all = sources.iter().flat_map(|source| {
        shapes::structures(&source.code)
            .into_iter()
            .map(move |(name, fields)| (fields, name, source))
    });
    let (fields, name, source) = all.max_by_key(|(fields, ..)| *fields)?;
    Some(
        HouseFigure::new("structure, widest", fields as f64, "fields")
            .at(format!("{} {name}", source.path)),
    )
}

fn dependencies(workspace: &Workspace) -> Option<HouseFigure> {
    let program = workspace
        .members()
        .find(|package| package.name == PROGRAM)?;
    let ours = |name: &str| workspace.members().any(|package| package.name == name);
    let of_program = program
        .declared
        .iter()
        .filter(|one| one.kind == DependencyKind::Normal);
    let count = of_program
        .filter(|dependency| ours(&dependency.name))
        .count();
    Some(HouseFigure::new(
        "dependencies of the program among our crates",
        count as f64,
        "crates",
    ))
}

fn tests(all: &[Source]) -> Vec<HouseFigure> {
    let mut lengths: Vec<usize> = all
        .iter()
        .flat_map(|source| &source.tests)
        .map(|test| test.name.chars().count())
        .collect();
    lengths.sort_unstable();
    let over = lengths
        .iter()
        .filter(|length| **length > TEST_NAME_CHARACTERS_MAX)
        .count();
    let (code, tests): (usize, usize) = (
        all.iter().map(Source::lines).sum(),
        all.iter().map(|source| source.test_lines).sum(),
    );
    vec![
        HouseFigure::new("tests", lengths.len() as f64, "tests"),
        HouseFigure::new("test name, median", percentile(&lengths, 50), "characters"),
        HouseFigure::new("test names over 60 characters", over as f64, "tests"),
        HouseFigure::new(
            "lines of tests for each line of code",
            tests as f64 / code.max(1) as f64,
            "lines",
        ),
    ]
}

fn repeats_and_circles(sources: &[Source]) -> Vec<HouseFigure> {
    let (lines, repeated) =
        repeats::repeated_lines(sources.iter().map(|source| source.with_texts.as_str()));
    let circles = circles::files_in_circles(sources);
    let first = circles.first().cloned().unwrap_or_default();
    vec![
        HouseFigure::new(
            "lines in exact repeats of six lines",
            share(repeated, lines),
            "%",
        ),
        HouseFigure::new(
            "files in circles of `use`",
            share(circles.len(), sources.len()),
            "%",
        )
        .at(first),
    ]
}

fn densities(sources: &[Source]) -> Vec<HouseFigure> {
    let lines: usize = sources.iter().map(Source::lines).sum();
    let each_thousand = |count: usize, lines: usize| count as f64 * 1_000.0 / lines.max(1) as f64;
    let total = |count: fn(&Source) -> usize| sources.iter().map(count).sum::<usize>();
    let asserting = ASSERTING.iter().map(|package| {
        let own: Vec<&Source> = sources
            .iter()
            .filter(|source| source.package() == *package)
            .collect();
        let count: usize = own.iter().map(|source| assertions(&source.code)).sum();
        let lines: usize = own.iter().map(|source| source.lines()).sum();
        HouseFigure::new(
            format!("assertions in {package}"),
            each_thousand(count, lines),
            "for each 1,000 lines",
        )
    });
    let mut figures: Vec<HouseFigure> = asserting.collect();
    for (name, word) in [("`.unwrap()`", ".unwrap()"), ("`.expect(…)`", ".expect(")] {
        let count: usize = sources
            .iter()
            .map(|source| source.code.matches(word).count())
            .sum();
        figures.push(HouseFigure::new(
            name,
            each_thousand(count, lines),
            "for each 1,000 lines",
        ));
    }
    let doc = share(total(|source| source.doc_comment_lines), lines);
    let plain = share(total(|source| source.plain_comment_lines), lines);
    figures.push(HouseFigure::new("lines that document", doc, "%"));
    figures.push(HouseFigure::new("lines of other comments", plain, "%"));
    figures
}

fn assertions(code: &str) -> usize {
    ["assert!(", "assert_eq!(", "assert_ne!("]
        .iter()
        .map(|word| code.matches(word).count())
        .sum()
}

fn percentile(sorted: &[usize], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0) as f64
}

fn share(part: usize, whole: usize) -> f64 {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    (percent * 100.0).round() / 100.0
}
