//! `dev` by HTTPS, and the client that trusts its authority.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rcgen::{CertificateParams, KeyPair};

/// A process that is stopped when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn program(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minutehand"));
    command.current_dir(folder).args(words).stdin(Stdio::null());
    command
}

fn client(folder: &Path, server: &str, words: &[&str]) -> Output {
    program(folder, words)
        .args(["--server", server])
        .output()
        .expect("the program runs")
}

#[test]
fn dev_serves_https_to_a_client_that_trusts_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let cert = file(folder, "cert.pem", &certificate.pem());
    let key = file(folder, "key.pem", &key.serialize_pem());

    let child = program(
        folder,
        &["dev", "--http", "127.0.0.1:0", "--data-dir", "data"],
    )
    .arg("--tls-cert-file")
    .arg(&cert)
    .arg("--tls-key-file")
    .arg(&key)
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn();
    let mut running = Running(child.expect("the program starts"));
    let output = BufReader::new(running.0.stdout.take().expect("its output is piped"));
    let greeting = output.lines().next().expect("a greeting").expect("text");
    let server = greeting
        .split_whitespace()
        .find_map(|word| word.strip_suffix("/v1"))
        .expect("an address");
    assert!(server.starts_with("https://127.0.0.1:"), "{greeting}");

    let trusted = client(folder, server, &["task", "list", "--cacert", "cert.pem"]);
    assert!(
        trusted.status.success(),
        "{}",
        String::from_utf8_lossy(&trusted.stderr)
    );
    let other =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("another one");
    file(folder, "other.pem", &other.cert.pem());
    let refused = client(folder, server, &["task", "list", "--cacert", "other.pem"]);
    assert_eq!(
        refused.status.code(),
        Some(6),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    let plain = client(folder, &server.replace("https", "http"), &["task", "list"]);
    assert!(!plain.status.success());
    let none = client(folder, server, &["task", "list", "--cacert", "key.pem"]);
    assert_eq!(
        none.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&none.stderr)
    );
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    file(folder, "empty.pem", "");
    let words = [
        "dev",
        "--http",
        "127.0.0.1:0",
        "--tls-cert-file",
        "empty.pem",
        "--tls-key-file",
        "empty.pem",
    ];
    let refused = program(folder, &words).output().expect("the program runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("empty.pem holds no certificate in PEM"),
        "{said}"
    );
    let half = program(folder, &["dev", "--tls-cert-file", "cert.pem"])
        .output()
        .expect("the program runs");
    assert_eq!(half.status.code(), Some(2));
}
