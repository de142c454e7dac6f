//! Files of one crate that bring in each other's names, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Paths of files that stand in a circle of `use`.
///
/// Names that a module only hands on (`pub use`) count for the file they come from.
pub fn files_in_circles(sources: &[Source]) -> BTreeSet<String> {
    let modules = Modules::of(sources);
    let edges: BTreeMap<&str, BTreeSet<&str>> = sources
        .iter()
        .map(|source| (source.path.as_str(), modules.used_by(source)))
        .collect();
    let reached = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = edges.get(from).into_iter().flatten().copied().collect();
        while let Some(path) = open.pop() {
            if seen.insert(path) {
                open.extend(edges.get(path).into_iter().flatten());
            }
        }
        seen
    };
    edges
        .keys()
        .filter(|path| reached(path).contains(*path))
        .map(|path| (*path).to_owned())
        .collect()
}

/// The modules of all crates by their whole path: crate's folder, then names.
struct Modules<'a> {
    files: BTreeMap<Vec<&'a str>, &'a Source>,
    /// What a module hands on: name to whole path.
    handed_on: BTreeMap<Vec<&'a str>, Vec<&'a str>>,
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [Source]) -> Modules<'a> {
        let files: BTreeMap<Vec<&str>, &Source> = sources
            .iter()
            .map(|source| (module(&source.path), source))
            .collect();
        let mut modules = Modules {
            files,
            handed_on: BTreeMap::new(),
        };
        for source in sources {
            for (is_handed_on, path) in uses(&source.code) {
                let own = module(&source.path);
                if let (true, Some(path)) = (is_handed_on, modules.whole(&own, &path))
                    && let Some(name) = path.last()
                {
                    let name: Vec<&str> = own.iter().copied().chain([*name]).collect();
                    modules.handed_on.insert(name, path);
                }
            }
        }
        modules
    }

    /// Files that this one brings names in from.
    fn used_by(&self, source: &Source) -> BTreeSet<&'a str> {
        let own = module(&source.path);
        let mut used = BTreeSet::new();
        for (_, path) in uses(&source.code)
            .into_iter()
            .filter(|(is_handed_on, _)| !is_handed_on)
        {
            let Some(whole) = self.whole(&own, &path) else {
                continue;
            };
            // A name may be handed on more than once, never for ever.
            let mut whole = whole;
            for _ in 0..4 {
                match self.handed_on.get(&whole) {
                    Some(origin) if *origin != whole => whole = origin.clone(),
                    _ => break,
                }
            }
            let file = (1..=whole.len())
                .rev()
                .find_map(|length| self.files.get(&whole[..length]));
            used.extend(
                file.map(|file| file.path.as_str())
                    .filter(|path| *path != source.path),
            );
        }
        used
    }

    /// A path of a `use` from the crate's folder on; `None` when it leads out of the crate.
    fn whole<'b>(&self, own: &[&'b str], path: &[&'b str]) -> Option<Vec<&'b str>> {
        let mut base = own.to_vec();
        let mut path = path;
        match path {
            ["crate", rest @ ..] => (base, path) = (vec![*own.first()?], rest),
            ["self", rest @ ..] => path = rest,
            ["super", ..] => {
                while let ["super", rest @ ..] = path {
                    base.pop();
                    path = rest;
                }
            }
            // A module below this one, or another crate.
            [first, ..] => {
                let below: Vec<&str> = own.iter().copied().chain([*first]).collect();
                self.files.get(&below[..])?;
            }
            [] => return None,
        }
        base.extend(path);
        Some(base)
    }
}

/// The whole path of the module that a file is.
fn module(path: &str) -> Vec<&str> {
    let Some((package, inner)) = path.split_once("/src/") else {
        return vec![path];
    };
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let names = inner
        .split('/')
        .filter(|name| !matches!(*name, "mod" | "lib" | "main"));
    [package].into_iter().chain(names).collect()
}

/// The paths that `use` brings in, groups taken apart, with whether they are handed on to others.
fn uses(code: &str) -> Vec<(bool, Vec<&str>)> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut line_start = true;
    while !rest.is_empty() {
        let line = rest.trim_start_matches([' ', '\n']);
        let (is_handed_on, inner) = match (line.strip_prefix("use "), line.starts_with("pub")) {
            (Some(inner), _) => (false, Some(inner)),
            (None, true) => (
                true,
                line.split_once("use ")
                    .filter(|(head, _)| is_visibility(head))
                    .map(|(_, inner)| inner),
            ),
            (None, false) => (false, None),
        };
        if let (true, Some(inner)) = (line_start, inner) {
            let end = inner.find(';').unwrap_or(inner.len());
            spread(&inner[..end], &mut Vec::new(), &mut |path| {
                found.push((is_handed_on, path.to_vec()))
            });
            rest = &inner[end..];
            line_start = false;
            continue;
        }
        match rest.find('\n') {
            Some(end) => (rest, line_start) = (&rest[end + 1..], true),
            None => break,
        }
    }
    found
}

fn is_visibility(head: &str) -> bool {
    let head = head.trim();
    head == "pub" || (head.starts_with("pub(") && head.ends_with(')') && !head.contains('\n'))
}

/// Takes a tree of `use` apart: `a::{b, c::{d}}`.
fn spread<'a>(tree: &'a str, prefix: &mut Vec<&'a str>, found: &mut impl FnMut(&[&'a str])) {
    let tree = tree.trim();
    let (head, group) = match tree.find('{') {
        Some(open) => (
            &tree[..open],
            Some(&tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]),
        ),
        None => (tree, None),
    };
    let depth = prefix.len();
    let head = head.split(" as ").next().unwrap_or(head);
    let names = head.split("::").map(str::trim);
    prefix.extend(names.filter(|name| !name.is_empty() && *name != "*"));
    match group {
        None => {
            if prefix.last() == Some(&"self") && prefix.len() > 1 {
                prefix.pop();
            }
            found(prefix);
        }
        Some(group) => branches(group)
            .into_iter()
            .for_each(|branch| spread(branch, prefix, found)),
    }
    prefix.truncate(depth);
}

/// The branches of a group: what commas separate outside of inner groups.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[start..]);
    found
        .into_iter()
        .filter(|branch| !branch.trim().is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::of(&format!("crates/a/src/{path}"), text))
            .collect();
        files_in_circles(&sources).into_iter().collect()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod b;\nmod c;\nmod d;\npub use b::B;\n"),
            ("b.rs", "use crate::c::{\n    C,\n    D,\n};\n"),
            ("c.rs", "use super::b::B;\n"),
            ("d.rs", "use crate::b::B;\n"),
        ];
        assert_eq!(circles(&files), ["crates/a/src/b.rs", "crates/a/src/c.rs"]);
    }

    #[test]
    fn a_name_that_is_handed_on_counts_where_it_comes_from() {
        let through = ("lib.rs", "mod b;\nmod c;\npub use b::B;\npub use c::C;\n");
        assert_eq!(
            circles(&[through, ("b.rs", "use crate::C;\n"), ("c.rs", "")]),
            [""; 0]
        );
        let both = circles(&[
            through,
            ("b.rs", "use crate::C;\n"),
            ("c.rs", "use crate::B;\n"),
        ]);
        assert_eq!(both, ["crates/a/src/b.rs", "crates/a/src/c.rs"]);
    }
}
