//! What one decision of the agent or the issuer costs.

use super::{Findings, cargo_bench};
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    cargo_bench::findings(workspace, "certmesh-workflow", "decide")
}
