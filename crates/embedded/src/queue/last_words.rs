//! Last words: what is told of claimed runs that nobody can tell the end of any more.
//!
//! A row is written with a claim and removed with the report of its end. What is left when the
//! store is opened belongs to processes that have died. There are no more rows than workers have
//! runs in hand.

use std::collections::BTreeMap;

use bytes::Bytes;
use fjall::PersistMode;
use minutehand_model::{LastWord, PartitionId, QueueName};
use minutehand_ports::DeliveryId;
use minutehand_record::{last_word, outcome};

use crate::keys;
use crate::scan::{self, Lost};
use crate::state::{NewRows, State};
use crate::store::Applied;
use crate::writes::Writes;

/// Last words that are told in one commit.
const TOLD_AT_ONCE: usize = 1_000;
/// Behind every key: the names of queues are text.
const END: [u8; 1] = [u8::MAX];

/// Tells the last words of some deliveries, of those that have any.
pub(super) fn let_go(
    state: &mut State,
    writes: &mut Writes,
    queue: &QueueName,
    group: &str,
    ids: &[DeliveryId],
) -> Applied<()> {
    let mut words = Vec::new();
    for id in ids {
        let key = keys::last_word(queue, *id, group);
        // One that cannot be read is met again, and told or noted, when the store is opened.
        let Ok(Some(row)) = state.spaces.last_words.get(&key) else {
            continue;
        };
        words.extend(understood(state, &key, &row.into()));
        writes.remove(&state.spaces.last_words, key);
    }
    let rows = tell(state, writes, words);
    let shared = state.shared.clone();
    Applied::then((), move || rows.publish(&shared))
}

/// Tells the last words of processes that have died; how many. To be called before anybody uses the
/// store.
pub(crate) fn tell_all(state: &mut State) -> fjall::Result<usize> {
    let (mut told, mut from) = (0, Vec::new());
    loop {
        let lost = |lost: Lost| state.shared.note_lost("last words of claimed runs", &lost);
        let rows = scan::rows(&state.spaces.last_words, from, END).readable(lost);
        let rows = rows.take(TOLD_AT_ONCE).collect::<fjall::Result<Vec<_>>>()?;
        let Some((last, _)) = rows.last() else {
            return Ok(told);
        };
        from = [&last[..], &[0]].concat();
        let mut writes = state.spaces.database.batch();
        let mut words = Vec::new();
        for (key, row) in rows {
            words.extend(understood(state, &key, &row.into()));
            writes.remove(&state.spaces.last_words, key);
        }
        told += words.len();
        let rows = tell(state, &mut writes, words);
        writes.durability(Some(PersistMode::SyncAll)).commit()?;
        rows.publish(&state.shared);
    }
}

fn understood(state: &State, key: &[u8], row: &Bytes) -> Option<LastWord> {
    match last_word::decode(row) {
        Ok(word)
            if word
                .commands
                .iter()
                .all(|(partition, _)| partition.index() < state.partitions.len()) =>
        {
            Some(word)
        }
        Ok(_) => None,
        Err(error) => {
            state
                .shared
                .note_corruption(format!("last word {key:?}"), error.reason);
            None
        }
    }
}

fn tell(state: &mut State, writes: &mut Writes, words: Vec<LastWord>) -> NewRows {
    let mut commands: BTreeMap<PartitionId, Vec<Bytes>> = BTreeMap::new();
    let now = (state.now)();
    for word in words {
        for (partition, command) in word.commands {
            commands.entry(partition).or_default().push(command);
        }
        if let Some((key, mut end)) = word.outcome {
            end.ended_at = now;
            state.add_outcome(writes, key, outcome::encode(&end));
        }
    }
    let mut rows = NewRows::default();
    state.append_commands(writes, commands, &mut rows);
    rows
}
