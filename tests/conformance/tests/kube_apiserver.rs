//! A real server still answers what is recorded. `CONFORMANCE_RECORD=1` records its answers instead.

use certmesh_conformance::Mode;
use std::process::ExitCode;

fn main() -> ExitCode {
    certmesh_conformance::main(Mode::Real)
}
