//! The packages of the workspace and everything they are built from, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::cargo::plain_cargo;

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// Part of the product.
    Normal,
    /// Part of its build.
    Build,
    /// Tests, benchmarks and examples only.
    Dev,
}

/// A dependency as the manifest declares it.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// What it is for.
    pub kind: DependencyKind,
}

/// A package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Whether it is ours.
    pub is_member: bool,
    /// `package.metadata.minutehand.layer`
    pub layer: Option<u64>,
    /// `package.metadata.minutehand.pure`
    pub is_pure: bool,
    /// `package.metadata.minutehand.cluster`: it or its tests need what a plain machine lacks.
    pub is_cluster: bool,
    /// Whether it has a feature `cluster`, by which it takes in packages that are marked so.
    pub has_cluster_feature: bool,
    /// What its manifest declares, optional dependencies included.
    pub declared: Vec<Dependency>,
    /// Names of the packages that use it, other than for tests, in the resolved graph of all
    /// platforms.
    pub dependents: BTreeSet<String>,
}

/// The resolved workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Every package, in order of name; of some there are several versions.
    pub packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo, for all platforms.
    ///
    /// # Errors
    /// In words, when cargo fails or answers something else than expected.
    pub fn load(root: &Path) -> Result<Workspace, String> {
        let output = plain_cargo(root)
            .args(["metadata", "--format-version", "1"])
            .output()
            .map_err(|error| format!("could not run cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cargo metadata answered no JSON: {error}"))?;
        Workspace::parse(&metadata)
            .ok_or_else(|| "cargo metadata answered in another format".to_owned())
    }

    fn parse(metadata: &Value) -> Option<Workspace> {
        let ids = metadata.get("workspace_members")?.as_array()?;
        let members: BTreeSet<&str> = ids.iter().filter_map(Value::as_str).collect();
        let mut packages = BTreeMap::new();
        for package in metadata.get("packages")?.as_array()? {
            let id = package.get("id")?.as_str()?;
            packages.insert(id, parse_package(package, members.contains(id))?);
        }
        let edges = parse_edges(metadata.get("resolve")?)?;
        let names: BTreeMap<&str, String> = packages
            .iter()
            .map(|(id, package)| (*id, package.name.clone()))
            .collect();
        for (from, targets) in &edges {
            for to in targets {
                packages
                    .get_mut(to)?
                    .dependents
                    .insert(names.get(from)?.clone());
            }
        }
        let mut packages: Vec<Package> = packages.into_values().collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Workspace { packages })
    }

    /// Our packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_member)
    }
}

fn parse_package(package: &Value, is_member: bool) -> Option<Package> {
    let ours = package
        .get("metadata")
        .and_then(|metadata| metadata.get("minutehand"));
    let declared = package.get("dependencies")?.as_array()?.iter();
    let dependency = |value: &Value| {
        let kind = match value.get("kind").and_then(Value::as_str) {
            Some("dev") => DependencyKind::Dev,
            Some("build") => DependencyKind::Build,
            _ => DependencyKind::Normal,
        };
        Some(Dependency {
            name: value.get("name")?.as_str()?.to_owned(),
            kind,
        })
    };
    Some(Package {
        name: package.get("name")?.as_str()?.to_owned(),
        is_member,
        layer: ours.and_then(|ours| ours.get("layer")?.as_u64()),
        is_pure: ours
            .and_then(|ours| ours.get("pure")?.as_bool())
            .unwrap_or(false),
        is_cluster: ours
            .and_then(|ours| ours.get("cluster")?.as_bool())
            .unwrap_or(false),
        has_cluster_feature: package
            .get("features")
            .is_some_and(|features| features.get("cluster").is_some()),
        declared: declared.filter_map(dependency).collect(),
        dependents: BTreeSet::new(),
    })
}

/// The resolved graph without what only tests use: ids to ids.
fn parse_edges(resolve: &Value) -> Option<BTreeMap<&str, Vec<&str>>> {
    let mut edges = BTreeMap::new();
    for node in resolve.get("nodes")?.as_array()? {
        let mut targets = Vec::new();
        for dependency in node.get("deps")?.as_array()? {
            let mut kinds = dependency.get("dep_kinds")?.as_array()?.iter();
            if kinds.any(|kind| kind.get("kind").and_then(Value::as_str) != Some("dev")) {
                targets.push(dependency.get("pkg")?.as_str()?);
            }
        }
        edges.insert(node.get("id")?.as_str()?, targets);
    }
    Some(edges)
}
