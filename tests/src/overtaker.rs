//! Somebody who changes each object at the last moment: after a process has decided on a write and before that arrives.

use crate::faults::Faults;
use certmesh_apiserver::Cluster;
use futures::FutureExt;
use http::Method;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Times that each write is overtaken.
const TIMES: usize = 3;

/// Overtakes the first few updates and deletions of every object.
#[derive(Clone, Default)]
pub struct Overtaker(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl Overtaker {
    /// Clients whose writes are overtaken by the clusters' administrators.
    pub fn faults(&self, management: &Cluster, remote: &Cluster) -> Faults {
        let clients = [management, remote].map(|cluster| cluster.client(Cluster::admin()));
        let overtaker = self.clone();
        Faults::meddle(move |number, method, path| {
            let (overtaker, [management, remote]) = (overtaker.clone(), clients.clone());
            async move {
                if method != Method::POST && overtaker.is_due(number, &method, &path) {
                    let object = ObjectPath::parse(&path).expect("a path of one object");
                    let client = if object.is_in_management() { management } else { remote };
                    object.overtake(client, number, &method).await;
                }
            }
            .boxed()
        })
    }

    /// The numbers (from 1) of the writes to each `<method> <path>` that have been overtaken.
    pub fn overtaken(&self) -> BTreeMap<String, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_due(&self, number: u32, method: &Method, path: &str) -> bool {
        let mut overtaken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = overtaken.entry(format!("{method} {path}")).or_default();
        let is_due = numbers.len() < TIMES;
        if is_due {
            numbers.push(number);
        }
        is_due
    }
}

/// Which object a path is about.
struct ObjectPath {
    resource: ApiResource,
    namespace: String,
    name: String,
}

impl ObjectPath {
    /// `/api/v1/namespaces/NS/PLURAL/NAME` or `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME`, and a subresource.
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let ["namespaces", namespace, plural, name, ..] = rest else { return None };
        let kind = GroupVersionKind::gvk(group, version, "Any");
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Some(Self { resource, namespace: (*namespace).to_owned(), name: (*name).to_owned() })
    }

    fn is_in_management(&self) -> bool {
        self.namespace == "cluster-1" || self.resource.plural == "kubernetesclusters"
    }

    /// Changes the object that is about to be updated, or puts another in the place of the one that is about to be deleted.
    async fn overtake(&self, client: Client, number: u32, method: &Method) {
        let api = Api::<DynamicObject>::namespaced_with(client, &self.namespace, &self.resource);
        if *method == Method::DELETE {
            let mut again = api.get(&self.name).await.expect("what is about to be deleted");
            api.delete(&self.name, &DeleteParams::default()).await.expect("it was deleted");
            again.metadata.resource_version = None;
            again.metadata.uid = None;
            api.create(&PostParams::default(), &again).await.expect("and made anew");
        } else {
            let note =
                json!({"metadata": {"annotations": {format!("example.com/overtaken-{number}"): "true"}}});
            let noted = Patch::Merge(note);
            api.patch(&self.name, &PatchParams::default(), &noted).await.expect("an annotation");
        }
    }
}
