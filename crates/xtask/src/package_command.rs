//! `cargo xtask package`: the program as a Debian package and as a tarball, with what belongs to it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{require, run, told};
use crate::{plain_cargo, root};

/// A tool, and where it can be had.
const TOOLS: &[(&str, &str)] = &[
    ("dpkg-deb", "Debian's package dpkg"),
    ("dpkg-query", "Debian's package dpkg"),
    ("strip", "Debian's package binutils"),
    ("ldd", "Debian's package libc-bin"),
    ("tar", "Debian's package tar"),
];
/// The units, which are in `deploy/`.
const UNITS: &[&str] = &[
    "minutehand.service",
    "minutehand-scheduler.service",
    "minutehand-gateway.service",
    "minutehand-worker.service",
];
/// The settings of the roles, which are in `deploy/`.
const SETTINGS: &[&str] = &["scheduler.toml", "gateway.toml", "worker.toml"];
/// Scripts that the package manager runs, which are in `deploy/debian/`.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];
/// Where shells look for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/minutehand"),
    ("zsh", "usr/share/zsh/vendor-completions/_minutehand"),
    (
        "fish",
        "usr/share/fish/vendor_completions.d/minutehand.fish",
    ),
];

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageOptions {
    /// Where packages are put.
    pub out: PathBuf,
    /// A program that was built before, instead of one built now.
    pub program: Option<PathBuf>,
}

impl PackageOptions {
    /// Reads the words behind `package`: `--out DIR`, `--program PATH`.
    ///
    /// # Errors
    /// In words, when one is unknown or lacks its value.
    pub fn parse(words: &[&str]) -> Result<PackageOptions, String> {
        let mut options = PackageOptions {
            out: root().join("target/package"),
            program: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = || format!("{word} lacks its value");
            match *word {
                "--out" => options.out = words.next().ok_or_else(value)?.into(),
                "--program" => options.program = Some(words.next().ok_or_else(value)?.into()),
                other => return Err(format!("package has no option {other:?}")),
            }
        }
        Ok(options)
    }
}

/// Builds the program with the roles of a cluster, and packs it; answers what was made.
///
/// # Errors
/// In words: a tool that is missing, or what went wrong.
pub fn package(options: &PackageOptions) -> Result<Vec<PathBuf>, String> {
    require(TOOLS)?;
    let root = root();
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build(&root)?,
    };
    let version = version(&program)?;
    let architecture = told(Command::new("dpkg").arg("--print-architecture"))?;
    let name = format!("minutehand_{version}_{}", architecture.trim());
    fs::create_dir_all(&options.out).map_err(|error| unable("make", &options.out, &error))?;
    let tree = options.out.join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|error| unable("clear", &tree, &error))?;
    }
    lay_out(&root, &program, &tree)?;
    let tarball = options.out.join(format!("{name}.tar.gz"));
    run(Command::new("tar")
        .args([
            "--create",
            "--gzip",
            "--owner=0",
            "--group=0",
            "--sort=name",
            "--file",
        ])
        .arg(&tarball)
        .arg("--directory")
        .arg(&options.out)
        .arg(&name))?;
    control(&root, &tree, &version, architecture.trim())?;
    let package = options.out.join(format!("{name}.deb"));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&package))?;
    fs::remove_dir_all(&tree).map_err(|error| unable("clear", &tree, &error))?;
    Ok(vec![package, tarball])
}

fn unable(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("could not {what} {}: {error}", path.display())
}

fn build(root: &Path) -> Result<PathBuf, String> {
    run(plain_cargo(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "minutehand",
        "--features",
        "cluster",
    ]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/minutehand"))
}

/// The version that the program says.
fn version(program: &Path) -> Result<String, String> {
    let said = told(Command::new(program).arg("--version"))?;
    let version = said.split_whitespace().nth(1);
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("the program says no version but {said:?}"))
}

