//! What a metric is: name, kind, unit, labels and help.

use metrics::{Counter, Gauge, Histogram};

/// Upper bounds of the buckets of every histogram, in seconds: a millisecond to ten minutes.
///
/// One list for all, set globally: an exporter makes a summary of a histogram for which it finds no
/// buckets. The bounds of the precision classes (0.1, 1 and 10 s) are among them, so a share within
/// its class is exact.
pub const HISTOGRAM_BUCKETS: [f64; 20] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0,
    60.0, 120.0, 240.0, 420.0, 600.0,
];

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution over [`HISTOGRAM_BUCKETS`]; its name ends in `_seconds`.
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A position in a log.
    Offset,
    /// A share of a whole; it may be more than 1.
    Ratio,
    /// 1 where it holds, 0 where it does not.
    Truth,
}

impl Unit {
    /// The unit in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::Offset => "offset",
            Unit::Ratio => "share",
            Unit::Truth => "0 or 1",
        }
    }
}

/// The values a label can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these words, or `other`.
    Words(&'static [&'static str]),
    /// Whatever the sentence says; bounded all the same.
    Bounded(&'static str),
}

/// A label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The full name, `minutehand_…`, or `process_…` where every exporter calls it so.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it measures.
    pub unit: Unit,
    /// Its labels, in the order in which handles give their values.
    pub labels: &'static [Label],
    /// What it says, in one sentence.
    pub help: &'static str,
}

impl Metric {
    fn pairs(&self, values: &[&str]) -> Vec<metrics::Label> {
        debug_assert_eq!(values.len(), self.labels.len(), "labels of {}", self.name);
        self.labels
            .iter()
            .zip(values)
            .map(|(label, value)| metrics::Label::new(label.name, (*value).to_owned()))
            .collect()
    }

    pub(crate) fn counter(&self, values: &[&str]) -> Counter {
        debug_assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        metrics::counter!(self.name, self.pairs(values))
    }

    pub(crate) fn gauge(&self, values: &[&str]) -> Gauge {
        debug_assert_eq!(self.kind, Kind::Gauge, "{}", self.name);
        metrics::gauge!(self.name, self.pairs(values))
    }

    pub(crate) fn histogram(&self, values: &[&str]) -> Histogram {
        debug_assert_eq!(self.kind, Kind::Histogram, "{}", self.name);
        metrics::histogram!(self.name, self.pairs(values))
    }
}
