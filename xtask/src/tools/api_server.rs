//! The real Kubernetes API server with its etcd and controllers, built from `rig/go.mod`. Minutes, once for each version.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;
use certmesh_rig::Binaries;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

const ADVICE: &str = "see that the Go module proxy can be reached, that there are 4 GB of disk left, and that a file of Go's \
                      cache is not broken (`go clean -cache`)";

/// What the module's programs are called as Go builds them, and as we do.
const PROGRAMS: [(&str, &str); 3] = [
    ("server", "etcd"),
    ("kube-apiserver", "kube-apiserver"),
    ("kube-controller-manager", "kube-controller-manager"),
];

/// The folder of the programs; they are built first when they are not in the cache.
pub(crate) fn locate_or_build(workspace: &Workspace) -> Result<Binaries, Failure> {
    if let Some(directory) = std::env::var_os(Binaries::VARIABLE).filter(|value| !value.is_empty()) {
        return binaries(PathBuf::from(directory));
    }
    let module = workspace.root().join("rig");
    let version = Version::pinned(&module)?;
    let program =
        super::installed(&super::cache(workspace), &version.folder(), "kube-apiserver", |folder| {
            build(workspace, &module, &version, folder)
        })?;
    let directory = program.parent().expect("the program was joined to a folder");
    binaries(directory.to_owned())
}

fn binaries(directory: PathBuf) -> Result<Binaries, Failure> {
    Binaries::in_directory(directory).map_err(|error| {
        Failure::new(format!("looking for the API server: {error}"), "remove the folder and run this again")
    })
}

/// What is built.
struct Version {
    /// Such as 1.37.2.
    kubernetes: String,
    /// Differs when any module does.
    fingerprint: u64,
}

impl Version {
    fn pinned(module: &Path) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = module.join(name);
            std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))
        };
        Self::read(&read("go.mod")?, &read("go.sum")?)
            .ok_or_else(|| Failure::new("rig/go.mod requires no k8s.io/kubernetes", "restore it with git"))
    }

    fn read(go_mod: &str, go_sum: &str) -> Option<Self> {
        let required = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))?;
        let kubernetes = required.split_whitespace().next()?.to_owned();
        let mut hasher = DefaultHasher::new();
        (go_mod, go_sum).hash(&mut hasher);
        Some(Self { kubernetes, fingerprint: hasher.finish() })
    }

    fn folder(&self) -> String {
        format!("rig-{}-{:016x}", self.kubernetes, self.fingerprint)
    }

    /// Without these the server calls itself v0.0.0, which clients cannot make sense of. No symbols: half the size.
    fn linker_flags(&self) -> String {
        let variable = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
        let mut numbers = self.kubernetes.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        [
            "-s -w".to_owned(),
            variable("gitVersion", &format!("v{}", self.kubernetes)),
            variable("gitMajor", major),
            variable("gitMinor", minor),
        ]
        .join(" ")
    }
}

fn build(workspace: &Workspace, module: &Path, version: &Version, folder: &Path) -> Result<(), Failure> {
    let go = super::go::locate_or_install(workspace)?;
    let mut output = folder.as_os_str().to_owned();
    // A folder, says the slash, with a file for each tool of the module.
    output.push("/");
    // Low priority: it takes minutes, and people go on working.
    Logged::new(workspace, "build-rig", "nice")
        .directory(module)
        .args(["-n", "15"])
        .args([go])
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
        .args([format!("-ldflags={}", version.linker_flags())])
        .args(["-o"])
        .args([output])
        .args(["tool"])
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .run(ADVICE)?;
    for (built, name) in PROGRAMS {
        let (from, to) = (folder.join(built), folder.join(name));
        std::fs::rename(&from, &to).map_err(|error| Failure::io("renaming", &from, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str =
        "module x\n\nrequire (\n\tk8s.io/kubernetes v1.37.2\n\tk8s.io/kubernetes-more v2.0.0\n)\n";

    #[test]
    fn the_version_is_read_from_the_module_and_a_changed_sum_is_another_folder() {
        let version = Version::read(GO_MOD, "a").unwrap();
        assert_eq!(version.kubernetes, "1.37.2");
        assert_ne!(version.folder(), Version::read(GO_MOD, "b").unwrap().folder());
        assert_eq!(version.folder(), Version::read(GO_MOD, "a").unwrap().folder());
        assert!(Version::read("module x\n", "").is_none());
    }

    #[test]
    fn the_server_is_told_its_version() {
        let flags = Version::read(GO_MOD, "").unwrap().linker_flags();
        assert!(
            flags.contains("version.gitVersion=v1.37.2 ") && flags.ends_with("version.gitMinor=37"),
            "{flags}"
        );
    }
}
