//! Issuer and agents as processes, against kube-apiservers. `cargo xtask test conformance` builds those and runs this.

mod mesh;
mod stories;

use certmesh_rig::{Binaries, Rig};
use mesh::Server;
use std::process::ExitCode;

fn main() -> ExitCode {
    let binaries = match Binaries::from_environment() {
        Ok(binaries) => binaries,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rig =
        Rig::start(&binaries, directory.path(), &stories::SERVERS).unwrap_or_else(|error| panic!("{error}"));
    let servers = rig.clusters().iter().map(|cluster| Server {
        name: cluster.name().to_owned(),
        url: cluster.url().to_owned(),
        ca_pem: cluster.ca_pem().to_owned(),
        admin_token: cluster.admin_token().to_owned(),
    });
    let code = stories::main(&runtime, servers.collect());
    rig.stop();
    code
}
