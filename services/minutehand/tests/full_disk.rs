//! A disk without room, by the real program: who imports is told where to go on, and nothing that
//! was acknowledged is lost.

mod support;

use std::io::Write;

use support::{Dev, eventually, program};

const TASKS: usize = 800;
/// What so many hold does not fit into one file, and a journal is given 64 MiB before another
/// follows.
const PAYLOAD_BYTES: usize = 60_000;
const FILE_BYTES_MAX: u64 = 24 << 20;
const _: () = assert!((TASKS * PAYLOAD_BYTES) as u64 > FILE_BYTES_MAX);

/// A text that does not compress.
fn payload(seed: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (state >> 60) as u8)
    };
    (0..PAYLOAD_BYTES).map(|_| letter()).collect()
}

#[test]
fn an_import_into_a_full_store_says_where_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut tasks =
        std::io::BufWriter::new(std::fs::File::create(folder.join("tasks")).expect("a file"));
    for number in 0..TASKS {
        let payload = payload(number);
        writeln!(
            tasks,
            r#"{{"id":"t{number}","queue":"q","delay":"10h","payload":"{payload}"}}"#
        )
        .expect("written");
    }
    tasks.into_inner().expect("written");
    let mut dev = Dev::start(folder, &["dev"]);
    dev.allow_files_of(FILE_BYTES_MAX);
    let import = program(folder)
        .args(["task", "import", "tasks"])
        .env("MINUTEHAND_SERVER", &dev.address)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&import.stderr).into_owned();
    assert!(
        !matches!(import.status.code(), None | Some(0 | 2 | 5)),
        "{:?}: {said}",
        import.status
    );
    let from_line = said
        .split("--from-line ")
        .nth(1)
        .unwrap_or_else(|| panic!("no line to go on from: {said}"));
    let digits: String = from_line.chars().take_while(char::is_ascii_digit).collect();
    let line: usize = digits.parse().expect("a number");
    assert!((2..=TASKS).contains(&line), "{said}");
    dev.logged(&["closed for writes", "free space"]);
    eventually("it ends, so that whoever runs it starts it again", || {
        dev.has_ended()
    });
    // There is room again.
    let dev = Dev::start(folder, &["dev"]);
    dev.client(folder, &["task", "import", "tasks", "--from-line", &digits]);
    for number in [0, line - 2, line - 1, TASKS - 1] {
        let shown = dev.client(folder, &["task", "show", &format!("t{number}"), "--json"]);
        assert!(shown.contains("scheduled"), "{shown}");
    }
}

#[test]
fn a_start_without_room_says_so_and_speaks_of_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shell = std::process::Command::new("/bin/sh");
    let line = "ulimit -f 8; exec \"$0\" dev --http 127.0.0.1:0 --data-dir data";
    let ran = shell
        .args(["-c", line])
        .arg(program(folder.path()).get_program());
    let ran = ran.current_dir(folder.path()).output().expect("a shell");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("its disk is full"), "{stderr}");
    assert!(!stderr.contains("damaged"), "{stderr}");
}
