//! Two runs beside each other.

use serde::Serialize;

use super::report::LoadReport;

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// What was measured.
    pub figure: String,
    /// Its unit.
    pub unit: &'static str,
    /// Of the first run; absent when it has none.
    pub before: Option<f64>,
    /// Of the second run; absent when it has none.
    pub after: Option<f64>,
    /// By how much of the first the second is more.
    pub change: Option<f64>,
}

/// Every figure of two runs, in the order of the first.
pub fn compare(before: &LoadReport, after: &LoadReport) -> Vec<Compared> {
    let (one, other) = (before.figures(), after.figures());
    let value = |figures: &[(String, &str, f64)], name: &str| {
        let found = figures.iter().find(|(figure, ..)| figure == name);
        found.map(|(.., value)| *value)
    };
    let only_after = other
        .iter()
        .filter(|(name, ..)| value(&one, name).is_none());
    one.iter()
        .chain(only_after)
        .map(|(name, unit, _)| {
            let (before, after) = (value(&one, name), value(&other, name));
            let change = before
                .zip(after)
                .filter(|(before, _)| *before != 0.0)
                .map(|(before, after)| after / before - 1.0);
            Compared {
                figure: name.clone(),
                unit,
                before,
                after,
                change,
            }
        })
        .collect()
}
