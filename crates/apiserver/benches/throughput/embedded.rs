//! The embedded server in a process of its own: this program again, with another argument.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use certmesh_apiserver::{Cluster, Server};
use serde_json::{Value, json};

use super::client::Access;

/// The argument that makes this program a server.
pub(crate) const SERVE: &str = "--serve";

/// Serves a cluster, says where on standard output, and ends when standard input does.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::new("bench").unwrap();
        let server = Server::default();
        let address = server.serve(&cluster).await.unwrap();
        let kubeconfig = cluster.kubeconfig(Cluster::admin()).unwrap().to_value();
        let token = &kubeconfig["users"][0]["user"]["token"];
        println!("{}", json!({"address": address, "ca": cluster.ca_pem(), "token": token}));
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
        server.shutdown().await;
    });
}

/// A serving process; dropping it ends it.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) access: Access,
}

impl Child {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let access =
            Access { address: text("address").parse().unwrap(), ca_pem: text("ca"), token: text("token") };
        Self { process, access }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It has nothing left to lose, and this nobody to tell.
        let _ = self.process.wait();
    }
}
