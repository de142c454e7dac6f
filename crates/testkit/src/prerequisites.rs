//! What a machine needs to build the adapters of the cluster and to run their tests: what of it is
//! missing, and installing that where it may be done.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::{fetch, generators, programs};

/// Something that a machine lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is and what for.
    pub what: &'static str,
    /// The Debian packages that bring it.
    pub packages: &'static [&'static str],
}

impl fmt::Display for Missing {
    /// `what (Debian: package package)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Debian: {})", self.what, self.packages.join(" "))
    }
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// This user may not, or the system has another way.
    #[error(
        "packages can be installed only where there is apt-get, by root or by sudo without a password"
    )]
    MayNot,
    /// The program that installs failed; it has said why.
    #[error("`{0}` failed")]
    Failed(String),
    /// It could not be run.
    #[error("could not run apt-get")]
    System(#[from] io::Error),
}

type Check = fn(&Cache) -> bool;

const CHECKS: &[(Missing, Check)] = &[
    (
        Missing {
            what: "Java 17, to run Kafka and Cassandra (5.0 runs on no newer one)",
            packages: &["openjdk-17-jdk-headless"],
        },
        |_| programs::java().is_some(),
    ),
    (
        Missing {
            what: "Maven (mvn), to fetch Kafka, Cassandra and a generator of clients in Java",
            packages: &["maven"],
        },
        |cache| {
            (fetch::has_jars(cache) && generators::has_java(cache)) || programs::mvn().is_some()
        },
    ),
    (
        Missing {
            what: "Go 1.26 or newer, or python3 with venv, which can fetch it, to build etcd and clients in Go",
            packages: &["python3-venv"],
        },
        |cache| {
            fetch::has_go(cache)
                || programs::go().is_some()
                || programs::python_with_venv().is_some()
        },
    ),
    (
        Missing {
            what: "python3 with venv, to make a client of the API in Python",
            packages: &["python3-venv"],
        },
        |cache| generators::has_python(cache) || programs::python_with_venv().is_some(),
    ),
    (
        Missing {
            what: "Node 18 or newer with npm, to make a client of the API in TypeScript",
            packages: &["nodejs", "npm"],
        },
        |cache| {
            programs::npm().is_some()
                || (generators::has_typescript(cache) && programs::node().is_some())
        },
    ),
    (
        Missing {
            what: "protoc with the google/protobuf files, to build the client of etcd",
            packages: &["protobuf-compiler", "libprotobuf-dev"],
        },
        |_| has_protoc(),
    ),
    (
        Missing {
            what: "OpenSSL's headers and pkg-config, to build the clients of Kafka and Cassandra",
            packages: &["libssl-dev", "pkg-config"],
        },
        |_| has_openssl_headers(),
    ),
    (
        Missing {
            what: "python3, to run an example and the models of the protocol",
            packages: &["python3"],
        },
        |_| is_on_path("python3"),
    ),
    (
        Missing {
            what: "Node 18 or newer, to run an example",
            packages: &["nodejs"],
        },
        |_| has_node(),
    ),
    (
        Missing {
            what: "kcat, as a producer that is not ours",
            packages: &["kcat"],
        },
        |_| is_on_path("kcat"),
    ),
    (
        Missing {
            what: "the program openssl, to make certificates for tests",
            packages: &["openssl"],
        },
        |_| programs::printed(Command::new("openssl").arg("version")).is_some(),
    ),
];

/// All that this machine lacks.
pub fn missing() -> Vec<Missing> {
    let cache = Cache::of_user();
    let lacking = CHECKS.iter().filter(|(_, is_there)| !is_there(&cache));
    lacking.map(|(missing, _)| *missing).collect()
}

/// Installs the Debian packages that bring what is missing; what they print goes where our output
/// goes.
///
/// # Errors
/// See [`InstallError`].
pub fn install(missing: &[Missing]) -> Result<(), InstallError> {
    let prefix = privileges()
        .filter(|_| is_on_path("apt-get"))
        .ok_or(InstallError::MayNot)?;
    apt_get(prefix, &["update", "--quiet"])?;
    let mut words = vec!["install", "--quiet", "--yes", "--no-install-recommends"];
    words.extend(missing.iter().flat_map(|missing| missing.packages));
    apt_get(prefix, &words)
}

/// The words before a command that is run as root.
fn privileges() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    let asked = Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .status();
    asked
        .is_ok_and(|status| status.success())
        .then_some(&["sudo", "-n"])
}

fn apt_get(prefix: &[&str], words: &[&str]) -> Result<(), InstallError> {
    // Through `env`, since sudo keeps little of the environment.
    let command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let line = [prefix, &command, words].concat();
    match Command::new(line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .status()?
        .success()
    {
        true => Ok(()),
        false => Err(InstallError::Failed(line.join(" "))),
    }
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Not only whether it runs: without the files it imports, the build fails.
fn has_protoc() -> bool {
    let protoc = env::var_os("PROTOC").unwrap_or_else(|| "protoc".into());
    let compiles = |folder: &Path| {
        let text = "syntax = \"proto3\";\nimport \"google/protobuf/duration.proto\";\n\
                    message Probe { google.protobuf.Duration length = 1; }\n";
        fs::write(folder.join("probe.proto"), text).ok()?;
        let mut command = Command::new(protoc);
        if let Some(include) = env::var_os("PROTOC_INCLUDE") {
            command.arg("-I").arg(include);
        }
        command
            .args(["-I", ".", "--descriptor_set_out=probe.bin", "probe.proto"])
            .current_dir(folder);
        programs::printed(&mut command)
    };
    tempfile::tempdir()
        .ok()
        .and_then(|folder| compiles(folder.path()))
        .is_some()
}

/// Whether there is a Node that has `fetch`.
fn has_node() -> bool {
    programs::printed(Command::new("node").args(["-e", "if (!globalThis.fetch) process.exit(1)"]))
        .is_some()
}

fn has_openssl_headers() -> bool {
    let found =
        programs::printed(Command::new("pkg-config").args(["--exists", "openssl"])).is_some();
    found || env::var_os("OPENSSL_DIR").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_packages_that_bring_it() {
        let missing = Missing {
            what: "protoc",
            packages: &["protobuf-compiler", "libprotobuf-dev"],
        };
        assert_eq!(
            missing.to_string(),
            "protoc (Debian: protobuf-compiler libprotobuf-dev)"
        );
        assert!(
            CHECKS
                .iter()
                .all(|(missing, _)| !missing.packages.is_empty())
        );
    }
}
