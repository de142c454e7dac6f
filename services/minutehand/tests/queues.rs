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
