//! kubectl prints the same with the embedded server as with a real one.

use certmesh_conformance::{Mode, transcript};
use std::process::ExitCode;

fn main() -> ExitCode {
    transcript::main(Mode::Embedded)
}
