//! Bytes on their way from one stage to the next, in pieces: looked at from the front, then read by a task or by a
//! thread.

use bytes::Bytes;
use std::io::{self, BufRead, Read};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that may wait between two stages.
const WAITING: usize = 8;

/// What comes from the stage before. Ends when that is dropped.
#[derive(Debug)]
pub(super) struct Pieces {
    /// What was looked at, or is being read.
    front: Bytes,
    rest: Receiver<Bytes>,
    /// Bytes that were used.
    pub(super) used: u64,
    /// Was more asked for than there is?
    pub(super) ended: bool,
}

impl Pieces {
    /// A way from one stage to the next.
    pub(super) fn way() -> (Sender<Bytes>, Self) {
        let (to, rest) = channel(WAITING);
        (to, Self { front: Bytes::new(), rest, used: 0, ended: false })
    }

    /// The first bytes, so many as there are up to `wanted`. They are read again.
    pub(super) async fn peek(&mut self, wanted: usize) -> &[u8] {
        let mut head = Vec::with_capacity(wanted);
        while self.front.len() < wanted {
            let Some(piece) = self.rest.recv().await else { break };
            if self.front.is_empty() {
                self.front = piece;
            } else {
                head.clear();
                head.extend_from_slice(&self.front);
                head.extend_from_slice(&piece);
                self.front = Bytes::copy_from_slice(&head);
            }
        }
        &self.front[..self.front.len().min(wanted)]
    }

    /// The next piece, in a task.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let piece = match std::mem::take(&mut self.front) {
            front if front.is_empty() => self.rest.recv().await,
            front => Some(front),
        };
        self.used += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        piece
    }
}

/// In a thread.
impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.front.is_empty() && !self.ended {
            match self.rest.blocking_recv() {
                Some(piece) => self.front = piece,
                None => self.ended = true,
            }
        }
        Ok(&self.front)
    }

    fn consume(&mut self, used: usize) {
        self.front = self.front.slice(used..);
        self.used += used as u64;
    }
}

impl Read for Pieces {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(room)?;
        self.consume(read);
        Ok(read)
    }
}
