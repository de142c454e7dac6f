//! The files of the repository, as the rules see them.

use std::fs;
use std::path::Path;

/// Top-level folders beginning with a dot that belong to the project; others are an editor's or a
/// tool's.
const DOT_FOLDERS: &[&str] = &[".cargo", ".ci"];

/// A file: its path from the root, with `/` between the parts, and its text.
#[derive(Clone, Debug)]
pub struct File {
    /// The path from the root of the repository.
    pub path: String,
    /// The content; bytes that are no UTF-8 are replaced.
    pub text: String,
}

impl File {
    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it serves tests or measurements only.
    pub fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "fixtures"))
    }

    /// Its lines, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Every file that is, or is about to be, part of the repository: all but what `.gitignore` names.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The files, in order of their paths.
    pub files: Vec<File>,
}

impl Tree {
    /// A tree made of paths and texts.
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).into(),
            text: (*text).into(),
        };
        Tree {
            files: files.iter().map(file).collect(),
        }
    }

    /// Reads the tree below a folder.
    ///
    /// # Errors
    /// When a file cannot be read, in words.
    pub fn read(root: &Path) -> Result<Tree, String> {
        let ignored = Ignored::read(root)?;
        let mut tree = Tree::default();
        tree.read_folder(root, "", &ignored)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        prefix: &str,
        ignored: &Ignored,
    ) -> Result<(), String> {
        let unreadable = |error| format!("could not read {}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            // In a second work tree it is a file that says where the repository is.
            if path == ".git" || ignored.covers(&path) {
                continue;
            }
            if entry.file_type().map_err(unreadable)?.is_dir() {
                let is_foreign =
                    prefix.is_empty() && name.starts_with('.') && !DOT_FOLDERS.contains(&&*name);
                if !is_foreign {
                    self.read_folder(&entry.path(), &format!("{path}/"), ignored)?;
                }
            } else {
                let bytes = fs::read(entry.path())
                    .map_err(|error| format!("could not read {path}: {error}"))?;
                self.files.push(File {
                    path,
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                });
            }
        }
        Ok(())
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// What `.gitignore` at the root names; of its language only `/path` and `name` are understood.
struct Ignored(Vec<String>);

impl Ignored {
    fn read(root: &Path) -> Result<Ignored, String> {
        let text = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let patterns: Vec<String> = lines
            .map(|line| line.trim_end_matches('/').to_owned())
            .collect();
        match patterns
            .iter()
            .find(|pattern| pattern.contains(['*', '?', '[', '!']))
        {
            Some(pattern) => Err(format!(
                ".gitignore has the pattern {pattern:?}: write `/path` or `name`, xtask understands nothing else"
            )),
            None => Ok(Ignored(patterns)),
        }
    }

    fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0
            .iter()
            .any(|pattern| match pattern.strip_prefix('/') {
                Some(from_root) => path == from_root,
                None => name == pattern,
            })
    }
}
