//! The commands that README and docs tell people to type are typed, for real.
//!
//! A fenced block marked `sh test` is run; the blocks of one document are one bash script, top to bottom, in a folder of
//! its own that holds the checkout's `examples` and `deploy`, with `certmesh` and `kubectl` on PATH. A command that
//! stays up goes into a block marked `sh test background until=FILE`: it runs beside what follows, once FILE exists.

mod document;
mod script;

use crate::failure::Failure;
use crate::files;
use crate::process::Logged;
use crate::tools;
use crate::workspace::Workspace;
use document::Document;
use std::ffi::OsString;
use std::path::Path;

/// Folders of the checkout that documented commands read.
const LINKED: &[&str] = &["examples", "deploy"];
/// In seconds. A document that waits for ever is wrong.
const LIMIT: &str = "300";

pub(super) fn run(workspace: &Workspace) -> Result<String, Failure> {
    let documents = documents(workspace)?;
    let blocks: usize = documents.iter().map(|document| document.blocks.len()).sum();
    if blocks == 0 {
        return Ok("no document has commands to run yet".to_owned());
    }
    Logged::cargo(workspace, "commands-build", ["build", "--workspace", "--bins", "--locked"])
        .run("mend the build")?;
    let path = search_path(workspace)?;
    for document in &documents {
        run_document(workspace, document, &path)?;
    }
    Ok(format!("{blocks} blocks in {} documents", documents.len()))
}

/// Every document that has commands to run.
fn documents(workspace: &Workspace) -> Result<Vec<Document>, Failure> {
    let mut texts = Vec::new();
    let readme = workspace.root().join("README.md");
    let text = std::fs::read_to_string(&readme).map_err(|error| Failure::io("reading", &readme, &error))?;
    texts.push((readme, text));
    files::visit(&workspace.root().join("docs"), "md", &mut |path, text| {
        texts.push((path.to_owned(), text.to_owned()));
    })?;
    let mut documents = Vec::new();
    for (path, text) in &texts {
        let name = workspace.relative(path).display().to_string();
        let document = Document::read(&name, text)
            .map_err(|problem| Failure::new(problem, "see how other documents mark their blocks"))?;
        documents.extend((!document.blocks.is_empty()).then_some(document));
    }
    Ok(documents)
}

fn run_document(workspace: &Workspace, document: &Document, path: &OsString) -> Result<(), Failure> {
    let stem = document.name.replace(['/', '.'], "-");
    let folder = workspace.scratch().join("commands").join(&stem);
    prepare(workspace, &folder)?;
    let script = folder.with_extension("sh");
    std::fs::write(&script, script::of(document)).map_err(|error| Failure::io("writing", &script, &error))?;
    Logged::new(workspace, &format!("commands-{stem}"), "timeout")
        .args([LIMIT, "bash"])
        .args([&script])
        .directory(&folder)
        .env("PATH", path)
        .env("HOME", &folder)
        .env("KUBECONFIG", folder.join("no-kubeconfig-but-the-documented"))
        .run(&format!("type the commands of {} yourself: mend the text or the program", document.name))
        .map(drop)
}

/// An empty folder with links to what the commands read.
fn prepare(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| Failure::io("removing", folder, &error))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("making", folder, &error))?;
    for name in LINKED {
        let link = folder.join(name);
        std::os::unix::fs::symlink(workspace.root().join(name), &link)
            .map_err(|error| Failure::io("linking", &link, &error))?;
    }
    Ok(())
}

fn search_path(workspace: &Workspace) -> Result<OsString, Failure> {
    let kubectl = tools::kubectl::locate_or_install(workspace)?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = [workspace.target().join("debug")]
        .into_iter()
        .chain(kubectl.parent().map(Path::to_path_buf))
        .chain(std::env::split_paths(&inherited));
    std::env::join_paths(folders).map_err(|error| {
        Failure::new(
            format!("putting certmesh and kubectl on PATH: {error}"),
            "check out into a path without ':'",
        )
    })
}
