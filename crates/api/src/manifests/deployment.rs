//! The Deployment of a controller: no rights on its node, nothing to write to.

use super::{labels, metadata, within};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

const HEALTH_PORT: i32 = 8080;
const METRICS_PORT: i32 = 9090;
/// The user "nonroot" of distroless images.
const USER: i64 = 65_532;

/// A controller to be run.
pub(super) struct Controller<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) component: &'a str,
    pub(super) image: &'a str,
    /// The subcommand of `certmesh`.
    pub(super) command: &'a str,
    /// Whether its replicas elect a leader. Then a new one may start beside the old one, and any number may run.
    pub(super) elects: bool,
}

impl Controller<'_> {
    pub(super) fn deployment(&self) -> Deployment {
        let selector =
            LabelSelector { match_labels: Some(labels(self.component)), ..LabelSelector::default() };
        let spec = DeploymentSpec {
            replicas: Some(1),
            strategy: Some(self.strategy()),
            selector,
            template: PodTemplateSpec { metadata: Some(self.pod_metadata()), spec: Some(self.pod()) },
            ..DeploymentSpec::default()
        };
        let deployment = Deployment { metadata: metadata(self.name, self.component), spec, status: None };
        within(self.namespace, deployment)
    }

    /// Two at once would do no harm, only work twice; but unless they elect a leader, the old one must not outlive the new
    /// one's rollout.
    fn strategy(&self) -> DeploymentStrategy {
        let type_ = if self.elects { "RollingUpdate" } else { "Recreate" };
        DeploymentStrategy { type_: Some(type_.to_owned()), rolling_update: None }
    }

    fn pod_metadata(&self) -> ObjectMeta {
        let scrape =
            [("prometheus.io/scrape", "true".to_owned()), ("prometheus.io/port", METRICS_PORT.to_string())];
        let annotations = scrape.map(|(name, value)| (name.to_owned(), value));
        ObjectMeta {
            labels: Some(labels(self.component)),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        }
    }

    fn pod(&self) -> PodSpec {
        PodSpec {
            service_account_name: Some(self.name.to_owned()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![self.container()],
            // Ends within 5 s by itself; the rest is for a slow node.
            termination_grace_period_seconds: Some(15),
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        let arguments = [
            self.command.to_owned(),
            "--namespace=$(POD_NAMESPACE)".to_owned(),
            format!("--health-addr=0.0.0.0:{HEALTH_PORT}"),
            format!("--metrics-addr=0.0.0.0:{METRICS_PORT}"),
            "--log-format=json".to_owned(),
        ];
        let election = self.elects.then(|| "--leader-elect".to_owned());
        Container {
            name: self.component.to_owned(),
            image: Some(self.image.to_owned()),
            args: Some(arguments.into_iter().chain(election).collect()),
            env: Some(vec![own_namespace()]),
            ports: Some(vec![port("health", HEALTH_PORT), port("metrics", METRICS_PORT)]),
            liveness_probe: Some(probe("/healthz")),
            readiness_probe: Some(probe("/readyz")),
            resources: Some(ResourceRequirements {
                requests: Some(quantities(&[("cpu", "20m"), ("memory", "64Mi")])),
                limits: Some(quantities(&[("memory", "256Mi")])),
                ..ResourceRequirements::default()
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                read_only_root_filesystem: Some(true),
                run_as_non_root: Some(true),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }
}

fn own_namespace() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "metadata.namespace".to_owned(), api_version: None };
    EnvVar {
        name: "POD_NAMESPACE".to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: number, ..ContainerPort::default() }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("health".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(10),
        ..Probe::default()
    }
}

fn quantities(values: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    values.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect()
}
