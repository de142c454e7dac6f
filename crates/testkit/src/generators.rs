//! Clients of the API in other languages: well-known generators, fetched once per machine, make
//! them from its description, and the languages' own compilers say whether they can be used
//! unedited, together with a few lines that call them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::fetch::{self, FetchError, run};
use crate::programs;

const PYTHON_GENERATOR: &str = "0.29.1";
/// Makes types; what calls by them is `openapi-fetch`.
const TYPESCRIPT_GENERATOR: &str = "7.13.0";
const TYPESCRIPT_CALLS: &str = "openapi-fetch@0.17.0";
/// The newest of the compilers that the generator works with.
const TYPESCRIPT: &str = "typescript@5.9.3";
const JAVA_GENERATOR: &str = "7.22.0";
/// Where the generator and what its client stands on lie in the cache, with the version behind.
const JAVA_FOLDERS: [&str; 2] = ["openapi-generator", "java-client-libraries"];
/// What the client in Java stands on, as its own `pom.xml` says.
const JAVA_LIBRARIES: [[&str; 3]; 5] = [
    ["com.fasterxml.jackson.core", "jackson-databind", "2.21.1"],
    [
        "com.fasterxml.jackson.datatype",
        "jackson-datatype-jsr310",
        "2.21.1",
    ],
    ["org.openapitools", "jackson-databind-nullable", "0.2.10"],
    ["com.google.code.findbugs", "jsr305", "3.0.2"],
    ["jakarta.annotation", "jakarta.annotation-api", "1.3.5"],
];
const GO_GENERATOR: &str = "2.8.2";
/// What the client in Go stands on.
const GO_RUNTIME: &str = "github.com/oapi-codegen/runtime@v1.9.0";

/// A language that a client can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// By `openapi-python-client`.
    Python,
    /// By `openapi-typescript`.
    TypeScript,
    /// By `openapi-generator`.
    Java,
    /// By `oapi-codegen`.
    Go,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 4] = [
        Language::Python,
        Language::TypeScript,
        Language::Java,
        Language::Go,
    ];

    /// Makes a client from an OpenAPI description and compiles it as it is, and a program that uses
    /// it.
    ///
    /// # Errors
    /// See [`FetchError`]; what a generator leaves out of the description is one of them where it
    /// says so.
    pub fn make_client(self, description: &Path) -> Result<(), FetchError> {
        let cache = Cache::of_user();
        let folder = tempfile::tempdir()?;
        match self {
            Language::Python => python(&cache, description, folder.path()),
            Language::TypeScript => typescript(&cache, description, folder.path()),
            Language::Java => java(&cache, description, folder.path()),
            Language::Go => go(&cache, description, folder.path()),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Language::Python => "Python",
            Language::TypeScript => "TypeScript",
            Language::Java => "Java",
            Language::Go => "Go",
        })
    }
}

fn python_folder() -> String {
    format!("openapi-python-client-{PYTHON_GENERATOR}")
}

fn typescript_folder() -> String {
    format!("openapi-typescript-{TYPESCRIPT_GENERATOR}")
}

/// Whether the generator for Python is in the cache.
pub(crate) fn has_python(cache: &Cache) -> bool {
    cache.servers().join(python_folder()).is_dir()
}

/// Whether the generator for TypeScript is in the cache.
pub(crate) fn has_typescript(cache: &Cache) -> bool {
    cache.servers().join(typescript_folder()).is_dir()
}

/// Whether the generator for Java, and what its client stands on, are in the cache.
pub(crate) fn has_java(cache: &Cache) -> bool {
    JAVA_FOLDERS.iter().all(|folder| {
        cache
            .servers()
            .join(format!("{folder}-{JAVA_GENERATOR}"))
            .is_dir()
    })
}

/// A client is a package; each of its modules is read, and so is a program that uses it.
fn python(cache: &Cache, description: &Path, folder: &Path) -> Result<(), FetchError> {
    let tools = cache.complete_or_absent(&python_folder(), |half| {
        let python = programs::python_with_venv().ok_or(FetchError::Missing {
            program: "python3 with venv",
        })?;
        eprintln!("fetching the generator for Python into the cache, once");
        run(Command::new(python)
            .args(["-m", "venv", "venv"])
            .current_dir(half))?;
        let package = format!("openapi-python-client=={PYTHON_GENERATOR}");
        run(Command::new("venv/bin/python")
            .args(["-m", "pip", "install", "--quiet", &package])
            .current_dir(half))
    })?;
    let python = tools.join("venv/bin/python");
    let generate = [
        "-m",
        "openapi_python_client",
        "generate",
        "--meta",
        "none",
        "--output-path",
        "client",
    ];
    run(Command::new(&python)
        .args(generate)
        .args(["--overwrite", "--path"])
        .arg(description)
        // It formats what it makes with a program of its own folder.
        .env("PATH", with_folder(&tools.join("venv/bin")))
        .current_dir(folder))?;
    fs::write(folder.join("use.py"), include_str!("clients/use.py"))?;
    // It counts what was made: what the generator does not understand it leaves out.
    run(Command::new(&python)
        .arg("use.py")
        .arg(description)
        .current_dir(folder))
}

