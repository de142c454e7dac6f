//! What was found damaged, in words.

use crate::scan::Lost;

/// A row that could not be understood and was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Where it stands: `log of partition 3, offset 17`.
    pub position: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A stretch of a table that cannot be read, in words.
pub(crate) fn lost_rows(of: &str, lost: &Lost) -> Corruption {
    let position = format!(
        "{of}: rows from key {} up to {}",
        hex(&lost.from),
        hex(&lost.until)
    );
    Corruption {
        position,
        reason: lost.reason.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
