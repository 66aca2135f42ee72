//! What the embedded API server answers in a second, over HTTP and TLS.

use super::cargo_bench;
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    cargo_bench::output(workspace, "certmesh-apiserver", "throughput")
}
