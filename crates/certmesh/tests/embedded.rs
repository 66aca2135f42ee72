//! `demo` and `dev` as a person starts them, and as they end.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

fn certmesh(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certmesh"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("KUBECONFIG");
    command
}

#[test]
fn the_demo_verifies_everything() {
    let output = certmesh(&["demo", "--once", "--key", "ecdsa-p256", "--clusters", "3"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(
        !stdout.contains('\u{1b}'),
        "no colours and no moving line where there is no terminal:\n{stdout}"
    );
    for expected in [
        "cluster-3/istio is Ready",
        "cluster-1   ✓ its private key is in no other Secret of any cluster",
        "✓ 6 mutual TLS connections, each side trusting its own root-cert.pem alone",
        "connections before, during and after the renewal, 0 failed",
        "Everything was verified",
    ] {
        assert!(stdout.contains(expected), "{expected:?} is not in:\n{stdout}");
    }
    assert_eq!(stderr, "", "nothing to complain about");
}

#[test]
fn an_interrupted_demo_is_not_a_verified_one() {
    let mut child =
        certmesh(&["demo", "--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its first words: from here on it listens for signals.
    let stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.lines().any(|line| line.unwrap().starts_with("A management cluster")));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("interrupted before everything was verified"), "{stderr}");
}

#[test]
fn it_speaks_of_itself_as_it_was_called() {
    let parent = tempfile::tempdir().unwrap();
    let plugin = parent.path().join("kubectl-certmesh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_certmesh"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["inspect", "--help"]).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("Usage: kubectl certmesh inspect"), "{stdout}");
    let output = Command::new(&plugin).arg("frobnicate").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: kubectl certmesh"));
}

#[test]
fn dev_gives_kubeconfigs_and_takes_them_back() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("play");
    let path = dir.to_str().unwrap();
    let mut child = certmesh(&["dev", "--dir", path, "--clusters", "1", "--log-level", "warn"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&dir.join("management.kubeconfig"));
    for name in ["management.kubeconfig", "cluster-1.kubeconfig"] {
        let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name} holds a token");
    }
    let kubeconfig = dir.join("management.kubeconfig");
    let inspected =
        certmesh(&["inspect", "management/certmesh/root-ca", "--output", "json", "--fail-on", "warning"])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .output()
            .unwrap();
    let stdout = String::from_utf8_lossy(&inspected.stdout);
    assert!(inspected.status.success(), "{stdout}{}", String::from_utf8_lossy(&inspected.stderr));
    assert!(stdout.contains("\"role\": \"signingCa\""), "{stdout}");
    let second = certmesh(&["dev", "--dir", path]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "two of them cannot share a directory");
    signal(&child, "TERM");
    assert!(wait(&mut child, Duration::from_secs(5)).success());
    assert!(!dir.exists(), "what was made is removed");
}

fn signal(child: &Child, name: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.arg(format!("-{name}")).arg(child.id().to_string()).status().expect("kill is there");
    assert!(sent.success());
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if Instant::now() >= deadline {
            child.kill().expect("it is our child");
            panic!("it does not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
