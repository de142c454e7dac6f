//! Completion scripts and manual pages.

use clap::{Command, CommandFactory};
use minutehand_cli::{Cli, Exit};

use crate::support::run;

#[tokio::test]
async fn every_shell_gets_a_script_that_knows_the_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completion", shell]).await.ok();
        for verb in ["dead-letters", "backfill", "explain", "minutehand"] {
            assert!(ran.stdout.contains(verb), "{shell}: {verb}");
        }
    }
}

#[tokio::test]
async fn the_bash_script_is_bash() {
    let script = run(&["completion", "bash"]).await.ok().stdout;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let status = std::process::Command::new("bash")
        .arg("-n")
        .arg(file.path())
        .status()
        .expect("bash is there");
    assert!(status.success());
}

/// The pages that must be there: one per verb.
fn names(command: &Command, name: &str, found: &mut Vec<String>) {
    found.push(format!("{name}.1"));
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        names(below, &format!("{name}-{}", below.get_name()), found);
    }
}

#[tokio::test]
async fn every_verb_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("man1");
    run(&["man", "--dir", into.to_str().unwrap()]).await.ok();
    let mut wanted = Vec::new();
    names(&Cli::command(), "minutehand", &mut wanted);
    wanted.sort();
    let mut found: Vec<String> = std::fs::read_dir(&into)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, wanted);
    assert!(found.contains(&"minutehand-schedule-backfill.1".to_owned()));
    for name in found {
        let page = std::fs::read_to_string(into.join(&name)).unwrap();
        let title = name.trim_end_matches(".1");
        assert!(
            page.contains(&format!(".TH {title} 1")),
            "{name}: {}",
            &page[..200.min(page.len())]
        );
        assert!(
            page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn without_a_folder_the_main_page_is_printed() {
    let page = run(&["man"]).await.ok().stdout;
    assert!(
        page.contains(".TH minutehand 1") && page.contains("Exit codes"),
        "{page}"
    );
    let ran = run(&["man", "--dir", "/proc/no/such"]).await;
    assert_eq!(ran.exit, Exit::Failed);
}
