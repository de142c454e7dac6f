//! `cargo xtask deploy-check`: what `deploy/` and `dashboards/` hold for other programs, checked by
//! the tools of those programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{require, run, told};
use crate::root;

/// A tool, and where it can be had.
const TOOLS: &[(&str, &str)] = &[
    ("promtool", "Debian's package prometheus"),
    ("helm", "`go install helm.sh/helm/v3/cmd/helm@v3.22.0`"),
    ("kubernetes-validate", "`pip install kubernetes-validate`"),
    ("check-jsonschema", "`pip install check-jsonschema`"),
];

/// The oldest and the newest Kubernetes whose types the chart is compared with.
const KUBERNETES: &[&str] = &["1.25", "1.37"];

/// The chart with everything that is off by itself.
const EVERYTHING: &str = "gateway.autoscaling.enabled=true,worker.autoscaling.enabled=true,serviceMonitor.enabled=true,\
     prometheusRule.enabled=true,grafanaDashboards.enabled=true,tls=true,\
     networkPolicy.gatewayFrom[0].namespaceSelector.matchLabels.a=b,scheduler.env.MINUTEHAND_ENGINE_LOOK_AHEAD_MS=60000";

/// Values that the chart refuses.
const REFUSED: &[&str] = &[
    "worker.queues=null",
    "cluster.partitions=0",
    "worker.autoscaling.minReplicas=0",
    "kafka.brokers={nowhere}",
    "scheduler.replica=3",
];

const CHART: &str = "deploy/helm/minutehand";

/// Checks everything; what is rendered on the way stays in `target/deploy-check`.
///
/// # Errors
/// In words: a tool that is missing, or what a tool refused.
pub fn deploy_check() -> Result<(), String> {
    require(TOOLS)?;
    let root = root();
    let out = root.join("target/deploy-check");
    fs::create_dir_all(&out)
        .map_err(|error| format!("could not make {}: {error}", out.display()))?;
    rules(&root, &out)?;
    chart(&root, &out)?;
    tool(
        &root,
        "check-jsonschema",
        &[
            "--builtin-schema",
            "vendor.compose-spec",
            "deploy/compose.yaml",
        ],
    )
}

fn tool(root: &Path, tool: &str, words: &[&str]) -> Result<(), String> {
    run(Command::new(tool).args(words).current_dir(root))
}

/// Rules and their tests, the scrape configurations, and the language of every query of a
/// dashboard.
fn rules(root: &Path, out: &Path) -> Result<(), String> {
    let of = |folder: &str, ending: &str| files(&root.join(folder), ending);
    let words = |first: &[&str], files: Vec<PathBuf>| {
        let mut command = Command::new("promtool");
        command.args(first).args(files).current_dir(root);
        run(&mut command)
    };
    words(&["check", "rules"], of("dashboards/rules", "yml")?)?;
    words(&["test", "rules"], of("dashboards/tests", "yml")?)?;
    for path in ["deploy/prometheus.yml", "deploy/compose/prometheus.yml"] {
        tool(
            root,
            "promtool",
            &["check", "config", "--syntax-only", path],
        )?;
    }
    let mut queries = Vec::new();
    for path in of("dashboards", "json")? {
        let parsed = serde_json::from_str(&read(&path)?);
        collect(
            &parsed.map_err(|error| format!("{}: {error}", path.display()))?,
            &mut queries,
        );
    }
    let path = out.join("queries.yml");
    write(&path, &as_rules(&queries))?;
    words(&["check", "rules"], vec![path])
}

/// Queries as rules that record them: so promtool reads each of them.
fn as_rules(queries: &[String]) -> String {
    let mut text = "groups:\n  - name: queries\n    rules:\n".to_owned();
    for (number, query) in queries.iter().enumerate() {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$__interval", "5m");
        let query = serde_json::Value::String(query);
        text.push_str(&format!(
            "      - record: query:number_{number}\n        expr: {query}\n"
        ));
    }
    text
}

fn collect(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            let own = fields.get("expr").and_then(serde_json::Value::as_str);
            queries.extend(own.map(str::to_owned));
            fields.values().for_each(|inner| collect(inner, queries));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, queries)),
        _ => {}
    }
}

/// The chart: linted, rendered as it comes and with everything on, compared with the types of
/// Kubernetes; and what it refuses.
fn chart(root: &Path, out: &Path) -> Result<(), String> {
    run(Command::new("helm")
        .args(["lint", "--strict", CHART])
        .current_dir(root)
        .stderr(Stdio::null()))?;
    for (name, values) in [("plain", ""), ("everything", EVERYTHING)] {
        let rendered = render(root, values)?;
        // Types of operators are not among those of Kubernetes.
        let known: Vec<&str> = rendered
            .split("\n---\n")
            .filter(|one| !one.contains("monitoring.coreos.com"))
            .collect();
        let path = out.join(format!("{name}.yaml"));
        write(&path, &known.join("\n---\n"))?;
        for version in KUBERNETES {
            let path = path.to_string_lossy();
            tool(
                root,
                "kubernetes-validate",
                &["--quiet", "--strict", "-k", version, &path],
            )?;
        }
    }
    for values in REFUSED {
        if render(root, values).is_ok() {
            return Err(format!(
                "the chart takes --set {values}, which its schema should refuse"
            ));
        }
    }
    println!(
        "the chart is rendered in {}, and refuses what it should",
        out.display()
    );
    Ok(())
}

fn render(root: &Path, values: &str) -> Result<String, String> {
    let mut helm = Command::new("helm");
    // The version is that of a cluster which nobody is asked for.
    helm.args([
        "template",
        "release",
        CHART,
        "--kube-version",
        "1.30.0",
        "--set",
        values,
    ]);
    told(helm.current_dir(root))
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("could not read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("could not write {}: {error}", path.display()))
}
