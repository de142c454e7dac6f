//! One measured figure.

use std::fmt;

use serde_json::{Map, Value};

/// What was measured, and under which conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The benchmark's name.
    pub bench: &'static str,
    /// What was measured.
    pub figure: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Conditions as names and values, in the order that reads best.
    pub conditions: Vec<(&'static str, String)>,
}

impl Figure {
    /// A figure without conditions.
    pub fn new(
        bench: &'static str,
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Figure {
        Figure {
            bench,
            figure: figure.into(),
            value,
            unit,
            conditions: Vec::new(),
        }
    }

    /// As one JSON object: the conditions stand beside the value.
    pub fn as_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("bench".into(), self.bench.into());
        object.insert("figure".into(), self.figure.clone().into());
        object.insert("value".into(), self.value.into());
        object.insert("unit".into(), self.unit.into());
        for (name, value) in &self.conditions {
            object.insert((*name).into(), value.clone().into());
        }
        Value::Object(object)
    }

    /// The same with one more condition.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Figure {
        self.conditions.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {:<44} {:>14} {}",
            self.bench,
            self.figure,
            rounded(self.value),
            self.unit
        )?;
        for (name, value) in &self.conditions {
            write!(f, "  {name}={value}")?;
        }
        Ok(())
    }
}

/// Three significant digits for small values, whole numbers for large ones.
fn rounded(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}
