//! Exit codes: the same in every command, so that scripts can rely on them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done, or healthy.
    Done = 0,
    /// 1: it failed; stderr says why and what to do.
    Failed = 1,
    /// 2: wrong usage.
    Usage = 2,
    /// 3: what was looked at deserves attention.
    Warning = 3,
    /// 4: what was looked at is broken, or about to be.
    Critical = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
