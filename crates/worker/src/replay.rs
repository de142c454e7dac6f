//! Dead letters, tried anew.

use minutehand_model::{Command, Origin, PartitionId, Task, Timestamp};
use minutehand_ports::DeadLetter;
use minutehand_record::{DecodeError, task};

/// The command that runs a dead letter's task again, from its first attempt, and the partition whose log it goes to.
///
/// The id stays, so a consumer recognises the task; it is due now, and in any case after its former due time, which
/// makes it a new task. Its schedule heard of its end when it was given up, so it is not told again.
pub fn replay(letter: &DeadLetter, now: Timestamp) -> Result<(PartitionId, Command), DecodeError> {
    let former = task::decode(&letter.encoded)?;
    let due = now.max(former.due.plus_millis(1));
    let origin = former.origin.map(|origin| Origin { completion_wanted: false, ..origin });
    let anew = Task { due, first_due: due, attempt: 1, origin, ..former };
    Ok((letter.partition, Command::Create(task::record(&anew))))
}
