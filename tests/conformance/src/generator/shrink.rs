//! Making a sequence smaller as long as both servers answer it differently.

use super::both::{Both, Difference};
use super::sequence::Sequence;

/// How many smaller sequences are tried.
const ATTEMPTS: usize = 200;

/// The smallest sequence found that still shows a difference.
pub(super) async fn shrink(both: &Both, sequence: Sequence, difference: Difference) -> Difference {
    let mut shrinker = Shrinker { both, sequence, difference, left: ATTEMPTS };
    shrinker.cut_tail().await;
    shrinker.without_watches().await;
    let mut piece = shrinker.sequence.requests.len().div_ceil(2);
    loop {
        let is_smaller = shrinker.without_pieces_of(piece).await;
        if shrinker.left == 0 || (piece <= 1 && !is_smaller) {
            return shrinker.difference;
        }
        piece = (piece / 2).max(1);
    }
}

struct Shrinker<'a> {
    both: &'a Both,
    sequence: Sequence,
    difference: Difference,
    left: usize,
}

impl Shrinker<'_> {
    /// What was said after the first different answer does not matter.
    async fn cut_tail(&mut self) {
        if let Some(request) = self.difference.request {
            let mut shorter = self.sequence.clone();
            shorter.requests.truncate(request + 1);
            self.try_out(shorter).await;
        }
    }

    async fn without_watches(&mut self) {
        let mut blind = self.sequence.clone();
        blind.is_watched = false;
        self.try_out(blind).await;
    }

    /// Leaves out pieces of this size, one after the other.
    async fn without_pieces_of(&mut self, size: usize) -> bool {
        let (mut start, mut is_smaller) = (0, false);
        while start < self.sequence.requests.len() && self.left > 0 {
            let mut shorter = self.sequence.clone();
            let end = (start + size).min(shorter.requests.len());
            shorter.requests.drain(start..end);
            if self.try_out(shorter).await {
                is_smaller = true;
            } else {
                start += size;
            }
        }
        is_smaller
    }

    /// Keeps the sequence if it shows a difference.
    async fn try_out(&mut self, sequence: Sequence) -> bool {
        self.left = self.left.saturating_sub(1);
        match self.both.compare(&sequence).await {
            Ok(compared) => match compared.difference {
                Some(difference) => {
                    (self.sequence, self.difference) = (sequence, difference);
                    true
                }
                None => false,
            },
            Err(_) => false,
        }
    }
}
