//! `certmesh install`: what has to be in a cluster, as manifests.

use certmesh_api::{
    certificates::ObjectRef,
    manifests::{Agent, IMAGE, Issuer, Manifest, RemoteIssuer},
    names::well_known,
};
use serde_json::json;

use crate::{exit::Exit, failure::Failure, kube_access::namespace, output};

/// Print what has to be installed in a cluster: definitions, accounts, rights and Deployments
///
/// The same objects run in `certmesh demo` and in the tests.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(subcommand)]
    part: Part,
}

const EXAMPLES: &str = "Examples:\n  \
    certmesh install issuer --print | kubectl --context management apply -f -\n  \
    certmesh install agent --print | kubectl --context cluster-1 apply -f -\n  \
    certmesh install cluster-registration --print | kubectl --context cluster-1 apply -f -";

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// In the management cluster: the issuer
    #[command(
        after_help = "Example:\n  certmesh install issuer --print | kubectl --context management apply -f -"
    )]
    Issuer(PartOptions),
    /// In a remote cluster: the agent
    #[command(after_help = "Example:\n  certmesh install agent --print --target istio-system/cacerts")]
    Agent(AgentOptions),
    /// In a remote cluster: the account that the issuer has there
    #[command(
        after_help = "Example:\n  certmesh install cluster-registration --print | kubectl --context cluster-1 apply -f -"
    )]
    ClusterRegistration(RegistrationOptions),
}

#[derive(Debug, clap::Args)]
struct PartOptions {
    /// Namespace to install into
    #[arg(long, short, value_name = "NAMESPACE", default_value = well_known::NAMESPACE, value_parser = namespace)]
    namespace: String,
    /// Container image
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    image: String,
    #[command(flatten)]
    print: PrintOptions,
}

#[derive(Debug, clap::Args)]
struct AgentOptions {
    #[command(flatten)]
    part: PartOptions,
    /// A Secret that the agent may write certificates to; repeat for several. Its namespace must exist
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "istio-system/cacerts", value_parser = target)]
    target: Vec<ObjectRef>,
}

#[derive(Debug, clap::Args)]
struct RegistrationOptions {
    /// The agent's namespace
    #[arg(long, short, value_name = "NAMESPACE", default_value = well_known::NAMESPACE, value_parser = namespace)]
    namespace: String,
    #[command(flatten)]
    print: PrintOptions,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct PrintOptions {
    /// Print the manifests to stdout. Required: nothing is applied, pipe them to `kubectl apply -f -`
    #[arg(long, required = true)]
    print: bool,
    /// Form of the manifests
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "yaml")]
    output: ManifestFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ManifestFormat {
    /// A document for each object.
    Yaml,
    /// One `v1/List`.
    Json,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    let (manifests, print) = match &options.part {
        Part::Issuer(part) => {
            let issuer = Issuer { namespace: part.namespace.clone(), image: part.image.clone() };
            (issuer.manifests(), part.print)
        }
        Part::Agent(AgentOptions { part, target }) => {
            let agent = Agent {
                namespace: part.namespace.clone(),
                image: part.image.clone(),
                targets: target.clone(),
            };
            (agent.manifests(), part.print)
        }
        Part::ClusterRegistration(RegistrationOptions { namespace, print }) => {
            (RemoteIssuer { namespace: namespace.clone() }.manifests(), *print)
        }
    };
    debug_assert!(print.print, "clap asks for it");
    output::print(&render(&manifests, print.output)?)?;
    Ok(Exit::Done)
}

fn render(manifests: &[Manifest], format: ManifestFormat) -> Result<String, Failure> {
    match format {
        ManifestFormat::Yaml => {
            let mut text = String::new();
            for manifest in manifests {
                text.push_str("---\n");
                text.push_str(&output::to_yaml(manifest)?);
            }
            Ok(text)
        }
        ManifestFormat::Json => {
            output::to_json(&json!({"apiVersion": "v1", "kind": "List", "items": manifests}))
        }
    }
}

fn target(text: &str) -> Result<ObjectRef, String> {
    match text.split_once('/') {
        Some((place, name)) if !name.is_empty() && !name.contains('/') => {
            Ok(ObjectRef::new(namespace(place)?, name))
        }
        _ => Err("write it as NAMESPACE/NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_hold_every_object() {
        let manifests = Issuer::default().manifests();
        let yaml = render(&manifests, ManifestFormat::Yaml).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        let list: serde_json::Value =
            serde_json::from_str(&render(&manifests, ManifestFormat::Json).unwrap()).unwrap();
        assert_eq!(documents.len(), manifests.len());
        assert_eq!(list["items"], serde_json::Value::Array(documents));
    }

    #[test]
    fn the_deployments_run_commands_that_there_are() {
        for deployment in [Issuer::default().deployment(), Agent::default().deployment()] {
            let arguments = &deployment.object.data["spec"]["template"]["spec"]["containers"][0]["args"];
            let arguments: Vec<String> = serde_json::from_value(arguments.clone()).unwrap();
            let line = std::iter::once("certmesh".to_owned()).chain(arguments);
            // As the kubelet fills it in.
            let line = line.map(|argument| argument.replace("$(POD_NAMESPACE)", "certmesh"));
            crate::cli::parse(line.map(Into::into)).unwrap();
        }
    }

    #[test]
    fn a_target_is_a_namespace_and_a_name() {
        assert_eq!(target("a/b"), Ok(ObjectRef::new("a", "b")));
        for text in ["", "a", "/b", "a/", "a/b/c", "A/b"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
