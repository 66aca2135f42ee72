//! The embedded server answers what a real one does.

use certmesh_conformance::Mode;
use std::process::ExitCode;

fn main() -> ExitCode {
    certmesh_conformance::main(Mode::Embedded)
}
