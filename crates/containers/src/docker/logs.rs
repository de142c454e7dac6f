//! What a container has printed: frames of standard output and error, as the engine sends them.

/// Bytes before each frame: the stream, three zeros, and the length.
const HEADER_BYTES: usize = 8;

/// The end of a log, without the headers of its frames.
#[derive(Debug)]
pub(super) struct LogTail {
    bytes_max: usize,
    kept: Vec<u8>,
    header: Vec<u8>,
    /// What is missing of the frame that was begun.
    frame_left: usize,
}

impl LogTail {
    pub(super) fn new(bytes_max: usize) -> LogTail {
        LogTail {
            bytes_max,
            kept: Vec::new(),
            header: Vec::new(),
            frame_left: 0,
        }
    }

    /// Takes what came next, however it was cut.
    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.frame_left == 0 {
                let wanted = (HEADER_BYTES - self.header.len()).min(chunk.len());
                self.header.extend_from_slice(&chunk[..wanted]);
                chunk = &chunk[wanted..];
                if let &[_, _, _, _, a, b, c, d] = &self.header[..] {
                    self.frame_left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.header.clear();
                }
                continue;
            }
            let (taken, rest) = chunk.split_at(self.frame_left.min(chunk.len()));
            self.frame_left -= taken.len();
            self.keep(taken);
            chunk = rest;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 2 * self.bytes_max {
            let excess = self.kept.len() - self.bytes_max;
            self.kept.drain(..excess);
        }
    }

    /// The end as text.
    pub(super) fn into_text(self) -> String {
        let from = self.kept.len().saturating_sub(self.bytes_max);
        String::from_utf8_lossy(&self.kept[from..])
            .trim()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    #[test]
    fn frames_are_joined_however_they_are_cut() {
        let bytes = [frame(1, "first\n"), frame(2, ""), frame(2, "second\n")].concat();
        for size in 1..bytes.len() {
            let mut tail = LogTail::new(100);
            bytes.chunks(size).for_each(|chunk| tail.push(chunk));
            assert_eq!(tail.into_text(), "first\nsecond", "by {size}");
        }
    }

    #[test]
    fn the_end_is_kept_and_no_more() {
        let mut tail = LogTail::new(4);
        for number in 0..1_000 {
            tail.push(&frame(1, &format!("{number:03}.")));
            assert!(tail.kept.len() <= 8);
        }
        assert_eq!(tail.into_text(), "999.");
    }
}
