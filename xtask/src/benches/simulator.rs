//! How many hostile runs the simulator does in a second.

use super::Findings;
use crate::failure::Failure;
use crate::sim;
use crate::workspace::Workspace;

/// Enough that what differs from seed to seed does not show.
const SEEDS: &str = "3000";

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    Ok(Findings::read(&sim::speed_of(workspace, SEEDS)?))
}
