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
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit sets {key}"))
    };
    let command = value("ExecStart").replace("%S", "/var/lib");
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "/usr/bin/minutehand");
    let args = dev_arguments(&words);
    assert_eq!(args.data_dir, Some(format!("/var/lib/{}", value("StateDirectory")).into()));
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
        serde_json::from_str(list.trim()).unwrap_or_else(|error| panic!("{key} is no list: {error}"))
    };
    let words = [list("ENTRYPOINT"), list("CMD")].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let args = dev_arguments(&words);
    let volume = list("VOLUME");
    assert_eq!(args.data_dir, Some(volume[0].clone().into()), "the data lies on the volume");
    assert!(args.tokens_file.is_some(), "a listener that others reach wants tokens");
    let port = args.http.expect("others are to reach it").port();
    assert!(file.lines().any(|line| line == format!("EXPOSE {port}")), "port {port} is exposed");
}

#[test]
fn the_units_of_the_roles_start_with_the_sample_settings() {
    for (role, verb) in [("scheduler", "Scheduler"), ("gateway", "Gateway"), ("worker", "Worker")] {
        let unit = read(&format!("deploy/minutehand-{role}.service"));
        let command =
            unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
        let words: Vec<&str> = command.split_whitespace().collect();
        let parsed = parse_from(&words).unwrap_or_else(|error| panic!("{command}: {error}")).verb;
        let (Verb::Scheduler(args) | Verb::Gateway(args) | Verb::Worker(args)) = &parsed else {
            panic!("{command} starts no role but {parsed:?}");
        };
        assert!(format!("{parsed:?}").starts_with(verb), "{command}");
        let config = args.config.as_ref().and_then(|path| path.file_name()?.to_str().map(str::to_owned));
        assert_eq!(config, Some(format!("{role}.toml")), "its sample lies beside the unit");
        assert!(!read(&format!("deploy/{role}.toml")).is_empty());
    }
}
