//! Code that stands in several places, line by line.

use std::collections::HashMap;

/// How many lines in a row make a repeat.
pub const REPEAT_LINES: usize = 6;

/// How many lines of code there are, and how many of them stand in a repeat: so many lines in a row
/// that are the same elsewhere, their texts included, or two lists of names would be a repeat. Blank
/// lines and those that only bring names in do not count.
pub fn repeated_lines<'a>(codes: impl Iterator<Item = &'a str>) -> (usize, usize) {
    let files: Vec<Vec<&str>> = codes.map(lines).collect();
    let mut places: HashMap<&[&str], Vec<(usize, usize)>> = HashMap::new();
    for (file, lines) in files.iter().enumerate() {
        for (first, window) in lines.windows(REPEAT_LINES).enumerate() {
            places.entry(window).or_default().push((file, first));
        }
    }
    let mut is_repeated: Vec<Vec<bool>> =
        files.iter().map(|lines| vec![false; lines.len()]).collect();
    for (file, first) in places
        .into_values()
        .filter(|places| places.len() > 1)
        .flatten()
    {
        is_repeated[file][first..first + REPEAT_LINES].fill(true);
    }
    let repeated = is_repeated
        .iter()
        .flatten()
        .filter(|is_repeated| **is_repeated)
        .count();
    (files.iter().map(Vec::len).sum(), repeated)
}

fn lines(code: &str) -> Vec<&str> {
    let lines = code.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("use "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_equal_lines_are_a_repeat_and_five_are_none() {
        let six = "a\nb\n\nc\nd\ne\nf\n";
        let other = format!("x\n{six}y\n");
        assert_eq!(repeated_lines([six, &other].into_iter()), (14, 12));
        let five = "x\na\nb\nc\nd\ne\ny\n";
        assert_eq!(repeated_lines([six, five].into_iter()), (13, 0));
    }
}
