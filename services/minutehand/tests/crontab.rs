//! Crontabs, by the real program: `dev --crontab` follows its files, and what is imported runs.

mod support;

use std::path::Path;

use support::{Dev, eventually, program};

/// A schedule as `schedule list` shows it: id, expression, state, command.
type Row = (String, String, String, String);

fn schedules(dev: &Dev, folder: &Path) -> Vec<Row> {
    let listed = dev.client(folder, &["schedule", "list", "--json"]);
    let rows = listed.lines().map(|line| {
        let schedule: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| schedule[name].as_str().unwrap_or_default().to_owned();
        let payload: serde_json::Value = serde_json::from_str(&text("payload")).expect("a command");
        (
            text("id"),
            text("cron"),
            text("state"),
            payload["argv"][2].as_str().unwrap_or_default().to_owned(),
        )
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    rows
}

/// What stands of the schedules without their ids.
fn told(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|(_, cron, state, command)| format!("{cron} {command}: {state}"))
        .collect()
}

fn ids(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|(id, ..)| id.as_str()).collect()
}

#[test]
fn dev_follows_its_crontab() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let start = |text: &str| {
        std::fs::write(folder.join("my.crontab"), text).expect("written");
        let dev = Dev::start(folder, &["dev", "--crontab", "my.crontab"]);
        let rows = schedules(&dev, folder);
        (dev, rows)
    };
    let (dev, first) = start("1 1 1 1 * one\n2 1 1 1 * two\n3 1 1 1 * three\n");
    assert_eq!(
        told(&first),
        [
            "1 1 1 1 * one: active",
            "2 1 1 1 * two: active",
            "3 1 1 1 * three: active"
        ]
    );
    dev.kill();
    // The first line has gone, the second runs something else, the third at another time.
    let (dev, second) = start("2 1 1 1 * two --all\n4 1 1 1 * three\n");
    assert_eq!(
        told(&second),
        ["2 1 1 1 * two --all: active", "4 1 1 1 * three: active"]
    );
    assert_eq!(
        ids(&second),
        ids(&first)[1..],
        "edited lines keep their schedules"
    );
    dev.client(folder, &["schedule", "pause", ids(&second)[0]]);
    dev.kill();
    // A start without the file: its schedules rest.
    let dev = Dev::start(folder, &["dev"]);
    let resting = schedules(&dev, folder);
    assert_eq!(
        told(&resting),
        ["2 1 1 1 * two --all: paused", "4 1 1 1 * three: paused"]
    );
    dev.kill();
    // With it they go on; what a person has paused stays paused.
    let (dev, third) = start("2 1 1 1 * two --all\n4 1 1 1 * three\n");
    assert_eq!(
        told(&third),
        ["2 1 1 1 * two --all: paused", "4 1 1 1 * three: active"]
    );
    dev.kill();
    // A line that cannot be read may be the one that has gone: its schedule rests.
    let (dev, fourth) = start("2 1 1 1 * two --all\n99 1 1 1 * three\n");
    assert_eq!(
        told(&fourth),
        ["2 1 1 1 * two --all: paused", "4 1 1 1 * three: paused"]
    );
    assert_eq!(ids(&fourth), ids(&second));
    dev.kill();
    let (dev, last) = start("");
    assert_eq!(last, []);
    dev.kill();
}

#[test]
fn dev_follows_its_crontab_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |text: &str| std::fs::write(folder.join("my.crontab"), text).expect("written");
    write("@reboot echo again >> started\n1 1 1 1 * one\n2 1 1 1 * two\n");
    let mut dev = Dev::start(folder, &["dev", "--crontab", "my.crontab"]);
    let before = schedules(&dev, folder);
    write("@reboot echo again >> started\n2 1 1 1 * two\n3 1 1 1 * touch three\n");
    dev.logged(&[
        "a crontab has changed",
        "schedules=2",
        "changed=1",
        "deleted=1",
    ]);
    let after = schedules(&dev, folder);
    assert_eq!(
        told(&after),
        ["2 1 1 1 * two: active", "3 1 1 1 * touch three: active"]
    );
    assert_eq!(after[0], before[1]);
    // What a line says that was not there at the start may run, and what runs at the start does not
    // run again.
    dev.client(folder, &["schedule", "trigger", ids(&after)[1]]);
    eventually("the new line runs", || folder.join("three").exists());
    assert_eq!(
        std::fs::read_to_string(folder.join("started")).expect("it ran"),
        "again\n"
    );
    std::fs::remove_file(folder.join("my.crontab")).expect("removed");
    dev.logged(&["a crontab has changed and cannot be followed", "my.crontab"]);
    assert_eq!(schedules(&dev, folder), after);
}

