//! Rates and lateness over time, in rows of equal length: as many as a picture has room for, however
//! long the run.

use hdrhistogram::Histogram;
use minutehand_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Most rows: what comes later is counted in the last one.
const ROWS_MAX: usize = 1_200;
/// Values beyond this are counted as this: a day.
const MS_MAX: u64 = 86_400_000;
/// Significant digits of a row's values, and of a whole run's.
const DIGITS: (u8, u8) = (2, 3);

/// The length of rows for a run, in milliseconds.
pub(super) fn row_ms(lasts_ms: i64) -> i64 {
    let rows = ROWS_MAX as i64 / 2;
    ((lasts_ms / rows).max(1_000) + 999) / 1_000 * 1_000
}

fn histogram(digits: u8) -> Histogram<u32> {
    // Grows with what it is given: a row takes some kilobytes.
    Histogram::new(digits).expect("so many digits are possible")
}

fn take(histogram: &mut Histogram<u32>, ms: f64) {
    let ms = (ms.max(0.0) as u64).min(MS_MAX);
    histogram
        .record(ms)
        .expect("a histogram grows as far as a day");
}

/// How values spread, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Half of them are at most this.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// 999 in a thousand.
    pub p999: f64,
    /// 9,999 in ten thousand.
    pub p9999: f64,
    /// All.
    pub max: f64,
}

impl Spread {
    fn of(histogram: &Histogram<u32>) -> Spread {
        let at = |share| histogram.value_at_quantile(share) as f64;
        Spread {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64,
        }
    }
}

#[derive(Clone, Debug)]
struct Row {
    asked: u64,
    answered: u64,
    started: u64,
    publish: Histogram<u32>,
    start: Histogram<u32>,
    answer: Histogram<u32>,
}

impl Row {
    fn new() -> Row {
        let empty = histogram(DIGITS.0);
        Row {
            asked: 0,
            answered: 0,
            started: 0,
            publish: empty.clone(),
            start: empty.clone(),
            answer: empty,
        }
    }
}

/// A stretch of a run, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowReport {
    /// When it begins, in seconds after the run.
    pub at_s: f64,
    /// Tasks handed over, a second.
    pub asked_per_s: f64,
    /// Executions that came, a second.
    pub started_per_s: f64,
    /// From due to published, in milliseconds.
    pub publish_ms: Spread,
    /// From due to started, in milliseconds.
    pub start_ms: Spread,
    /// From when a task was to be asked for to the answer, in milliseconds.
    pub answer_ms: Spread,
}

/// Rates and lateness over time.
#[derive(Clone, Debug)]
pub struct Timeline {
    begin: Timestamp,
    row_ms: i64,
    rows: Vec<Row>,
    publish: Histogram<u32>,
    start: Histogram<u32>,
    answer: Histogram<u32>,
    streams: Vec<Histogram<u32>>,
}

impl Timeline {
    /// An empty one.
    pub fn new(begin: Timestamp, row_ms: i64, streams: usize) -> Timeline {
        let empty = histogram(DIGITS.1);
        Timeline {
            begin,
            row_ms: row_ms.max(1),
            rows: Vec::new(),
            publish: empty.clone(),
            start: empty.clone(),
            answer: empty.clone(),
            streams: vec![empty; streams],
        }
    }

    fn row(&mut self, at: Timestamp) -> &mut Row {
        let row = at.millis_since(self.begin).max(0) / self.row_ms;
        let row = usize::try_from(row).unwrap_or(ROWS_MAX).min(ROWS_MAX - 1);
        while self.rows.len() <= row {
            self.rows.push(Row::new());
        }
        &mut self.rows[row]
    }

    /// Tasks were handed over.
    pub fn asked(&mut self, at: Timestamp, count: u64) {
        self.row(at).asked += count;
    }

    /// An answer came.
    pub fn answered(&mut self, at: Timestamp, took_ms: f64) {
        let row = self.row(at);
        row.answered += 1;
        take(&mut row.answer, took_ms);
        take(&mut self.answer, took_ms);
    }

    /// An execution came, so late; published so late, where that is known.
    pub fn started(&mut self, at: Timestamp, stream: usize, late_ms: i64, published: Option<i64>) {
        let row = self.row(at);
        row.started += 1;
        take(&mut row.start, late_ms as f64);
        if let Some(published) = published {
            take(&mut row.publish, published as f64);
            take(&mut self.publish, published as f64);
        }
        take(&mut self.start, late_ms as f64);
        if let Some(stream) = self.streams.get_mut(stream) {
            take(stream, late_ms as f64);
        }
    }

    /// From due to started, over the whole run.
    pub fn start(&self) -> Spread {
        Spread::of(&self.start)
    }

    /// From due to published, over the whole run.
    pub fn publish(&self) -> Spread {
        Spread::of(&self.publish)
    }

    /// From when a task was to be asked for to the answer, over the whole run.
    pub fn answer(&self) -> Spread {
        Spread::of(&self.answer)
    }

    /// From due to started, of each stream; that of the schedules is the last.
    pub fn streams(&self) -> Vec<Spread> {
        self.streams.iter().map(Spread::of).collect()
    }

    /// What lies between two times, as a run of its own: whole rows only.
    pub fn rows(&self) -> Vec<RowReport> {
        let per_s = |count: u64| count as f64 * 1_000.0 / self.row_ms as f64;
        let told = self.rows.iter().enumerate().map(|(at, row)| RowReport {
            at_s: (at as i64 * self.row_ms) as f64 / 1_000.0,
            asked_per_s: per_s(row.asked),
            started_per_s: per_s(row.started),
            publish_ms: Spread::of(&row.publish),
            start_ms: Spread::of(&row.start),
            answer_ms: Spread::of(&row.answer),
        });
        told.collect()
    }

    /// Lateness of starts at shares of all of them: the curve of a distribution.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        const SHARES: [f64; 14] = [
            0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0,
        ];
        let at = |share: f64| (share, self.start.value_at_quantile(share) as f64);
        SHARES.iter().map(|share| at(*share)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_the_sorted_list() {
        let begin = Timestamp::from_millis(1_000);
        let mut timeline = Timeline::new(begin, 1_000, 1);
        for late in 1..=1_000 {
            timeline.started(begin.plus_millis(late), 0, late, Some(late / 2));
        }
        let start = timeline.start();
        assert_eq!((start.count, start.p50, start.max), (1_000, 500.0, 1_000.0));
        assert_eq!((start.p99, start.p999), (990.0, 999.0));
        assert_eq!(timeline.publish().p50, 250.0);
        assert_eq!(timeline.streams()[0], start);
        let rows = timeline.rows();
        assert_eq!(
            rows.iter().map(|row| row.started_per_s).sum::<f64>(),
            1_000.0
        );
    }

    #[test]
    fn a_long_run_takes_no_more_rows_than_a_picture_has() {
        let begin = Timestamp::from_millis(0);
        for lasts_ms in [10_000, 3_600_000, 7 * 86_400_000] {
            let row_ms = row_ms(lasts_ms);
            let mut timeline = Timeline::new(begin, row_ms, 0);
            timeline.asked(begin.plus_millis(2 * lasts_ms), 1);
            assert!(timeline.rows().len() <= ROWS_MAX);
            assert!(row_ms >= 1_000 && lasts_ms / row_ms <= 600);
        }
        let mut timeline = Timeline::new(begin, 1_000, 0);
        timeline.asked(begin.plus_millis(i64::MAX / 4), 1);
        assert_eq!(timeline.rows().len(), ROWS_MAX);
    }
}
