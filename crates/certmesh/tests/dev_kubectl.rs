//! The management cluster of `certmesh dev`, as a person starts it: kubectl prints there what it prints with a real server.

use certmesh_conformance::{Access, transcript};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What is typed there, of all that is recorded.
const TRANSCRIPTS: [&str; 4] = ["access", "apply", "get", "watch"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when dropped.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let child = Command::new(env!("CARGO_BIN_EXE_certmesh"))
        .args(["dev", "--clusters", "1", "--dir"])
        .arg(directory.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let _dev = Dev(child.expect("our own program"));
    transcript::main_on(&access(&directory.path().join("management.kubeconfig")), &TRANSCRIPTS)
}

/// What the kubeconfig says, once it is there.
fn access(kubeconfig: &Path) -> Access {
    let begin = Instant::now();
    while !kubeconfig.exists() {
        assert!(begin.elapsed() < PATIENCE, "no {} after {PATIENCE:?}", kubeconfig.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
    let config: Value = serde_saphyr::from_str(&text).expect("YAML");
    let text = |path: &str| config.pointer(path).and_then(Value::as_str).expect("a text").to_owned();
    let authority = config.pointer("/clusters/0/cluster/certificate-authority-data").expect("an authority");
    let authority: k8s_openapi::ByteString = serde_json::from_value(authority.clone()).expect("base64");
    Access {
        url: text("/clusters/0/cluster/server"),
        ca_pem: String::from_utf8(authority.0).expect("PEM"),
        token: text("/users/0/user/token"),
    }
}
