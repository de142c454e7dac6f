//! The programs that fetch and run servers: where they are, and which version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Java that servers run on: Kafka 4 needs it at least, Cassandra 5.0 at most.
pub(crate) const JAVA: u32 = 17;

/// The oldest Go that builds the etcd we test with, as (major, minor).
pub(crate) const GO_MIN: (u32, u32) = (1, 26);

/// The oldest Node that makes clients in TypeScript: Debian 12 has it.
const NODE_MIN: u32 = 18;

/// Java: the one of `JAVA_HOME`, the one on the path, or one where systems keep several, if it is
/// the right one.
pub fn java() -> Option<PathBuf> {
    let of_home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let kept = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut kept: Vec<PathBuf> = kept.map(|entry| entry.path().join("bin/java")).collect();
    kept.sort();
    let mut candidates = of_home
        .into_iter()
        .chain([PathBuf::from("java")])
        .chain(kept);
    let version = |java: &PathBuf| java_version(&printed(Command::new(java).arg("-version"))?);
    candidates.find(|java| version(java) == Some(JAVA))
}

/// Maven.
pub(crate) fn mvn() -> Option<PathBuf> {
    printed(Command::new("mvn").arg("--version")).map(|_| PathBuf::from("mvn"))
}

/// npm, where its Node is new enough for the generator of clients in TypeScript.
pub(crate) fn npm() -> Option<PathBuf> {
    printed(Command::new("npm").arg("--version"))
        .and_then(|_| node())
        .map(|_| PathBuf::from("npm"))
}

/// Node, if it is new enough.
pub(crate) fn node() -> Option<PathBuf> {
    let version = printed(Command::new("node").arg("--version"))?;
    let major: u32 = version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()?;
    (major >= NODE_MIN).then(|| PathBuf::from("node"))
}

/// Go, if it is new enough: the one on the path, else the one where its installer puts it.
pub(crate) fn go() -> Option<PathBuf> {
    let candidates = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")];
    let is_new = |go: &PathBuf| is_new_go(go);
    candidates.into_iter().find(is_new)
}

pub(crate) fn is_new_go(go: &Path) -> bool {
    let version =
        printed(Command::new(go).args(["env", "GOVERSION"])).and_then(|text| go_version(&text));
    version >= Some(GO_MIN)
}

/// A Python that can make environments of its own, for the Go that the Python index carries.
pub(crate) fn python_with_venv() -> Option<PathBuf> {
    printed(Command::new("python3").args(["-c", "import venv, ensurepip"]))
        .map(|_| PathBuf::from("python3"))
}

/// What a command prints on both its outputs; `None` when it cannot be run or fails.
pub(crate) fn printed(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Some(text)
}

/// The major version in what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`, and
/// before Java 9 `"1.8.0"`.
fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '-', '+', '_']).map(str::parse::<u32>);
    match parts.next()?.ok()? {
        1 => parts.next()?.ok(),
        major => Some(major),
    }
}

/// The version in what `go env GOVERSION` prints: `go1.26.8`, `go1.27rc1`.
fn go_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor: String = parts
        .next()?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(
            java_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"),
            Some(17)
        );
        assert_eq!(java_version("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_version("java version \"1.8.0_392\""), Some(8));
        assert_eq!(
            java_version("openjdk version \"26-ea\" 2026-03-17"),
            Some(26)
        );
        assert_eq!(java_version("command not found"), None);
        assert_eq!(go_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(go_version("go1.27rc1\n"), Some((1, 27)));
        assert_eq!(go_version("go version go1.26"), None);
    }
}
