//! The core stays pure: `workflow` and `x509` depend on no async runtime, no client, no server and no random numbers.
//!
//! The other half is clippy's: `clippy.toml` of both crates forbids clocks, files, sockets and processes.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

const PURE_CRATES: &[&str] = &["certmesh-x509", "certmesh-workflow"];

/// Crates that must not be reached, and what reaching them would mean.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio", "an async runtime"),
    ("tokio-util", "an async runtime"),
    ("async-std", "an async runtime"),
    ("smol", "an async runtime"),
    ("futures-util", "async code"),
    ("hyper", "HTTP"),
    ("hyper-util", "HTTP"),
    ("axum", "HTTP"),
    ("reqwest", "HTTP"),
    ("tower", "HTTP"),
    ("kube-client", "a Kubernetes client"),
    ("kube-runtime", "a Kubernetes client"),
    ("rand", "random numbers"),
    ("rand_core", "random numbers"),
    ("getrandom", "random numbers"),
    ("fastrand", "random numbers"),
    ("chrono", "a second library of time"),
];

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let mut reached = Vec::new();
    for package in PURE_CRATES {
        let arguments = ["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--locked"];
        let tree = Logged::cargo(workspace, "purity", arguments).run("run the command by hand")?;
        reached.extend(forbidden_in(&tree).map(|(name, what)| format!("{package} reaches {name}: {what}")));
    }
    if reached.is_empty() {
        return Ok(PURE_CRATES.join(", "));
    }
    let advice = "see who brings it in with `cargo tree -p CRATE -e normal -i FORBIDDEN`, and leave that to `controllers`";
    Err(Failure::new("the decisions and the certificates are pure", advice).found(reached))
}

/// The forbidden crates in the output of `cargo tree --prefix none`: one `name vVERSION …` a line.
fn forbidden_in(tree: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = |name: &str| tree.lines().any(|line| line.split_whitespace().next() == Some(name));
    FORBIDDEN.iter().copied().filter(move |(name, _)| named(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "certmesh-workflow v0.1.0 (/src/crates/workflow)\njiff v0.2.46\nserde v1.0.229 (*)\n";

    #[test]
    fn a_pure_tree_is_accepted() {
        assert_eq!(forbidden_in(GOOD).count(), 0);
    }

    #[test]
    fn each_forbidden_crate_is_found_wherever_it_stands() {
        for (name, _) in FORBIDDEN {
            let tree = format!("{GOOD}{name} v1.0.0 (*)\nthiserror v2.0.0\n");
            assert_eq!(forbidden_in(&tree).map(|(name, _)| name).collect::<Vec<_>>(), [*name]);
        }
    }

    #[test]
    fn a_crate_is_not_taken_for_one_whose_name_begins_alike() {
        assert_eq!(forbidden_in("tokio-like v1.0.0\nhyperlocal v0.9.0\n").count(), 0);
    }
}
