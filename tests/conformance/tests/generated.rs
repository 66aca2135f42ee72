//! Random requests are answered alike by both servers. CONTRIBUTING.md tells how a run is repeated.

use std::process::ExitCode;

fn main() -> ExitCode {
    certmesh_conformance::generator::main()
}