/// Puts everything where it belongs below a folder.
fn lay_out(root: &Path, program: &Path, tree: &Path) -> Result<(), String> {
    let binary = tree.join("usr/bin/minutehand");
    put(&binary, &read(program)?, 0o755)?;
    run(Command::new("strip").arg(&binary))?;
    let deploy = root.join("deploy");
    for unit in UNITS {
        let bytes = read(&deploy.join(unit))?;
        put(
            &tree.join("usr/lib/systemd/system").join(unit),
            &bytes,
            0o644,
        )?;
    }
    for settings in SETTINGS {
        let bytes = read(&deploy.join(settings))?;
        put(&tree.join("etc/minutehand").join(settings), &bytes, 0o640)?;
    }
    let groups = read(&deploy.join("debian/sysusers.conf"))?;
    put(
        &tree.join("usr/lib/sysusers.d/minutehand.conf"),
        &groups,
        0o644,
    )?;
    for (shell, path) in COMPLETIONS {
        let script = told(Command::new(program).args(["completion", shell]))?;
        put(&tree.join(path), script.as_bytes(), 0o644)?;
    }
    let pages = tree.join("usr/share/man/man1");
    fs::create_dir_all(&pages).map_err(|error| unable("make", &pages, &error))?;
    told(Command::new(program).args(["man", "--dir"]).arg(&pages))?;
    let license = read(&root.join("LICENSE"))?;
    put(
        &tree.join("usr/share/doc/minutehand/copyright"),
        &license,
        0o644,
    )
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| unable("read", path, &error))
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| unable("make", folder, &error))?;
    fs::write(path, bytes).map_err(|error| unable("write", path, &error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| unable("write", path, &error))
}

/// Adds what the package manager needs.
fn control(root: &Path, tree: &Path, version: &str, architecture: &str) -> Result<(), String> {
    let depends = depends(&tree.join("usr/bin/minutehand"))?;
    let control = format!(
        "Package: minutehand\nVersion: {version}\nArchitecture: {architecture}\nSection: admin\nPriority: optional\n\
         Maintainer: The Minutehand authors <minutehand@localhost>\nDepends: {depends}\n\
         Recommends: ca-certificates\n\
         Description: task scheduler for very high volume\n\
         \x20One-shot tasks, delays, intervals and cron schedules go in, and every execution comes out at its time:\n\
         \x20as one process on a folder of its own, or as a cluster on Kafka, Cassandra and etcd.\n"
    );
    let folder = tree.join("DEBIAN");
    put(&folder.join("control"), control.as_bytes(), 0o644)?;
    let kept: String = SETTINGS
        .iter()
        .map(|settings| format!("/etc/minutehand/{settings}\n"))
        .collect();
    put(&folder.join("conffiles"), kept.as_bytes(), 0o644)?;
    for script in SCRIPTS {
        let bytes = read(&root.join("deploy/debian").join(script))?;
        put(&folder.join(script), &bytes, 0o755)?;
    }
    Ok(())
}

/// The packages of the libraries that a program is linked with, as they are on this machine: it
/// needs them no older.
fn depends(program: &Path) -> Result<String, String> {
    let linked = told(Command::new("ldd").arg(program))?;
    let mut packages = BTreeSet::new();
    for library in libraries(&linked) {
        let path = fs::canonicalize(&library)
            .map_err(|error| unable("find", Path::new(&library), &error))?;
        let said = told(Command::new("dpkg-query").arg("--search").arg(&path))
            // Where /lib is a link, some packages know their files by the old name.
            .or_else(|_| told(Command::new("dpkg-query").arg("--search").arg(&library)))?;
        let package = said.split(':').next().unwrap_or_default().to_owned();
        let form = "--showformat=${Version}";
        let version = told(Command::new("dpkg-query").args(["--show", form, &package]))?;
        let version = version
            .split(['-', '+'])
            .next()
            .unwrap_or_default()
            .to_owned();
        packages.insert(format!("{package} (>= {version})"));
    }
    Ok(packages.into_iter().collect::<Vec<_>>().join(", "))
}

/// The paths in what `ldd` prints.
fn libraries(linked: &str) -> Vec<String> {
    let path = |line: &str| {
        let after = line.split_once("=>").map_or(line, |(_, path)| path);
        let word = after.split_whitespace().next()?;
        word.starts_with('/').then(|| word.to_owned())
    };
    linked.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_their_paths() {
        let linked = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = [
            "/lib/x86_64-linux-gnu/libssl.so.3",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(linked), found);
    }

    #[test]
    fn words_of_the_command_are_understood() {
        let options = PackageOptions::parse(&["--out", "a", "--program", "b"]).expect("options");
        assert_eq!(options.out, PathBuf::from("a"));
        assert_eq!(options.program, Some(PathBuf::from("b")));
        assert!(PackageOptions::parse(&["--out"]).is_err());
        assert!(PackageOptions::parse(&["deb"]).is_err());
    }

    #[test]
    fn everything_that_is_packed_is_there() {
        let deploy = root().join("deploy");
        for file in UNITS.iter().chain(SETTINGS) {
            assert!(deploy.join(file).is_file(), "{file}");
        }
        for file in SCRIPTS.iter().chain(&["sysusers.conf"]) {
            assert!(deploy.join("debian").join(file).is_file(), "{file}");
        }
    }
}
