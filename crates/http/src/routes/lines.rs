//! Cutting a stream of bytes into batches of whole lines, in bounded memory.

use minutehand_model::limits::PAYLOAD_BYTES_MAX;

/// Longest line: the largest payload with every character escaped fits.
pub(super) const LINE_BYTES_MAX: usize = 8 * PAYLOAD_BYTES_MAX;
/// A batch is full when it has this many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// Whole lines, each but perhaps the last ended by a newline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// The number of its first line, counted from 1.
    pub(super) first_line: u64,
    pub(super) bytes: Vec<u8>,
}

/// Cuts chunks into batches. Every byte is looked at once.
pub(super) struct LineCutter {
    pending: Vec<u8>,
    /// Where the last whole line in `pending` ends.
    whole_until: usize,
    next_line: u64,
    /// The line being read is too long: its bytes are dropped up to its end.
    skipping: bool,
    /// Numbers of lines that were too long.
    too_long: Vec<u64>,
}

impl LineCutter {
    pub(super) fn new() -> LineCutter {
        LineCutter {
            pending: Vec::new(),
            whole_until: 0,
            next_line: 1,
            skipping: false,
            too_long: Vec::new(),
        }
    }

    /// Takes a chunk; answers a batch when there is enough for one.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Option<Batch> {
        let chunk = if self.skipping {
            self.skip(chunk)?
        } else {
            chunk
        };
        if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
            self.whole_until = self.pending.len() + newline + 1;
        }
        self.pending.extend_from_slice(chunk);
        let batch = if self.pending.len() >= BATCH_BYTES {
            self.cut()
        } else {
            None
        };
        // What is left after a cut, or cannot be cut, is the beginning of one line.
        if self.whole_until == 0 && self.pending.len() > LINE_BYTES_MAX {
            self.too_long.push(self.next_line);
            self.pending = Vec::new();
            self.skipping = true;
        }
        batch
    }

    /// Whether whole lines wait for company.
    pub(super) fn has_whole_lines(&self) -> bool {
        self.whole_until > 0
    }

    /// The whole lines there are.
    pub(super) fn cut(&mut self) -> Option<Batch> {
        let end = std::mem::take(&mut self.whole_until);
        if end == 0 {
            return None;
        }
        let rest = self.pending.split_off(end);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let first_line = self.next_line;
        self.next_line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Some(Batch { first_line, bytes })
    }

    /// What is left when the stream has ended.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        let bytes = std::mem::take(&mut self.pending);
        (!bytes.is_empty()).then_some(Batch {
            first_line: self.next_line,
            bytes,
        })
    }

    /// Numbers of lines that were too long since the last call.
    pub(super) fn take_too_long(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.too_long)
    }

    fn skip<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a [u8]> {
        let end = chunk.iter().position(|byte| *byte == b'\n')?;
        self.skipping = false;
        self.next_line += 1;
        Some(&chunk[end + 1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(text: &[u8], chunk_bytes: usize) -> (Vec<(u64, Vec<u8>)>, Vec<u64>) {
        let mut cutter = LineCutter::new();
        let mut batches = Vec::new();
        for chunk in text.chunks(chunk_bytes) {
            batches.extend(cutter.push(chunk));
        }
        batches.extend(cutter.finish());
        let lines = batches.iter().flat_map(|batch| {
            let lines = batch.bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            (batch.first_line..)
                .zip(lines)
                .filter(|(_, line)| !line.is_empty())
        });
        (lines.collect(), cutter.take_too_long())
    }

    #[test]
    fn every_line_comes_out_whole_with_its_number() {
        let text: Vec<u8> = (1..=40_000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        for chunk_bytes in [1_000, 65_537, 10_000_000] {
            let (lines, too_long) = cut_all(&text, chunk_bytes);
            assert_eq!(lines.len(), 40_000);
            assert!(
                lines
                    .iter()
                    .all(|(n, line)| *line == format!("line {n}").into_bytes())
            );
            assert!(too_long.is_empty());
        }
        for chunk_bytes in 1..5 {
            assert_eq!(
                cut_all(b"a\n\nb", chunk_bytes).0,
                [(1, b"a".to_vec()), (3, b"b".to_vec())]
            );
        }
    }

    #[test]
    fn a_line_in_chunks_of_one_byte_is_looked_at_once() {
        // Looking at all that waits for each new byte would be two billion steps for each of these
        // lines.
        let line = [vec![b'x'; LINE_BYTES_MAX - 1], b"\n".to_vec()].concat();
        let (lines, too_long) = cut_all(&line.repeat(4), 1);
        assert_eq!(lines.len(), 4);
        assert!(too_long.is_empty());
    }

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_one_is_not() {
        let mut text = b"first\n".to_vec();
        text.resize(text.len() + LINE_BYTES_MAX + BATCH_BYTES + 1, b'x');
        text.extend_from_slice(b"\nthird\n");
        let (lines, too_long) = cut_all(&text, 100_000);
        assert_eq!(lines, [(1, b"first".to_vec()), (3, b"third".to_vec())]);
        assert_eq!(too_long, [2]);
    }
}
