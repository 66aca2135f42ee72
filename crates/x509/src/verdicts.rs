//! Verdicts on signatures that a thread remembers, if it was told to.
//!
//! Whether a key made a signature over some bytes never changes. A simulator that looks at the same few certificates a
//! thousand times a second asks for each once; the product asks every time.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::Fingerprint;

/// Beyond this many all are forgotten: a simulator that runs for hours meets new ones all the time.
const MOST: usize = 10_000;

thread_local! {
    static VERDICTS: RefCell<Option<HashMap<Fingerprint, bool>>> = const { RefCell::new(None) };
}

/// From now on, this thread verifies a signature once and then remembers what came of it. For simulators.
pub fn remember_verdicts() {
    VERDICTS.with_borrow_mut(|verdicts| {
        verdicts.get_or_insert_default();
    });
}

/// The answer to this question: remembered, if this thread remembers, or found now.
pub(crate) fn remembered(question: &[&[u8]], find: impl FnOnce() -> bool) -> bool {
    VERDICTS.with_borrow_mut(|verdicts| match verdicts {
        None => find(),
        Some(verdicts) => {
            if verdicts.len() >= MOST {
                verdicts.clear();
            }
            *verdicts.entry(name(question)).or_insert_with(find)
        }
    })
}

/// No two questions have one name: each part is preceded by its length.
fn name(question: &[&[u8]]) -> Fingerprint {
    let mut bytes = Vec::with_capacity(1024);
    for part in question {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Fingerprint::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_unless_asked_for() {
        let question: [&[u8]; 2] = [b"key", b"bytes"];
        assert!(remembered(&question, || true));
        assert!(!remembered(&question, || false));
    }

    #[test]
    fn an_answer_is_found_once_for_each_question() {
        remember_verdicts();
        let questions: [[&[u8]; 2]; 3] = [[b"ab", b"c"], [b"a", b"bc"], [b"", b"abc"]];
        for (at, question) in questions.iter().enumerate() {
            assert_eq!(remembered(question, || at == 1), at == 1);
        }
        for (at, question) in questions.iter().enumerate() {
            assert_eq!(remembered(question, || unreachable!("it is known")), at == 1);
        }
    }
}
