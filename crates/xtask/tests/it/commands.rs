//! The command lines that documents name can be typed.

use minutehand_cli::parse_from;
use minutehand_xtask::{File, Tree, root};

/// What is wrong with a command line that only lacks something: documents name verbs without all
/// they need.
const MAY_LACK: &[&str] = &[
    "DisplayHelp",
    "DisplayHelpOnMissingArgumentOrSubcommand",
    "DisplayVersion",
    "MissingRequiredArgument",
    "MissingSubcommand",
];

/// The command lines of the program in a document: between backticks, and the lines of code blocks
/// that begin with it.
fn command_lines(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            let commands = line
                .split(['|', '&', ';'])
                .map(|part| part.trim().trim_start_matches("$ "));
            found.extend(
                commands
                    .filter(|part| part.starts_with("minutehand "))
                    .map(str::to_owned),
            );
        } else {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(
                quoted
                    .filter(|part| part.starts_with("minutehand "))
                    .map(str::to_owned),
            );
        }
    }
    // A gap or a choice stands for several lines; `is` begins a line of the program's own.
    found.retain(|line| !line.contains(['…', '<', '[']) && !line.starts_with("minutehand is "));
    found
}

/// Splits a line as a shell does, as far as documents need it; a single capital letter stands for a
/// number.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (character, quote) {
            ('#', None) if words.last().is_some_and(String::is_empty) => break,
            ('\'' | '"', None) => quote = Some(character),
            (character, Some(open)) if character == open => quote = None,
            (' ', None) => words.push(String::new()),
            (character, _) => words
                .last_mut()
                .expect("there is always a word")
                .push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    let stands_for_number =
        |word: &str| word.len() == 1 && word.chars().all(|letter| letter.is_ascii_uppercase());
    words
        .into_iter()
        .map(|word| {
            if stands_for_number(&word) {
                "1".to_owned()
            } else {
                word
            }
        })
        .collect()
}

fn refused(file: &File) -> Vec<String> {
    let lines = command_lines(&file.text).into_iter();
    let refused = lines.filter_map(|line| {
        let error = parse_from(words(&line)).err()?;
        let kind = format!("{:?}", error.kind());
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().to_owned();
        (!MAY_LACK.contains(&kind.as_str())).then(|| format!("{}: `{line}`: {first}", file.path))
    });
    refused.collect()
}

#[test]
fn command_lines_in_documents_are_understood() {
    let tree = Tree::read(&root()).expect("the tree can be read");
    let documents: Vec<&File> = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .collect();
    let count: usize = documents
        .iter()
        .map(|file| command_lines(&file.text).len())
        .sum();
    assert!(count > 30, "only {count} command lines were found");
    let refused: Vec<String> = documents.into_iter().flat_map(refused).collect();
    assert!(refused.is_empty(), "\n{}", refused.join("\n"));
}

#[test]
fn a_command_line_with_an_unknown_option_is_found() {
    let text = "See `minutehand task list --colour`.\n```\nminutehand task list | head\n$ minutehand worke & wait\n```\n";
    let file = File {
        path: "a.md".to_owned(),
        text: text.to_owned(),
    };
    let refused = refused(&file);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused[0].starts_with("a.md: `minutehand task list --colour`: error: unexpected argument"),
        "{refused:?}"
    );
}
