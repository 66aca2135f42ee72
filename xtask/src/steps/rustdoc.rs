//! The documentation builds without a warning: links lead somewhere, public items are documented.

use crate::failure::Failure;
use crate::process::Logged;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
    Logged::cargo(workspace, "rustdoc", arguments)
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")
        .run("mend the documentation that the warnings point at")?;
    Ok(String::new())
}
