//! What a fleet costs over a virtual year, by its size.

use super::Findings;
use crate::failure::Failure;
use crate::sim;
use crate::workspace::Workspace;

/// Clusters.
const SIZES: &str = "10,100,300,1000";

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    Ok(Findings::read(&sim::fleets_of(workspace, SIZES)?))
}
