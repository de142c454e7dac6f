//! The name that was probably meant by one that is not known.

/// Names that differ by more letters than this are not taken for each other.
const TYPING_ERRORS_MAX: usize = 3;

/// The known name nearest to a given one, if any is near.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|name| (strsim::damerau_levenshtein(given, name), name));
    distances
        .min()
        .filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX)
        .map(|(_, name)| name)
}

/// The first known name that differs from a given one by a single typing error.
pub(crate) fn misspelt<'a>(
    given: &str,
    mut known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    known.find(|name| strsim::damerau_levenshtein(name, given) == 1)
}
