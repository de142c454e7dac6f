//! The highest rate that an installation sustains: found by trying, not picked.

use serde::{Deserialize, Serialize};

use super::report::LoadReport;
use super::run::Progress;
use super::{LoadError, LoadOptions, run};

/// What counts as sustained, and how closely it is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Start lateness that 99 in a hundred may not exceed, in milliseconds.
    pub p99_ms_max: f64,
    /// How far the generator may be behind its plan, in milliseconds: beyond it the rate was not
    /// asked for.
    pub behind_ms_max: u64,
    /// The search ends when the highest that holds and the lowest that does not are so close, as a
    /// part of the former.
    pub within: f64,
    /// Most rates that are tried.
    pub tries_max: usize,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            p99_ms_max: 1_000.0,
            behind_ms_max: 1_000,
            within: 0.05,
            tries_max: 12,
        }
    }
}

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// In tasks a second.
    pub rate: f64,
    /// Whether it was sustained.
    pub holds: bool,
    /// Why not.
    pub because: Option<String>,
    /// Start lateness that 99 in a hundred did not exceed, in milliseconds.
    pub p99_ms: f64,
}

impl Search {
    /// Why a run does not count as sustained.
    pub fn objection(&self, report: &LoadReport) -> Option<String> {
        let counts = &report.counts;
        if !report.is_kept {
            return Some(report.violations.first().cloned().unwrap_or_default());
        }
        if counts.unknown > 0 {
            return Some(format!("of {} tasks nothing was heard", counts.unknown));
        }
        if report.behind_ms_max > self.behind_ms_max {
            return Some(format!(
                "the generator was {} ms behind",
                report.behind_ms_max
            ));
        }
        let p99 = report.start_ms.p99;
        (p99 > self.p99_ms_max).then(|| format!("p99 of start lateness was {p99} ms"))
    }
}

/// The next rate to try, from the highest that held and the lowest that did not; none when they are
/// close enough.
fn next(first: f64, holds: Option<f64>, fails: Option<f64>, within: f64) -> Option<f64> {
    match (holds, fails) {
        (None, None) => Some(first),
        (Some(holds), None) => Some(holds * 2.0),
        (None, Some(fails)) if fails <= 1.0 => None,
        (None, Some(fails)) => Some(fails / 2.0),
        (Some(holds), Some(fails)) if fails - holds <= holds * within => None,
        // Whole rates, where that still is a rate between the two.
        (Some(holds), Some(fails)) => {
            let between = f64::midpoint(holds, fails);
            let is_between = |rate: f64| rate > holds && rate < fails;
            Some(
                Some(between.round())
                    .filter(|rate| is_between(*rate))
                    .unwrap_or(between),
            )
        }
    }
}

/// Tries rates, from the scenario's own on; answers the run at the highest that was sustained, if
/// any, and all that were tried.
///
/// # Errors
/// When a run fails.
pub fn search(
    options: &LoadOptions,
    search: &Search,
    tell: &mut dyn FnMut(&Progress),
    tried: &mut dyn FnMut(&Tried),
) -> Result<Option<LoadReport>, LoadError> {
    if !options.verify || options.run.is_some() || options.begin.is_some() {
        let wanted = "a search needs --verify, and neither --run nor --begin";
        return Err(LoadError::Options(wanted.to_owned()));
    }
    let first = options.scenario.rate();
    let (mut best, mut holds, mut fails) = (None, None, None);
    for _ in 0..search.tries_max {
        let Some(rate) = next(first, holds, fails, search.within) else {
            break;
        };
        let scenario = options.scenario.clone().at_rate(rate)?;
        let report = run(
            &LoadOptions {
                scenario,
                ..options.clone()
            },
            tell,
        )?;
        let because = search.objection(&report);
        tried(&Tried {
            rate,
            holds: because.is_none(),
            because: because.clone(),
            p99_ms: report.start_ms.p99,
        });
        match because {
            None => (holds, best) = (Some(rate), Some(report)),
            Some(_) => fails = Some(rate),
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_close_below_what_does_not_hold() {
        for (first, knee) in [(1_000.0, 37_123.0), (50_000.0, 900.0), (10.0, 10.0)] {
            let (mut holds, mut fails) = (None, None);
            let mut tries = 0;
            while let Some(rate) = next(first, holds, fails, 0.05) {
                tries += 1;
                match rate <= knee {
                    true => holds = Some(rate),
                    false => fails = Some(rate),
                }
                assert!(tries < 40, "{first} {knee}");
            }
            let found: f64 = holds.expect("something holds");
            assert!(found <= knee && found * 1.06 > knee, "{found} of {knee}");
        }
        let (mut fails, mut tries) = (None, 0);
        while let Some(rate) = next(64.0, None, fails, 0.05) {
            (fails, tries) = (Some(rate), tries + 1);
        }
        assert_eq!((fails, tries), (Some(1.0), 7));
    }
}
