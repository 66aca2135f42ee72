//! What the embedded API server answers in a second, beside kube-apiserver with etcd in the same run.

use super::{Findings, cargo_bench};
use crate::failure::Failure;
use crate::tools::api_server;
use crate::workspace::Workspace;
use certmesh_rig::Binaries;

pub(super) fn run(workspace: &Workspace) -> Result<Findings, Failure> {
    let binaries = api_server::locate_or_build(workspace)?;
    let bench = cargo_bench::command(workspace, "certmesh-apiserver", "throughput");
    cargo_bench::run(bench.env(Binaries::VARIABLE, binaries.directory()))
}
