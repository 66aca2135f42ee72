//! What must not have happened, at any version of any Secret.

use crate::people::Deeds;
use certmesh_api::certificates::ObjectRef;
use certmesh_tests::Version;
use certmesh_x509::Hosts;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A Secret that somebody else keeps where an intent wants one.
pub(crate) fn foreign_secret(name: &ObjectRef) -> Secret {
    Secret {
        metadata: ObjectMeta {
            namespace: Some(name.namespace.clone()),
            name: Some(name.name.clone()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("password".to_owned(), ByteString(b"hunter2".to_vec()))])),
        ..Secret::default()
    }
}

/// Every version that is ours was whole, none was missing, each certificate is for hosts that a person asked for, and no
/// need got two. How many certificates were put in place.
pub(crate) fn history(index: usize, versions: &[Version], deeds: &Deeds) -> Result<usize, String> {
    let mut needs = BTreeSet::new();
    let (mut deliveries, mut deletions) = (0, 0);
    let mut before: Option<&Version> = None;
    for version in versions {
        let at = format!("cluster-{} at resourceVersion {}", index + 1, version.resource_version);
        let is_others = deeds.spoiled[index].contains(&version.resource_version);
        let was = before.map(|before| &before.whole);
        match &version.whole {
            _ if version.is_gone => {
                deletions += 1;
                needs.clear();
            }
            Err(_) if is_others => needs.clear(),
            // A note on a Secret that others spoilt leaves it as it is.
            Err(flaw) if was != Some(&version.whole) => return Err(format!("{at}: not whole: {flaw}")),
            Err(_) => {}
            Ok(certificate) => {
                let is_new = was.is_none_or(|was| was.as_ref().ok() != Some(certificate));
                if is_new && !is_others {
                    deliveries += 1;
                    let wanted = |host: &String| {
                        Hosts::parse(&[host]).is_ok_and(|hosts| certificate.identifies_exactly(&hosts))
                    };
                    if !deeds.hosts[index].iter().any(wanted) {
                        return Err(format!("{at}: for hosts that nobody asked for"));
                    }
                    if !needs.insert(version.need.clone()) {
                        return Err(format!("{at}: a second certificate for need {}", version.need));
                    }
                }
            }
        }
        before = Some(version).filter(|version| !version.is_gone);
    }
    if deletions > deeds.deletions[index] {
        return Err(format!("cluster-{}: the issued Secret was deleted by us", index + 1));
    }
    Ok(deliveries)
}

/// No serial number was given twice, and no signature is without a need.
pub(crate) fn issuance(records: &[Value]) -> Result<(), String> {
    let mut serials = BTreeSet::new();
    for record in records.iter().filter(|record| record["decision"] == "signed") {
        let serial = record["serialNumber"].as_str().unwrap_or_default();
        if serial.is_empty() || !serials.insert(serial) {
            return Err(format!("serial number {serial:?} is missing or was given twice"));
        }
        if !record["need"].as_str().is_some_and(|need| need.starts_with("intent=")) {
            return Err(format!("a signature without a need: {record}"));
        }
    }
    Ok(())
}
