//! Bounded labels: words from a list, and names of which only so many are told apart.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::metric::{Metric, Values};

/// The value of a label whose own value is not told apart.
pub const OTHER: &str = "other";

/// One handle for each word of a list and one for every other word.
#[derive(Clone, Debug)]
pub(crate) struct ByWord<H> {
    words: &'static [&'static str],
    handles: Vec<H>,
    other: H,
}

impl<H> ByWord<H> {
    /// Makes the handles for the words of a metric's last label.
    pub(crate) fn of(metric: &Metric, mut handle: impl FnMut(&str) -> H) -> ByWord<H> {
        let words = words_of(metric);
        ByWord {
            words,
            handles: words.iter().map(|word| handle(word)).collect(),
            other: handle(OTHER),
        }
    }

    /// The handle of a word.
    pub(crate) fn get(&self, word: &str) -> &H {
        let index = self.words.iter().position(|known| *known == word);
        index
            .and_then(|index| self.handles.get(index))
            .unwrap_or(&self.other)
    }

    /// Every word with its handle, without `other`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &H)> {
        self.words.iter().copied().zip(&self.handles)
    }
}

fn words_of(metric: &Metric) -> &'static [&'static str] {
    match metric.labels.last().map(|label| label.values) {
        Some(Values::Words(words)) => words,
        _ => &[],
    }
}

/// The first so many names are told apart, all later ones are `other`.
#[derive(Debug)]
pub(crate) struct Names {
    names_max: usize,
    known: Mutex<BTreeSet<String>>,
}

impl Names {
    pub(crate) fn new(names_max: usize) -> Names {
        Names {
            names_max,
            known: Mutex::new(BTreeSet::new()),
        }
    }

    /// The label of a name: itself, or `other`.
    pub(crate) fn label<'a>(&self, name: &'a str) -> &'a str {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name;
        }
        if known.len() >= self.names_max {
            return OTHER;
        }
        known.insert(name.to_owned());
        name
    }
}
