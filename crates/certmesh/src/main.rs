//! The `certmesh` binary. Everything is in the library, so that tests and other tools can start the same things.

use std::process::ExitCode;

fn main() -> ExitCode {
    certmesh::main(std::env::args_os())
}