#[test]
fn a_line_that_is_too_long_does_not_stop_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |text: &str| std::fs::write(folder.join("my.crontab"), text).expect("written");
    let long = format!("echo {}", "x".repeat(300_000));
    write(&format!(
        "1 1 1 1 * one\n2 1 1 1 * {long}\n@reboot {long}\n4 1 1 1 * four\n"
    ));
    let mut dev = Dev::start(folder, &["dev", "--crontab", "my.crontab"]);
    assert_eq!(
        told(&schedules(&dev, folder)),
        ["1 1 1 1 * one: active", "4 1 1 1 * four: active"]
    );
    // The same while it runs, for a line that is too long for its variables.
    write(&format!(
        "1 1 1 1 * one\n5 1 1 1 * five\nLONG={}\n4 1 1 1 * four\n",
        "x".repeat(300_000)
    ));
    dev.logged(&["a crontab has changed", "schedules=2", "resting=1"]);
    assert_eq!(
        told(&schedules(&dev, folder)),
        [
            "1 1 1 1 * one: active",
            "4 1 1 1 * four: paused",
            "5 1 1 1 * five: active"
        ]
    );
}

#[test]
fn files_of_like_names_keep_their_own_schedules() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let files = [
        ("f", 1),
        ("q/f", 2),
        ("f.d/g", 3),
        ("h/g", 4),
        ("x y", 5),
        ("x_y", 6),
    ];
    for (path, minute) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, format!("{minute} 1 1 1 * run\n")).expect("written");
    }
    let start = |paths: &[&str]| {
        let words = ["dev", "--crontab-format", "user", "--crontab"];
        let dev = Dev::start(folder, &[&words[..], paths].concat());
        let rows = schedules(&dev, folder);
        (dev, rows)
    };
    let all = files.map(|(path, _)| path);
    let (dev, first) = start(&all);
    assert_eq!(first.len(), files.len(), "{first:?}");
    for id in ids(&first) {
        dev.client(folder, &["schedule", "pause", id]);
    }
    dev.kill();
    // What a person has paused stays paused, whichever files are given beside it.
    for given in [&all[..], &all[1..2], &all[2..5], &all] {
        let (dev, rows) = start(given);
        assert_eq!(ids(&rows), ids(&first), "{given:?}");
        assert!(
            rows.iter().all(|(_, _, state, _)| state == "paused"),
            "{given:?}: {rows:?}"
        );
        dev.kill();
    }
}

#[test]
fn schedules_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("my.crontab"), "1 1 1 1 * one\n").expect("written");
    let dev = Dev::start(folder.path(), &["dev"]);
    let import = ["import", "crontab", "my.crontab", "--tz", "UTC"];
    dev.client(folder.path(), &import);
    let imported = schedules(&dev, folder.path());
    dev.kill();
    std::fs::write(folder.path().join("other.crontab"), "2 1 1 1 * two\n").expect("written");
    let dev = Dev::start(folder.path(), &["dev", "--crontab", "other.crontab"]);
    let both = schedules(&dev, folder.path());
    assert_eq!(
        (told(&both), &both[0]),
        (
            ["1 1 1 1 * one: active", "2 1 1 1 * two: active"]
                .map(str::to_owned)
                .into(),
            &imported[0]
        )
    );
}

#[test]
fn a_crontab_of_either_format_ends_the_start_with_code_5() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("x"),
        "1 1 * * * root a b\n2 1 * * * /bin/c\n",
    )
    .expect("written");
    let ended = program(folder.path())
        .args(["dev", "--crontab", "x"])
        .output()
        .expect("it starts");
    assert_eq!(ended.status.code(), Some(5));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.contains("--crontab-format user or --crontab-format system"),
        "{said}"
    );
    let dev = Dev::start(
        folder.path(),
        &["dev", "--crontab", "x", "--crontab-format", "user"],
    );
    assert_eq!(schedules(&dev, folder.path()).len(), 2);
}

#[test]
fn what_is_imported_runs_on_whatever_queue() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(
        folder.join("my.crontab"),
        "NAME=ran\n1 1 1 1 * cat > $NAME%input\n",
    )
    .expect("written");
    let import = [
        "import",
        "crontab",
        "my.crontab",
        "--tz",
        "UTC",
        "--format",
        "user",
        "--queue",
        "nightly",
    ];
    let mut dev = Dev::start(folder, &["dev"]);
    dev.client(folder, &import);
    let id = schedules(&dev, folder).remove(0).0;
    dev.client(folder, &["schedule", "trigger", &id]);
    dev.logged(&["gave a task up", "nightly", "process_executor is false"]);
    assert!(!folder.join("ran").exists());
    dev.kill();
    let dev = Dev::start(folder, &["dev", "--set", "worker.process_executor=true"]);
    dev.client(folder, &["schedule", "trigger", &id]);
    eventually("the command runs", || {
        std::fs::read_to_string(folder.join("ran")).is_ok_and(|text| text == "input\n")
    });
}
