//! Who has something to do now, and when everybody else has.

use std::collections::{BTreeSet, VecDeque};

/// Processes by number.
#[derive(Default)]
pub(super) struct Agenda {
    now: VecDeque<usize>,
    is_called: Vec<bool>,
    later: BTreeSet<(i64, usize)>,
    due: Vec<Option<i64>>,
}

impl Agenda {
    /// For so many processes, all of which have something to do.
    pub(super) fn of(processes: usize) -> Self {
        Self {
            now: (0..processes).collect(),
            is_called: vec![true; processes],
            later: BTreeSet::new(),
            due: vec![None; processes],
        }
    }

    /// This one has something to do.
    pub(super) fn call(&mut self, process: usize) {
        if !std::mem::replace(&mut self.is_called[process], true) {
            self.now.push_back(process);
        }
    }

    /// The next one that has.
    pub(super) fn next(&mut self) -> Option<usize> {
        let process = self.now.pop_front()?;
        self.is_called[process] = false;
        Some(process)
    }

    /// When this one has something to do though nobody calls, in microseconds.
    pub(super) fn set(&mut self, process: usize, due: Option<i64>) {
        if let Some(before) = std::mem::replace(&mut self.due[process], due) {
            self.later.remove(&(before, process));
        }
        self.later.extend(due.map(|due| (due, process)));
    }

    /// When the next one has.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.later.first().map(|(due, _)| *due)
    }

    /// Calls all that are due by now.
    pub(super) fn call_due(&mut self, now: i64) {
        while let Some((due, process)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, process));
            self.due[process] = None;
            self.call(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_called_twice_comes_once_and_who_is_due_is_called() {
        let mut agenda = Agenda::of(2);
        agenda.call(0);
        assert_eq!([agenda.next(), agenda.next(), agenda.next()], [Some(0), Some(1), None]);
        agenda.set(0, Some(7));
        agenda.set(1, Some(5));
        agenda.set(0, Some(6));
        assert_eq!(agenda.next_due(), Some(5));
        agenda.call_due(5);
        assert_eq!([agenda.next(), agenda.next()], [Some(1), None]);
        assert_eq!(agenda.next_due(), Some(6));
        agenda.set(0, None);
        assert_eq!(agenda.next_due(), None);
    }
}
