//! The examples of `docs/PRODUCERS.md` are understood as they stand there.

use minutehand_ingress::{Understood, understand};
use minutehand_record::command;

use crate::support::{Record, record, told};

const DOCUMENT: &str = include_str!("../../../../docs/PRODUCERS.md");

/// The words of a line of shell: quotes taken away, nothing expanded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, ' ') => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The lines of all shell examples, continued ones joined.
fn lines() -> Vec<String> {
    let examples = DOCUMENT
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    examples
        .flat_map(|example| {
            example
                .replace("\\\n", " ")
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.contains("kcat -P"))
        .collect()
}

struct Example {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

impl Example {
    /// `echo VALUE | kcat -P … -k KEY -H NAME=VALUE …`; `None` when the value comes from a file.
    fn read(line: &str) -> Option<Example> {
        let words = words(line);
        let mut example = Example {
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let mut at = words.iter();
        while let Some(word) = at.next() {
            match word.as_str() {
                "echo" => example.value = at.next().cloned(),
                "-k" => example.key = at.next().cloned(),
                "-H" => {
                    let (name, value) = at
                        .next()
                        .unwrap()
                        .split_once('=')
                        .expect("a header is NAME=VALUE");
                    example.headers.push((name.to_owned(), value.to_owned()));
                }
                "-b" | "-t" => drop(at.next()),
                "|" | "kcat" | "-P" => {}
                file if file.ends_with(".bin") => return None,
                other => panic!("the test does not know {other:?} in {line:?}"),
            }
        }
        Some(example)
    }
}

#[test]
fn the_examples_for_producers_are_understood() {
    let lines = lines();
    let examples: Vec<Example> = lines
        .iter()
        .filter_map(|line| Example::read(line))
        .collect();
    assert!(examples.len() >= 10, "{} examples found", examples.len());
    let mut kinds = std::collections::BTreeSet::new();
    for (example, line) in examples.iter().zip(&lines) {
        let headers = example
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), Some(value.as_bytes())));
        let record = Record {
            key: example.key.as_deref().map(str::as_bytes),
            value: example.value.as_deref().map(str::as_bytes),
            headers: headers.collect(),
            ..record(None)
        };
        match understand(&record.input()) {
            Ok(Understood::Command(bytes)) => {
                let command = command::decode(bytes).unwrap();
                kinds.insert(command.kind());
                assert!(!told(&command).is_empty());
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    let expected = [
        "backfill", "cancel", "create", "replace", "revise", "trigger",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_protobuf_example_names_fields_of_the_schema() {
    let schema = include_str!("../../../../schema/records.proto");
    let task = schema
        .split("message Task {")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    let example = DOCUMENT
        .split("<<'TASK'\n")
        .nth(1)
        .unwrap()
        .split("\nTASK")
        .next()
        .unwrap();
    for line in example.lines() {
        let (name, _) = line.split_once(':').unwrap();
        assert!(task.contains(&format!(" {name} = ")), "{name}");
    }
    for required in ["version: 1", "namespace:", "id:", "queue:", "due_ms:"] {
        assert!(example.contains(required), "{required}");
    }
}
