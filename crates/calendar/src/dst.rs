//! The three daylight-saving rules a schedule can choose from.

use std::fmt;
use std::str::FromStr;

/// Three hours, in seconds: where the `vixie` rule ends to take a change of the clock for daylight saving.
///
/// As in cronie a gap of three hours or more and an overlap of more than three are corrections of the clock: no
/// time is moved or held back.
pub(crate) const VIXIE_LIMIT_S: i64 = 180 * 60;

/// What becomes of the wall times that do not exist or exist twice when the clocks change.
///
/// The rules differ only for *fixed-time* expressions. An expression whose minute or hour field begins with `*`
/// *follows the clock* under each of them: it runs at every instant whose wall time matches, so `*/5 * * * *`
/// neither pauses in the repeated hour nor catches up after a skipped one.
///
/// | rule | wall times in a gap | wall times in an overlap |
/// |---|---|---|
/// | `vixie` | run once, together, at the end of the gap | first pass only |
/// | `skip` | do not run | first pass only |
/// | `literal` | do not run | run in both passes |
///
/// `vixie` is the rule of cronie, applied in the schedule's own zone. A gap of 180 minutes or more (a day skipped at
/// the date line) and an overlap of more than that are corrections to it, as in cronie: gap times do not run,
/// overlap times run twice.
/// `skip` is what OCPS 1.4 and EventBridge ask for, `literal` what Temporal does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DstRule {
    /// As cronie: gap times run once at the gap's end, overlap times in the first pass.
    #[default]
    Vixie,
    /// Gap times do not run, overlap times run in the first pass.
    Skip,
    /// The wall clock taken at its word: gap times do not run, overlap times run twice.
    Literal,
}

impl DstRule {
    /// Every rule, in the order of the documentation.
    pub const ALL: [DstRule; 3] = [DstRule::Vixie, DstRule::Skip, DstRule::Literal];

    /// The name used in configuration: `vixie`, `skip` or `literal`.
    pub const fn as_str(self) -> &'static str {
        match self {
            DstRule::Vixie => "vixie",
            DstRule::Skip => "skip",
            DstRule::Literal => "literal",
        }
    }
}

impl fmt::Display for DstRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`DstRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dst rule must be vixie, skip or literal, got {given:?}")]
pub struct DstRuleError {
    /// The text, cut to 32 characters.
    pub given: String,
}

impl FromStr for DstRule {
    type Err = DstRuleError;

    fn from_str(text: &str) -> Result<DstRule, DstRuleError> {
        DstRule::ALL
            .into_iter()
            .find(|rule| rule.as_str() == text)
            .ok_or_else(|| DstRuleError { given: text.chars().take(32).collect() })
    }
}
