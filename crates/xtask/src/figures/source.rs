//! Rust source for counting: comments and the inside of texts blanked, items of tests cut out.

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path from the root of the repository.
    pub path: String,
    /// The code line by line, as long as the text but for what only tests use.
    pub code: String,
    /// The same with its texts: what is to be the same word for word is compared here.
    pub with_texts: String,
    /// Lines that hold a comment of the documentation, outside tests.
    pub doc_comment_lines: usize,
    /// Lines that begin with any other comment, outside tests.
    pub plain_comment_lines: usize,
    /// Names of tests and where they are written, cut or not.
    pub tests: Vec<TestName>,
    /// Lines of tests, in files of tests and in items that are cut.
    pub test_lines: usize,
}

/// A test as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestName {
    /// The line, from 1.
    pub line: usize,
    /// The function's name.
    pub name: String,
}

/// What stands at a place of the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    DocComment,
    PlainComment,
    Text,
}

impl Source {
    /// Reads a file; of one that only tests use everything is cut.
    pub fn of(path: &str, text: &str) -> Source {
        let kinds = classify(text);
        let blanked = keep(text, &kinds, |kind| kind == Kind::Code);
        let with_texts = keep(text, &kinds, |kind| matches!(kind, Kind::Code | Kind::Text));
        let tests = test_names(&blanked);
        let is_test = path
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs" | "examples" | "benches"))
            || path.ends_with("_tests.rs");
        let cut = if is_test {
            vec![(0, blanked.len())]
        } else {
            test_items(&blanked)
        };
        let is_cut = |at: usize| cut.iter().any(|(from, to)| (*from..*to).contains(&at));
        let mut source = Source {
            path: path.to_owned(),
            code: String::with_capacity(blanked.len()),
            with_texts: String::with_capacity(with_texts.len()),
            doc_comment_lines: 0,
            plain_comment_lines: 0,
            tests,
            test_lines: 0,
        };
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let first = start + line.len() - line.trim_start().len();
            if is_cut(start) || is_cut(first) {
                source.test_lines += 1;
            } else {
                match kinds.get(first) {
                    Some(Kind::DocComment) => source.doc_comment_lines += 1,
                    Some(Kind::PlainComment) => source.plain_comment_lines += 1,
                    _ => {}
                }
                let bytes = start..start + line.len();
                source.code.push_str(&blanked[bytes.clone()]);
                source.with_texts.push_str(&with_texts[bytes]);
            }
            start += line.len();
        }
        source
    }

    /// Lines of code, comments and blank ones, without those of tests.
    pub fn lines(&self) -> usize {
        self.code.lines().count()
    }

    /// The crate's folder.
    pub fn package(&self) -> &str {
        self.path
            .split_once("/src/")
            .map_or("", |(folder, _)| folder)
    }
}

/// The text with everything else than what is kept made spaces; lines stay as they are.
fn keep(text: &str, kinds: &[Kind], keeps: impl Fn(Kind) -> bool) -> String {
    let bytes = text.bytes().zip(kinds);
    let kept = bytes.map(|(byte, kind)| {
        if keeps(*kind) || byte == b'\n' {
            byte
        } else {
            b' '
        }
    });
    // What is not kept is whole characters, so the rest is text.
    String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned()
}

/// What stands at each byte.
fn classify(text: &str) -> Vec<Kind> {
    let bytes = text.as_bytes();
    let mut kinds = vec![Kind::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (kind, end) = token(bytes, at);
        kinds[at..end].fill(kind);
        at = end;
    }
    kinds
}

