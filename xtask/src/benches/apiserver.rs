//! What the embedded API server answers in a second, over HTTP and TLS.

use super::{Findings, cargo_bench};
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    cargo_bench::findings(workspace, "certmesh-apiserver", "throughput")
}
