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
    let (mut deliveries, mut deletions, mut replaced) = (0, 0, 0);
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
        if !version.is_gone && before.is_some_and(|before| before.roots != version.roots) {
            replaced += 1;
            if replaced > deeds.accepted[index] {
                return Err(format!("{at}: the roots in use were replaced without a person's word"));
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

/// The verdict is one: what must not happen is found.
#[cfg(test)]
mod tests {
    use super::*;
    use certmesh_api::secrets::{CA_CERT, CA_KEY};
    use certmesh_tests::Fleet;
    use k8s_openapi::api::core::v1::Secret as CaSecret;

    fn version(number: u32, need: &str, whole: Result<certmesh_x509::Certificate, String>) -> Version {
        Version {
            resource_version: number.to_string(),
            is_gone: false,
            need: need.to_owned(),
            roots: "root".to_owned(),
            whole,
        }
    }

    fn spoilt(number: u32) -> Version {
        version(number, "", Err("key and certificate do not match".to_owned()))
    }

    #[test]
    fn a_version_of_ours_that_is_not_whole_is_found() {
        let mut deeds = Deeds::default();
        assert!(history(0, &[spoilt(7)], &deeds).unwrap_err().contains("not whole"));
        deeds.spoiled[0].insert("7".to_owned());
        assert_eq!(history(0, &[spoilt(7)], &deeds), Ok(0), "it was somebody else");
        assert_eq!(history(0, &[spoilt(7), spoilt(8)], &deeds), Ok(0), "a note on it leaves it as it was");
        assert!(history(1, &[spoilt(7)], &deeds).is_err(), "in the other cluster it was nobody");
    }

    #[test]
    fn a_secret_that_we_delete_is_found() {
        let gone = Version { is_gone: true, ..spoilt(7) };
        let mut deeds = Deeds::default();
        assert!(history(0, std::slice::from_ref(&gone), &deeds).unwrap_err().contains("deleted by us"));
        deeds.deletions[0] = 1;
        assert_eq!(history(0, &[gone], &deeds), Ok(0));
    }

    #[test]
    fn roots_that_are_replaced_without_a_persons_word_are_found() {
        let mut deeds = Deeds::default();
        deeds.spoiled[0].extend(["7".to_owned(), "8".to_owned()]);
        let other = Version { roots: "another".to_owned(), ..spoilt(8) };
        let versions = [spoilt(7), other.clone()];
        assert!(history(0, &versions, &deeds).unwrap_err().contains("without a person's word"));
        deeds.accepted[0] = 1;
        assert_eq!(history(0, &versions, &deeds), Ok(0));
        deeds = Deeds { deletions: [1, 0], accepted: [0, 0], ..deeds };
        let gone = Version { is_gone: true, ..spoilt(7) };
        assert_eq!(
            history(0, &[spoilt(7), gone, other], &deeds),
            Ok(0),
            "what begins anew has the roots of the day"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_certificate_for_a_need_and_hosts_that_nobody_asked_for_are_found() {
        let fleet = Fleet::new(1).await;
        let running = fleet.run_all().await;
        fleet.create(&fleet.management, &certmesh_tests::intent("cluster-1", "istiod")).await;
        fleet.ready("cluster-1", "istiod").await;
        certmesh_tests::stop(running).await;
        let issued = certmesh_tests::certificate_in(&fleet.cacerts(0).await);
        let root =
            fleet.get::<CaSecret>(&fleet.management, certmesh_tests::HOME, certmesh_tests::ROOT_CA).await;
        let root = root.and_then(|root| root.data).unwrap();
        assert!(root.contains_key(CA_KEY));
        let other = certmesh_x509::Certificate::from_pem(&root[CA_CERT].0).unwrap();

        let first = version(7, "need", Ok(issued.clone()));
        let mut deeds = Deeds::default();
        assert!(history(0, std::slice::from_ref(&first), &deeds).unwrap_err().contains("nobody asked for"));
        deeds.hosts[0].extend(certmesh_tests::intent("cluster-1", "istiod").spec.hosts);
        assert_eq!(history(0, &[first.clone(), version(8, "need", Ok(issued.clone()))], &deeds), Ok(1));
        deeds.spoiled[0].insert("8".to_owned());
        // Somebody else's certificate in between, and ours again: two for one need.
        let twice = [first, version(8, "need", Ok(other)), version(9, "need", Ok(issued))];
        assert!(history(0, &twice, &deeds).unwrap_err().contains("a second certificate"));
    }

    #[test]
    fn a_serial_number_that_is_given_twice_is_found() {
        let signed = |serial: &str| serde_json::json!({"decision": "signed", "serialNumber": serial, "need": "intent=a/b"});
        assert_eq!(issuance(&[signed("01"), signed("02")]), Ok(()));
        assert!(issuance(&[signed("01"), signed("01")]).is_err());
        assert!(issuance(&[signed("")]).is_err());
        assert!(
            issuance(&[serde_json::json!({"decision": "signed", "serialNumber": "01", "need": ""})]).is_err()
        );
    }
}
