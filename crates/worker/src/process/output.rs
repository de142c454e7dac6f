//! The output of a command: its end is kept, the rest counted.

use std::io;

use async_trait::async_trait;
use minutehand_model::{Execution, Timestamp};
use tokio::net::unix::pipe;

/// What a command wrote, for an [`OutputStore`].
#[derive(Clone, Copy, Debug)]
pub struct CapturedOutput<'a> {
    /// What ran.
    pub execution: &'a Execution,
    /// When it started.
    pub started_at: Timestamp,
    /// The end of what it wrote to standard output and standard error, as it came.
    pub bytes: &'a [u8],
    /// How many bytes before that were not kept.
    pub bytes_left_out: u64,
    /// How it ended: `exit code 0`, `ended by signal 9`.
    pub ended: &'a str,
}

/// Keeps the output of runs.
#[async_trait]
pub trait OutputStore: Send + Sync + 'static {
    /// Keeps one output. The run is settled after that, however it went; a failure is logged.
    async fn keep(&self, output: CapturedOutput<'_>) -> io::Result<()>;
}

/// The last bytes of a stream.
pub(super) struct Tail {
    /// At most twice `bytes_max`, so that making room costs little.
    bytes: Vec<u8>,
    bytes_max: usize,
    bytes_dropped: u64,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Tail {
        Tail {
            bytes: Vec::new(),
            bytes_max,
            bytes_dropped: 0,
        }
    }

    /// Reads until everybody who could write has closed the pipe. May be dropped and called again.
    pub(super) async fn read(&mut self, reader: &pipe::Receiver) {
        let mut chunk = vec![0; 8 * 1024];
        while reader.readable().await.is_ok() {
            match reader.try_read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > 2 * self.bytes_max {
            let excess = self.excess();
            self.bytes.drain(..excess);
            self.bytes_dropped += excess as u64;
        }
    }

    /// Forgets what was written.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes_dropped = 0;
    }

    fn excess(&self) -> usize {
        self.bytes.len().saturating_sub(self.bytes_max)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.excess()..]
    }

    pub(super) fn bytes_left_out(&self) -> u64 {
        self.bytes_dropped + self.excess() as u64
    }

    /// The end of the output as text, as a shell would take it: without the line ends behind it. At
    /// most so many bytes.
    pub(super) fn result(&self, bytes_max: usize) -> String {
        let text = String::from_utf8_lossy(self.bytes());
        end_of(text.trim_end_matches(['\n', '\r']), bytes_max).to_owned()
    }

    /// The end of the output as text without the white space around it, at most so many bytes.
    pub(super) fn last_text(&self, bytes_max: usize) -> String {
        let text = String::from_utf8_lossy(self.bytes());
        end_of(text.trim(), bytes_max).trim_start().to_owned()
    }
}

/// The end of a text, at most so many bytes.
fn end_of(text: &str, bytes_max: usize) -> &str {
    let from = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
    debug_assert!(text.len() - from <= bytes_max);
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Tail {
        let mut tail = Tail::new(100);
        tail.push(text.as_bytes());
        tail
    }

    #[test]
    fn a_result_keeps_all_but_the_line_ends_behind_it() {
        assert_eq!(written("  a\n b \n\r\n").result(100), "  a\n b ");
        assert_eq!(written("\n").result(100), "");
        assert_eq!(written("abc\n").result(2), "bc");
    }

    #[test]
    fn a_reason_has_no_white_space_around_it() {
        assert_eq!(written("  a\n b \n").last_text(100), "a\n b");
    }
}
