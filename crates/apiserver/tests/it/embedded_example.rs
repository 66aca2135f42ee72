//! The example and the README are what people try first.

use std::process::Command;

use crate::kubectl::program;

#[path = "../../examples/embedded.rs"]
#[allow(dead_code, reason = "its main is another program's")]
mod embedded;

const README: &str = include_str!("../../README.md");

#[tokio::test]
async fn the_example_runs_to_its_end() {
    embedded::run(None).await.unwrap();
}

/// The README's commands, as they are written there, against the example as it is started there.
#[tokio::test]
async fn the_readmes_commands_work_on_what_the_example_serves() {
    assert!(README.contains("cargo run -p certmesh-apiserver --example embedded -- kubeconfig\n"));
    let (_, block) = README.split_once("```sh kubectl\n").unwrap();
    let (commands, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let serving = tokio::spawn(embedded::run(Some(kubeconfig.clone())));
    while !kubeconfig.exists() {
        assert!(!serving.is_finished(), "{:?}", serving.await);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for command in commands.lines() {
        let arguments = command.strip_prefix("kubectl ").unwrap().split(' ');
        let mut kubectl = Command::new(program());
        kubectl.args(arguments).current_dir(&folder).env("HOME", folder.path());
        let output = tokio::task::spawn_blocking(move || kubectl.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let expected = match command.split(' ').nth(3).unwrap() {
            "get" => "hello   Hello   Hello yourself",
            "explain" => "KIND:       Greeting",
            "create" => "configmap/settings created",
            "auth" => "yes",
            _ => "greeting.example.com \"hello\" deleted",
        };
        assert!(said.contains(expected), "{command}: {said}");
    }
    serving.abort();
}
