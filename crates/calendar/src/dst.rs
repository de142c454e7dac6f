//! Where the daylight-saving rule `vixie` ends.

/// Three hours, in seconds: where the `vixie` rule ends to take a change of the clock for daylight
/// saving.
///
/// As in cronie a gap of three hours or more and an overlap of more than three are corrections of
/// the clock: no time is moved or held back.
pub(crate) const VIXIE_LIMIT_S: i64 = 180 * 60;
