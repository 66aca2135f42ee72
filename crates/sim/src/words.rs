//! What requests, errors and objects look like in a trace.

use certmesh_controllers::{ApiRequest, ApiVerb};

use crate::cluster::Kind;
use crate::world::World;

impl World {
    /// Writes down what there is, without the content of Secrets.
    pub(crate) fn describe(&mut self) {
        for site in 0..self.clusters.len() {
            for kind in [Kind::IssuedCertificate, Kind::CertificateRequest, Kind::Secret, Kind::ConfigMap] {
                for object in self.clusters[site].all(kind) {
                    let mut value = object.value();
                    for field in ["data", "status"] {
                        for key in ["signedCertificate", "signingRootCa", "certChain"] {
                            value[field].as_object_mut().map(|fields| fields.shift_remove(key));
                        }
                    }
                    value["spec"].as_object_mut().map(|spec| spec.shift_remove("certificateSigningRequest"));
                    let names: Option<Vec<String>> =
                        value["data"].as_object().map(|data| data.keys().cloned().collect());
                    if let Some(names) = names {
                        value["data"] = serde_json::json!(names);
                    }
                    let cluster = self.clusters[site].name.clone();
                    self.say(|| format!("in {cluster}: {value}"));
                }
            }
        }
    }
}

/// An error in a few words.
pub(crate) fn in_short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 => "there is none".to_owned(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        other => other.to_string(),
    }
}

/// A request in a few words.
pub(crate) fn described(request: &ApiRequest) -> String {
    let verb = match &request.verb {
        ApiVerb::Get => "read",
        ApiVerb::Create(body) => {
            let need = body["metadata"]["annotations"][certmesh_api::names::annotations::NEED].as_str();
            let of = need.map(|need| format!(" for {need}")).unwrap_or_default();
            return format!("create {} {}/{}{of}", request.kind, request.namespace, request.name);
        }
        ApiVerb::Update(_) => "update",
        ApiVerb::UpdateStatus(body) => {
            let status = &body["status"];
            let state = status["state"].as_str().unwrap_or("PENDING");
            let reason = status["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|condition| condition["status"] == "True")
                .and_then(|condition| condition["reason"].as_str())
                .unwrap_or_default();
            return format!(
                "status of {} {}/{}: {state} {reason}",
                request.kind, request.namespace, request.name
            );
        }
        ApiVerb::Delete { .. } => "delete",
    };
    format!("{verb} {} {}/{}", request.kind, request.namespace, request.name)
}

/// A line of the issuance log in a few words.
pub(crate) fn short(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let text = |field: &str| value[field].as_str().unwrap_or("-").to_owned();
    format!("{} {} {} serial {}", text("decision"), text("cluster"), text("object"), text("serialNumber"))
}
