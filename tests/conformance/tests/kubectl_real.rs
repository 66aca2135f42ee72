//! kubectl still prints what is recorded. `CONFORMANCE_RECORD=1` records it instead.

use certmesh_conformance::{Mode, transcript};
use std::process::ExitCode;

fn main() -> ExitCode {
    transcript::main(Mode::Real)
}
