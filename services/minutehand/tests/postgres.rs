//! The example of an effect that happens once, against a real PostgreSQL.

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{Dev, eventually};

/// A server of its own, on a Unix socket in a folder; ended when dropped.
struct Postgres {
    child: Child,
    folder: PathBuf,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where Debian puts the server's programs, when they are not on the path.
fn server_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().flatten();
    let candidates = versions.map(|version| version.path().join("bin").join(name));
    let found = candidates.into_iter().find(|program| program.exists());
    found.unwrap_or_else(|| PathBuf::from(name))
}

/// A program that does not run as root: PostgreSQL refuses to.
fn as_nobody_special(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

/// The user that PostgreSQL was installed with, where this test runs as root.
fn postgres_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line.expect("a user postgres").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

impl Postgres {
    fn start(folder: &Path) -> Postgres {
        let folder = folder.join("postgres");
        std::fs::create_dir(&folder).expect("a folder");
        if let Some((user, group)) = postgres_user() {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("it is given away");
        }
        let data = folder.join("data");
        let made = as_nobody_special(server_program("initdb"))
            .args(["--username=test", "--auth=trust", "--no-sync", "-D"])
            .arg(&data)
            .current_dir(&folder)
            .output()
            .expect("initdb (Debian: postgresql) is installed");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        let child = as_nobody_special(server_program("postgres"))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(&folder)
            .arg("-D")
            .arg(&data)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let server = Postgres { child, folder };
        eventually("it answers", || server.psql(&["-c", "select 1"]).is_some());
        server
    }

    /// What psql prints, when it ends well.
    fn psql(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("psql")
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"])
            .args(words)
            .env("PGHOST", &self.folder)
            .env("PGUSER", "test")
            .env("PGDATABASE", "postgres")
            .output()
            .expect("psql (Debian: postgresql-client) is installed");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    fn file(&self, name: &str, variables: &[String]) -> String {
        let path = example(name).display().to_string();
        let mut words = vec!["-f", &path];
        for variable in variables {
            words.extend(["-v", variable]);
        }
        self.psql(&words).expect("it is a statement")
    }

    fn balance(&self, account: &str) -> String {
        let question = format!("select balance from accounts where account = '{account}'");
        self.psql(&["-c", &question]).expect("there are accounts")
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/postgres")
        .join(name)
}

#[test]
fn an_effect_in_postgres_happens_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // Its parent must let the server's user pass.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("its own");
    let server = Postgres::start(folder.path());
    server.file("tables.sql", &[]);
    let deliver = |execution: &str, token: u32, message: &str| {
        let given = [
            format!("execution={execution}"),
            format!("token={token:04}"),
            format!("message={message}"),
            "account=a".to_owned(),
            "amount=10".to_owned(),
        ];
        server.file("once.sql", &given)
    };
    for (execution, token, message, expected) in [
        ("x-1", 1, "m-1", "done"),
        // Delivered again; then the holder that was replaced comes late.
        ("x-1", 2, "m-1", "done before"),
        ("x-1", 1, "m-1", "replaced"),
        // The next attempt of the same message, and another one.
        ("x-2", 1, "m-1", "done before"),
        ("x-3", 5, "m-2", "done"),
    ] {
        assert_eq!(
            deliver(execution, token, message),
            expected,
            "{execution} {token}"
        );
    }
    assert_eq!(server.balance("a"), "20");

    let child = format!("pool.command=python3,{}", example("pay.py").display());
    let env = format!(
        "pool.env=PGHOST={},PGUSER=test,PGDATABASE=postgres",
        server.folder.display()
    );
    let words = [
        "dev",
        "--set",
        "pool.queues=payments",
        "--set",
        &child,
        "--set",
        &env,
    ];
    let mut dev = Dev::start(folder.path(), &words);
    let payment = r#"{"account": "b", "amount": 7}"#;
    let task = [
        "task", "create", "--queue", "payments", "--in", "0s", "--id", "p",
    ];
    dev.client(
        folder.path(),
        &[&task[..], &["--payload", payment]].concat(),
    );
    dev.logged(&["ran a task", "p", "done"]);
    assert_eq!(server.balance("b"), "7");
}
