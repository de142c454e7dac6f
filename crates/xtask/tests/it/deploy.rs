//! What `deploy/` says about the program is true of its command line.

use minutehand_cli::{DevArgs, Verb, parse_from};
use minutehand_xtask::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the file can be read")
}

fn dev_arguments(words: &[&str]) -> DevArgs {
    match parse_from(words).map(|cli| cli.verb) {
        Ok(Verb::Dev(args)) => *args,
        Ok(other) => panic!("{words:?} is not `dev` but {other:?}"),
        Err(error) => panic!("{words:?} is refused: {error}"),
    }
}

#[test]
fn the_unit_starts_what_exists_where_its_state_lies() {
    let unit = read("deploy/minutehand.service");
    let value = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit sets {key}"))
    };
    let command = value("ExecStart").replace("%S", "/var/lib");
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "/usr/bin/minutehand");
    let args = dev_arguments(&words);
    assert_eq!(
        args.data_dir,
        Some(format!("/var/lib/{}", value("StateDirectory")).into())
    );
    assert!(
        args.http.is_none_or(|http| http.ip().is_loopback()),
        "a unit without tokens listens on loopback only"
    );
}

#[test]
fn the_image_starts_what_exists() {
    let file = read("deploy/Dockerfile");
    let list = |key: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(key));
        let list = line.unwrap_or_else(|| panic!("the Dockerfile has {key}"));
        serde_json::from_str(list.trim())
            .unwrap_or_else(|error| panic!("{key} is no list: {error}"))
    };
    let words = [list("ENTRYPOINT"), list("CMD")].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let args = dev_arguments(&words);
    let volume = list("VOLUME");
    assert_eq!(
        args.data_dir,
        Some(volume[0].clone().into()),
        "the data lies on the volume"
    );
    assert!(
        args.tokens_file.is_some(),
        "a listener that others reach wants tokens"
    );
    let port = args.http.expect("others are to reach it").port();
    assert!(
        file.lines().any(|line| line == format!("EXPOSE {port}")),
        "port {port} is exposed"
    );
}

#[test]
fn the_units_of_the_roles_start_with_the_sample_settings() {
    for (role, verb) in [
        ("scheduler", "Scheduler"),
        ("gateway", "Gateway"),
        ("worker", "Worker"),
    ] {
        let unit = read(&format!("deploy/minutehand-{role}.service"));
        let command = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
            .expect("it starts something");
        let words: Vec<&str> = command.split_whitespace().collect();
        let parsed = parse_from(&words)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
            .verb;
        let (Verb::Scheduler(args) | Verb::Gateway(args) | Verb::Worker(args)) = &parsed else {
            panic!("{command} starts no role but {parsed:?}");
        };
        assert!(format!("{parsed:?}").starts_with(verb), "{command}");
        let config = args
            .config
            .as_ref()
            .and_then(|path| path.file_name()?.to_str().map(str::to_owned));
        assert_eq!(
            config,
            Some(format!("{role}.toml")),
            "its sample lies beside the unit"
        );
        assert!(!read(&format!("deploy/{role}.toml")).is_empty());
    }
}

/// A line of a file that is a list of words in brackets, behind a key.
fn lists<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let lines = text
        .lines()
        .filter_map(move |line| line.trim().strip_prefix(key));
    let inner = lines.filter_map(|rest| rest.trim().strip_prefix('[')?.strip_suffix(']'));
    inner.map(|list| {
        list.split(',')
            .map(|word| word.trim().trim_matches('"'))
            .collect()
    })
}

#[test]
fn the_rig_and_the_chart_start_what_exists() {
    let helpers = read("deploy/helm/minutehand/templates/_helpers.tpl");
    let job = read("deploy/helm/minutehand/templates/schema-job.yaml");
    let rig = read("deploy/compose.yaml");
    let mut commands: Vec<Vec<&str>> = lists(&job, "args:").collect();
    assert_eq!(commands.len(), 1, "the job has a command");
    commands.extend(lists(&rig, "command:").filter(|words| !words[0].starts_with("--")));
    assert_eq!(
        commands.len(),
        6,
        "schema, two schedulers, gateway, workers"
    );
    for role in ["scheduler", "gateway", "worker"] {
        let words = lists(&helpers, "args:")
            .next()
            .expect("roles have a command");
        assert_eq!(words[0], "{{ .role }}");
        commands.push([&[role], &words[1..]].concat());
    }
    for words in commands {
        let line = [&["minutehand"], words.as_slice()].concat();
        let parsed = parse_from(&line)
            .unwrap_or_else(|error| panic!("{line:?}: {error}"))
            .verb;
        let is_wanted = matches!(
            parsed,
            Verb::Scheduler(_) | Verb::Gateway(_) | Verb::Worker(_) | Verb::Schema(_)
        );
        assert!(is_wanted, "{line:?} starts {parsed:?}");
    }
}

#[test]
fn the_chart_brings_every_rule_and_every_dashboard() {
    let names = |folder: &str, ending: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root().join(folder)).expect("the folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.ends_with(ending))
            .collect();
        names.sort();
        names
    };
    for (original, copy, ending) in [
        (
            "dashboards/rules",
            "deploy/helm/minutehand/files/rules",
            ".yml",
        ),
        (
            "dashboards",
            "deploy/helm/minutehand/files/dashboards",
            ".json",
        ),
    ] {
        assert_eq!(
            names(original, ending),
            names(copy, ending),
            "{copy} links to all of {original}"
        );
        for name in names(original, ending) {
            assert_eq!(
                read(&format!("{original}/{name}")),
                read(&format!("{copy}/{name}")),
                "{copy}/{name}"
            );
        }
    }
}

#[test]
fn the_image_holds_the_roles_of_a_cluster() {
    let file = read("deploy/Dockerfile");
    assert!(
        file.contains("--package minutehand --features cluster"),
        "the roles are in that feature"
    );
    // What `docs/CLUSTER.md` says that this needs.
    for package in [
        "protobuf-compiler",
        "libprotobuf-dev",
        "libssl-dev",
        "libssl3",
    ] {
        assert!(file.contains(package), "{package}");
    }
}
