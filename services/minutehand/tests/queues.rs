//! Queues of `dev` that an operator pauses: by the command line, through a crash.

mod support;

use support::{Dev, eventually};

#[test]
fn a_paused_queue_stays_paused_through_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["dev", "--set", "worker.output_dir=output"];
    let dev = Dev::start(folder.path(), &words);
    let told = dev.client(
        folder.path(),
        &[
            "queue", "pause", "mail", "--for", "1h", "--reason", "a test",
        ],
    );
    assert!(told.starts_with("mail is paused until "), "{told}");
    let task = [
        "task", "create", "--queue", "mail", "--in", "0s", "--id", "a",
    ];
    dev.client(folder.path(), &task);
    let waits = |dev: &Dev| {
        let shown = dev.client(folder.path(), &["queue", "show", "mail", "--json"]);
        shown.contains(r#""waiting":1"#) && shown.contains(r#""state":"paused""#)
    };
    eventually("that the task waits", || waits(&dev));
    dev.kill();

    let dev = Dev::start(folder.path(), &words);
    eventually("that the task still waits", || waits(&dev));
    let listed = dev.client(folder.path(), &["queue", "list"]);
    assert!(listed.contains("paused"), "{listed}");
    dev.client(folder.path(), &["queue", "resume", "mail"]);
    eventually("that it has run", || {
        let task = dev.client(folder.path(), &["task", "get", "a", "--json"]);
        task.contains("succeeded")
    });
}

#[test]
fn a_server_of_this_machine_is_asked_without_a_proxy() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path(), &["dev"]);
    let mut command = support::program(folder.path());
    command.args(["queue", "list"]);
    command.env("MINUTEHAND_SERVER", &dev.address);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let output = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