/// The kind of what begins here, and where it ends. Quotes of texts are code, so that what they
/// enclose is one value.
fn token(bytes: &[u8], at: usize) -> (Kind, usize) {
    let rest = &bytes[at..];
    let follows_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |length| at + length);
            let is_doc = matches!(rest, [_, _, b'!', ..])
                || (rest.starts_with(b"///") && !rest.starts_with(b"////"));
            (
                if is_doc {
                    Kind::DocComment
                } else {
                    Kind::PlainComment
                },
                end,
            )
        }
        [b'/', b'*', ..] => (Kind::PlainComment, at + block_comment(rest)),
        [b'r', ..] | [b'b', b'r', ..] if !follows_word => match raw_text(rest) {
            Some(length) => (Kind::Text, at + length),
            None => (Kind::Code, at + 1),
        },
        [b'"', ..] => (Kind::Text, at + quoted(rest)),
        [b'\'', ..] => match character(rest) {
            Some(length) => (Kind::Text, at + length),
            None => (Kind::Code, at + 1),
        },
        _ => (Kind::Code, at + 1),
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw text that begins here.
fn raw_text(rest: &[u8]) -> Option<usize> {
    let marks = rest.iter().position(|byte| *byte == b'r')? + 1;
    let hashes = rest[marks..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = marks + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let inner = &rest[open + 1..];
    let end = inner
        .windows(close.len())
        .position(|window| window == close);
    Some(end.map_or(rest.len(), |end| open + 1 + end + close.len()))
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character that begins here; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(&rest[..rest.len().min(16)]).unwrap_or_else(|error| {
        std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default()
    });
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        let escaped = characters.next()?.0;
        return rest[escaped + 1..]
            .iter()
            .position(|byte| *byte == b'\'')
            .map(|end| escaped + 1 + end + 1);
    }
    let (after, quote) = characters.next()?;
    (quote == '\'').then_some(after + 1)
}

/// Where items behind `#[cfg(test)]` begin and end.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    const MARK: &str = "#[cfg(test)]";
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(found) = code[at..].find(MARK) {
        let start = at + found;
        at = item_end(code, start + MARK.len());
        items.push((start, at));
    }
    items
}

/// The end of the item that begins here: its semicolon, or the brace that closes it.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth <= 0 && byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Functions behind an attribute that makes them tests.
fn test_names(code: &str) -> Vec<TestName> {
    let mut names = Vec::new();
    let mut is_test = false;
    for (index, line) in code.lines().enumerate() {
        let line = line.trim_start();
        let attribute = line
            .strip_prefix("#[")
            .map(|inner| inner.split(['(', ']']).next().unwrap_or(inner));
        if let Some(path) = attribute {
            is_test |= path == "test" || path.ends_with("::test");
            continue;
        }
        let words = line
            .split_whitespace()
            .skip_while(|word| matches!(*word, "pub" | "async"));
        if let ["fn", name] = words.take(2).collect::<Vec<_>>()[..] {
            if is_test {
                let name = name.split(['(', '<']).next().unwrap_or(name).to_owned();
                names.push(TestName {
                    line: index + 1,
                    name,
                });
            }
            is_test = false;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked_and_lines_stay() {
        let text = "//! A.\nlet a = \"// {\"; // why {\nlet b = r#\"}\"#; let c = '{'; fn d<'a>() {} /* { */\n";
        let source = Source::of("crates/a/src/lib.rs", text);
        assert_eq!(source.lines(), 3);
        assert!(!source.code.contains("why"), "{}", source.code);
        assert!(source.with_texts.starts_with("      \nlet a = \"// {\";  "));
        assert_eq!(source.code.matches('{').count(), 1, "{}", source.code);
        assert!(source.code.contains("<'a>"), "{}", source.code);
        assert_eq!(
            (source.doc_comment_lines, source.plain_comment_lines),
            (1, 0)
        );
    }

    #[test]
    fn items_of_tests_are_cut_and_their_names_kept() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b_holds() { }\n}\nfn c() {}\n";
        let source = Source::of("crates/a/src/lib.rs", text);
        assert_eq!(source.code, "fn a() {}\nfn c() {}\n");
        assert_eq!(
            source.tests,
            [TestName {
                line: 5,
                name: "b_holds".into()
            }]
        );
        assert_eq!(source.test_lines, 5);
    }

    #[test]
    fn a_file_of_tests_has_no_code() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn it_holds() {}\n";
        let source = Source::of("crates/a/tests/it/main.rs", text);
        assert_eq!(
            (source.lines(), source.test_lines, source.tests.len()),
            (0, 2, 1)
        );
    }
}
