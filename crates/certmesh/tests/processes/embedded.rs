//! Issuer and agents as processes, against embedded servers over TLS.

mod mesh;
mod stories;

use certmesh_apiserver::{Cluster, Limits};
use mesh::Server;
use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let serving = certmesh_apiserver::Server::new(Limits::default());
    let mut servers = Vec::new();
    for name in stories::SERVERS {
        let cluster = Cluster::new(name).expect("a cluster");
        let address = runtime.block_on(serving.serve(&cluster)).expect("a free port on loopback");
        let kubeconfig = cluster.kubeconfig(Cluster::admin()).expect("the cluster is served").to_value();
        servers.push(Server {
            name: name.to_owned(),
            url: format!("https://{address}"),
            ca_pem: cluster.ca_pem().to_owned(),
            admin_token: kubeconfig["users"][0]["user"]["token"].as_str().unwrap_or_default().to_owned(),
        });
    }
    stories::main(&runtime, servers)
}