fn typescript(cache: &Cache, description: &Path, folder: &Path) -> Result<(), FetchError> {
    let tools = cache.complete_or_absent(&typescript_folder(), |half| {
        let npm = programs::npm().ok_or(FetchError::Missing {
            program: "npm, with Node 18 or newer",
        })?;
        eprintln!("fetching the generator for TypeScript into the cache, once");
        fs::write(half.join("package.json"), "{ \"private\": true }\n")?;
        let generator = format!("openapi-typescript@{TYPESCRIPT_GENERATOR}");
        let install = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            &generator,
            TYPESCRIPT_CALLS,
            TYPESCRIPT,
        ];
        run(Command::new(npm).args(install).current_dir(half))
    })?;
    let modules = tools.join("node_modules");
    symlink(&modules, folder.join("node_modules"))?;
    let node = || {
        let mut node = Command::new("node");
        node.current_dir(folder);
        node
    };
    run(node()
        .arg(modules.join("openapi-typescript/bin/cli.js"))
        .arg(description)
        .args(["--output", "api.ts"]))?;
    fs::write(folder.join("use.ts"), include_str!("clients/use.ts"))?;
    let strictly = [
        "--strict", "--noEmit", "--target", "es2022", "--module", "esnext",
    ];
    run(node()
        .arg(modules.join("typescript/bin/tsc"))
        .args(strictly)
        .args(["--moduleResolution", "bundler", "use.ts"]))
}

fn java(cache: &Cache, description: &Path, folder: &Path) -> Result<(), FetchError> {
    let java = programs::java().ok_or(FetchError::Missing { program: "java 17" })?;
    let generator = ["org.openapitools", "openapi-generator-cli", JAVA_GENERATOR];
    let generator = fetch::jars(cache, JAVA_FOLDERS[0], JAVA_GENERATOR, &[generator])?;
    let libraries = fetch::jars(cache, JAVA_FOLDERS[1], JAVA_GENERATOR, &JAVA_LIBRARIES)?;
    run(Command::new(&java)
        .arg("-jar")
        .arg(generator.join(format!("openapi-generator-cli-{JAVA_GENERATOR}.jar")))
        .args([
            "generate",
            "--generator-name",
            "java",
            "--library",
            "native",
            "--output",
            "client",
        ])
        .args([
            "--global-property",
            "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false",
        ])
        .arg("--input-spec")
        .arg(description)
        .current_dir(folder))?;
    fs::write(folder.join("Use.java"), include_str!("clients/Use.java"))?;
    let mut sources = files_below(&folder.join("client/src/main/java"), "java")?;
    sources.push(folder.join("Use.java"));
    let javac = java.with_file_name("javac");
    run(Command::new(javac)
        .args(["-proc:none", "-nowarn", "-d", "classes", "-cp"])
        .arg(libraries.join("*"))
        .args(sources)
        .current_dir(folder))
}

fn go(cache: &Cache, description: &Path, folder: &Path) -> Result<(), FetchError> {
    let go = fetch::go(cache)?;
    let tools = cache.complete_or_absent(&format!("oapi-codegen-{GO_GENERATOR}"), |half| {
        eprintln!("building the generator for Go for the cache, once; this takes about a minute");
        fs::write(
            half.join("go.mod"),
            "module minutehand.invalid/clients\n\ngo 1.26\n",
        )?;
        let tool = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen";
        run(Command::new(&go)
            .args(["get", "-tool", &format!("{tool}@v{GO_GENERATOR}")])
            .current_dir(half))?;
        run(Command::new(&go)
            .args(["get", GO_RUNTIME])
            .current_dir(half))?;
        run(Command::new(&go)
            .args(["build", "-trimpath", "-o", "oapi-codegen", tool])
            .current_dir(half))
    })?;
    for file in ["go.mod", "go.sum"] {
        fs::copy(tools.join(file), folder.join(file))?;
    }
    fs::create_dir(folder.join("client"))?;
    run(Command::new(tools.join("oapi-codegen"))
        .args([
            "-generate",
            "types,client",
            "-package",
            "client",
            "-o",
            "client/client.gen.go",
        ])
        .arg(description)
        .current_dir(folder))?;
    fs::write(folder.join("use.go"), include_str!("clients/use.go.txt"))?;
    // It may note what else the runtime needs: the module is of this run alone.
    run(Command::new(&go)
        .args(["build", "-mod=mod", "./..."])
        .current_dir(folder))
}

/// The path on which programs are looked for, with a folder in front.
fn with_folder(folder: &Path) -> std::ffi::OsString {
    let mut path = folder.as_os_str().to_owned();
    if let Some(others) = std::env::var_os("PATH") {
        path.push(":");
        path.push(others);
    }
    path
}

/// The files of a kind below a folder.
fn files_below(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|one| one == extension) {
                files.push(path);
            }
        }
    }
    Ok(files)
}
