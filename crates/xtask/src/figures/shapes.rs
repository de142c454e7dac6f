//! Functions and structures: how long, how wide.

/// The lengths in lines of the functions in blanked code, from `fn` to the closing brace.
pub fn function_lines(code: &str) -> Vec<usize> {
    let words = words(code, "fn");
    words
        .filter_map(|(start, _)| Some(code[start..body(code, start)?.1].lines().count()))
        .collect()
}

/// The names of structures with how many named fields each has.
pub fn structures(code: &str) -> Vec<(&str, usize)> {
    let named = words(code, "struct").filter_map(|(start, name)| {
        let (open, close) = body(code, start)?;
        Some((name, fields(&code[open + 1..close - 1])))
    });
    named.collect()
}

/// Where the body of the item that begins here opens and closes; `None` for one that ends in a
/// semicolon.
fn body(code: &str, start: usize) -> Option<(usize, usize)> {
    let mut depth = 0_i32;
    let mut open = None;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' if depth == 0 && open.is_none() => (open, depth) = (Some(at), 1),
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 && byte == b'}' {
                    return open.map(|open| (open, at + 1));
                }
                if depth < 0 {
                    return None;
                }
            }
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Where this keyword stands, with the name behind it.
fn words<'a>(code: &'a str, keyword: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = code.as_bytes();
    code.match_indices(keyword).filter_map(move |(at, _)| {
        let behind = code[at + keyword.len()..].strip_prefix(' ')?;
        let begins = at == 0 || !is_word(bytes[at - 1]);
        let length = behind.bytes().take_while(|byte| is_word(*byte)).count();
        (begins && length > 0).then_some((at, &behind[..length]))
    })
}

/// The named fields between the braces of a structure: colons that are none of a path, outside of
/// all brackets.
fn fields(inner: &str) -> usize {
    let bytes = inner.as_bytes();
    let (mut depth, mut count, mut is_typed) = (0_i32, 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        match byte {
            b'{' | b'(' | b'[' | b'<' => depth += 1,
            b'>' if before == Some(b'-') => {}
            b'}' | b')' | b']' | b'>' => depth -= 1,
            b',' if depth == 0 => is_typed = false,
            b':' if depth == 0 && !is_typed => {
                is_typed = true;
                count += 1;
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let code = "trait A { fn a(&self); }\nfn b() -> [u8; 2]\nwhere u8: Copy,\n{\n    { }\n}\nfn c() {}\n";
        assert_eq!(function_lines(code), [5, 1]);
    }

    #[test]
    fn fields_are_counted_and_tuples_are_not() {
        let code = "struct A(u8, u8);\nstruct B;\npub struct C<T> { a: Map<u8, std::io::Error>, pub b: fn(u8) -> T, c: u8 }";
        assert_eq!(structures(code), [("C", 3)]);
    }
}
