//! Certificates issued end to end on embedded clusters: how many a second, how long one waits, what it writes.

use super::{Findings, cargo_bench};
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    cargo_bench::findings(workspace, "certmesh-tests", "issue")
}
